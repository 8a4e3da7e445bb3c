import { Signal } from '@lumino/signaling';
import { trans } from '../../__tests__/trans';
import type { ICellPlan } from '../../server/types';
import { CellMarks, type IMarkable } from '../marks';
import type { ICellMark, Mark, NotebookState } from '../model';

const plan = (messages: string[]) =>
  ({
    state: 'stale',
    reasons: messages.map(message => ({ kind: 'edited', subject: '', message, because_of: null })),
    calls: [],
    estimate_s: 27,
    impure: [],
    outside: []
  }) as unknown as ICellPlan;

function notebook(...ids: string[]) {
  const marks = new Map<string, ICellMark>();
  const state = { mark: (id: string) => marks.get(id) ?? null } as unknown as NotebookState;
  const changed = new Signal<NotebookState, void>(state);
  Object.assign(state, { changed });
  const cells: IMarkable[] = ids.map(id => ({ node: document.createElement('div'), model: { id } }));
  document.body.replaceChildren(...cells.map(cell => cell.node));
  const opened: string[] = [];
  const drawn = new CellMarks(
    state,
    () => cells,
    trans,
    id => opened.push(id)
  );
  const mark = (id: string, what: Mark | null, ...reasons: string[]) => {
    if (what) {
      marks.set(id, { mark: what, plan: plan(reasons) });
    } else {
      marks.delete(id);
    }
    changed.emit();
  };
  const node = (n: number) => cells[n]?.node ?? document.body;
  const badge = (n: number) => node(n).querySelector<HTMLElement>('.jp-casa-mark-badge');
  return { cells, mark, node, badge, drawn, opened };
}
const hover = () => document.querySelector<HTMLElement>('[role=tooltip]');

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

it('draws a bar and a badge with a word, and takes them away', () => {
  const { mark, node, badge } = notebook('a', 'b');
  expect(badge(0)).toBeNull();
  mark('a', 'stale');
  expect([badge(0)?.textContent, node(0).dataset.casaMark, badge(1)]).toEqual(['stale', 'stale', null]);
  mark('a', 'running');
  expect([badge(0)?.textContent, node(0).dataset.casaMark]).toEqual(['running', 'running']);
  expect(node(0).querySelectorAll('.jp-casa-mark-bar')).toHaveLength(1);
  mark('a', null);
  expect([node(0).childElementCount, node(0).dataset.casaMark]).toEqual([0, undefined]);
});

it('draws again on cells that JupyterLab has made anew', () => {
  const { cells, mark, node, badge, drawn } = notebook('a', 'b');
  mark('a', 'stale');
  node(0).replaceChildren(); // its contents
  drawn.update();
  expect(badge(0)?.textContent).toBe('stale');
  cells.splice(0, 2, { node: document.createElement('div'), model: { id: 'b' } }, cells[0] as IMarkable);
  cells[1] = { node: document.createElement('div'), model: { id: 'a' } }; // moved
  drawn.update();
  expect([badge(0), badge(1)?.textContent]).toEqual([null, 'stale']);
});

it('does not touch cells of which nothing has changed', async () => {
  const { mark, node } = notebook('a', 'b');
  mark('a', 'stale');
  const changes = jest.fn();
  new MutationObserver(changes).observe(node(0), { subtree: true, childList: true, attributes: true });
  mark('b', 'fresh');
  await Promise.resolve();
  expect(changes).not.toHaveBeenCalled();
});

it('tells the reasons on hover, as text', () => {
  const { mark, badge } = notebook('a');
  mark(
    'a',
    'stale',
    '<b>`niter`</b> was 1, is now 2',
    ...Array.from({ length: 9 }, (_, n) => `reason ${String(n)}`)
  );
  badge(0)?.dispatchEvent(new Event('pointerenter'));
  expect(hover()).toBeNull();
  jest.advanceTimersByTime(200);
  expect(hover()?.querySelector('b')).toBeNull();
  expect([...(hover()?.querySelectorAll('li') ?? [])].map(item => item.textContent)).toEqual([
    '<b>`niter`</b> was 1, is now 2',
    'reason 0',
    'reason 1',
    'reason 2',
    'reason 3',
    'reason 4',
    'and 4 more'
  ]);
  expect(hover()?.textContent).toContain('About 27 s.');
  expect(badge(0)?.getAttribute('aria-describedby')).toBe(hover()?.id);
  mark('a', 'fresh');
  expect(hover()?.textContent).toContain('Fresh:');
  document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
  expect([hover(), badge(0)?.hasAttribute('aria-describedby')]).toEqual([null, false]);
  badge(0)?.dispatchEvent(new Event('pointerenter'));
  badge(0)?.dispatchEvent(new Event('pointerleave'));
  jest.advanceTimersByTime(200);
  expect(hover()).toBeNull();
});

it('a click asks for more', () => {
  const { mark, badge, opened } = notebook('a');
  mark('a', 'fresh');
  badge(0)?.click();
  expect(opened).toEqual(['a']);
});

it('leaves nothing behind', () => {
  const { mark, node, drawn } = notebook('a');
  mark('a', 'stale');
  drawn.dispose();
  mark('a', 'fresh');
  expect(node(0).childElementCount).toBe(0);
});
