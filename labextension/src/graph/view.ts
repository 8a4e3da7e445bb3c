/** The graph as it is seen: drawn where it is in sight, moved by pointer, wheel and keyboard. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { hideHover, showHover } from '../notebook/hover';
import type { Mark } from '../notebook/model';
import type { ICellWords } from '../notebook/words';
import { drawEdge, drawNode, type Measure, sizeOf, svg } from './draw';
import type { IBox, ILayout, ILayoutRequest } from './layout';
import { edgeKey, type IDiagram, type IEdge, incoming, type INode, outgoing } from './model';
import { type IArea, nextNode, type Way } from './navigate';
import type { GraphState } from './state';
import { edgeWords, type IFace, faceOf, labelOf, nodeWords } from './words';

/** Smallest and largest scale; below which only numbers can be read; at which one begins, if not all fits; at which all had better fit. */
const SCALES = { least: 0.02, most: 2.5, near: 0.45, readable: 0.8, whole: 0.6 } as const;
/** What one press of a key or button does. */
const ZOOM = 1.25;
/** Pixels. */
const STEP = 80;
const MARGIN = 16;
/** What stays in sight of a graph that is moved out of it. */
const HELD = 48;
/** What is drawn beside what is in sight, as a share of it. */
const BEYOND = 0.5;
/** Pixels that the pointer moves before it is no click. */
const CLICK = 4;
/** Marks of what is going to be made anew. */
const ANEW: ReadonlySet<Mark> = new Set<Mark>(['stale', 'failed', 'maybe', 'running', 'queued']);

/** A node that can be drawn. */
interface IDrawable {
  readonly node: INode;
  readonly size: IBox;
  readonly area: IArea;
  element: SVGGElement | null;
  /** What is drawn now. */
  face: string;
}

/** An edge that can be drawn. */
interface ILine {
  readonly edge: IEdge;
  readonly index: number;
  element: SVGGElement | null;
}

/** The graph as it is seen. */
export class GraphView implements IDisposable {
  /**
   * @param _state - What is drawn.
   * @param _trans - Our texts.
   * @param _open - Called when the user goes to a cell; `enter`: the keyboard goes there, too.
   */
  constructor(
    private readonly _state: GraphState,
    private readonly _trans: TranslationBundle,
    private readonly _open: (cell: string, enter: boolean) => void
  ) {
    this.node.className = 'jp-casa-graph-view';
    this._svg.setAttribute('role', 'group');
    this._svg.setAttribute('tabindex', '-1');
    this._svg.setAttribute(
      'aria-label',
      _trans.__(
        'Graph: arrow keys go from one to the next, Enter goes to the cell, plus, minus and 0 change the size'
      )
    );
    this._svg.append(this._port);
    this._port.append(this._edges, this._nodes);
    this._map.setAttribute('aria-hidden', 'true');
    this.node.append(this._svg, this._map);
    this._svg.addEventListener('pointerdown', this._onPointerDown);
    this._svg.addEventListener('pointerover', this._onPointerOver);
    this._svg.addEventListener('pointerleave', () => {
      this._hover(null);
    });
    this._svg.addEventListener('wheel', this._onWheel, { passive: false });
    this._svg.addEventListener('dblclick', this._onDoubleClick);
    this._svg.addEventListener('keydown', this._onKeyDown);
    this._svg.addEventListener('focusin', this._onFocusIn);
    this._svg.addEventListener('focusout', () => {
      this._hover(null);
    });
    this._map.addEventListener('pointerdown', this._onMap);
    this._map.addEventListener('pointermove', this._onMap);
  }

  readonly node = document.createElement('div');

  /** What the zoom is, 1 being as large as the notebook's text. */
  get scale(): number {
    return this._scale;
  }

  /** Called when it is another one. */
  onScale: () => void = () => undefined;

  /** What is to be laid out, so that the graph can be shown. */
  request(direction: ILayoutRequest['direction']): ILayoutRequest {
    const { diagram } = this._state;
    this._direction = direction;
    const at = new Map(diagram.nodes.map(({ id }, n) => [id, n]));
    const links = diagram.edges.map(edge => [at.get(edge.source) ?? 0, at.get(edge.target) ?? 0] as const);
    const { width, height } = this._sight();
    return {
      boxes: diagram.nodes.map(node => sizeOf(node, this._calls(node), this._measure)),
      links,
      direction,
      aspect: Math.min(3, Math.max(0.4, width / Math.max(1, height)))
    };
  }

  /** Shows a graph that has been laid out. */
  show(diagram: IDiagram, request: ILayoutRequest, layout: ILayout): void {
    const first = this._drawn === null;
    const focused = this._focused();
    const anchor = this._anchor();
    this._layout = layout;
    this._drawn = new Map(
      diagram.nodes.map((node, n) => {
        const [x, y] = layout.places[n] ?? [0, 0];
        const size = request.boxes[n] as IBox;
        return [node.id, { node, size, area: { x, y, ...size }, element: null, face: '' }];
      })
    );
    this._lines = diagram.edges.map((edge, index) => ({ edge, index, element: null }));
    [this._into, this._out] = [incoming(diagram), outgoing(diagram)];
    this._faces.clear();
    this._edges.replaceChildren();
    this._nodes.replaceChildren();
    this._hovered = null;
    hideHover();
    if (!this._drawn.has(this._current ?? '')) {
      this._current = this._state.home(this._state.active)?.id ?? diagram.nodes[0]?.id ?? null;
    }
    const held = anchor && this._drawn.get(anchor.id);
    if (first || !held || this._untouched) {
      this.begin();
    } else {
      // what was in the middle stays where it is
      this._x = anchor.x - held.area.x * this._scale;
      this._y = anchor.y - held.area.y * this._scale;
    }
    this._render();
    if (focused) {
      this._focus(this._current);
    }
  }

  /** Nothing is shown. */
  clear(): void {
    this._drawn = null;
    this._layout = null;
    this._lines = [];
    this._edges.replaceChildren();
    this._nodes.replaceChildren();
    hideHover();
    this._render();
  }

  /** Something else is known of what is drawn. */
  update(): void {
    this._faces.clear();
    this._dress();
    this._drawMap();
  }

  /** The place has another size. */
  resize(): void {
    if (this._layout && this._untouched) {
      this.begin();
    }
    this._render();
  }

  /** A good place to begin: all, if it can be read then; else around where the user is, or from the top. */
  begin(): void {
    const { width, height } = this._sight();
    if (!this._layout || width < 1 || height < 1) {
      return;
    }
    this._untouched = true;
    const fit = this._fitting();
    if (fit >= SCALES.whole) {
      this.fit();
      return;
    }
    this._scale = Math.max(SCALES.readable, Math.min(1, (width - 2 * MARGIN) / this._layout.width));
    const at = this._drawn?.get(this._state.home(this._state.active)?.id ?? this._current ?? '');
    if (at) {
      this._center(at.area);
    }
    this._fillSight();
    this._changed();
  }

  /** No side is left empty while there is more on the other one. */
  private _fillSight(): void {
    const { width, height } = this._sight();
    const { width: wide = 0, height: high = 0 } = this._layout ?? {};
    const within = (at: number, size: number, room: number) => {
      const least = room - MARGIN - size * this._scale;
      return least > MARGIN ? (room - size * this._scale) / 2 : Math.min(MARGIN, Math.max(least, at));
    };
    this._x = within(this._x, wide, width);
    this._y = within(this._y, high, height);
  }

  /** All is in sight. */
  fit(): void {
    const { width, height } = this._sight();
    if (this._layout) {
      this._scale = Math.min(1, this._fitting());
      this._x = (width - this._layout.width * this._scale) / 2;
      this._y = (height - this._layout.height * this._scale) / 2;
      this._untouched = true;
      this._changed();
    }
  }

  /** Larger or smaller, around a point, or the middle. */
  zoom(factor: number, at?: { x: number; y: number }): void {
    const { width, height } = this._sight();
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    const scale = Math.min(SCALES.most, Math.max(SCALES.least, this._scale * factor));
    const by = scale / this._scale;
    this._x = x - (x - this._x) * by;
    this._y = y - (y - this._y) * by;
    this._scale = scale;
    this._untouched = false;
    this._hold();
    this._changed();
  }

  /** Moves what is seen. */
  pan(dx: number, dy: number): void {
    this._x += dx;
    this._y += dy;
    this._untouched = false;
    this._hold();
    this._changed();
  }

  /** Nobody loses the graph by moving it. */
  private _hold(): void {
    const sight = this._sight();
    const { width = 0, height = 0 } = this._layout ?? {};
    const within = (at: number, size: number, room: number) =>
      Math.min(room - HELD, Math.max(HELD - size * this._scale, at));
    this._x = within(this._x, width, sight.width);
    this._y = within(this._y, height, sight.height);
  }

  /** Brings a node into sight, if it is not; large enough to be read. */
  reveal(id: string): void {
    const drawable = this._drawn?.get(id);
    if (!drawable) {
      return;
    }
    const { width, height } = this._sight();
    const { area } = drawable;
    const [left, top] = [area.x * this._scale + this._x, area.y * this._scale + this._y];
    const [right, bottom] = [left + area.width * this._scale, top + area.height * this._scale];
    const before = [this._x, this._y, this._scale].join();
    if (this._scale < SCALES.near) {
      this._scale = SCALES.readable;
      this._center(area);
    } else if (left < MARGIN || right > width - MARGIN || top < MARGIN || bottom > height - MARGIN) {
      const near = left > -width && right < 2 * width && top > -height && bottom < 2 * height;
      if (near) {
        // only as far as must be
        this._x += Math.max(MARGIN - left, 0) || Math.min(width - MARGIN - right, 0);
        this._y += Math.max(MARGIN - top, 0) || Math.min(height - MARGIN - bottom, 0);
      } else {
        this._center(area);
      }
    }
    if ([this._x, this._y, this._scale].join() !== before) {
      this._untouched = false;
      this._changed();
    }
  }

  /** Makes a node the one that the keyboard is at, and brings it into sight. */
  go(id: string, focus: boolean): void {
    if (!this._drawn?.has(id)) {
      return;
    }
    this._drawn.get(this._current ?? '')?.element?.setAttribute('tabindex', '-1');
    this._current = id;
    this.reveal(id);
    this._render();
    this._drawn.get(id)?.element?.setAttribute('tabindex', '0');
    if (focus) {
      this._focus(id);
    }
  }

  /** The keyboard goes to the node that it left. */
  focus(): void {
    this._render();
    if (this._drawn?.size) {
      this._focus(this._current);
    } else {
      this._svg.focus(); // until there is a node
    }
  }

  /** All of it, whether it is in sight or not, as a picture of its own that is not in the page yet. */
  picture(margin: number): SVGSVGElement | null {
    if (!this._layout || !this._drawn) {
      return null;
    }
    const [edges, nodes] = [svg('g'), svg('g')];
    this._lines.forEach(line => {
      edges.append(this._drawLine(line));
    });
    for (const drawable of this._drawn.values()) {
      nodes.append(this._drawOne(drawable, this._face(drawable.node)));
    }
    nodes.querySelectorAll('[data-current], [data-active]').forEach(node => {
      node.removeAttribute('data-active');
    });
    const [width, height] = [this._layout.width + 2 * margin, this._layout.height + 2 * margin];
    const picture = svg('svg', { width, height, viewBox: `0 0 ${String(width)} ${String(height)}` });
    picture.setAttribute('class', 'jp-casa-graph-svg');
    picture.append(svg('g', { transform: `translate(${String(margin)} ${String(margin)})` }, edges, nodes));
    return picture;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    cancelAnimationFrame(this._frame);
    hideHover();
    this.node.remove();
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  private _changed(): void {
    this.onScale();
    if (!this._frame) {
      this._frame = requestAnimationFrame(() => {
        this._frame = 0;
        this._render();
      });
    }
  }

  /** Draws what is in sight, and takes away what is not. */
  private _render(): void {
    const { _drawn: drawn, _layout: layout, _scale: scale } = this;
    this._port.setAttribute(
      'transform',
      `translate(${String(this._x)} ${String(this._y)}) scale(${String(scale)})`
    );
    this._svg.dataset.detail = scale < SCALES.near ? 'far' : 'near';
    if (!drawn || !layout || this._isDisposed) {
      this._map.hidden = true;
      return;
    }
    const { width, height } = this._sight();
    const [wide, high] = [width / scale, height / scale];
    const left = -this._x / scale - wide * BEYOND;
    const top = -this._y / scale - high * BEYOND;
    const right = left + wide * (1 + 2 * BEYOND);
    const bottom = top + high * (1 + 2 * BEYOND);
    const focused = document.activeElement;
    let isNew = false;
    for (const drawable of drawn.values()) {
      const { area, element } = drawable;
      const seen =
        area.x < right && area.x + area.width > left && area.y < bottom && area.y + area.height > top;
      if (seen || drawable.node.id === this._current) {
        if (!element) {
          drawable.element = this._drawOne(drawable, this._face(drawable.node));
          this._nodes.append(drawable.element);
          isNew = true;
        }
      } else if (element && element !== focused) {
        element.remove();
        drawable.element = null;
      }
    }
    for (const line of this._lines) {
      const [x0, y0, x1, y1] = layout.routes[line.index]?.bounds ?? [0, 0, 0, 0];
      if (x0 < right && x1 > left && y0 < bottom && y1 > top) {
        if (!line.element) {
          line.element = this._drawLine(line);
          this._edges.append(line.element);
        }
      } else if (line.element) {
        line.element.remove();
        line.element = null;
      }
    }
    if (isNew) {
      this._dress();
    }
    this._drawMap();
  }

  private _drawOne(drawable: IDrawable, face: IFace): SVGGElement {
    const { node, area, size } = drawable;
    const group = svg('g', {
      class: 'jp-casa-graph-node',
      transform: `translate(${String(area.x)} ${String(area.y)})`,
      role: 'button',
      tabindex: -1
    });
    group.dataset.node = node.id;
    group.dataset.kind = node.kind;
    if (node.role) {
      group.dataset.role = node.role;
    }
    drawable.face = JSON.stringify(face);
    this._fill(group, node, face, size);
    return group;
  }

  private _fill(group: SVGGElement, node: INode, face: IFace, size: IBox): void {
    group.replaceChildren(...drawNode(node, face, size, this._calls(node) > 0, this._measure));
    group.dataset.mark = face.mark ?? '';
    const [into, out] = [this._into.get(node.id) ?? [], this._out.get(node.id) ?? []];
    group.setAttribute('aria-label', labelOf(node, into, out, this._state, this._trans));
    group.dataset.chain = String(this._state.chained.nodes.has(node.id));
  }

  private _drawLine({ edge, index }: ILine): SVGGElement {
    const route = this._layout?.routes[index];
    const group = svg('g', { class: 'jp-casa-graph-edge' }, ...(route ? drawEdge(route) : []));
    group.dataset.edge = String(index);
    group.dataset.kind = edge.flows.every(({ resource }) => resource.startsWith('n:')) ? 'name' : 'product';
    const [from, to] = [this._drawn?.get(edge.source)?.node, this._drawn?.get(edge.target)?.node];
    if (from && to && from.order > to.order) {
      group.dataset.kind = 'below';
    }
    this._dressLine(group, edge);
    return group;
  }

  private _dressLine(group: SVGGElement, edge: IEdge): void {
    set(group, 'mark', this._edgeMark(edge));
    set(group, 'chain', String(this._state.chained.edges.has(edgeKey(edge))));
  }

  /** What comes from a cell that is to run is going to be another one. */
  private _edgeMark({ source }: IEdge): Mark | '' {
    const from = this._drawn?.get(source)?.node;
    const mark = from ? this._face(from).mark : null;
    return mark && ANEW.has(mark) ? mark : '';
  }

  /** What may change without another layout. */
  private _dress(): void {
    const { _state: state } = this;
    const looking = state.query.trim() !== '';
    const active = state.home(state.active)?.id;
    this._svg.dataset.looking = String(looking);
    this._svg.dataset.chained = String(state.chained.nodes.size > 0);
    for (const drawable of this._drawn?.values() ?? []) {
      const { node, element, size } = drawable;
      if (element) {
        const face = this._face(node);
        const said = JSON.stringify(face);
        if (said !== drawable.face) {
          this._fill(element, node, face, size);
          drawable.face = said;
        }
        set(element, 'chain', String(state.chained.nodes.has(node.id)));
        set(element, 'found', String(looking && state.found.has(node.id)));
        set(element, 'active', String(node.id === active));
        element.setAttribute('tabindex', node.id === this._current ? '0' : '-1');
        if (node.id === active) {
          element.setAttribute('aria-current', 'location');
        } else {
          element.removeAttribute('aria-current');
        }
      }
    }
    for (const { edge, element } of this._lines) {
      if (element) {
        this._dressLine(element, edge);
      }
    }
  }

  private _face(node: INode): IFace {
    let face = this._faces.get(node.id);
    if (!face) {
      this._faces.set(node.id, (face = faceOf(node, this._state, this._trans)));
    }
    return face;
  }

  /** Calls that are listed in a node. */
  private _calls(node: INode): number {
    return this._state.diagram.level === 'products' && node.kind === 'cell'
      ? (node.cells[0]?.calls.length ?? 0)
      : 0;
  }

  /** The whole in small, when it is not in sight; the frame is what is. */
  private _drawMap(): void {
    const { _layout: layout, _map: map, _drawn: drawn } = this;
    if (!layout || !drawn) {
      return;
    }
    const { width, height } = this._sight();
    const all =
      this._x >= 0 &&
      this._y >= 0 &&
      this._x + layout.width * this._scale <= width &&
      this._y + layout.height * this._scale <= height;
    map.hidden = all || width < 320 || height < 240;
    const context = map.hidden ? null : map.getContext('2d');
    if (!context) {
      return;
    }
    const by = Math.min(120 / layout.width, 150 / layout.height);
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.max(24, layout.width * by), Math.max(24, layout.height * by)];
    if (map.style.width !== `${String(w)}px` || map.style.height !== `${String(h)}px`) {
      map.style.width = `${String(w)}px`;
      map.style.height = `${String(h)}px`;
    }
    map.width = w * ratio;
    map.height = h * ratio;
    context.scale(ratio, ratio);
    const style = getComputedStyle(map);
    const colour = (name: string) => style.getPropertyValue(name) || '#888';
    const colours: { readonly [mark: string]: string } = {
      stale: colour('--jp-warn-color1'),
      failed: colour('--jp-error-color1'),
      maybe: colour('--jp-warn-color2'),
      running: colour('--jp-brand-color1'),
      queued: colour('--jp-brand-color2'),
      restorable: colour('--jp-info-color1')
    };
    const plain = colour('--jp-border-color0');
    for (const { node, area } of drawn.values()) {
      context.fillStyle = colours[this._face(node).mark ?? ''] ?? plain;
      context.fillRect(
        area.x * by,
        area.y * by,
        Math.max(1.5, area.width * by),
        Math.max(1.5, area.height * by)
      );
    }
    context.strokeStyle = colour('--jp-ui-font-color1');
    context.lineWidth = 1.5;
    context.strokeRect(
      (-this._x / this._scale) * by,
      (-this._y / this._scale) * by,
      (width / this._scale) * by,
      (height / this._scale) * by
    );
  }

  // -- places -------------------------------------------------------------------------------------------------------

  private _sight(): { width: number; height: number } {
    return { width: this.node.clientWidth, height: this.node.clientHeight };
  }

  private _fitting(): number {
    const { width, height } = this._sight();
    const { width: wide = 1, height: high = 1 } = this._layout ?? {};
    return Math.max(
      SCALES.least,
      Math.min((width - 2 * MARGIN) / Math.max(1, wide), (height - 2 * MARGIN) / Math.max(1, high))
    );
  }

  private _center({ x, y, width, height }: IArea): void {
    const sight = this._sight();
    this._x = sight.width / 2 - (x + width / 2) * this._scale;
    this._y = sight.height / 2 - (y + height / 2) * this._scale;
  }

  /** The node that is nearest to the middle, and where it is seen. */
  private _anchor(): { id: string; x: number; y: number } | null {
    const { width, height } = this._sight();
    let best: { id: string; x: number; y: number; far: number } | null = null;
    for (const [id, { area }] of this._drawn ?? []) {
      const [x, y] = [area.x * this._scale + this._x, area.y * this._scale + this._y];
      const far = Math.hypot(x - width / 2, y - height / 2);
      if (!best || far < best.far) {
        best = { id, x, y, far };
      }
    }
    return best;
  }

  private readonly _measure: Measure = (text, font) => {
    const key = `${font} ${text}`;
    let width = this._widths.get(key);
    if (width === undefined) {
      this._context ??= document.createElement('canvas').getContext('2d');
      const { _context: context } = this;
      if (context) {
        const style = getComputedStyle(this.node);
        const family = style.getPropertyValue(
          font === 'code' ? '--jp-code-font-family' : '--jp-ui-font-family'
        );
        context.font = `12px ${family || 'sans-serif'}`;
      }
      width = context?.measureText(text).width ?? text.length * 7;
      this._widths.set(key, width);
    }
    return width;
  };

  // -- pointer ------------------------------------------------------------------------------------------------------

  private readonly _onPointerDown = (event: PointerEvent): void => {
    if (event.button !== 0) {
      return;
    }
    const id = nodeOf(event.target);
    let [x, y, moved] = [event.clientX, event.clientY, 0];
    hideHover();
    const move = (next: PointerEvent) => {
      moved += Math.abs(next.clientX - x) + Math.abs(next.clientY - y);
      if (moved > CLICK) {
        this._svg.setPointerCapture(event.pointerId);
        this._svg.dataset.panning = 'true';
        this.pan(next.clientX - x, next.clientY - y);
        [x, y] = [next.clientX, next.clientY];
      }
    };
    const up = (next: PointerEvent) => {
      this._svg.removeEventListener('pointermove', move);
      this._svg.removeEventListener('pointerup', up);
      this._svg.removeEventListener('pointercancel', up);
      delete this._svg.dataset.panning;
      if (moved <= CLICK && id !== null && next.type === 'pointerup') {
        this.go(id, true);
        this._jump(id, false);
      }
    };
    this._svg.addEventListener('pointermove', move);
    this._svg.addEventListener('pointerup', up);
    this._svg.addEventListener('pointercancel', up);
  };

  private readonly _onDoubleClick = (event: MouseEvent): void => {
    const id = nodeOf(event.target);
    if (id !== null) {
      this._jump(id, true);
    }
  };

  private readonly _onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    hideHover();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    if (event.ctrlKey || event.metaKey) {
      const { left, top } = this._svg.getBoundingClientRect();
      const by = Math.exp(-event.deltaY * lines * (Math.abs(event.deltaY) < 50 ? 0.01 : 0.002));
      this.zoom(by, { x: event.clientX - left, y: event.clientY - top });
    } else if (event.shiftKey && event.deltaX === 0) {
      this.pan(-event.deltaY * lines, 0);
    } else {
      this.pan(-event.deltaX * lines, -event.deltaY * lines);
    }
  };

  private readonly _onPointerOver = (event: PointerEvent): void => {
    if (event.buttons) {
      return;
    }
    const element = (event.target as Element).closest<SVGGElement>(
      '.jp-casa-graph-node, .jp-casa-graph-edge'
    );
    if (element !== this._hovered) {
      this._hover(element, { x: event.clientX, y: event.clientY });
    }
  };

  /** Shows what belongs to a node or an edge, and tells of it. */
  private _hover(element: SVGGElement | null, at?: { x: number; y: number }): void {
    this._hovered = element;
    const { node: id, edge: index } = element?.dataset ?? {};
    const near = new Set<string>(id === undefined ? [] : [id]);
    for (const line of this._lines) {
      const { source, target } = line.edge;
      const lit = index === undefined ? id === source || id === target : Number(index) === line.index;
      if (lit) {
        near.add(source).add(target);
      }
      if (line.element) {
        set(line.element, 'lit', String(lit));
        if (lit) {
          this._edges.append(line.element); // above the others
        }
      }
    }
    this._drawn?.forEach(({ node, element: drawn }) => {
      if (drawn) {
        set(drawn, 'lit', String(near.has(node.id)));
      }
    });
    this._svg.dataset.lit = String(near.size > 0);
    if (element) {
      const edge = index === undefined ? null : this._lines[Number(index)]?.edge;
      const hint = edge ? '' : this._trans.__('Click: go to the cell');
      showHover(element, () => this._words(id, edge ?? null), this._trans, {
        hint,
        ...(edge && at ? { at } : {})
      });
    } else {
      hideHover();
    }
  }

  private _words(id: string | undefined, edge: IEdge | null): ICellWords | null {
    if (edge) {
      return edgeWords(edge, this._state, this._trans);
    }
    const node = this._drawn?.get(id ?? '')?.node;
    return node
      ? nodeWords(node, this._into.get(node.id) ?? [], this._out.get(node.id) ?? [], this._state, this._trans)
      : null;
  }

  private readonly _onMap = (event: PointerEvent): void => {
    if (!(event.buttons & 1) || !this._layout) {
      return;
    }
    this._map.setPointerCapture(event.pointerId);
    const rect = this._map.getBoundingClientRect();
    const by = this._layout.width / rect.width;
    const [x, y] = [(event.clientX - rect.left) * by, (event.clientY - rect.top) * by];
    this._center({ x, y, width: 0, height: 0 });
    this._changed();
  };

  // -- keyboard -----------------------------------------------------------------------------------------------------

  private readonly _onFocusIn = (event: FocusEvent): void => {
    const id = nodeOf(event.target);
    const element = id === null ? null : this._drawn?.get(id)?.element;
    if (id !== null && element) {
      this._drawn?.get(this._current ?? '')?.element?.setAttribute('tabindex', '-1');
      element.setAttribute('tabindex', '0');
      this._current = id;
      if (element.matches(':focus-visible')) {
        this._hover(element);
      }
    }
  };

  private readonly _onKeyDown = (event: KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const ways: { readonly [key: string]: Way } = {
      ArrowUp: 'up',
      ArrowDown: 'down',
      ArrowLeft: 'left',
      ArrowRight: 'right'
    };
    const way = ways[event.key];
    if (way && event.shiftKey) {
      this.pan(
        way === 'left' ? STEP : way === 'right' ? -STEP : 0,
        way === 'up' ? STEP : way === 'down' ? -STEP : 0
      );
    } else if (way) {
      this._goTo(this._next(way));
    } else if (!this._act(event.key)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  /** Does what a key stands for; whether it stands for something. */
  private _act(key: string): boolean {
    const nodes = this._state.diagram.nodes;
    switch (key) {
      case 'Home':
        this._goTo(nodes[0]?.id);
        return true;
      case 'End':
        this._goTo(nodes.at(-1)?.id);
        return true;
      case 'n':
        this._goTo(nodes[this._place() + 1]?.id);
        return true;
      case 'p':
        this._goTo(nodes[this._place() - 1]?.id);
        return true;
      case 'PageUp':
        this.pan(0, this._sight().height * 0.8);
        return true;
      case 'PageDown':
        this.pan(0, -this._sight().height * 0.8);
        return true;
      case 'Enter':
        if (this._current !== null) {
          this._jump(this._current, true);
        }
        return true;
      case ' ':
        if (this._current !== null) {
          this._jump(this._current, false);
        }
        return true;
      case '+':
      case '=':
        this.zoom(ZOOM);
        return true;
      case '-':
        this.zoom(1 / ZOOM);
        return true;
      case '0':
        this.fit();
        return true;
      case '1':
        this.zoom(1 / this._scale);
        return true;
      default:
        return false;
    }
  }

  /** Where in the story the keyboard is. */
  private _place(): number {
    return this._state.diagram.nodes.findIndex(({ id }) => id === this._current);
  }

  private _next(way: Way): string | null {
    const areas = new Map([...(this._drawn ?? [])].map(([id, { area }]) => [id, area]));
    return this._current === null
      ? null
      : nextNode(this._state.diagram, areas, this._current, way, this._direction);
  }

  private _goTo(id: string | null | undefined): void {
    if (id) {
      this.go(id, true);
    }
  }

  private _focus(id: string | null): void {
    this._drawn?.get(id ?? '')?.element?.focus({ preventScroll: true });
  }

  private _focused(): boolean {
    return this._svg.contains(document.activeElement);
  }

  /** Goes to the cell of a node; of a product from outside, to the first one that uses it. */
  private _jump(id: string, enter: boolean): void {
    const node = this._drawn?.get(id)?.node;
    const user = this._drawn?.get(this._out.get(id)?.[0]?.target ?? '')?.node;
    const cell = node?.cells[0] ?? user?.cells[0];
    if (cell) {
      this._open(cell.id, enter);
    }
  }

  private readonly _svg = svg('svg', { class: 'jp-casa-graph-svg' });
  private readonly _port = svg('g');
  private readonly _edges = svg('g', { 'aria-hidden': 'true' });
  private readonly _nodes = svg('g');
  private readonly _map = document.createElement('canvas');
  private readonly _faces = new Map<string, IFace>();
  private readonly _widths = new Map<string, number>();
  private _context: CanvasRenderingContext2D | null = null;
  private _drawn: Map<string, IDrawable> | null = null;
  private _lines: ILine[] = [];
  private _into = new Map<string, IEdge[]>();
  private _out = new Map<string, IEdge[]>();
  private _layout: ILayout | null = null;
  private _hovered: SVGGElement | null = null;
  /** The node that the keyboard is at. */
  private _current: string | null = null;
  private _direction: ILayoutRequest['direction'] = 'down';
  /** Where all is seen is not the user's choice. */
  private _untouched = true;
  private _scale = 1;
  private _x = 0;
  private _y = 0;
  private _frame = 0;
  private _isDisposed = false;
}

function nodeOf(target: EventTarget | null): string | null {
  return (target as Element | null)?.closest<SVGGElement>('.jp-casa-graph-node')?.dataset.node ?? null;
}

/** Sets a `data-` attribute, if it is another one. */
function set(element: SVGElement, name: string, value: string): void {
  if (element.dataset[name] !== value) {
    element.dataset[name] = value;
  }
}
