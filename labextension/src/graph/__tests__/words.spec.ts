import { trans } from '../../__tests__/trans';
import type { ICellMark } from '../../notebook/model';
import type { ICellPlan, IGraph, IGraphCell } from '../../server/types';
import { byCells, bySections, type IDiagram, incoming, type INode, outgoing, withProducts } from '../model';
import { edgeWords, faceOf, labelOf, nodeWords, summaryOf } from '../words';
import { cellOf, graphOf } from './graphs';

const call = (task: string, action: 'ran' | 'restored', took_s: number) => ({
  task,
  key: 'k',
  action,
  seconds: 0,
  took_s
});
const graph = graphOf(
  [
    cellOf('a', {
      title: 'load()',
      seconds: 12,
      calls: [call('importuvfits', 'restored', 11.8), call('listobs', 'ran', 0.01)]
    }),
    cellOf('b', { state: 'stale', seconds: 2 }),
    cellOf('c', { state: 'maybe', seconds: 0 })
  ],
  [
    ['a', 'writes', 'p:x.ms'],
    ['a', 'writes', 'n:niter'],
    ['b', 'reads', 'p:x.ms', 'a'],
    ['b', 'modifies', 'p:x.ms'],
    ['c', 'reads', 'p:x.ms', 'b'],
    ['c', 'reads', 'n:niter', 'a']
  ]
);

const plan = (more: Partial<ICellPlan>) => ({
  state: 'stale',
  reasons: [],
  calls: [],
  impure: [],
  outside: [],
  estimate_s: 0,
  ...more
});

function known(diagram: IDiagram, marks: { [cell: string]: Partial<ICellMark> } = {}, of: IGraph = graph) {
  return {
    diagram,
    graph: of,
    mark: (cell: IGraphCell) => ({ mark: cell.state, plan: null, ...marks[cell.id] }),
    seconds: (cell: IGraphCell) => cell.seconds
  };
}
const node = (diagram: IDiagram, id: string) => diagram.nodes.find(one => one.id === id) as INode;

describe('a node shows', () => {
  const cells = byCells(graph);

  it('number, mark, what it takes, and its calls', () => {
    expect(faceOf(node(cells, 'c:a'), known(cells), trans)).toEqual({
      mark: 'fresh',
      number: '1',
      title: 'load()',
      note: 'fresh · 12 s',
      brief: 'importuvfits +1',
      calls: [
        { task: 'importuvfits', time: '12 s', action: 'restored' },
        { task: 'listobs', time: '', action: 'ran' }
      ],
      share: null
    });
    expect(faceOf(node(cells, 'c:c'), known(cells), trans).note).toBe('maybe');
  });

  it('how far a running call is', () => {
    const now = {
      task: 'tclean',
      stage: '',
      elapsed_s: 10,
      expected_s: 40,
      waiting_for: null,
      reason: '',
      began: 0
    };
    const face = faceOf(
      node(cells, 'c:b'),
      known(cells, { b: { mark: 'running', call: now, since_s: 10 } }),
      trans
    );
    expect([face.mark, face.note, face.share]).toEqual(['running', 'running · 20 s/40 s', 0.5]);
  });

  it('the worst of a section', () => {
    const sections = bySections(cells, [{ title: 'All', cells: ['a', 'b', 'c'] }]);
    const face = faceOf(node(sections, 's:0'), known(sections), trans);
    expect([face.mark, face.title, face.note]).toEqual(['stale', 'All', '3 cells · 1 stale · 14 s']);
  });

  it('of a product, whether it is going to be made anew', () => {
    const products = withProducts(graph);
    expect(faceOf(node(products, 'p:x.ms@a'), known(products), trans).mark).toBeNull();
    expect(faceOf(node(products, 'p:x.ms@b'), known(products), trans).mark).toBe('stale');
  });
});

describe('what is said', () => {
  const products = withProducts(graph);
  const words = (id: string, diagram = products, marks = {}) =>
    nodeWords(
      node(diagram, id),
      incoming(diagram).get(id) ?? [],
      outgoing(diagram).get(id) ?? [],
      known(diagram, marks),
      trans
    );

  it('of a cell tells reasons, what it took, and what it takes and gives', () => {
    const reasons = [
      { kind: 'edited', subject: '', message: 'it was edited since it ran', because_of: null }
    ];
    expect(
      words('c:b', products, { b: { plan: plan({ reasons: reasons as never, estimate_s: 42 }) } })
    ).toEqual({
      title: 'Cell 2 · Stale: it must run.',
      reasons: ['it was edited since it ran'],
      lines: ['About 42 s.', 'From x.ms: x.ms', 'To x.ms: x.ms']
    });
    expect(words('c:a').lines).toEqual(['It took 12 s.', 'To cell 3: niter', 'To x.ms: x.ms']);
  });

  it('of a product tells who makes and who uses it', () => {
    expect(words('p:x.ms@a').lines).toEqual(['Made by cell 1.', 'It is state 1 of 2.', 'Used by: cell 2.']);
    expect(words('p:x.ms@b').lines).toContain('It is going to be made anew, as this cell is stale.');
  });

  it('of an edge tells what passes, and how it is used', () => {
    const cells = byCells(graph);
    const edge = (source: string, target: string) => {
      const found = cells.edges.find(one => one.source === source && one.target === target);
      return found && edgeWords(found, known(cells), trans);
    };
    expect(edge('c:a', 'c:b')).toEqual({
      title: 'Cell 1 → Cell 2',
      reasons: ['x.ms, changed in place'],
      lines: []
    });
    expect(edge('c:a', 'c:c')?.reasons).toEqual(['name niter']);
    const up = graphOf(['a', 'b'], [['a', 'reads', 'p:y', 'b']]);
    const [below] = byCells(up).edges;
    expect(below && edgeWords(below, known(byCells(up), {}, up), trans).lines[0]).toContain(
      'made by a cell below'
    );
  });

  it('is cut where there is very much of it', () => {
    const many = graphOf(
      Array.from({ length: 30 }, (_, n) => `c${String(n)}`),
      Array.from({ length: 29 }, (_, n) => [`c${String(n + 1)}`, 'reads', 'n:x', 'c0'] as const).map(
        use => [...use] as [string, 'reads', string, string]
      )
    );
    const cells = byCells(many);
    const { lines } = nodeWords(
      node(cells, 'c:c0'),
      [],
      outgoing(cells).get('c:c0') ?? [],
      known(cells, {}, many),
      trans
    );
    expect(lines.at(-1)).toBe('and 21 more');
  });

  it('is read out, too', () => {
    const label = (id: string) =>
      labelOf(
        node(products, id),
        incoming(products).get(id) ?? [],
        outgoing(products).get(id) ?? [],
        known(products),
        trans
      );
    expect(label('c:a')).toBe('Cell 1: load(), fresh · 12 s, used by 2 others');
    expect(label('p:x.ms@b')).toBe('Data product x.ms, state 2 of 2, uses 1 other, used by 1 other');
  });

  it('of the whole counts marks', () => {
    expect(summaryOf(known(products), trans)).toBe('3 cells: 1 stale, 1 maybe, 1 fresh');
  });
});
