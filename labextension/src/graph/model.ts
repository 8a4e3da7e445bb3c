/**
 * The graph of a notebook as it is drawn: by sections, by cells, or with the data products between them.
 *
 * Pure functions over what the server tells; where things are drawn is not known here.
 */
import type { IGraph, IGraphCell, IGraphEdge } from '../server/types';

/** How much of a notebook is drawn: its sections, its cells, or what passes between these as well. */
export type Level = 'sections' | 'cells' | 'products';

/** What passes along an edge. */
export interface IFlow {
  /** As the server names it: `p:` a product, `d:` the listing of a directory, `n:` a name. */
  readonly resource: string;
  /** For people. */
  readonly label: string;
  /** Which state of it; equal versions are equal contents. */
  readonly version: string;
  readonly kind: IGraphEdge['kind'];
}

/** Something that is drawn. */
export interface INode {
  readonly id: string;
  readonly kind: 'section' | 'cell' | 'product';
  /** Its place in the story: what is made stands behind who makes it, and before who uses it. */
  readonly order: number;
  readonly title: string;
  /** The cells that it stands for, from the top; of a product, the one that left it so, if one did. */
  readonly cells: readonly IGraphCell[];
  /** Number of the first of them in the notebook, from 1, as people count them; 0: there is none. */
  readonly number: number;
  /** Of a product: the paths that were left by the same cell and are used by the same ones. */
  readonly paths: readonly string[];
  /** Of a product. */
  readonly role: 'input' | 'intermediate' | 'final' | null;
  /** Which state of a product it is, of how many that are drawn; null: there is only one. */
  readonly turn: readonly [number, number] | null;
}

/** One node uses what another one gives. */
export interface IEdge {
  readonly source: string;
  readonly target: string;
  readonly flows: readonly IFlow[];
}

/** What is drawn. */
export interface IDiagram {
  readonly level: Level;
  /** By their places in the story. */
  readonly nodes: readonly INode[];
  readonly edges: readonly IEdge[];
}

/** A part of a notebook below a heading. */
export interface ISection {
  readonly title: string;
  /** Ids of its cells. */
  readonly cells: readonly string[];
}

/** How to draw it. */
export interface IDiagramOptions {
  readonly level: Level;
  /** Of the notebook, from the top; a cell of none has its own node. */
  readonly sections: readonly ISection[];
  /** Whether Python names are drawn, too. */
  readonly names: boolean;
}

/** What is drawn of a graph. */
export function diagramOf(graph: IGraph, { level, sections, names }: IDiagramOptions): IDiagram {
  const shown = names ? graph : { ...graph, edges: graph.edges.filter(({ resource }) => !isName(resource)) };
  if (level === 'products') {
    return withProducts(shown);
  }
  const cells = byCells(shown);
  return level === 'cells' ? cells : bySections(cells, sections);
}

/** The id of a cell's node. */
export function cellNode(cell: string): string {
  return `c:${cell}`;
}

/** Only cells, and what passes from one to another. */
export function byCells(graph: IGraph): IDiagram {
  const edges = new EdgeSet();
  const there = new Set(graph.cells.map(({ id }) => id));
  for (const { edge, origin } of uses(graph)) {
    if (origin !== null && origin !== edge.cell && there.has(origin)) {
      edges.add(cellNode(origin), cellNode(edge.cell), flowOf(edge));
    }
  }
  return { level: 'cells', nodes: cellNodes(graph), edges: edges.all };
}

/** Cells, each state of a product that somebody uses or that is left at the end, and names directly between cells. */
export function withProducts(graph: IGraph): IDiagram {
  const places = new Map(graph.cells.map(({ id }, n) => [id, n]));
  const states = new Map<string, IState>();
  const last = new Map<string, IState | null>(); // of a product; null: it is deleted
  const edges = new EdgeSet();
  const stateOf = (resource: string, maker: string | null) => {
    const key = `${resource}\n${maker ?? ''}`;
    let state = states.get(key);
    if (!state) {
      states.set(key, (state = { resource, maker, flow: null, readers: new Map() }));
    }
    return state;
  };
  for (const { edge, origin } of uses(graph)) {
    const { cell } = edge;
    if (isName(edge.resource)) {
      if (origin !== null && origin !== cell && places.has(origin)) {
        edges.add(cellNode(origin), cellNode(cell), flowOf(edge));
      }
    } else if (origin === null || places.has(origin)) {
      stateOf(edge.resource, origin).readers.set(cell, flowOf(edge));
    }
  }
  for (const edge of graph.edges) {
    if (edge.kind !== 'reads' && !isName(edge.resource)) {
      const state = edge.kind === 'deletes' ? null : stateOf(edge.resource, edge.cell);
      if (state) {
        state.flow = flowOf(edge);
      }
      last.set(edge.resource, state);
    }
  }
  const roles = new Map(graph.products.map(({ id, role }) => [id, role]));
  const groups = new Map<string, IState[]>();
  for (const state of states.values()) {
    const { resource, maker, readers } = state;
    const isLast = last.get(resource) === state;
    if (readers.size || isLast) {
      const role = maker === null ? 'input' : isLast ? (roles.get(resource) ?? 'final') : 'intermediate';
      const used = [...readers].map(([cell, { kind }]) => `${cell} ${kind}`).sort();
      const key = JSON.stringify([maker, role, state.flow?.kind ?? null, used]);
      groups.set(key, [...(groups.get(key) ?? []), state]);
    }
  }
  const products = [...groups.values()].map(group => {
    const { resource, maker, readers } = group[0] as IState;
    const from = maker === null ? null : (places.get(maker) ?? null);
    const first = Math.min(...[...readers.keys()].map(cell => places.get(cell) ?? 0));
    const paths = group.map(state => label(state.resource)).sort();
    const isLast = last.get(resource) === group[0];
    const node: INode = {
      id: `${resource}@${maker ?? ''}`,
      kind: 'product',
      // a state that a cell below has left is used before it is made
      order: from === null ? first - 0.5 : from + 0.5,
      title: together(paths),
      cells: from === null ? [] : [graph.cells[from] as IGraphCell],
      number: from === null ? 0 : from + 1,
      paths,
      turn: null,
      role: maker === null ? 'input' : isLast && roles.get(resource) === 'final' ? 'final' : 'intermediate'
    };
    for (const state of group) {
      if (maker !== null && state.flow) {
        edges.add(cellNode(maker), node.id, state.flow);
      }
      for (const [cell, flow] of state.readers) {
        edges.add(node.id, cellNode(cell), flow);
      }
    }
    return node;
  });
  const nodes = inOrder([...cellNodes(graph), ...numbered(products)]);
  return { level: 'products', nodes, edges: edges.all };
}

/** Products of which several states are drawn, with the number of each. */
function numbered(products: INode[]): INode[] {
  const states = grouped(inOrder(products), ({ paths }) => paths.join('\n'));
  return [...states.values()].flatMap(list =>
    list.length > 1 ? list.map((node, n) => ({ ...node, turn: [n + 1, list.length] as const })) : list
  );
}

/** Nodes of one group become one; what passes within a group is not drawn. */
export function collapse(diagram: IDiagram, groupOf: (node: INode) => IGroup | null): IDiagram {
  const groups = new Map<string, { group: IGroup; members: INode[] }>();
  const nodes: INode[] = [];
  const image = new Map<string, string>();
  for (const node of diagram.nodes) {
    const group = groupOf(node);
    if (group === null) {
      nodes.push(node);
      image.set(node.id, node.id);
    } else {
      const found = groups.get(group.id) ?? { group, members: [] };
      groups.set(group.id, found);
      found.members.push(node);
      image.set(node.id, group.id);
    }
  }
  for (const { group, members } of groups.values()) {
    const cells = members.flatMap(member => member.cells);
    const order = Math.min(...members.map(member => member.order));
    const first = members.find(member => member.order === order) as INode;
    nodes.push({ ...first, ...group, order, cells: [...new Set(cells)], paths: [], role: null, turn: null });
  }
  const edges = new EdgeSet();
  for (const { source, target, flows } of diagram.edges) {
    const [from, to] = [image.get(source) as string, image.get(target) as string];
    if (from !== to) {
      flows.forEach(flow => {
        edges.add(from, to, flow);
      });
    }
  }
  return { level: diagram.level, nodes: inOrder(nodes), edges: edges.all };
}

/** What several nodes are drawn as. */
export interface IGroup {
  readonly id: string;
  readonly kind: INode['kind'];
  readonly title: string;
}

/** The sections of a notebook, and what passes from one to another. */
export function bySections(cells: IDiagram, sections: readonly ISection[]): IDiagram {
  const groups = new Map<string, IGroup>();
  sections.forEach(({ title, cells: ids }, n) => {
    const group: IGroup = { id: `s:${String(n)}`, kind: 'section', title };
    ids.forEach(id => groups.set(cellNode(id), group));
  });
  return { ...collapse(cells, ({ id }) => groups.get(id) ?? null), level: 'sections' };
}

// -- the longest chain --------------------------------------------------------------------------------------------

/** Cells of which each needs the one before. */
export interface IChain {
  readonly cells: readonly string[];
  readonly seconds: number;
}

/**
 * The chain of cells that takes longest: nothing that runs the notebook can be faster, whatever it does at once.
 *
 * What a cell takes from one below it does not count, as a run goes from the top to the bottom.
 */
export function longestChain(cells: IDiagram, seconds: (cell: string) => number): IChain {
  const into = incoming(cells);
  const order = new Map(cells.nodes.map(node => [node.id, node.order]));
  const best = new Map<string, { seconds: number; before: string | null }>();
  let end: string | null = null;
  for (const { id, cells: own } of cells.nodes) {
    let before: string | null = null;
    for (const { source } of into.get(id) ?? []) {
      const isAbove = (order.get(source) ?? 0) < (order.get(id) ?? 0);
      if (isAbove && (before === null || of(source) > of(before))) {
        before = source;
      }
    }
    const mine = own.reduce((sum, cell) => sum + seconds(cell.id), 0);
    best.set(id, { seconds: mine + (before === null ? 0 : of(before)), before });
    if (of(id) > 0 && (end === null || of(id) > of(end))) {
      end = id;
    }
  }
  const total = end === null ? 0 : of(end);
  const chain: string[] = [];
  for (let id = end; id !== null; id = best.get(id)?.before ?? null) {
    chain.unshift(id);
  }
  // Cells that take no time and only begin or end it say nothing.
  const own = new Map(cells.nodes.map(node => [node.id, node.cells.map(cell => cell.id)]));
  const list = chain.flatMap(id => own.get(id) ?? []);
  while (list.length && seconds(list[0] as string) <= 0) {
    list.shift();
  }
  return { cells: list, seconds: total };

  function of(id: string): number {
    return best.get(id)?.seconds ?? 0;
  }
}

/** What is drawn of a chain: ids of nodes, and edges as `source target`. */
export function along(diagram: IDiagram, chain: IChain): { nodes: Set<string>; edges: Set<string> } {
  const home = new Map<string, string>();
  for (const node of diagram.nodes) {
    if (node.kind !== 'product') {
      node.cells.forEach(cell => home.set(cell.id, node.id));
    }
  }
  const stops = [...new Set(chain.cells.flatMap(cell => home.get(cell) ?? []))];
  const nodes = new Set(stops);
  const steps = new Set(stops.slice(1).map((id, n) => `${stops[n] ?? ''} ${id}`));
  const edges = new Set(diagram.edges.map(edgeKey).filter(key => steps.has(key)));
  const out = outgoing(diagram);
  for (const node of diagram.nodes) {
    const maker = node.kind === 'product' ? home.get(node.cells[0]?.id ?? '') : undefined;
    const onward = (out.get(node.id) ?? []).filter(({ target }) => steps.has(`${maker ?? ''} ${target}`));
    if (maker !== undefined && onward.length) {
      nodes.add(node.id);
      [...onward.map(edgeKey), `${maker} ${node.id}`].forEach(key => edges.add(key));
    }
  }
  return { nodes, edges };
}

/** What an edge is known by. */
export function edgeKey({ source, target }: Pick<IEdge, 'source' | 'target'>): string {
  return `${source} ${target}`;
}

// -- search -------------------------------------------------------------------------------------------------------

/**
 * The nodes in which all words of a text occur, in whatever case; none, if the text is empty.
 *
 * @param diagram - What is drawn.
 * @param text - What is looked for.
 * @param source - What a cell says.
 */
export function search(diagram: IDiagram, text: string, source: (cell: string) => string): Set<string> {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) {
    return new Set();
  }
  const found = diagram.nodes.filter(node => {
    const said = [node.title, ...node.paths];
    if (node.kind !== 'product') {
      const all = node.cells.flatMap(cell => [
        cell.title,
        source(cell.id),
        cell.state,
        ...cell.calls.map(({ task }) => task)
      ]);
      said.push(...all);
    }
    if (node.kind === 'cell') {
      said.push(`#${String(node.number)}`);
    }
    const all = said.join('\n').toLowerCase();
    return words.every(word => all.includes(word));
  });
  return new Set(found.map(({ id }) => id));
}

// -- parts --------------------------------------------------------------------------------------------------------

/** The edges by where they come from. */
export function outgoing(diagram: IDiagram): Map<string, IEdge[]> {
  return grouped(diagram.edges, edge => edge.source);
}

/** The edges by where they go. */
export function incoming(diagram: IDiagram): Map<string, IEdge[]> {
  return grouped(diagram.edges, edge => edge.target);
}

function grouped<T>(items: readonly T[], by: (item: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const item of items) {
    const list = found.get(by(item));
    if (list) {
      list.push(item);
    } else {
      found.set(by(item), [item]);
    }
  }
  return found;
}

/** A state of a product: as a cell left it, or as it came from outside. */
interface IState {
  readonly resource: string;
  readonly maker: string | null;
  /** How it was made. */
  flow: IFlow | null;
  /** Who uses it, and how. */
  readonly readers: Map<string, IFlow>;
}

/**
 * What cells use: all that they read, and what they change or delete without having read it.
 *
 * A cell that changes in place what it has read uses it once: that it changes it says more.
 */
function* uses(graph: IGraph): Iterable<{ edge: IGraphEdge; origin: string | null }> {
  const makers = new Map<string, string>();
  for (const edges of grouped(graph.edges, edge => edge.cell).values()) {
    const read = new Map(edges.filter(({ kind }) => kind === 'reads').map(edge => [edge.resource, edge]));
    const changes = edges.filter(({ kind }) => kind === 'modifies' || kind === 'deletes');
    for (const edge of changes) {
      const origin = read.get(edge.resource)?.origin ?? makers.get(edge.resource);
      const version = read.get(edge.resource)?.version ?? edge.version;
      if (read.delete(edge.resource) || origin !== undefined) {
        yield { edge: { ...edge, version }, origin: origin ?? null };
      }
    }
    for (const edge of read.values()) {
      yield { edge, origin: edge.origin };
    }
    for (const edge of edges) {
      if (edge.kind !== 'reads') {
        makers.set(edge.resource, edge.cell);
      }
    }
  }
}

function cellNodes(graph: IGraph): INode[] {
  return graph.cells.map((cell, order) => ({
    id: cellNode(cell.id),
    kind: 'cell',
    order,
    title: cell.title,
    cells: [cell],
    number: order + 1,
    paths: [],
    role: null,
    turn: null
  }));
}

function inOrder(nodes: INode[]): INode[] {
  return nodes.sort((a, b) => a.order - b.order);
}

function isName(resource: string): boolean {
  return resource.startsWith('n:');
}

function label(resource: string): string {
  return resource.slice(2) + (resource.startsWith('d:') ? '/' : '');
}

function flowOf({ resource, version, kind }: IGraphEdge): IFlow {
  return { resource, label: label(resource), version, kind };
}

/** `a.ms`, `img.* (7)`, `a.gcal +1`. */
export function together(paths: readonly string[]): string {
  const [first = ''] = paths;
  if (paths.length < 2) {
    return first;
  }
  let length = 0;
  while (length < first.length && paths.every(path => path[length] === first[length])) {
    length++;
  }
  const stem = first.slice(0, first.lastIndexOf('.', length - 1));
  return first.lastIndexOf('.', length - 1) > 0
    ? `${stem}.* (${String(paths.length)})`
    : `${first} +${String(paths.length - 1)}`;
}

/** Edges, each pair of nodes once. */
class EdgeSet {
  add(source: string, target: string, flow: IFlow): void {
    const key = `${source} ${target}`;
    let edge = this._edges.get(key);
    if (!edge) {
      this._edges.set(key, (edge = { source, target, flows: [] }));
    }
    if (!edge.flows.some(({ resource, version, kind }) => same(flow, resource, version, kind))) {
      edge.flows.push(flow);
    }
  }

  get all(): IEdge[] {
    return [...this._edges.values()];
  }

  private readonly _edges = new Map<string, { source: string; target: string; flows: IFlow[] }>();
}

function same(flow: IFlow, resource: string, version: string, kind: string): boolean {
  return flow.resource === resource && flow.version === version && flow.kind === kind;
}
