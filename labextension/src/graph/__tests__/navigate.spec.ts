import fc from 'fast-check';
import { layOut } from '../layout';
import { byCells } from '../model';
import { nextNode, type Way } from '../navigate';
import { graphOf, graphs } from './graphs';

const size = { width: 100, height: 40 };

describe('arrow keys', () => {
  const graph = graphOf(
    ['a', 'b', 'c', 'd'],
    [
      ['a', 'writes', 'n:x'],
      ['b', 'reads', 'n:x', 'a'],
      ['c', 'reads', 'n:x', 'a'],
      ['b', 'writes', 'n:y'],
      ['d', 'reads', 'n:y', 'b']
    ]
  );
  const areas = new Map([
    ['c:a', { x: 100, y: 0, ...size }],
    ['c:b', { x: 0, y: 100, ...size }],
    ['c:c', { x: 200, y: 100, ...size }],
    ['c:d', { x: 140, y: 200, ...size }]
  ]);
  const go = (from: string, way: Way) => nextNode(byCells(graph), areas, from, way);

  it('follow edges first', () => {
    expect([go('c:a', 'down'), go('c:b', 'down'), go('c:d', 'up')]).toEqual(['c:b', 'c:d', 'c:b']);
  });

  it('go to the neighbour, where there is no edge', () => {
    expect([go('c:b', 'right'), go('c:c', 'left')]).toEqual(['c:c', 'c:b']);
  });

  it('stay where there is nothing', () => {
    expect([go('c:a', 'up'), go('c:d', 'down'), go('c:b', 'left')]).toEqual([null, null, null]);
  });

  it('go the way that they say', () => {
    fc.assert(
      fc.property(graphs, fc.constantFrom<Way>('up', 'down', 'left', 'right'), (any, way) => {
        const diagram = byCells(any);
        const at = new Map(diagram.nodes.map(({ id }, n) => [id, n]));
        const links = diagram.edges.map(
          ({ source, target }) => [at.get(source) ?? 0, at.get(target) ?? 0] as const
        );
        const boxes = diagram.nodes.map(() => size);
        const { places } = layOut({ boxes, links, direction: 'down', aspect: 1 });
        const where = new Map(
          diagram.nodes.map(({ id }, n) => [id, { x: places[n]?.[0] ?? 0, y: places[n]?.[1] ?? 0, ...size }])
        );
        for (const { id } of diagram.nodes) {
          const next = nextNode(diagram, where, id, way);
          const [from, to] = [where.get(id), where.get(next ?? id)];
          if (next !== null && from && to) {
            const forward = {
              up: from.y - to.y,
              down: to.y - from.y,
              left: from.x - to.x,
              right: to.x - from.x
            }[way];
            expect(forward).toBeGreaterThan(0);
          }
        }
      })
    );
  });
});
