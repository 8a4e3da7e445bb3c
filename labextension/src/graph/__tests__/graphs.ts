/** Graphs as the server tells them, for tests. */
import fc from 'fast-check';
import type { CellState, IGraph, IGraphCell, IGraphEdge } from '../../server/types';

/** A cell. */
export function cellOf(id: string, more: Partial<IGraphCell> = {}): IGraphCell {
  return {
    id,
    index: 0,
    title: `do(${id})`,
    state: 'fresh',
    seconds: 1,
    impure: [],
    outside: [],
    calls: [],
    ...more
  };
}

/** What a cell does to a product or name. */
export type Use = [cell: string, kind: IGraphEdge['kind'], resource: string, origin?: string | null];

/** A graph of cells and what they do; roles of products as the server has them. */
export function graphOf(cells: readonly (string | IGraphCell)[], uses: readonly Use[]): IGraph {
  const edges = uses.map(([cell, kind, resource, origin = null]) => ({
    cell,
    resource,
    kind,
    version: kind === 'reads' ? `${resource}@${origin ?? ''}` : `${resource}@${cell}`,
    origin
  }));
  const resources = [...new Set(edges.map(({ resource }) => resource))];
  const products = resources
    .filter(id => !id.startsWith('n:'))
    .map(id => {
      const mine = edges.filter(({ resource }) => resource === id);
      const last = mine.map(({ kind }) => kind !== 'reads').lastIndexOf(true);
      const role =
        last < 0
          ? 'input'
          : last < mine.length - 1 || mine[last]?.kind === 'deletes'
            ? 'intermediate'
            : 'final';
      return { id, path: id.slice(2), role } as const;
    });
  const names = resources.filter(id => id.startsWith('n:')).map(id => ({ id, name: id.slice(2) }));
  return {
    schema: 1,
    notebook: 'nb.ipynb',
    revision: 1,
    cells: cells.map((cell, index) => ({ ...(typeof cell === 'string' ? cellOf(cell) : cell), index })),
    products,
    names,
    edges
  };
}

/** Any notebook that has been run from the top: cells read what is there, make, change and delete. */
export const graphs: fc.Arbitrary<IGraph> = fc
  .array(
    fc.record({
      reads: fc.uniqueArray(fc.nat(7), { maxLength: 3 }),
      writes: fc.uniqueArray(fc.nat(7), { maxLength: 2 }),
      deletes: fc.option(fc.nat(7), { freq: 6 }),
      seconds: fc.double({ min: 0, max: 100, noNaN: true }),
      state: fc.constantFrom<CellState>('fresh', 'stale', 'maybe', 'restorable'),
      tasks: fc.array(fc.constantFrom('tclean', 'flagdata', 'plotms'), { maxLength: 3 })
    }),
    { maxLength: 24 }
  )
  .map(cells => {
    const made = new Map<string, string>();
    const uses: Use[] = [];
    const nameOf = (n: number) => (n < 3 ? `n:x${String(n)}` : `p:d${String(n)}.ms`);
    const list = cells.map(({ reads, writes, deletes, seconds, state, tasks }, n) => {
      const id = `c${String(n)}`;
      const read = new Set(reads.map(nameOf).filter(name => made.has(name) || name.startsWith('p:')));
      const gone = deletes === null ? '' : nameOf(deletes);
      read.forEach(name => uses.push([id, 'reads', name, made.get(name) ?? null]));
      for (const name of new Set(writes.map(nameOf))) {
        if (name !== gone) {
          uses.push([id, read.has(name) ? 'modifies' : 'writes', name]);
          made.set(name, id);
        }
      }
      if (made.has(gone)) {
        uses.push([id, 'deletes', gone]);
        made.delete(gone);
      }
      const calls = tasks.map(task => ({ task, key: null, action: 'ran' as const, seconds: 1, took_s: 1 }));
      return cellOf(id, { seconds, state, calls });
    });
    return graphOf(list, uses);
  });
