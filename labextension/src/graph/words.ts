/** What is said of nodes and edges of a graph. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Mark } from '../notebook/model';
import { clock, explain, type ICellWords, price, roughly, share, word } from '../notebook/words';
import type { IGraphCell } from '../server/types';
import type { IEdge, IFlow, INode } from './model';
import type { GraphState } from './state';

/** The part of the state that is needed. */
export type Known = Pick<GraphState, 'mark' | 'seconds' | 'diagram'>;

/** What a call is drawn as. */
export interface ICallFace {
  readonly task: string;
  readonly time: string;
  readonly action: 'ran' | 'restored' | 'watched' | 'failed';
}

/** What a node shows. */
export interface IFace {
  /** Of a product: that of the cell which makes it, unless this is fresh; null: nothing is to be said. */
  readonly mark: Mark | null;
  readonly number: string;
  readonly title: string;
  /** The mark and what it costs, in words. */
  readonly note: string;
  /** The calls in brief. */
  readonly brief: string;
  readonly calls: readonly ICallFace[];
  /** How far a running cell is, from 0 to 1; null: nobody knows, or it does not run. */
  readonly share: number | null;
}

/** Calls that are listed in a node; of more, only how many. */
export const MOST_CALLS = 4;
/** Resources that are told of a node or an edge; there may be hundreds. */
const MOST = 8;
/** The worst first: what a section is marked as. */
const RANKS: readonly Mark[] = ['running', 'failed', 'stale', 'maybe', 'queued', 'restorable', 'fresh'];

/** What a node shows. */
export function faceOf(node: INode, known: Known, trans: TranslationBundle): IFace {
  const face = { number: '', title: node.title, note: '', brief: '', calls: [], share: null };
  const marks = node.cells.map(cell => known.mark(cell));
  if (node.kind === 'product') {
    const mark = marks[0]?.mark;
    return { ...face, mark: mark === undefined || mark === 'fresh' || mark === 'restorable' ? null : mark };
  }
  const seconds = node.cells.reduce((sum, cell) => sum + known.seconds(cell), 0);
  if (node.kind === 'section') {
    const mark = RANKS.find(rank => marks.some(one => one.mark === rank)) ?? 'fresh';
    const some = marks.filter(one => one.mark === mark).length;
    const count = trans._n('%1 cell', '%1 cells', marks.length);
    const state = some === marks.length ? word(mark, trans) : `${String(some)} ${word(mark, trans)}`;
    return { ...face, mark, note: [count, state, time(seconds)].filter(Boolean).join(' · ') };
  }
  const [cell, known0] = [node.cells[0] as IGraphCell, marks[0]];
  const { mark, call, since_s = 0 } = known0 ?? { mark: cell.state };
  const said = call ? clock(call, since_s) : time(seconds);
  const tasks = cell.calls.map(({ task }) => task);
  return {
    mark,
    number: String(node.number),
    title: node.title,
    note: [word(mark, trans), said].filter(Boolean).join(' · '),
    brief: tasks.length > 1 ? `${tasks[0] ?? ''} +${String(tasks.length - 1)}` : (tasks[0] ?? ''),
    calls: cell.calls.map(({ task, took_s, action }) => ({ task, time: time(took_s), action })),
    share: call ? share(call, since_s) : null
  };
}

/** Seconds, if they are worth a word. */
function time(seconds: number): string {
  return seconds < 0.05 ? '' : roughly(seconds);
}

/** What a node is called. */
export function nameOf(node: INode, trans: TranslationBundle): string {
  switch (node.kind) {
    case 'cell':
      return trans.__('Cell %1', node.number);
    case 'section':
      return trans.__('Section %1', node.title);
    case 'product':
      return node.title;
  }
}

/** The same within a sentence. */
function mentioned(node: INode, trans: TranslationBundle): string {
  switch (node.kind) {
    case 'cell':
      return trans.__('cell %1', node.number);
    case 'section':
      return trans.__('section %1', node.title);
    case 'product':
      return node.title;
  }
}

/** What is read out of a node. */
export function labelOf(
  node: INode,
  into: readonly IEdge[],
  out: readonly IEdge[],
  known: Known,
  trans: TranslationBundle
): string {
  const { title, note } = faceOf(node, known, trans);
  const parts =
    node.kind === 'cell'
      ? [`${nameOf(node, trans)}: ${title}`, note]
      : node.kind === 'section'
        ? [nameOf(node, trans), note]
        : [trans.__('Data product %1', title), productNote(node, trans)];
  parts.push(
    into.length ? trans._n('uses %1 other', 'uses %1 others', into.length) : '',
    out.length ? trans._n('used by %1 other', 'used by %1 others', out.length) : ''
  );
  return parts.filter(Boolean).join(', ');
}

function productNote(node: INode, trans: TranslationBundle): string {
  const state = node.turn ? trans.__('state %1 of %2', ...node.turn) : '';
  const role =
    node.role === 'input'
      ? trans.__('from outside the notebook')
      : node.role === 'final'
        ? trans.__('left at the end')
        : '';
  return [state, role].filter(Boolean).join(', ');
}

/** All that is to be said of a node. */
export function nodeWords(
  node: INode,
  into: readonly IEdge[],
  out: readonly IEdge[],
  known: Known,
  trans: TranslationBundle
): ICellWords {
  const names = new Map(known.diagram.nodes.map(other => [other.id, other]));
  const name = (id: string) => {
    const other = names.get(id);
    return other ? mentioned(other, trans) : '';
  };
  if (node.kind === 'product') {
    const lines = [
      ...(node.paths.length > 1 ? [enumerate(node.paths, trans)] : []),
      ...(node.number ? [trans.__('Made by cell %1.', node.number)] : []),
      ...productLines(node, trans),
      ...(out.length
        ? [
            trans.__(
              'Used by: %1.',
              enumerate(
                out.map(edge => name(edge.target)),
                trans
              )
            )
          ]
        : []),
      ...staleLines(node, known, trans)
    ];
    return { title: node.title, reasons: [], lines };
  }
  const flows = [
    ...into.map(edge => trans.__('From %1: %2', name(edge.source), told(edge.flows, trans))),
    ...out.map(edge => trans.__('To %1: %2', name(edge.target), told(edge.flows, trans)))
  ];
  const few = flows.slice(0, MOST);
  if (flows.length > MOST) {
    few.push(trans.__('and %1 more', flows.length - MOST));
  }
  if (node.kind === 'section') {
    const { note } = faceOf(node, known, trans);
    return { title: node.title, reasons: [], lines: [note, ...few] };
  }
  const cell = node.cells[0] as IGraphCell;
  const mark = known.mark(cell);
  const { title, reasons, lines } = explain(mark, trans);
  const took = cell.seconds >= 0.05 ? [trans.__('It took %1.', roughly(cell.seconds))] : [];
  const isPriced = mark.plan !== null && price(mark.plan, trans) !== '';
  return {
    title: `${nameOf(node, trans)} · ${title}`,
    reasons,
    lines: [...lines, ...(isPriced || mark.call ? [] : took), ...few]
  };
}

/** What is so of a product, in sentences. */
function productLines({ turn, role }: INode, trans: TranslationBundle): string[] {
  return [
    ...(turn ? [trans.__('It is state %1 of %2.', ...turn)] : []),
    ...(role === 'input' ? [trans.__('It comes from outside the notebook.')] : []),
    ...(role === 'final' ? [trans.__('It is left at the end.')] : [])
  ];
}

function staleLines(node: INode, known: Known, trans: TranslationBundle): string[] {
  const mark = node.cells[0] ? known.mark(node.cells[0]).mark : 'fresh';
  return mark === 'stale' || mark === 'failed'
    ? [trans.__('It is going to be made anew, as this cell is stale.')]
    : mark === 'maybe'
      ? [trans.__('It may be made anew: this cell waits for one above.')]
      : [];
}

/** What flows along an edge. */
export function edgeWords(edge: IEdge, known: Known, trans: TranslationBundle): ICellWords {
  const names = new Map(known.diagram.nodes.map(node => [node.id, node]));
  const [source, target] = [names.get(edge.source), names.get(edge.target)];
  const title = source && target ? `${nameOf(source, trans)} → ${nameOf(target, trans)}` : '';
  const flows = edge.flows.map(flow => flowWords(flow, trans));
  const lines =
    source && target && source.order > target.order
      ? [trans.__('It was made by a cell below: a run from the top would not find it so.')]
      : [];
  return { title, reasons: flows, lines };
}

function flowWords({ label, kind, resource }: IFlow, trans: TranslationBundle): string {
  if (resource.startsWith('n:')) {
    return kind === 'modifies' ? trans.__('name %1, changed in place', label) : trans.__('name %1', label);
  }
  switch (kind) {
    case 'reads':
      return trans.__('%1, read', label);
    case 'writes':
      return trans.__('%1, made anew', label);
    case 'modifies':
      return trans.__('%1, changed in place', label);
    case 'deletes':
      return trans.__('%1, deleted', label);
  }
}

function told(flows: readonly IFlow[], trans: TranslationBundle): string {
  return enumerate(
    flows.map(flow => flow.label),
    trans
  );
}

function enumerate(items: readonly string[], trans: TranslationBundle): string {
  const few = [...new Set(items)];
  const rest = few.length > MOST ? `, ${trans.__('and %1 more', few.length - MOST)}` : '';
  return few.slice(0, MOST).join(', ') + rest;
}

/** How it is with the whole: `24 cells: 3 stale, 2 maybe, 19 fresh`. */
export function summaryOf(
  known: Known & { readonly graph: GraphState['graph'] },
  trans: TranslationBundle
): string {
  const cells = known.graph?.cells ?? [];
  const counts = new Map<Mark, number>();
  for (const cell of cells) {
    const { mark } = known.mark(cell);
    counts.set(mark, (counts.get(mark) ?? 0) + 1);
  }
  const parts = RANKS.flatMap(mark => {
    const count = counts.get(mark);
    return count ? [`${String(count)} ${word(mark, trans)}`] : [];
  });
  return `${trans._n('%1 cell', '%1 cells', cells.length)}: ${parts.join(', ')}`;
}
