/** Where the arrow keys lead from one node of a graph to the next. */
import type { Direction } from './layout';
import { type IDiagram, incoming, outgoing } from './model';

/** Which way. */
export type Way = 'up' | 'down' | 'left' | 'right';

/** Where a node is drawn. */
export interface IArea {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * The next node that lies that way, the nearest; along the story, rather one to which there is an edge; null: there is
 * none.
 */
export function nextNode(
  diagram: IDiagram,
  areas: ReadonlyMap<string, IArea>,
  from: string,
  way: Way,
  direction: Direction = 'down'
): string | null {
  const isAlong = (way === 'up' || way === 'down') === (direction === 'down');
  const linked = new Set([
    ...(outgoing(diagram).get(from) ?? []).map(edge => edge.target),
    ...(incoming(diagram).get(from) ?? []).map(edge => edge.source)
  ]);
  const start = areas.get(from);
  if (!start) {
    return diagram.nodes[0]?.id ?? null;
  }
  let best: { id: string; cost: number } | null = null;
  for (const { id } of diagram.nodes) {
    const area = areas.get(id);
    if (!area || id === from) {
      continue;
    }
    const [ahead, aside] = apart(start, area, way);
    if (ahead > 0) {
      const cost = (ahead + 2 * Math.abs(aside)) * (isAlong && linked.has(id) ? 0.25 : 1);
      if (!best || cost < best.cost) {
        best = { id, cost };
      }
    }
  }
  return best?.id ?? null;
}

/** How far a node lies ahead, and aside, seen from another one. */
function apart(from: IArea, to: IArea, way: Way): [number, number] {
  const dx = to.x + to.width / 2 - from.x - from.width / 2;
  const dy = to.y + to.height / 2 - from.y - from.height / 2;
  // In the same layer nothing is above or below, though heights differ.
  const level = to.y < from.y + from.height && from.y < to.y + to.height;
  switch (way) {
    case 'up':
      return [level ? 0 : -dy, dx];
    case 'down':
      return [level ? 0 : dy, dx];
    case 'left':
      return [-dx, dy];
    case 'right':
      return [dx, dy];
  }
}
