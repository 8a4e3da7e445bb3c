import { type ISharedCodeCell, type YCodeCell, YNotebook } from '@jupyter/ydoc';
import type { IOutput } from '@jupyterlab/nbformat';
import * as Y from 'yjs';
import { CasaServerError } from '../../server/client';
import type { ICellPlan, IPlan, IPostedCell, IPostedOutputs } from '../../server/types';
import { NotebookState } from '../model';

/** A server that finds cells stale that say `stale`; it answers when it is told to. */
class Server {
  posted: IPostedCell[][] = [];
  identified: string[][] = [];
  refusal: CasaServerError | null = null;
  patient = false;

  async plan(_: string, cells: readonly IPostedCell[]): Promise<IPlan> {
    this.posted.push([...cells]);
    await this._turn();
    const planned = cells.filter(cell => cell.source.trim()).map(cell => this.judge(cell));
    return {
      schema: 1,
      notebook: 'n',
      revision: 1,
      fresh: planned.every(cell => cell.state === 'fresh'),
      estimate_s: planned.reduce((sum, cell) => sum + cell.estimate_s, 0),
      restores: [],
      cells: planned
    };
  }

  async outputs(cells: readonly IPostedOutputs[]) {
    this.identified.push(cells.map(cell => cell.id));
    await this._turn();
    return {
      schema: 1 as const,
      shown: Object.fromEntries(cells.map(({ id, outputs }) => [id, `of ${JSON.stringify(outputs)}`]))
    };
  }

  judge({ id, index, source }: IPostedCell): ICellPlan {
    const state = source.includes('stale') || source.includes('fail') ? 'stale' : 'fresh';
    const kind = source.includes('fail') ? 'failed' : 'edited';
    const reasons = state === 'stale' ? [{ kind, subject: '', message: '', because_of: null } as const] : [];
    return {
      id,
      index: index ?? 0,
      state,
      reasons: [...reasons],
      reads: [],
      writes: [],
      calls: [],
      estimate_s: state === 'stale' ? 2 : 0,
      impure: [],
      outside: []
    };
  }

  answer(): void {
    this._waiting.shift()?.();
  }

  private async _turn(): Promise<void> {
    if (this.patient) {
      await new Promise<void>(resolve => this._waiting.push(resolve));
    }
    if (this.refusal) {
      throw this.refusal;
    }
  }

  private _waiting: (() => void)[] = [];
}

const kernel = (cell: string | null) => ({ cell, call: null, told: 0 });
const text = (said: string) => ({ output_type: 'stream', name: 'stdout', text: said });

function open(...sources: string[]) {
  const notebook = YNotebook.create();
  notebook.insertCells(
    0,
    sources.map((source, n) => ({ cell_type: 'code', id: `c${String(n)}`, source }))
  );
  const server = new Server();
  const state = new NotebookState(notebook, () => 'work/n.ipynb', server);
  states.push(state);
  const cell = (n: number) => notebook.cells[n] as ISharedCodeCell;
  return { notebook, server, state, cell };
}
/** As JupyterLab does it. */
function show(cell: ISharedCodeCell, ...outputs: object[]) {
  const shown = cell as unknown as Pick<YCodeCell, 'getOutputs' | 'updateOutputs'>;
  shown.updateOutputs(0, shown.getOutputs().length, outputs as IOutput[], 'silent-change');
}
const states: NotebookState[] = [];

beforeEach(() => {
  jest.spyOn(console, 'warn').mockImplementation(); // of yjs, about how YNotebook makes cells
  jest.useFakeTimers();
});
afterEach(() => {
  states.splice(0).forEach(state => {
    state.dispose();
  });
  jest.useRealTimers();
});

/** Lets time and promises pass. */
const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const marks = (state: NotebookState) => state.notebook.cells.map(cell => state.mark(cell.id)?.mark ?? null);

it('tells what the plan says of each cell', async () => {
  const { state } = open('a', 'stale', '', 'fail');
  expect(marks(state)).toEqual([null, null, null, null]);
  await pass(0);
  expect(marks(state)).toEqual(['fresh', 'stale', null, 'failed']);
  expect(state.summary).toEqual({ stale: 2, maybe: 0, restorable: 0, estimate_s: 4 });
});

it('posts edits before they are saved', async () => {
  const { server, state, cell } = open('a');
  await pass(0);
  cell(0).setSource('st');
  await pass(30);
  cell(0).updateSource(2, 2, 'ale');
  await pass(30);
  expect(server.posted).toHaveLength(1);
  await pass(60);
  expect(server.posted).toHaveLength(2);
  expect(marks(state)).toEqual(['stale']);
});

it('asks once at a time, and then for the newest', async () => {
  const { server, state, cell } = open('a');
  await pass(0);
  server.patient = true;
  for (const source of ['b', 'c', 'stale']) {
    cell(0).setSource(source);
    await pass(150);
  }
  expect(server.posted.map(cells => cells[0]?.source)).toEqual(['a', 'b']);
  server.answer();
  await pass(0);
  expect(server.posted.map(cells => cells[0]?.source)).toEqual(['a', 'b', 'stale']);
  server.answer();
  await pass(0);
  expect(marks(state)).toEqual(['stale']);
});

it('posts at once what is typed after a pause, and not too often while somebody types', async () => {
  const { server, cell } = open('a');
  await pass(1000);
  const posts = () => server.posted.map(cells => cells[0]?.source);
  cell(0).setSource('b');
  await pass(0);
  expect(posts()).toEqual(['a', 'b']);
  for (const source of ['bc', 'bcd', 'bcde', 'bcdef']) {
    cell(0).setSource(source);
    await pass(30);
  }
  expect(posts()).toEqual(['a', 'b', 'bcdef']);
  await pass(1000);
  expect(posts()).toEqual(['a', 'b', 'bcdef']);
});

it('follows order, new and deleted cells, tags, and cells that become text', async () => {
  const { notebook, server, cell } = open('a', 'b', 'c');
  await pass(0);
  const posted = async () => {
    await pass(200);
    return server.posted[server.posted.length - 1]?.map(({ id, index }) => `${id}@${String(index)}`);
  };
  notebook.moveCell(2, 0);
  expect(await posted()).toEqual(['c2@0', 'c0@1', 'c1@2']);
  notebook.insertCell(1, { cell_type: 'markdown', source: 'text', id: 'm' });
  expect(await posted()).toEqual(['c2@0', 'c0@2', 'c1@3']);
  notebook.deleteCell(0);
  expect(await posted()).toEqual(['c0@1', 'c1@2']);
  cell(1).setMetadata('tags', ['skip-execution']);
  expect(await posted()).toEqual(['c1@2']);
  const before = server.posted.length;
  notebook.insertCell(0, { cell_type: 'code', source: 'n', id: 'n' }).setSource('new');
  expect(await posted()).toEqual(['n@0', 'c1@3']);
  expect(server.posted).toHaveLength(before + 1);
});

it('sends what cells show once, and its identity from then on', async () => {
  const { server, cell } = open('a', 'b');
  await pass(0);
  const shown = () => server.posted[server.posted.length - 1]?.map(posted => posted.shown);
  expect(server.identified).toEqual([]);
  expect(shown()).toEqual(['', '']);
  show(cell(0), text('1'));
  await pass(500);
  expect(server.identified).toEqual([['c0']]);
  expect(shown()).toEqual([`of ${JSON.stringify(cell(0).getOutputs())}`, '']);
  cell(1).setSource('c');
  await pass(500);
  expect(server.identified).toHaveLength(1);
  show(cell(0));
  await pass(500);
  expect(shown()).toEqual(['', '']);
});

it('text that is appended to what a cell shows counts', async () => {
  const { server, cell } = open('a');
  show(cell(0), text('1'));
  await pass(500);
  (cell(0) as unknown as Pick<YCodeCell, 'appendStreamOutput'>).appendStreamOutput(0, '2', 'silent-change');
  await pass(500);
  expect(server.posted[server.posted.length - 1]?.[0]?.shown).toContain('12');
});

it('what a cell shows is identified again when it changes meanwhile', async () => {
  const { server, cell } = open('a');
  await pass(0);
  server.patient = true;
  show(cell(0), text('1'));
  await pass(500);
  show(cell(0), text('2'));
  server.patient = false;
  server.answer();
  await pass(1000);
  expect(server.posted[server.posted.length - 1]?.[0]?.shown).toContain('2');
});

it('outputs that are too large for the server cost no plan', async () => {
  const { server, state, cell } = open('a');
  await pass(0);
  server.outputs = () => Promise.reject(new CasaServerError('refused', 'too large', 413));
  show(cell(0), text('1'));
  await pass(500);
  expect(server.posted[server.posted.length - 1]?.[0]).toEqual({ id: 'c0', index: 0, source: 'a' });
  expect(marks(state)).toEqual(['fresh']);
});

it('tells which cells run and wait, and looks again when one has ended', async () => {
  const { server, state, cell } = open('a', 'stale', 'b');
  await pass(0);
  cell(1).executionState = 'running';
  cell(2).executionState = 'running';
  expect(marks(state)).toEqual(['fresh', 'running', 'running']);
  state.doing = kernel('c1');
  expect(marks(state)).toEqual(['fresh', 'running', 'queued']);
  show(cell(1), text('1'));
  await pass(1000);
  expect(server.posted).toHaveLength(1);
  state.doing = kernel(null);
  cell(1).executionState = 'idle';
  cell(2).executionState = 'idle';
  await pass(200);
  expect(server.identified).toEqual([['c1']]);
  expect(marks(state)).toEqual(['fresh', 'stale', 'fresh']);
});

it('tells what runs also when it was started elsewhere', async () => {
  const { state } = open('a');
  state.doing = kernel('c0');
  expect(marks(state)).toEqual(['running']);
  await pass(0);
  expect(marks(state)).toEqual(['running']);
});

it('without an answer it tells nothing, and tries again', async () => {
  const { server, state, cell } = open('a');
  await pass(0);
  server.refusal = new CasaServerError('offline', 'away');
  cell(0).setSource('b');
  await pass(200);
  expect(marks(state)).toEqual([null]);
  expect(state.summary).toBeNull();
  expect(state.trouble?.message).toBe('away');
  await pass(1000);
  expect(server.posted).toHaveLength(3);
  server.refusal = null;
  await pass(2000);
  expect(marks(state)).toEqual(['fresh']);
  expect(state.trouble).toBeNull();
});

it('a refusal is not asked for again until something changes', async () => {
  const { server, state, cell } = open('a');
  server.refusal = new CasaServerError('refused', 'the memory cannot be read', 409);
  await pass(60_000);
  expect(server.posted).toHaveLength(1);
  expect(state.trouble?.message).toBe('the memory cannot be read');
  server.refusal = null;
  cell(0).setSource('stale');
  await pass(200);
  expect(marks(state)).toEqual(['stale']);
});

it('settles when what is known is of the present cells', async () => {
  const { state, cell } = open('a');
  cell(0).setSource('stale');
  const settled = state.settled().then(() => marks(state));
  await pass(500);
  expect(await settled).toEqual(['stale']);
});

it('asks nothing once it is disposed', async () => {
  const { server, state, cell } = open('a');
  state.dispose();
  cell(0).setSource('b');
  await pass(1000);
  expect(server.posted).toEqual([]);
});

it('two clients of one notebook agree', async () => {
  const one = open('a', 'b');
  const notebook = new YNotebook();
  const sync = (from: YNotebook, to: YNotebook) => {
    Y.applyUpdate(to.ydoc, Y.encodeStateAsUpdate(from.ydoc), 'remote');
    from.ydoc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== 'remote') {
        Y.applyUpdate(to.ydoc, update, 'remote');
      }
    });
  };
  sync(one.notebook, notebook);
  sync(notebook, one.notebook);
  const other = new NotebookState(notebook, () => 'work/n.ipynb', one.server);
  states.push(other);
  await pass(200);
  const check = async (expected: string[]) => {
    await pass(600);
    expect([marks(one.state), marks(other)]).toEqual([expected, expected]);
  };
  await check(['fresh', 'fresh']);
  one.cell(1).setSource('stale');
  await check(['fresh', 'stale']);
  (notebook.cells[0] as ISharedCodeCell).executionState = 'running';
  await check(['running', 'stale']);
  (notebook.cells[0] as ISharedCodeCell).executionState = 'idle';
  notebook.moveCell(1, 0);
  await check(['stale', 'fresh']);
});

it('a notebook of 2,000 cells is posted whole', async () => {
  const { server, state } = open(
    ...Array.from({ length: 2000 }, (_, n) => (n === 1999 ? 'stale' : `x = ${String(n)}`))
  );
  await pass(0);
  expect(server.posted.map(cells => cells.length)).toEqual([2000]);
  expect(state.mark('c1999')?.mark).toBe('stale');
});
