import { Signal } from '@lumino/signaling';
import { CasaServerError } from '../../server/client';
import type { ICellPlan, IGraph } from '../../server/types';
import { GraphState, type ISubject } from '../state';
import { cellOf, graphOf } from './graphs';

jest.useFakeTimers();

const reduction = graphOf(
  [cellOf('a', { seconds: 5 }), cellOf('b', { seconds: 2 })],
  [
    ['a', 'writes', 'p:x.ms'],
    ['b', 'reads', 'p:x.ms', 'a']
  ]
);

/** A notebook, as its state tells of it. */
class Notebook {
  readonly changed: Signal<never, void> = new Signal(this as never);
  path = 'w/nb.ipynb';
  plan: object | null = {};
  trouble: CasaServerError | null = null;
  planned: { [cell: string]: Partial<ICellPlan> } = {};
  mark = (id: string) => {
    const plan = this.planned[id];
    return plan ? { mark: plan.state ?? 'fresh', plan } : null;
  };
  posted = () => [
    { id: 'a', source: 'tclean(niter=5)' },
    { id: 'b', source: 'plot()' }
  ];
  replan(planned: Notebook['planned']): void {
    [this.plan, this.planned] = [{}, planned];
    this.changed.emit();
  }
}

const subject = (state: Notebook, sections: string[][] = []): ISubject =>
  ({ state, sections: () => sections.map(cells => ({ title: 'S', cells })) }) as unknown as ISubject;

const settle = async (ms = 1000) => {
  await jest.advanceTimersByTimeAsync(ms);
};

function setUp(answers: (IGraph | CasaServerError)[] = []) {
  const asked: string[] = [];
  const graph = jest.fn((path: string) => {
    asked.push(path);
    const answer = answers.shift() ?? reduction;
    return answer instanceof CasaServerError ? Promise.reject(answer) : Promise.resolve(answer);
  });
  const state = new GraphState({ graph });
  state.isVisible = true;
  return { state, asked, graph };
}

describe('the graph of a notebook', () => {
  it('is asked for, and drawn', async () => {
    const { state, asked } = setUp();
    state.subject = subject(new Notebook());
    await settle();
    expect(asked).toEqual(['w/nb.ipynb']);
    expect(state.diagram.edges).toHaveLength(1);
    expect(state.source('a')).toBe('tclean(niter=5)');
    expect(state.home('b')?.id).toBe('c:b');
  });

  it('is asked for again when there is another plan, and not for each change', async () => {
    const { state, asked } = setUp();
    const notebook = new Notebook();
    state.subject = subject(notebook);
    await settle();
    notebook.changed.emit(); // a clock has gone on
    await settle();
    expect(asked).toHaveLength(1);
    notebook.replan({});
    notebook.replan({});
    await settle();
    expect(asked).toHaveLength(2);
  });

  it('is not asked for while nobody looks', async () => {
    const { state, asked } = setUp();
    state.isVisible = false;
    state.subject = subject(new Notebook());
    await settle();
    expect(asked).toEqual([]);
    state.isVisible = true;
    await settle();
    expect(asked).toHaveLength(1);
  });

  it('is asked for one at a time', async () => {
    const { state, graph } = setUp();
    const waiting: ((graph: IGraph) => void)[] = [];
    graph.mockImplementation(() => new Promise(resolve => waiting.push(resolve)));
    const notebook = new Notebook();
    state.subject = subject(notebook);
    await settle();
    notebook.replan({});
    await settle();
    expect(graph).toHaveBeenCalledTimes(1);
    waiting[0]?.(reduction);
    await settle();
    expect(graph).toHaveBeenCalledTimes(2);
  });

  it('of another notebook is not shown here', async () => {
    const { state, graph } = setUp();
    const waiting: ((graph: IGraph) => void)[] = [];
    graph.mockImplementation(() => new Promise(resolve => waiting.push(resolve)));
    state.subject = subject(new Notebook());
    await settle();
    const other = new Notebook();
    other.path = 'other.ipynb';
    state.subject = subject(other);
    waiting[0]?.(reduction);
    await settle();
    expect(state.graph).toBeNull();
    expect(graph.mock.calls.map(([path]) => path)).toEqual(['w/nb.ipynb', 'other.ipynb']);
  });

  it('stays when the server goes away, and is asked for until it is there again', async () => {
    const away = new CasaServerError('offline', 'Failed to fetch');
    const { state, asked } = setUp([reduction, away, away]);
    const notebook = new Notebook();
    state.subject = subject(notebook);
    await settle();
    notebook.replan({});
    await settle();
    expect([state.graph, state.trouble]).toEqual([reduction, away]);
    await settle(10_000);
    expect([asked.length, state.trouble]).toEqual([4, null]);
  });

  it('that is refused is not asked for again by itself', async () => {
    const { state, asked } = setUp([new CasaServerError('refused', 'the memory cannot be read')]);
    state.subject = subject(new Notebook());
    await settle(60_000);
    expect([asked.length, state.graph, state.trouble?.message]).toEqual([
      1,
      null,
      'the memory cannot be read'
    ]);
  });

  it('is none without a notebook', async () => {
    const { state, asked } = setUp();
    state.subject = subject(new Notebook());
    await settle();
    state.subject = null;
    await settle();
    expect([state.graph, state.diagram.nodes, asked.length]).toEqual([null, [], 1]);
  });

  it('has sections only where there are headings', async () => {
    const { state } = setUp();
    state.set({ level: 'sections' });
    state.subject = subject(new Notebook());
    await settle();
    expect([state.hasSections, state.diagram.level]).toEqual([false, 'cells']);
    state.subject = subject(new Notebook(), [['a', 'b']]);
    await settle();
    expect([state.hasSections, state.diagram.nodes.length]).toEqual([true, 1]);
  });

  it('counts what is foreseen rather than what was', async () => {
    const { state } = setUp();
    const notebook = new Notebook();
    state.subject = subject(notebook);
    await settle();
    expect(state.chain).toEqual({ cells: ['a', 'b'], seconds: 7 });
    notebook.replan({ a: { state: 'stale', estimate_s: 60 } });
    expect(state.chain.seconds).toBe(62);
    expect(state.chained.nodes.size).toBe(0);
    state.set({ chain: true, level: 'products' });
    expect(state.chained.nodes).toEqual(new Set(['c:a', 'c:b', 'p:x.ms@a']));
  });

  it('tells what was found, and where the user is', async () => {
    const { state } = setUp();
    const heard: string[] = [];
    state.subject = subject(new Notebook());
    await settle();
    state.changed.connect((_, change) => heard.push(change));
    state.query = 'NITER';
    expect([...state.found]).toEqual(['c:a']);
    state.active = 'b';
    state.active = 'b';
    expect(heard).toEqual(['found', 'active']);
    state.dispose();
    await settle();
  });
});
