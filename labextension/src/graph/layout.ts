/**
 * Where the nodes of a notebook's graph are drawn.
 *
 * Layers from the top, as Sugiyama, Tagawa and Toda (1981) have it, made for notebooks: the story tells which way an
 * edge goes, so no cycle has to be broken; all that goes out of a node runs in one trunk that branches where it is used,
 * so a product that many cells read is one line; and a layer takes only so many nodes. General libraries took seconds
 * for 300 nodes of notebooks (dagre 3.1, elkjs 0.12, d3-dag 1.2), as they draw each edge by itself through all layers.
 *
 * It runs in a worker: it imports nothing, and all that goes in and out is plain data.
 */

/** A node. */
export interface IBox {
  readonly width: number;
  readonly height: number;
}

/** What is to be laid out. */
export interface ILayoutRequest {
  /** By their places in the story. */
  readonly boxes: readonly IBox[];
  /** From and to, as places in `boxes`. One that goes up in the story is drawn upwards. */
  readonly links: readonly (readonly [number, number])[];
  readonly direction: Direction;
  /** Width by height that would be welcome. */
  readonly aspect: number;
}

/** Which way the story goes. */
export type Direction = 'down' | 'right';

/** Where a link goes. */
export interface IRoute {
  /** As an SVG path. */
  readonly path: string;
  /** Least x and y, greatest x and y. */
  readonly bounds: readonly [number, number, number, number];
  /** Where it ends, and which way it goes there. */
  readonly tip: { readonly x: number; readonly y: number; readonly degrees: number };
}

/** Where all is; from 0. */
export interface ILayout {
  readonly width: number;
  readonly height: number;
  /** Upper left corners, as the boxes were given. */
  readonly places: readonly (readonly [number, number])[];
  /** As the links were given. */
  readonly routes: readonly IRoute[];
}

/** Pixels between nodes of a layer; between a node and a line; between lines; between groups that have no link. */
const GAPS = { nodes: 28, beside: 18, lines: 9, parts: 56 } as const;
/** Pixels between layers, at least and at most: more where lines go far aside. */
const LAYER_GAP = [38, 84] as const;
/** Pixels between the ends of lines at a node. */
const PORT_GAP = 12;
/** Pieces of lines in all; if there were more, those that go through many layers are drawn straight. */
const MOST_PIECES = 24_000;
const LONG = 24;
/** How much a trunk wants to be straight, compared with a node that wants to be near another one; at first, in the end. */
const STRAIGHT = [3, 40] as const;

/** Lays out a graph. */
export function layOut({ boxes, links, direction, aspect }: ILayoutRequest): ILayout {
  const turned = direction === 'right';
  const sizes = turned ? boxes.map(({ width, height }) => ({ width: height, height: width })) : boxes;
  const places: [number, number][] = boxes.map(() => [0, 0]);
  const routes: IRoute[] = links.map(() => draw([], false));
  const parts = split(sizes.length, links);
  const single = parts.filter(part => part.nodes.length === 1).flatMap(part => part.nodes);
  const laid = parts
    .filter(part => part.nodes.length > 1)
    .map(part => new Part(part.nodes, part.links, sizes, links))
    .map(part => ({ width: part.width, height: part.height, put: part.put.bind(part) }));
  if (single.length) {
    laid.push(grid(single, sizes, turned ? 1 / aspect : aspect));
  }
  const size = pack(laid, turned ? 1 / aspect : aspect, (n, dx, dy) =>
    laid[n]?.put(dx, dy, places, routes, turned)
  );
  if (turned) {
    places.forEach((place, n) => (places[n] = [place[1], place[0]]));
  }
  const [width, height] = turned ? [size[1], size[0]] : size;
  return { width, height, places, routes };
}

/** A part that is laid out, and can be put somewhere. */
interface IPart {
  readonly width: number;
  readonly height: number;
  put(dx: number, dy: number, places: [number, number][], routes: IRoute[], turned: boolean): void;
}

/** Puts parts beside and below each other, in their order; the size of all. */
function pack(
  parts: readonly IPart[],
  aspect: number,
  put: (n: number, x: number, y: number) => void
): [number, number] {
  const area = parts.reduce((sum, part) => sum + (part.width + GAPS.parts) * (part.height + GAPS.parts), 0);
  const most = Math.max(Math.sqrt(area * aspect), ...parts.map(part => part.width));
  let [x, y, deep, wide] = [0, 0, 0, 0];
  parts.forEach(({ width, height }, n) => {
    if (x > 0 && x + width > most) {
      [x, y, deep] = [0, y + deep + GAPS.parts, 0];
    }
    put(n, x, y);
    wide = Math.max(wide, x + width);
    deep = Math.max(deep, height);
    x += width + GAPS.parts;
  });
  return [wide, y + deep];
}

/** Nodes without a link stand in rows, as one reads. */
function grid(nodes: readonly number[], sizes: readonly IBox[], aspect: number): IPart {
  const width = Math.max(...nodes.map(n => sizeOf(sizes, n).width)) + GAPS.nodes;
  const height = Math.max(...nodes.map(n => sizeOf(sizes, n).height)) + GAPS.nodes;
  const columns = Math.max(
    1,
    Math.min(nodes.length, Math.round(Math.sqrt((nodes.length * height * aspect) / width)))
  );
  return {
    width: columns * width - GAPS.nodes,
    height: Math.ceil(nodes.length / columns) * height - GAPS.nodes,
    put: (dx, dy, places) => {
      nodes.forEach(
        (n, at) => (places[n] = [dx + (at % columns) * width, dy + Math.floor(at / columns) * height])
      );
    }
  };
}

/** Nodes that hang together, and their links; by their first nodes. */
function split(count: number, links: ILayoutRequest['links']): { nodes: number[]; links: number[] }[] {
  const root = Array.from({ length: count }, (_, n) => n);
  const find = (n: number): number => {
    while (root[n] !== n) {
      n = root[n] = root[root[n] as number] as number;
    }
    return n;
  };
  for (const [a, b] of links) {
    const [first, second] = [find(a), find(b)];
    root[Math.max(first, second)] = Math.min(first, second);
  }
  const parts = new Map<number, { nodes: number[]; links: number[] }>();
  for (let n = 0; n < count; n++) {
    const of = find(n);
    const part = parts.get(of) ?? { nodes: [], links: [] };
    parts.set(of, part);
    part.nodes.push(n);
  }
  links.forEach(([a], n) => parts.get(find(a))?.links.push(n));
  return [...parts.values()];
}

/** A node, or a piece of a line that passes a layer. */
interface IItem {
  /** Place in `boxes`; -1: a piece of a line. */
  readonly node: number;
  readonly layer: number;
  readonly width: number;
  readonly up: IItem[];
  readonly down: IItem[];
  /** Place in its layer. */
  at: number;
  /** Of its middle. */
  x: number;
  /** What it is sorted by. */
  key: number;
  /** The trunk that it is a piece of. */
  readonly trunk: ITrunk | null;
}

/** Pieces of a line from one node. */
interface ITrunk {
  readonly pieces: IItem[];
  /** Where it is on the whole. */
  x: number;
}

/** Nodes that hang together. */
class Part implements IPart {
  constructor(
    private readonly _nodes: readonly number[],
    private readonly _links: readonly number[],
    private readonly _sizes: readonly IBox[],
    private readonly _all: ILayoutRequest['links']
  ) {
    const rank = this._rank();
    this._layers = Array.from({ length: Math.max(...rank.values()) + 1 }, () => []);
    for (const node of _nodes) {
      this._items.set(node, this._add(node, rank.get(node) ?? 0, sizeOf(_sizes, node).width));
    }
    this._draw(rank);
    this._order();
    this._align();
    this._stack();
    const all = this._layers.flat();
    const left = Math.min(...all.map(item => item.x - item.width / 2));
    all.forEach(item => (item.x -= left));
    this.width = Math.max(...all.map(item => item.x + item.width / 2));
    this.height = (this._tops.at(-1) ?? 0) + (this._heights.at(-1) ?? 0);
  }

  readonly width: number;
  readonly height: number;

  put(dx: number, dy: number, places: [number, number][], routes: IRoute[], turned: boolean): void {
    for (const [node, item] of this._items) {
      const { width, height } = sizeOf(this._sizes, node);
      const middle = (this._tops[item.layer] ?? 0) + (this._heights[item.layer] ?? 0) / 2;
      places[node] = [dx + item.x - width / 2, dy + middle - height / 2];
    }
    const ends = this._ports();
    for (const link of this._links) {
      const points = this._points(link, ends);
      routes[link] = draw(
        points.map(([x, y]) => (turned ? [y + dy, x + dx] : [x + dx, y + dy])),
        turned
      );
    }
  }

  /** Layers by the longest way from the top; a node stands near what it is for, and no layer has too many. */
  private _rank(): Map<number, number> {
    const into = new Map<number, number[]>(this._nodes.map(node => [node, []]));
    const out = new Map<number, number[]>(this._nodes.map(node => [node, []]));
    for (const link of this._links) {
      const [above, below] = this._ends(link);
      into.get(below)?.push(above);
      out.get(above)?.push(below);
    }
    const rank = new Map<number, number>();
    const of = (node: number) => rank.get(node) ?? 0;
    const most = Math.min(16, Math.max(5, Math.round(0.9 * Math.sqrt(this._nodes.length))));
    const taken: number[] = [];
    for (const node of this._nodes) {
      let layer = Math.max(0, ...(into.get(node) ?? []).map(above => of(above) + 1));
      while ((taken[layer] ?? 0) >= most) {
        layer++;
      }
      taken[layer] = (taken[layer] ?? 0) + 1;
      rank.set(node, layer);
    }
    for (const node of [...this._nodes].reverse()) {
      const users = out.get(node) ?? [];
      if (users.length && (into.get(node) ?? []).length < users.length) {
        const [from, to] = [of(node), Math.min(...users.map(of)) - 1];
        for (let layer = to; layer > from; layer--) {
          if ((taken[layer] ?? 0) < most) {
            taken[from] = (taken[from] ?? 0) - 1;
            taken[layer] = (taken[layer] ?? 0) + 1;
            rank.set(node, layer);
            break;
          }
        }
      }
    }
    const used = [...new Set(rank.values())].sort((a, b) => a - b);
    const dense = new Map(used.map((layer, n) => [layer, n]));
    this._nodes.forEach(node => rank.set(node, dense.get(of(node)) ?? 0));
    return rank;
  }

  /** The nodes of a link, the upper one first. */
  private _ends(link: number): [number, number] {
    const [a, b] = this._all[link] as readonly [number, number];
    return a < b ? [a, b] : [b, a];
  }

  private _add(node: number, layer: number, width: number, trunk: ITrunk | null = null): IItem {
    const items = this._layers[layer] as IItem[];
    const item: IItem = { node, layer, width, up: [], down: [], at: items.length, x: 0, key: 0, trunk };
    items.push(item);
    trunk?.pieces.push(item);
    return item;
  }

  /** Lines from layer to layer: one trunk from each node to the last one that uses it, with branches. */
  private _draw(rank: Map<number, number>): void {
    const of = (node: number) => rank.get(node) ?? 0;
    const users = new Map<number, number[]>();
    for (const link of this._links) {
      const [above, below] = this._ends(link);
      users.set(above, [...(users.get(above) ?? []), below]);
    }
    const pieces = [...users].reduce(
      (sum, [node, list]) => sum + Math.max(...list.map(of)) - of(node) - 1,
      0
    );
    this._reach = pieces > MOST_PIECES ? LONG : Infinity;
    for (const [node, list] of users) {
      const near = list.filter(user => of(user) - of(node) <= this._reach);
      const trunk: ITrunk = { pieces: [], x: 0 };
      const start = this._items.get(node) as IItem;
      const last = Math.max(of(node), ...near.map(of));
      for (let layer = of(node) + 1; layer < last; layer++) {
        const before = trunk.pieces.at(-1) ?? start;
        join(before, this._add(-1, layer, 0, trunk));
      }
      for (const user of near) {
        join(trunk.pieces[of(user) - of(node) - 2] ?? start, this._items.get(user) as IItem);
      }
      this._trunks.set(node, trunk);
    }
  }

  /** Few crossings: each layer by the middle of its neighbours, downwards and upwards in turns. */
  private _order(): void {
    const layers = this._layers;
    const total = layers.reduce((sum, layer) => sum + layer.length, 0);
    const turns = total > 12_000 ? 4 : total > 3000 ? 8 : 16;
    let best = Infinity;
    let kept: IItem[][] = [];
    for (let turn = 0; turn <= turns; turn++) {
      const crossings = layers.reduce((sum, layer) => sum + crossingsBelow(layer), 0);
      if (crossings < best) {
        best = crossings;
        kept = layers.map(layer => [...layer]);
      }
      if (turn === turns || best === 0) {
        break;
      }
      const down = turn % 2 === 0;
      for (const layer of down ? layers : [...layers].reverse()) {
        for (const item of layer) {
          const beside = down ? item.up : item.down;
          item.key = beside.length ? mean(beside, other => other.at) : item.at;
        }
        layer.sort((a, b) => a.key - b.key || a.at - b.at);
        layer.forEach((item, at) => (item.at = at));
      }
    }
    kept.forEach((layer, n) => {
      layer.forEach((item, at) => (item.at = at));
      layers[n] = layer;
    });
  }

  /** Each item as near to its neighbours as those beside it allow; trunks are straight rather than nodes near. */
  private _align(): void {
    for (const layer of this._layers) {
      let x = 0;
      layer.forEach((item, n) => {
        const before = layer[n - 1];
        x += before ? distance(before, item) : 0;
        item.x = x;
      });
      layer.forEach(item => (item.x -= x / 2));
    }
    const total = this._layers.reduce((sum, layer) => sum + layer.length, 0);
    const turns = total > 12_000 ? 6 : total > 3000 ? 12 : 24;
    for (let turn = 0; turn < turns; turn++) {
      const down = turn % 2 === 0;
      const both = turn >= turns - 4;
      const straight = STRAIGHT[turn < turns / 2 ? 0 : 1];
      for (const trunk of this._trunks.values()) {
        trunk.x = mean(trunk.pieces, piece => piece.x);
      }
      for (const layer of down ? this._layers : [...this._layers].reverse()) {
        const wish = layer.map(item => {
          let [sum, weight] = item.trunk ? [straight * item.trunk.x, straight] : [0, 0];
          const pull = (other: IItem) => {
            if (!item.trunk || item.trunk !== other.trunk) {
              sum += other.x;
              weight += 1;
            }
          };
          if (down || both) {
            item.up.forEach(pull);
          }
          if (!down || both) {
            item.down.forEach(pull);
          }
          return weight ? { x: sum / weight, weight } : { x: item.x, weight: 0.1 };
        });
        place(layer, wish);
      }
    }
  }

  /** How far down the layers are. */
  private _stack(): void {
    let y = 0;
    this._layers.forEach((layer, n) => {
      const height = Math.max(
        8,
        ...layer.map(({ node }) => (node < 0 ? 0 : sizeOf(this._sizes, node).height))
      );
      this._tops[n] = y;
      this._heights[n] = height;
      const aside = Math.max(0, ...layer.flatMap(item => item.down.map(other => Math.abs(other.x - item.x))));
      y += height + Math.min(LAYER_GAP[1], LAYER_GAP[0] + aside / 12);
    });
  }

  /** Where lines end at the top of nodes: beside each other, by where they come from. */
  private _ports(): Map<string, number> {
    const ports = new Map<string, number>();
    for (const [node, item] of this._items) {
      const from = [...item.up].sort((a, b) => a.x - b.x);
      const room = Math.min(PORT_GAP, (item.width - 24) / Math.max(1, from.length));
      from.forEach((other, n) => {
        ports.set(portKey(other, node), item.x + (n - (from.length - 1) / 2) * room);
      });
    }
    return ports;
  }

  /** Where a link leaves, passes layers (in and out), and arrives. */
  private _points(link: number, ports: Map<string, number>): [number, number][] {
    const [above, below] = this._ends(link);
    const [start, end] = [this._items.get(above) as IItem, this._items.get(below) as IItem];
    const { pieces } = this._trunks.get(above) as ITrunk;
    const steps = end.layer - start.layer;
    const passed = steps <= this._reach ? pieces.slice(0, steps - 1) : [];
    const last = passed.at(-1) ?? start;
    const top = (item: IItem) => {
      const rest = (this._heights[item.layer] ?? 0) - sizeOf(this._sizes, item.node).height;
      return (this._tops[item.layer] ?? 0) + rest / 2;
    };
    const points: [number, number][] = [[start.x, top(start) + sizeOf(this._sizes, above).height]];
    for (const { layer, x } of passed) {
      const y = this._tops[layer] ?? 0;
      points.push([x, y], [x, y + (this._heights[layer] ?? 0)]);
    }
    points.push([ports.get(portKey(last, below)) ?? end.x, top(end)]);
    const [first] = this._all[link] as readonly [number, number];
    return first === above ? points : points.reverse();
  }

  private readonly _layers: IItem[][];
  private readonly _items = new Map<number, IItem>();
  private readonly _trunks = new Map<number, ITrunk>();
  private readonly _tops: number[] = [];
  private readonly _heights: number[] = [];
  /** Layers through which a trunk goes at most. */
  private _reach = Infinity;
}

function sizeOf(sizes: readonly IBox[], node: number): IBox {
  return sizes[node] as IBox;
}

function join(above: IItem, below: IItem): IItem {
  above.down.push(below);
  below.up.push(above);
  return below;
}

function mean(items: readonly IItem[], of: (item: IItem) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0) / items.length;
}

function portKey(from: IItem, to: number): string {
  return `${String(from.layer)} ${String(from.at)} ${String(to)}`;
}

/** Between the middles of neighbours. */
function distance(left: IItem, right: IItem): number {
  const [one, other] = [left.node < 0, right.node < 0];
  const gap = one && other ? GAPS.lines : one || other ? GAPS.beside : GAPS.nodes;
  return (left.width + right.width) / 2 + gap;
}

/** How many lines cross between a layer and the next one: pairs that stand the other way round below, counted in a tree. */
function crossingsBelow(layer: readonly IItem[]): number {
  const ends = layer.flatMap(item => item.down.map(other => other.at).sort((a, b) => a - b));
  const tree = new Uint32Array(Math.max(0, ...ends) + 2);
  let crossings = 0;
  ends.forEach((end, n) => {
    let before = 0; // that end at the same place or left of it
    for (let at = end + 1; at > 0; at -= at & -at) {
      before += tree[at] ?? 0;
    }
    crossings += n - before;
    for (let at = end + 1; at < tree.length; at += at & -at) {
      tree[at] = (tree[at] ?? 0) + 1;
    }
  });
  return crossings;
}

/**
 * Puts items, in their order and far enough from each other, as near as can be to where they would be: the least sum of
 * weighted squares, by pooling neighbours that would overlap.
 */
function place(layer: readonly IItem[], wish: readonly { x: number; weight: number }[]): void {
  // Without the distances, what is to be kept is only the order.
  let offset = 0;
  const offsets = layer.map((item, n) => {
    const before = layer[n - 1];
    return (offset += before ? distance(before, item) : 0);
  });
  const blocks: { sum: number; weight: number; count: number }[] = [];
  wish.forEach(({ x, weight }, n) => {
    let block = { sum: (x - (offsets[n] ?? 0)) * weight, weight, count: 1 };
    for (
      let last = blocks.at(-1);
      last && last.sum / last.weight >= block.sum / block.weight;
      last = blocks.at(-1)
    ) {
      blocks.pop();
      block = {
        sum: last.sum + block.sum,
        weight: last.weight + block.weight,
        count: last.count + block.count
      };
    }
    blocks.push(block);
  });
  let n = 0;
  for (const { sum, weight, count } of blocks) {
    for (const end = n + count; n < end; n++) {
      (layer[n] as IItem).x = sum / weight + (offsets[n] ?? 0);
    }
  }
}

/** A smooth line through points: straight through layers, bent between them. */
function draw(points: readonly (readonly number[])[], turned: boolean): IRoute {
  const [first, ...rest] = points.map(([x = 0, y = 0]) => [round(x), round(y)] as const);
  const bounds: [number, number, number, number] = [Infinity, Infinity, -Infinity, -Infinity];
  let path = '';
  let [x0, y0] = first ?? [0, 0];
  for (const [x, y] of first ? [first, ...rest] : []) {
    bounds[0] = Math.min(bounds[0], x);
    bounds[1] = Math.min(bounds[1], y);
    bounds[2] = Math.max(bounds[2], x);
    bounds[3] = Math.max(bounds[3], y);
    if (!path) {
      path = `M${String(x)} ${String(y)}`;
    } else if (x === x0 || y === y0) {
      path += `L${String(x)} ${String(y)}`;
    } else {
      const [a, b] = turned
        ? [[round((x0 + x) / 2), y0] as const, [round((x0 + x) / 2), y] as const]
        : [[x0, round((y0 + y) / 2)] as const, [x, round((y0 + y) / 2)] as const];
      path += `C${a.join(' ')} ${b.join(' ')} ${String(x)} ${String(y)}`;
    }
    [x0, y0] = [x, y];
  }
  const back = (rest.at(-1)?.[turned ? 0 : 1] ?? 0) < (first?.[turned ? 0 : 1] ?? 0);
  return { path, bounds, tip: { x: x0, y: y0, degrees: (turned ? 0 : 90) + (back ? 180 : 0) } };
}

function round(x: number): number {
  return Math.round(x * 10) / 10;
}
