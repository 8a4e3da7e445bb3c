import type { Kernel } from '@jupyterlab/services';
import { startFrom, storyOf, tellStory } from '../story';

const story = { notebook: 'a.ipynb', cells: ['one', 'two'] };

const connection = (name: string) => {
  const sent = jest.fn<unknown, unknown[]>();
  const kernel = { name, requestExecute: sent } as unknown as Kernel.IKernelConnection;
  return { kernel, sent };
};

it('lists code cells from top to bottom', () => {
  const cells = [
    { id: 'c', type: 'code' },
    { id: 'm', type: 'markdown' },
    { id: 'a', type: 'code' },
    { id: 'r', type: 'raw' }
  ] as Parameters<typeof storyOf>[1];
  expect(storyOf('dir/a.ipynb', cells)).toEqual({ notebook: 'dir/a.ipynb', cells: ['c', 'a'] });
});

it('adds the story to the metadata of a cell', () => {
  const { kernel, sent } = connection('casa');
  tellStory(kernel, () => story);
  kernel.requestExecute({ code: 'tclean()' }, false, { cellId: 'two', tags: ['x'] });
  expect(sent).toHaveBeenCalledWith({ code: 'tclean()' }, false, { cellId: 'two', tags: ['x'], casa: story });
});

it('asks for the story at each execution', () => {
  const { kernel, sent } = connection('casa');
  let cells = ['one'];
  tellStory(kernel, () => ({ ...story, cells }));
  cells = ['zero', 'one'];
  kernel.requestExecute({ code: '' }, false, { cellId: 'one' });
  expect(sent.mock.lastCall).toEqual([{ code: '' }, false, { cellId: 'one', casa: { ...story, cells } }]);
});

it('leaves what is not a cell as it is', () => {
  const { kernel, sent } = connection('casa');
  tellStory(kernel, () => story);
  kernel.requestExecute({ code: '1' }, true);
  kernel.requestExecute({ code: '2' }, true, { some: 'thing' });
  expect(sent.mock.calls).toEqual([
    [{ code: '1' }, true, undefined],
    [{ code: '2' }, true, { some: 'thing' }]
  ]);
});

it('leaves other kernels as they are', () => {
  const { kernel, sent } = connection('python3');
  tellStory(kernel, () => story);
  kernel.requestExecute({ code: '' }, false, { cellId: 'two' });
  expect(sent).toHaveBeenCalledWith({ code: '' }, false, { cellId: 'two' });
});

it('takes a state along once, with its cell only', () => {
  const { kernel, sent } = connection('casa');
  tellStory(kernel, () => story);
  const taken = startFrom(kernel, 'two', { names: {} });
  kernel.requestExecute({ code: '' }, false, { cellId: 'one' });
  expect(sent.mock.lastCall?.[2]).toEqual({ cellId: 'one', casa: story });
  kernel.requestExecute({ code: '' }, false, { cellId: 'two' });
  expect(sent.mock.lastCall?.[2]).toEqual({ cellId: 'two', casa: { ...story, state: { names: {} } } });
  kernel.requestExecute({ code: '' }, false, { cellId: 'two' });
  expect(sent.mock.lastCall?.[2]).toEqual({ cellId: 'two', casa: story });
  expect(taken()).toBe(true);
});

it('a state that nobody took along is forgotten', () => {
  const { kernel, sent } = connection('casa');
  tellStory(kernel, () => story);
  expect(startFrom(kernel, 'two', {})()).toBe(false);
  kernel.requestExecute({ code: '' }, false, { cellId: 'two' });
  expect(sent.mock.lastCall?.[2]).toEqual({ cellId: 'two', casa: story });
});
