/** How nodes and edges of a graph look, as SVG; colours are the style sheet's. */
import type { Mark } from '../notebook/model';
import type { IRoute } from './layout';
import type { INode } from './model';
import { type IFace, MOST_CALLS } from './words';

const NS = 'http://www.w3.org/2000/svg';

/** Tells how wide a text is; `code`: in the font of code. */
export type Measure = (text: string, font: 'code' | 'text') => number;

/** The shapes of the marks beside cells, in 16 by 16 pixels; filled or as lines. */
const SHAPES: { readonly [mark in Mark]: string } = {
  fresh: 'm2 8.5 4 4L14 4',
  stale: 'M8 2.5 14.5 14h-13z',
  restorable: 'M6 2 2 6l4 4M2 6h7.5a4 4 0 0 1 0 8H6',
  maybe: 'M4.8 5.2a3.2 3.2 0 1 1 4.8 2.9C8.4 8.8 8 9.4 8 10.6M8 14v.2',
  queued: 'M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 4.5V8l2.5 1.5',
  running: 'M4 2.5 13.5 8 4 13.5z',
  failed: 'm3 3 10 10M13 3 3 13'
};
const FILLED: ReadonlySet<Mark> = new Set<Mark>(['stale', 'running']);
const CYLINDER =
  'M2.5 4.2c0-1.2 2.5-2.2 5.5-2.2s5.5 1 5.5 2.2v7.6c0 1.2-2.5 2.2-5.5 2.2s-5.5-1-5.5-2.2zM2.5 4.2c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2';

const CELL_WIDTH = 256;
const CELL_HEIGHT = 48;
const CALL_HEIGHT = 17;
const SECTION = { width: 260, height: 58 };
/** How much wider headings, and what is read from afar, are than what is measured. */
const [HEADING, FAR] = [1.2, 2.9];
const PRODUCT = { least: 92, most: 256, height: 28, around: 44, turn: 34 };

/** How large a node is. */
export function sizeOf(node: INode, calls: number, measure: Measure): { width: number; height: number } {
  switch (node.kind) {
    case 'section':
      return SECTION;
    case 'cell':
      return {
        width: CELL_WIDTH,
        height: CELL_HEIGHT + (calls ? Math.min(calls, MOST_CALLS + 1) * CALL_HEIGHT + 5 : 0)
      };
    case 'product': {
      const width = Math.ceil(measure(node.title, 'text')) + PRODUCT.around + (node.turn ? PRODUCT.turn : 0);
      return { width: Math.min(PRODUCT.most, Math.max(PRODUCT.least, width)), height: PRODUCT.height };
    }
  }
}

/** An SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: { readonly [name: string]: string | number } = {},
  ...children: Node[]
): SVGElementTagNameMap[K] {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, String(value));
  }
  node.append(...children);
  return node;
}

/** What is inside a node. */
export function drawNode(
  node: INode,
  face: IFace,
  size: { width: number; height: number },
  calls: boolean,
  measure: Measure
): SVGElement[] {
  switch (node.kind) {
    case 'section':
      return drawSection(face, size, measure);
    case 'cell':
      return drawCell(face, size, calls, measure);
    case 'product':
      return drawProduct(node, face, size, measure);
  }
}

function drawCell(
  face: IFace,
  { width, height }: { width: number; height: number },
  calls: boolean,
  measure: Measure
): SVGElement[] {
  const { mark, number, title, note, brief } = face;
  const at = 36;
  const left = at + 8 + measure(number, 'text');
  const parts: SVGElement[] = [
    body(width, height, 8),
    svg('path', {
      class: 'jp-casa-graph-stripe',
      d: `M9 .5H8A7.5 7.5 0 0 0 .5 8V${String(height - 8)}A7.5 7.5 0 0 0 8 ${String(height - 0.5)}H9Z`
    }),
    icon(mark, 17, 9),
    text('jp-casa-graph-number', at, 20, number),
    text('jp-casa-graph-title', left, 20, cut(title, width - left - 10, 'code', measure)),
    text('jp-casa-graph-note', at, 38, note),
    text('jp-casa-graph-far', width / 2 + 4, height / 2 + 11, number, 'middle')
  ];
  if (calls) {
    parts.push(...drawCalls(face, width, at, measure));
  } else if (brief) {
    const room = width - 10 - at - measure(note, 'text') - 12;
    parts.push(text('jp-casa-graph-brief', width - 10, 38, cut(brief, room, 'code', measure), 'end'));
  }
  if (face.mark === 'running') {
    const done = face.share ?? 1;
    parts.push(
      svg('rect', {
        class: 'jp-casa-graph-track',
        x: 9,
        y: height - 5,
        width: width - 16,
        height: 3,
        rx: 1.5
      }),
      svg('rect', {
        class: face.share === null ? 'jp-casa-graph-done jp-mod-unknown' : 'jp-casa-graph-done',
        x: 9,
        y: height - 5,
        width: Math.max(2, (width - 16) * done),
        height: 3,
        rx: 1.5
      })
    );
  }
  return parts;
}

function drawCalls({ calls }: IFace, width: number, at: number, measure: Measure): SVGElement[] {
  const shown = calls.length > MOST_CALLS + 1 ? calls.slice(0, MOST_CALLS) : calls;
  const rows = shown.flatMap(({ task, time, action }, n) => {
    const y = CELL_HEIGHT + n * CALL_HEIGHT + 11;
    const mark = ({ ran: 'running', watched: 'running', restored: 'restorable', failed: 'failed' } as const)[
      action
    ];
    return [
      icon(mark, at, y - 8.5, 0.56, `jp-casa-graph-call jp-mod-${action}`),
      text(
        'jp-casa-graph-call',
        at + 14,
        y,
        cut(task, width - at - 24 - measure(time, 'text'), 'code', measure)
      ),
      text('jp-casa-graph-time', width - 10, y, time, 'end')
    ];
  });
  if (shown.length) {
    const y = CELL_HEIGHT - 1.5;
    rows.unshift(
      svg('path', { class: 'jp-casa-graph-rule', d: `M${String(at)} ${String(y)}H${String(width - 10)}` })
    );
  }
  if (shown.length < calls.length) {
    const y = CELL_HEIGHT + MOST_CALLS * CALL_HEIGHT + 11;
    rows.push(text('jp-casa-graph-time', at + 14, y, `+ ${String(calls.length - MOST_CALLS)}`));
  }
  return rows;
}

function drawSection(
  { mark, title, note }: IFace,
  { width, height }: { width: number; height: number },
  measure: Measure
): SVGElement[] {
  return [
    svg('path', { class: 'jp-casa-graph-pile', d: `M8 ${String(height + 4)}H${String(width - 8)}` }),
    body(width, height, 10),
    icon(mark, 16, 13),
    text('jp-casa-graph-heading', 38, 24, cut(title, (width - 50) / HEADING, 'text', measure)),
    text('jp-casa-graph-note', 38, 44, cut(note, width - 50, 'text', measure)),
    text(
      'jp-casa-graph-far',
      width / 2,
      height / 2 + 9,
      cut(title, (width - 20) / FAR, 'text', measure),
      'middle'
    )
  ];
}

function drawProduct(
  { role, turn }: INode,
  { mark, title }: IFace,
  { width, height }: { width: number; height: number },
  measure: Measure
): SVGElement[] {
  const parts: SVGElement[] = [];
  if (role === 'final') {
    parts.push(
      svg('rect', {
        class: 'jp-casa-graph-ring',
        x: -3,
        y: -3,
        width: width + 6,
        height: height + 6,
        rx: height / 2 + 3
      })
    );
  }
  parts.push(body(width, height, height / 2));
  parts.push(
    mark
      ? icon(mark, 11, height / 2 - 6, 0.75)
      : svg('path', {
          class: 'jp-casa-graph-data',
          d: CYLINDER,
          transform: `translate(10 ${String(height / 2 - 7)}) scale(.875)`
        })
  );
  const room = width - PRODUCT.around - (turn ? PRODUCT.turn : 0) + 1;
  parts.push(text('jp-casa-graph-product', 30, height / 2 + 4, cut(title, room, 'text', measure, true)));
  if (turn) {
    parts.push(text('jp-casa-graph-turn', width - 13, height / 2 + 4, turn.join('/'), 'end'));
  }
  return parts;
}

function body(width: number, height: number, rx: number): SVGElement {
  return svg('rect', { class: 'jp-casa-graph-body', width, height, rx });
}

function icon(mark: Mark | null, x: number, y: number, scale = 0.8, more = ''): SVGElement {
  const shape = svg('path', {
    class: `jp-casa-graph-icon ${more}`.trim(),
    d: mark ? SHAPES[mark] : '',
    transform: `translate(${String(x)} ${String(y)}) scale(${String(scale)})`
  });
  if (mark && FILLED.has(mark)) {
    shape.classList.add('jp-mod-filled');
  }
  return shape;
}

function text(className: string, x: number, y: number, content: string, anchor = 'start'): SVGElement {
  const node = svg('text', { class: className, x, y });
  if (anchor !== 'start') {
    node.setAttribute('text-anchor', anchor);
  }
  node.textContent = content;
  return node;
}

/** A text that is no wider than so; of a path, the end says most. */
export function cut(
  content: string,
  width: number,
  font: 'code' | 'text',
  measure: Measure,
  path = false
): string {
  if (measure(content, font) <= width) {
    return content;
  }
  let [few, many] = [0, content.length];
  const shorter = (count: number) => {
    const head = path ? Math.ceil(count / 3) : count;
    return `${content.slice(0, head)}…${path ? content.slice(content.length - (count - head)) : ''}`;
  };
  while (few < many) {
    const count = Math.ceil((few + many) / 2);
    if (measure(shorter(count), font) <= width) {
      few = count;
    } else {
      many = count - 1;
    }
  }
  return few ? shorter(few) : '';
}

/** A line with its arrow head, and a broad one that takes the pointer. */
export function drawEdge({ path, tip }: IRoute): SVGElement[] {
  const head = `translate(${String(tip.x)} ${String(tip.y)}) rotate(${String(tip.degrees)})`;
  return [
    svg('path', { class: 'jp-casa-graph-reach', d: path }),
    svg('path', { class: 'jp-casa-graph-glow', d: path }),
    svg('path', { class: 'jp-casa-graph-line', d: path }),
    svg('path', { class: 'jp-casa-graph-head', d: 'M0 0L-8 -4.5L-6.5 0L-8 4.5Z', transform: head })
  ];
}
