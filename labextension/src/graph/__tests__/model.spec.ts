import fc from 'fast-check';
import {
  along,
  byCells,
  bySections,
  cellNode,
  collapse,
  diagramOf,
  edgeKey,
  type IDiagram,
  longestChain,
  search,
  together,
  withProducts
} from '../model';
import { cellOf, graphOf, graphs } from './graphs';

const told = ({ edges }: IDiagram) =>
  edges
    .map(({ source, target, flows }) => `${source} > ${target}: ${flows.map(flow => flow.label).join(' ')}`)
    .sort();

/** A reduction in which a MeasurementSet is changed in place. */
const reduction = graphOf(
  ['load', 'flag', 'clean', 'plot'],
  [
    ['load', 'reads', 'p:raw.fits'],
    ['load', 'writes', 'p:a.ms'],
    ['load', 'writes', 'n:niter'],
    ['flag', 'reads', 'p:a.ms', 'load'],
    ['flag', 'modifies', 'p:a.ms'],
    ['clean', 'reads', 'p:a.ms', 'flag'],
    ['clean', 'reads', 'n:niter', 'load'],
    ['clean', 'writes', 'p:img.image'],
    ['clean', 'writes', 'p:img.psf'],
    ['plot', 'reads', 'p:a.ms', 'flag'],
    ['plot', 'writes', 'p:plot.png']
  ]
);

describe('cells', () => {
  it('are joined by what passes from one to another', () => {
    expect(told(byCells(reduction))).toEqual([
      'c:flag > c:clean: a.ms',
      'c:flag > c:plot: a.ms',
      'c:load > c:clean: niter',
      'c:load > c:flag: a.ms'
    ]);
  });

  it('are not joined by names, if these are not to be drawn', () => {
    const options = { level: 'cells', names: false, sections: [] } as const;
    expect(told(diagramOf(reduction, options))).not.toContain('c:load > c:clean: niter');
  });

  it('that delete something use it, also if they have not read it', () => {
    const graph = graphOf(
      ['a', 'b'],
      [
        ['a', 'writes', 'p:x'],
        ['b', 'deletes', 'p:x']
      ]
    );
    expect(byCells(graph).edges).toMatchObject([
      { source: 'c:a', target: 'c:b', flows: [{ kind: 'deletes' }] }
    ]);
    expect(told(withProducts(graph))).toEqual(['c:a > p:x@a: x', 'p:x@a > c:b: x']);
  });
});

describe('products', () => {
  const diagram = withProducts(reduction);
  const products = diagram.nodes.filter(({ kind }) => kind === 'product');

  it('are drawn once for each state', () => {
    const states = products.filter(({ title }) => title === 'a.ms');
    expect(states.map(({ id, turn, role }) => [id, turn, role])).toEqual([
      ['p:a.ms@load', [1, 2], 'intermediate'],
      ['p:a.ms@flag', [2, 2], 'intermediate']
    ]);
    expect(told(diagram)).toEqual(
      expect.arrayContaining(['p:a.ms@load > c:flag: a.ms', 'c:flag > p:a.ms@flag: a.ms'])
    );
  });

  it('that are made and used alike are one', () => {
    expect(products.map(({ title, role }) => [title, role])).toEqual(
      expect.arrayContaining([
        ['img.* (2)', 'final'],
        ['raw.fits', 'input'],
        ['plot.png', 'final']
      ])
    );
  });

  it('stand behind who makes them and before who uses them', () => {
    const order = new Map(diagram.nodes.map(node => [node.id, node.order]));
    diagram.edges.forEach(({ source, target }) => {
      expect(order.get(source)).toBeLessThan(order.get(target) as number);
    });
  });

  it('that were overwritten before anybody used them are not drawn', () => {
    const graph = graphOf(
      ['a', 'b', 'c'],
      [
        ['a', 'writes', 'p:x'],
        ['b', 'writes', 'p:x'],
        ['c', 'reads', 'p:x', 'b']
      ]
    );
    expect(withProducts(graph).nodes.map(({ id }) => id)).toEqual(['c:a', 'c:b', 'p:x@b', 'c:c']);
  });

  it('have short names together', () => {
    expect(together(['a.ms'])).toBe('a.ms');
    expect(together(['cube.image', 'cube.model', 'cube.psf'])).toBe('cube.* (3)');
    expect(together(['a.gcal', 'b.txt'])).toBe('a.gcal +1');
    expect(together(['.x', '.y'])).toBe('.x +1');
  });

  it('drawn or not, say the same of cells', () => {
    fc.assert(
      fc.property(graphs, graph => {
        // Each product becomes one with who made it; those from outside, and what nobody uses, say nothing of cells.
        const full = withProducts(graph);
        const folded = collapse(full, node =>
          node.kind === 'product' && node.cells[0]
            ? { id: cellNode(node.cells[0].id), kind: 'cell', title: '' }
            : node.kind === 'cell'
              ? { id: node.id, kind: 'cell', title: '' }
              : null
        );
        const flows = ({ edges }: IDiagram) =>
          edges
            .filter(({ source }) => source.startsWith('c:'))
            .flatMap(({ source, target, flows: list }) =>
              list.map(flow => [source, target, flow.resource, flow.kind].join(' '))
            )
            .sort();
        expect([...new Set(flows(folded))]).toEqual([...new Set(flows(byCells(graph)))]);
      })
    );
  });
});

describe('collapsing', () => {
  const groupings = fc.func(fc.nat(4));
  const into = (group: (id: string) => number) => (node: { id: string }) => ({
    id: `g${String(group(node.id))}`,
    kind: 'section' as const,
    title: ''
  });

  it('keeps what passes between groups, and nothing else', () => {
    fc.assert(
      fc.property(graphs, groupings, (graph, group) => {
        const cells = byCells(graph);
        const all = (diagram: IDiagram, name: (id: string) => string) =>
          new Set(
            diagram.edges.flatMap(({ source, target, flows }) =>
              name(source) === name(target)
                ? []
                : flows.map(flow =>
                    [name(source), name(target), flow.resource, flow.version, flow.kind].join(' ')
                  )
            )
          );
        const collapsed = collapse(cells, into(group));
        expect(all(collapsed, id => id)).toEqual(all(cells, id => into(group)({ id }).id));
        const keys = collapsed.edges.map(edgeKey);
        expect(new Set(keys).size).toBe(keys.length);
      })
    );
  });

  it('twice is collapsing at once', () => {
    fc.assert(
      fc.property(graphs, groupings, groupings, (graph, first, second) => {
        const cells = byCells(graph);
        const twice = collapse(collapse(cells, into(first)), into(second));
        const once = collapse(cells, node => into(second)(into(first)(node)));
        const view = ({ nodes, edges }: IDiagram) => [
          nodes.map(({ id, order, cells: own }) => [id, order, own.map(cell => cell.id).sort()]),
          edges.map(edge => [edgeKey(edge), edge.flows.map(flow => JSON.stringify(flow)).sort()]).sort()
        ];
        expect(view(twice)).toEqual(view(once));
      })
    );
  });

  it('loses no cell', () => {
    fc.assert(
      fc.property(graphs, groupings, (graph, group) => {
        const own = collapse(byCells(graph), into(group)).nodes.flatMap(({ cells }) =>
          cells.map(({ id }) => id)
        );
        expect(own.sort()).toEqual(graph.cells.map(({ id }) => id).sort());
      })
    );
  });

  it('to sections leaves alone what stands in none', () => {
    const diagram = bySections(byCells(reduction), [{ title: 'Data', cells: ['load', 'flag'] }]);
    expect(diagram.nodes.map(({ id, kind, title }) => [id, kind, title])).toEqual([
      ['s:0', 'section', 'Data'],
      ['c:clean', 'cell', 'do(clean)'],
      ['c:plot', 'cell', 'do(plot)']
    ]);
    expect(told(diagram)).toEqual(['s:0 > c:clean: a.ms niter', 's:0 > c:plot: a.ms']);
  });
});

describe('the longest chain', () => {
  const took = (seconds: { [cell: string]: number }) => (cell: string) => seconds[cell] ?? 0;

  it('goes where time goes', () => {
    const chain = longestChain(byCells(reduction), took({ load: 1, flag: 2, clean: 30, plot: 4 }));
    expect(chain).toEqual({ cells: ['load', 'flag', 'clean'], seconds: 33 });
    expect(longestChain(byCells(reduction), took({ load: 1, plot: 4 }))).toEqual({
      cells: ['load', 'flag', 'plot'],
      seconds: 5
    });
  });

  it('is none, if nothing takes time', () => {
    expect(longestChain(byCells(reduction), took({}))).toEqual({ cells: [], seconds: 0 });
    expect(longestChain(byCells(graphOf([], [])), took({}))).toEqual({ cells: [], seconds: 0 });
  });

  it('is drawn along the products that it passes', () => {
    const chain = longestChain(byCells(reduction), took({ load: 1, flag: 2, clean: 30 }));
    const { nodes, edges } = along(withProducts(reduction), chain);
    expect([...nodes].sort()).toEqual(['c:clean', 'c:flag', 'c:load', 'p:a.ms@flag', 'p:a.ms@load']);
    expect([...edges].sort()).toEqual([
      'c:flag p:a.ms@flag',
      'c:load p:a.ms@load',
      'p:a.ms@flag c:clean',
      'p:a.ms@load c:flag'
    ]);
    const sections = bySections(byCells(reduction), [{ title: 'Data', cells: ['load', 'flag'] }]);
    expect([...along(sections, chain).edges]).toEqual(['s:0 c:clean']);
  });

  it('is a way through the graph, is as long as its cells, and no other is longer', () => {
    fc.assert(
      fc.property(graphs, graph => {
        const cells = byCells(graph);
        const seconds = took(Object.fromEntries(graph.cells.map(cell => [cell.id, cell.seconds])));
        const chain = longestChain(cells, seconds);
        const keys = new Set(cells.edges.map(edgeKey));
        chain.cells.slice(1).forEach((cell, n) => {
          expect(keys).toContain(`${cellNode(chain.cells[n] as string)} ${cellNode(cell)}`);
        });
        expect(chain.cells.reduce((sum, cell) => sum + seconds(cell), 0)).toBeCloseTo(chain.seconds);
        const known = new Map<string, number>();
        const onward = (id: string): number => {
          const users = known.has(id) ? [] : cells.edges.filter(({ source }) => source === id);
          const all =
            known.get(id) ?? seconds(id.slice(2)) + Math.max(0, ...users.map(({ target }) => onward(target)));
          known.set(id, all);
          return all;
        };
        const longest = Math.max(0, ...[...cells.nodes].reverse().map(({ id }) => onward(id)));
        expect(chain.seconds).toBeGreaterThanOrEqual(longest - 1e-9);
      }),
      { numRuns: 60 }
    );
  });
});

describe('the search', () => {
  const source = (cell: string) => `${cell}(vis='A.ms')\nrobust = 0.5`;
  const found = (text: string, diagram = withProducts(reduction)) =>
    [...search(diagram, text, source)].sort();

  it('finds cells by their text, and products by their names, in whatever case', () => {
    expect(found('ROBUST')).toEqual(['c:clean', 'c:flag', 'c:load', 'c:plot']);
    expect(found('psf')).toEqual(['p:img.image@clean']);
    expect(found('#2')).toEqual(['c:flag']);
    expect(found('nowhere')).toEqual([]);
  });

  it('finds tasks and states', () => {
    const call = { task: 'tclean', key: null, action: 'ran' as const, seconds: 1, took_s: 1 };
    const graph = graphOf([cellOf('a', { calls: [call], state: 'stale' }), 'b'], []);
    expect([...search(byCells(graph), 'TCLEAN', () => '')]).toEqual(['c:a']);
    expect([...search(byCells(graph), 'stale', () => '')]).toEqual(['c:a']);
  });

  const words = fc.array(fc.constantFrom('tclean', 'do', 'c1', '#', 'stale', 'x', 'MS', ''), {
    maxLength: 3
  });

  it('finds nothing for nothing, and less for more words, in whatever order', () => {
    fc.assert(
      fc.property(graphs, words, words, (graph, some, more) => {
        const diagram = withProducts(graph);
        const look = (text: string) => search(diagram, text, cell => `text of ${cell}`);
        expect(look(' ').size).toBe(0);
        const [few, many] = [look([...some, ...more].join(' ')), look(some.join('  '))];
        if (some.some(Boolean)) {
          few.forEach(id => {
            expect(many).toContain(id);
          });
        }
        expect(look([...more, ...some].reverse().join(' ').toUpperCase())).toEqual(few);
      })
    );
  });

  it('finds a cell in its section', () => {
    fc.assert(
      fc.property(graphs, words, (graph, some) => {
        const cells = byCells(graph);
        const sections = [{ title: 'All', cells: graph.cells.map(({ id }) => id) }];
        const text = some.filter(word => word !== '#').join(' ');
        const look = (diagram: IDiagram) => search(diagram, text, cell => `text of ${cell}`);
        if (look(cells).size) {
          expect(look(bySections(cells, sections)).size).toBe(1);
        }
      })
    );
  });
});
