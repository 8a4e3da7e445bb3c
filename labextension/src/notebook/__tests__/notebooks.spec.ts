import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { YNotebook } from '@jupyter/ydoc';
import { Signal } from '@lumino/signaling';
import type { CasaEvent, CasaEvents } from '../../server/events';
import type { ISessionNow } from '../../server/types';
import type { ICasaServer } from '../../tokens';
import { CasaNotebooks } from '../notebooks';

/** A panel as JupyterLab has it, as far as it matters. */
function panelOf(path: string, kernelspec: string, kernel: { id: string; name: string } | null) {
  const notebook = YNotebook.create();
  notebook.insertCells(0, [{ cell_type: 'code', id: 'c0', source: 'x = 1' }]);
  const signal = () => new Signal<object, unknown>({});
  const panel = {
    isDisposed: false,
    disposed: signal(),
    sessionContext: {
      session: kernel && { kernel },
      kernelChanged: signal(),
      statusChanged: signal()
    },
    context: {
      isReady: true,
      ready: Promise.resolve(),
      localPath: path,
      pathChanged: signal(),
      fileChanged: signal(),
      model: { sharedModel: notebook, getMetadata: () => ({ name: kernelspec }) }
    }
  };
  return { panel, as: panel as unknown as NotebookPanel };
}

async function open(
  kernelspec = 'casa',
  kernel: { id: string; name: string } | null = { id: 'k1', name: 'casa' }
) {
  const plan = jest.fn(() => Promise.resolve({ cells: [], restores: [] }));
  const condition = { condition: 'ready', changed: new Signal<object, string>({}) };
  const sessions = new Map<string, Partial<ISessionNow>>();
  const events = {
    happened: new Signal<object, CasaEvent>({}),
    restarted: new Signal<object, unknown>({}),
    kernel: (id: string) => sessions.get(id) ?? null
  };
  const { panel, as } = panelOf('w/n.ipynb', kernelspec, kernel);
  const tracker = {
    forEach: (each: (panel: NotebookPanel) => void) => {
      each(as);
    },
    widgetAdded: new Signal<object, NotebookPanel>({}),
    currentChanged: new Signal<object, NotebookPanel | null>({}),
    currentWidget: as
  };
  const notebooks = new CasaNotebooks(
    tracker as unknown as INotebookTracker,
    { api: { plan, outputs: jest.fn() }, state: condition } as unknown as ICasaServer,
    events as unknown as CasaEvents
  );
  await pass(0);
  const happen = (kind: string, data: object) => {
    events.happened.emit({ kind, data: { kernel: '', ...data } } as unknown as CasaEvent);
  };
  return { notebooks, panel, as, plan, condition, sessions, happen, events, tracker };
}
const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.spyOn(console, 'warn').mockImplementation(); // of yjs
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

it('follows notebooks whose kernel is ours, or that want one of ours', async () => {
  const ours = await open();
  expect(ours.notebooks.get(ours.as)?.path).toBe('w/n.ipynb');
  const without = await open('casa', null);
  expect(without.notebooks.get(without.as)).not.toBeNull();
  const other = await open('python3', { id: 'k', name: 'python3' });
  expect([other.notebooks.get(other.as), other.plan.mock.calls.length]).toEqual([null, 0]);
  const changed = await open('casa', { id: 'k', name: 'python3' });
  expect(changed.notebooks.get(changed.as)).toBeNull();
});

it('a notebook comes and goes with its kernel', async () => {
  const { notebooks, panel, as } = await open();
  const changed = jest.fn();
  notebooks.changed.connect(changed);
  const state = notebooks.get(as);
  panel.sessionContext.session = { kernel: { id: 'k2', name: 'python3' } };
  panel.sessionContext.kernelChanged.emit(null);
  expect([notebooks.get(as), state?.isDisposed]).toEqual([null, true]);
  panel.sessionContext.session = { kernel: { id: 'k3', name: 'casa' } };
  panel.sessionContext.kernelChanged.emit(null);
  expect(notebooks.panels).toEqual([as]);
  panel.disposed.emit(null);
  expect(notebooks.panels).toEqual([]);
  expect(changed).toHaveBeenCalledTimes(3);
});

it('asks nothing of a server that has no extension, until it has', async () => {
  const { notebooks, as, condition } = await open();
  condition.condition = 'missing';
  condition.changed.emit('missing');
  expect(notebooks.get(as)).toBeNull();
  condition.condition = 'ready';
  condition.changed.emit('ready');
  expect(notebooks.get(as)).not.toBeNull();
});

it('looks again when something happened that its cells do not tell', async () => {
  const { plan, panel, happen, events, tracker, as } = await open();
  const asked = async (what: () => void) => {
    await pass(1000);
    plan.mockClear();
    what();
    await pass(1000);
    return plan.mock.calls.length;
  };
  const cells = { path: 'w/n.ipynb', because: 'recorded' };
  expect(
    await asked(() => {
      panel.sessionContext.statusChanged.emit('idle');
    })
  ).toBe(1);
  expect(
    await asked(() => {
      panel.sessionContext.statusChanged.emit('busy');
    })
  ).toBe(0);
  expect(
    await asked(() => {
      happen('cells', cells);
    })
  ).toBe(1);
  expect(
    await asked(() => {
      happen('cells', { ...cells, because: 'asked' });
    })
  ).toBe(0);
  expect(
    await asked(() => {
      happen('cells', { ...cells, path: 'w/other.ipynb' });
    })
  ).toBe(0);
  expect(
    await asked(() => {
      events.restarted.emit(null);
    })
  ).toBe(1);
  expect(
    await asked(() => {
      panel.context.fileChanged.emit(null);
    })
  ).toBe(1);
  expect(
    await asked(() => {
      tracker.currentChanged.emit(as);
    })
  ).toBe(1);
});

it('knows what its kernel does, and what calls were spared', async () => {
  const { notebooks, as, sessions, happen } = await open();
  const state = notebooks.get(as);
  sessions.set('k1', { cell: 'c0', call: null });
  happen('cell', { kernel: 'k1' });
  expect(state?.mark('c0')?.mark).toBe('running');
  happen('call', { kernel: 'k1', result: { saved_s: 27 } });
  happen('call', { kernel: 'k2', result: { saved_s: 99 } });
  expect(state?.spared_s).toBe(27);
  sessions.clear();
  happen('kernel', { kernel: 'k1' });
  expect(state?.doing).toBeNull();
});
