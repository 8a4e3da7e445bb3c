import type { INotebookCellExecutor, NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import { tellStory } from '../../story';
import { PanelHands } from '../hands';
import type { NotebookState } from '../model';

type Options = INotebookCellExecutor.IRunCellOptions;

function hands(run: (options: Options, kernel: Kernel.IKernelConnection) => unknown, hasKernel = true) {
  const sent: unknown[] = [];
  let reply: () => Promise<unknown> = () => Promise.resolve({ content: { status: 'ok' } });
  const kernel = {
    id: 'k1',
    name: 'casa',
    requestExecute: (content: { code: string }, _: boolean, metadata: object) => {
      sent.push([content.code, metadata]);
      return { done: reply() };
    }
  } as unknown as Kernel.IKernelConnection;
  const outputs: unknown[][] = [[{ output_type: 'stream' }]];
  const model = {
    id: 'a',
    type: 'code',
    trusted: false,
    outputs: { toJSON: () => outputs.at(-1), fromJSON: (given: unknown[]) => outputs.push(given) }
  };
  const panel = {
    content: { widgets: [{ model }], model: {}, notebookConfig: {} },
    context: { localPath: 'n.ipynb', model: { cells: [model] } },
    sessionContext: { session: hasKernel ? { kernel } : null }
  } as unknown as NotebookPanel;
  tellStory(kernel, () => ({ notebook: 'n.ipynb', cells: ['a'] }));
  const executor = {
    runCell: async (options: Options) => {
      await run(options, kernel);
      return true;
    }
  };
  const did = new PanelHands(panel, { path: 'n.ipynb', spared_s: 1 } as unknown as NotebookState, executor);
  const answer = (how: () => Promise<unknown>) => {
    reply = how;
  };
  return { did, sent, model, outputs, answer };
}

/** As JupyterLab executes a cell. */
const execute = (success: boolean) => (options: Options, kernel: Kernel.IKernelConnection) => {
  kernel.requestExecute({ code: 'x = 1' }, false, { cellId: options.cell.model.id });
  options.onCellExecuted({ cell: options.cell, success });
  if (!success) {
    throw new Error('KernelReplyNotOK');
  }
};

it('executes a cell from the state that is told', async () => {
  const { did, sent } = hands(execute(true));
  expect(await did.execute('a', { names: {} })).toBe('ok');
  expect(sent).toEqual([
    ['x = 1', { cellId: 'a', casa: { notebook: 'n.ipynb', cells: ['a'], state: { names: {} } } }]
  ]);
});

it('tells how it ended', async () => {
  expect(await hands(execute(false)).did.execute('a', {})).toBe('error');
  const gone = hands((_, kernel) => {
    kernel.requestExecute({ code: '' }, false, { cellId: 'a' });
    throw new Error('Canceled');
  });
  expect(await gone.did.execute('a', {})).toBe('lost');
  expect(await hands(execute(true)).did.execute('deleted', {})).toBe('error');
  expect(await hands(execute(true), false).did.execute('a', {})).toBe('lost');
});

it('says so when another extension executes cells past the kernel connection', async () => {
  const { did } = hands(options => {
    options.onCellExecuted({ cell: options.cell, success: true });
  });
  await expect(did.execute('a', {})).rejects.toThrow('another extension');
});

it('settles with one silent request that is no cell', async () => {
  const { did, sent, answer } = hands(execute(true));
  expect(await did.settle({ settle: {} })).toBe('ok');
  expect(sent).toEqual([['pass', { casa: { notebook: 'n.ipynb', cells: ['a'], state: { settle: {} } } }]]);
  answer(() => Promise.resolve({ content: { status: 'error' } }));
  expect(await did.settle({})).toBe('error');
  answer(() => Promise.reject(new Error('Canceled')));
  expect(await did.settle({})).toBe('lost');
});

it('shows what it is told to, as trusted as what the user has run', () => {
  const { did, model, outputs } = hands(execute(true));
  const shown = [{ output_type: 'display_data' }];
  did.show('a', shown);
  expect([model.trusted, outputs.at(-1), did.outputs('a'), did.outputs('none')]).toEqual([
    true,
    shown,
    shown,
    []
  ]);
});
