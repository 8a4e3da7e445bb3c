/** The lines of a log on the screen: only those that are seen are in the page, however many there are. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { type ISignal, Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { levelOf } from '../log/model';
import { element } from '../notebook/hover';
import type { ILogCall } from '../server/types';
import type { LogModel } from './model';
import { Row } from './row';
import type { IRow, ISection, Rows } from './rows';
import { VirtualScroll } from './scroll';
import * as words from './words';

/** Pixels; the style sheet has the same. */
const ROW = 20;
const HEADER = 24;
/** Rows that are drawn above and below those that are seen. */
const SPARE = 3;
/** Rows for which there is room in the layer in which they are painted, beyond two times those that are seen. */
const ROOM = 20;
/** Milliseconds after which scrolling has come to rest. */
const REST_MS = 150;
/** Milliseconds after which lines are asked for while one goes from place to place, and between which they are at least. */
const [JUMP_MS, JUMPS_MS] = [50, 200];
/** Pixels by which the arrow keys move sideways. */
const SIDEWAYS = 60;
/** Places of the overview. */
const PLACES = 500;
/** Characters for which there is room at least, and at most. */
const [NARROW, WIDE] = [40, 4200];

let lists = 0;

/** What a row is, whatever rows there are before it. */
export interface IPlace {
  /** The number of the line; of a heading, that of the first line below it. */
  number: number;
  heading: boolean;
}

/** What the list cannot know by itself. */
export interface IListHost {
  /** What the cell of a call is called; empty: it has none. */
  cellName(call: ILogCall): string;
  /** Goes to the cell of a call. */
  openCell(call: ILogCall): void;
  /** Copies lines. */
  copy(): void;
}

/** The lines, below headings, with one of them active and some selected. */
export class LogList extends Widget {
  constructor(
    private readonly _model: LogModel,
    private readonly _host: IListHost,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-logs-list');
    const {
      _scroller: scroller,
      _layer: layer,
      _sizer: sizer,
      _body: body,
      _pinned: { node: pinned }
    } = this;
    scroller.tabIndex = 0;
    scroller.setAttribute('role', 'treegrid');
    scroller.setAttribute('aria-multiselectable', 'true');
    scroller.setAttribute('aria-label', _trans.__('Lines of the CASA log'));
    layer.setAttribute('role', 'rowgroup');
    pinned.setAttribute('aria-hidden', 'true');
    pinned.hidden = true;
    body.setAttribute('role', 'presentation');
    layer.append(this._header(), body, pinned);
    scroller.append(layer, sizer);
    this._overview.setAttribute('class', 'jp-casa-logs-overview');
    this._overview.setAttribute('viewBox', `0 0 1 ${String(PLACES)}`);
    this._overview.setAttribute('preserveAspectRatio', 'none');
    this._overview.setAttribute('aria-hidden', 'true');
    this.node.append(scroller, this._overview);
    _model.changed.connect(this._onChanged);
    _model.arrived.connect(this._onArrived);
    scroller.addEventListener('scroll', this._onScroll, { passive: true });
    scroller.addEventListener('keydown', this._onKey);
    scroller.addEventListener('click', this._onClick);
    scroller.addEventListener('mouseover', this._onOver);
    scroller.addEventListener('dblclick', this._onDoubleClick);
    this._observer = new ResizeObserver(() => {
      this._measure();
      this._fit();
    });
    this._observer.observe(scroller);
  }

  /** Another row is active, others are selected, or the end is followed or no longer. */
  get moved(): ISignal<this, void> {
    return this._moved;
  }

  /** Whether the newest lines are kept in sight. */
  get isFollowing(): boolean {
    return this._following;
  }

  set isFollowing(follow: boolean) {
    this._following = follow;
    if (follow) {
      this._scroll.moveTo(this._scroll.bottom);
      this._place();
    }
    this._moved.emit();
  }

  /** The active row; null: there is none. */
  get active(): IPlace | null {
    return this._active;
  }

  /** The places, from one to before the other, of the lines that are selected; of none if nothing is. */
  get selected(): [number, number] {
    const rows = this._selection();
    if (!rows) {
      return [0, 0];
    }
    const [first, last] = rows.map(row => this._model.rows.at(row));
    if (!first || !last) {
      return [0, 0];
    }
    const from = first.line ?? first.section.start;
    // A heading stands for all lines below it.
    const whole = last.line === null && (last.section.folded || rows[0] === rows[1]);
    return [from, last.line === null ? last.section.start + (whole ? last.section.lines : 0) : last.line + 1];
  }

  /** Makes a line active and brings it into sight; it is unfolded. */
  goTo(number: number, heading = false): void {
    const section = this._model.rows.sectionOf(this._model.placeOf(number));
    if (section?.folded && !heading) {
      this._model.fold([section.call], false);
    }
    this._activate({ number, heading });
    const row = this._rowOf({ number, heading });
    const [first, end] = this._scroll.range;
    if (row < first + 2 || row >= end - 2) {
      this._scroll.reveal(row, heading ? 0 : 0.35);
    }
    this._following = false;
    this._place();
    this._moved.emit();
  }

  /** Selects all that is shown. */
  selectAll(): void {
    const { length } = this._model.rows;
    if (length) {
      this._anchor = this._placeOfRow(0);
      this._active = this._placeOfRow(length - 1);
      this._draw();
      this._moved.emit();
    }
  }

  /** The call of a row; null: it is of none. */
  callOf(place: IPlace | null): ILogCall | null {
    const section = place && this._model.rows.sectionOf(this._model.placeOf(place.number));
    return section?.call != null ? this._model.call(section.call) : null;
  }

  dispose(): void {
    this._observer.disconnect();
    this._model.changed.disconnect(this._onChanged);
    this._model.arrived.disconnect(this._onArrived);
    clearTimeout(this._timer);
    clearTimeout(this._wanting);
    cancelAnimationFrame(this._frame);
    Signal.clearData(this);
    super.dispose();
  }

  protected onAfterShow(): void {
    this._measure();
    this._fit();
  }

  protected onActivateRequest(): void {
    this._scroller.focus();
  }

  // -- rows and places ----------------------------------------------------------------------------------------------

  private _rowOf({ number, heading }: IPlace): number {
    const { rows } = this._model;
    const line = this._model.placeOf(number);
    return heading && rows.headings ? (rows.sectionOf(line)?.row ?? -1) : rows.rowOf(line);
  }

  private _placeOfRow(row: number): IPlace | null {
    const at = this._model.rows.at(row);
    return at && { number: this._model.numberOf(at.line ?? at.section.start), heading: at.line === null };
  }

  /** The first and last row that are selected. */
  private _selection(): [number, number] | null {
    if (!this._active) {
      return null;
    }
    const active = this._rowOf(this._active);
    const anchor = this._anchor ? this._rowOf(this._anchor) : active;
    return active < 0 || anchor < 0 ? null : [Math.min(active, anchor), Math.max(active, anchor)];
  }

  private _activate(place: IPlace | null, extend = false): void {
    this._anchor = extend ? (this._anchor ?? this._active) : null;
    this._active = place;
  }

  // -- what happens -------------------------------------------------------------------------------------------------

  private readonly _onChanged = (): void => {
    this._isDue = true;
    this._onArrived();
  };

  /** Lines have come, or more than that has changed. */
  private readonly _onArrived = (): void => {
    this._frame ||= requestAnimationFrame(() => {
      this._frame = 0;
      if (this._isDue) {
        this._isDue = false;
        this._fit();
      } else if (this._height) {
        this._draw();
      }
    });
  };

  /** Finds out how much room there is. It is asked for here alone, and not while one scrolls: the browser must lay out all first. */
  private _measure(): void {
    const { _scroller: scroller } = this;
    this._height = this.isVisible ? scroller.clientHeight : 0;
    this._overview.style.right = `${String(scroller.offsetWidth - scroller.clientWidth)}px`;
  }

  /** Takes in that there are other rows, or another size; what one looks at stays where it is. */
  private _fit(): void {
    if (!this._height) {
      this._measure();
    }
    const height = this._height;
    if (!this.isVisible || height === 0) {
      return;
    }
    const { _scroll: scroll, _model: model } = this;
    if (model.era !== this._era) {
      this._forget();
    }
    const held = this._held;
    scroll.resize(model.rows.length, Math.max(ROW, height - HEADER));
    if (this._following) {
      scroll.moveTo(scroll.bottom);
    } else if (held) {
      const row = this._rowOf(held.place);
      scroll.moveTo(row < 0 ? 0 : row * ROW + held.beyond);
    }
    const chars = String(model.total).length;
    const room = String(Math.max(0, scroll.height - scroll.viewport));
    const sizes = `${String(chars)} ${String(height)} ${room}`;
    if (sizes !== this._sizes) {
      this._sizes = sizes;
      this.node.style.setProperty('--jp-casa-logs-digits', String(chars + Math.floor((chars - 1) / 3) * 0.6));
      this._layer.style.height = `${String(height)}px`;
      this._body.style.height = `${String(this._span)}px`;
      this._sizer.style.height = `${room}px`;
      this._at = this._scroller.scrollTop;
    }
    this._scroller.setAttribute('aria-rowcount', String(model.rows.length + 1));
    this._place();
    this._drawOverview();
  }

  /** Another log is shown. */
  private _forget(): void {
    this._era = this._model.era;
    this._active = this._anchor = this._held = null;
    this._following = true;
    this._chars = NARROW;
    this.node.style.removeProperty('--jp-casa-logs-chars');
    this._moved.emit();
  }

  /** Lets the browser be where we are. */
  private _place(): void {
    this._scroll.settle();
    if (Math.abs(this._at - this._scroll.place) >= 0.5) {
      this._scroller.scrollTop = this._scroll.place;
      this._at = this._scroller.scrollTop;
    }
    this._scroll.arrived(this._at);
    this._draw();
    this._order();
  }

  private readonly _onScroll = (): void => {
    const before = this._scroll.top;
    this._at = this._scroller.scrollTop;
    this._scroll.onScroll(this._at);
    if (this._scroll.top !== before) {
      const follow = this._scroll.isAtBottom;
      if (follow !== this._following) {
        this._following = follow;
        this._moved.emit();
      }
    }
    clearTimeout(this._timer);
    if (this._scroll.isStuck) {
      this._place();
    } else {
      this._draw(true);
      this._timer = setTimeout(() => {
        this._place();
      }, REST_MS);
    }
  };

  private readonly _onKey = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(this._scroll.viewport / ROW) - 1);
    const accel = event.ctrlKey || event.metaKey;
    switch (event.key) {
      case 'ArrowUp':
        this._step(-1, event.shiftKey);
        break;
      case 'ArrowDown':
        this._step(1, event.shiftKey);
        break;
      case 'PageUp':
        this._step(-page, event.shiftKey);
        break;
      case 'PageDown':
        this._step(page, event.shiftKey);
        break;
      case 'Home':
        this._step(-Infinity, event.shiftKey);
        break;
      case 'End':
        this._step(Infinity, event.shiftKey);
        break;
      case 'ArrowLeft':
        this._sideways(-1);
        break;
      case 'ArrowRight':
        this._sideways(1);
        break;
      case 'Enter':
      case ' ':
        this._open(event.key === ' ');
        break;
      case 'o': {
        const row = this._active && this._model.rows.at(this._rowOf(this._active));
        if (accel || event.altKey || !row) {
          return;
        }
        this._only(row.section);
        break;
      }
      case 'a':
        if (!accel) {
          return;
        }
        this.selectAll();
        break;
      case 'c':
        if (!accel || hasSelection()) {
          return;
        }
        this._host.copy();
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  private _step(by: number, extend: boolean): void {
    const last = this._model.rows.length - 1;
    const from = this._active ? this._rowOf(this._active) : this._scroll.range[0] - Math.sign(by);
    const row = Math.min(Math.max(0, from + by), last);
    const place = this._placeOfRow(row);
    if (place) {
      this._activate(place, extend);
      this._scroll.reveal(row);
      this._following = row === last && by > 0;
      this._place();
      this._moved.emit();
    }
  }

  /** Folds or unfolds on a heading; else goes sideways, and from the left end to the heading. */
  private _sideways(sign: number): void {
    const row = this._active && this._model.rows.at(this._rowOf(this._active));
    if (row?.line === null && row.section.folded === sign > 0) {
      this._model.fold([row.section.call], sign < 0);
    } else if (
      sign < 0 &&
      this._scroller.scrollLeft === 0 &&
      row &&
      row.line !== null &&
      this._model.rows.headings
    ) {
      this._step(row.section.row - this._rowOf(this._active as IPlace), false);
    } else {
      this._scroller.scrollLeft += sign * SIDEWAYS;
    }
  }

  private _open(fold: boolean): void {
    const row = this._active && this._model.rows.at(this._rowOf(this._active));
    const call = this.callOf(this._active);
    if (fold && row?.line === null) {
      this._model.fold([row.section.call], !row.section.folded);
    } else if (!fold && call) {
      this._host.openCell(call);
    }
  }

  /** Shows the lines of a call alone, or the others again. */
  private _only({ call }: ISection): void {
    const { filter } = this._model;
    if (call !== null) {
      this._model.filter = { ...filter, call: filter.call === call ? null : call, cell: null };
    }
  }

  private readonly _onClick = (event: MouseEvent): void => {
    const node = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-row]') : null;
    if (!node || hasSelection()) {
      return; // somebody marks text
    }
    const row = Number(node.dataset.row);
    const at = this._model.rows.at(row);
    const action = (event.target as Element).closest<HTMLElement>('[data-action]')?.dataset.action;
    if (at && action === 'cell') {
      const call = at.section.call === null ? null : this._model.call(at.section.call);
      if (call) {
        this._host.openCell(call);
      }
      return;
    }
    if (at && action === 'only') {
      this._only(at.section);
      return;
    }
    if (at?.line === null && node.parentElement === this._layer) {
      this.goTo(this._model.numberOf(at.section.start), true); // the heading that is kept in sight
      return;
    }
    this._activate(this._placeOfRow(row), event.shiftKey);
    if (at?.line === null && action === 'fold') {
      this._model.fold([at.section.call], !at.section.folded);
    }
    this._draw();
    this._moved.emit();
  };

  private readonly _onDoubleClick = (event: MouseEvent): void => {
    const node = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-row]') : null;
    const row = node && this._model.rows.at(Number(node.dataset.row));
    if (row?.section.call != null) {
      const call = this._model.call(row.section.call);
      if (call) {
        this._host.openCell(call);
      }
    }
  };

  /** What is told in brief, or cut off, is told whole when somebody points at it. */
  private readonly _onOver = (event: MouseEvent): void => {
    const cell =
      event.target instanceof Element ? event.target.closest<HTMLElement>('[role=gridcell]') : null;
    const row = Number(cell?.parentElement?.dataset.row ?? -1);
    const line = this._drawn.get(row)?.line;
    if (!cell || !line) {
      return;
    }
    if (cell.classList.contains('jp-casa-logs-time')) {
      cell.title = line.time && this._trans.__('%1 (UTC)', line.time);
    } else if (cell.classList.contains('jp-casa-logs-origin')) {
      cell.title = line.origin;
    }
  };

  // -- drawing ------------------------------------------------------------------------------------------------------

  /** Pixels that the layer is high in which rows are painted. */
  private get _span(): number {
    return (2 * Math.ceil(this._scroll.viewport / ROW) + ROOM) * ROW;
  }

  /** @param passing - Somebody may be on the way to elsewhere. */
  private _draw(passing = false): void {
    const { _scroll: scroll, _model: model, _drawn: drawn } = this;
    const [first, end] = scroll.range;
    const [from, to] = [Math.max(0, first - SPARE), Math.min(scroll.rows, end + SPARE)];
    if (from * ROW < this._origin || to * ROW > this._origin + this._span) {
      // All of it is painted anew, so that for a while only what comes into sight has to be.
      this._origin = Math.max(0, Math.round((scroll.top + (scroll.viewport - this._span) / 2) / ROW) * ROW);
    }
    const selection = this._selection();
    const active = this._active ? this._rowOf(this._active) : -1;
    this._hold(active >= first && active < end ? active : first);
    const free: Row[] = [];
    const before = drawn.size;
    for (const [at, row] of drawn) {
      if (at < from || at >= to) {
        free.push(row);
        drawn.delete(at);
      }
    }
    const jumped = passing && free.length === before;
    free.reverse(); // the first is taken first: they are in order, then, when all are others
    const wanted: number[] = [];
    for (let at = from; at < to; at++) {
      const shown = model.rows.at(at);
      if (!shown) {
        continue;
      }
      let row = drawn.get(at);
      if (!row) {
        row = free.pop() ?? this._newRow();
        drawn.set(at, row);
      }
      row.moveTo(at * ROW - this._origin);
      this._fill(row, at, shown, wanted);
      row.mark(selection !== null && at >= selection[0] && at <= selection[1], at === active);
    }
    for (const { node } of free) {
      node.remove();
    }
    this._body.style.transform = `translateY(${String(this._origin - scroll.top + HEADER)}px)`;
    this._pin(model.rows.at(first));
    const activeId = drawn.get(active)?.node.id ?? '';
    if (activeId !== this._activeId) {
      this._activeId = activeId;
      if (activeId) {
        this._scroller.setAttribute('aria-activedescendant', activeId);
      } else {
        this._scroller.removeAttribute('aria-activedescendant');
      }
    }
    for (const at of [to + to - from, from - (to - from)]) {
      const soon = model.rows.at(at)?.line; // a page below, and above
      if (soon != null) {
        wanted.push(model.numberOf(soon));
      }
    }
    clearTimeout(this._wanting);
    if (jumped && performance.now() - this._asked < JUMPS_MS) {
      this._wanting = setTimeout(() => {
        this._draw();
      }, JUMP_MS);
    } else {
      this._asked = performance.now();
      model.want(wanted);
    }
  }

  /** Who reads the page out reads rows in their order; while one scrolls, they need not be in it. */
  private _order(): void {
    let after: Node | null = null;
    for (const at of [...this._drawn.keys()].sort((a, b) => b - a)) {
      const node = this._drawn.get(at)?.node;
      if (node) {
        if (node.nextSibling !== after) {
          this._body.insertBefore(node, after);
        }
        after = node;
      }
    }
  }

  /** This row stays where it is if other rows come or go; if there is none, they may come back. */
  private _hold(row: number): void {
    const place = this._placeOfRow(row);
    if (place) {
      this._held = { place, beyond: this._scroll.top - row * ROW };
      this._model.around = this._following ? Infinity : place.number;
    }
  }

  /** Where in the whole log warnings and errors are, beside the scroll bar. */
  private _drawOverview(): void {
    const { _model: model, _overview: overview } = this;
    if (model.rows === this._overviewRows && model.alerts.length === this._overviewAlerts) {
      return;
    }
    [this._overviewRows, this._overviewAlerts] = [model.rows, model.alerts.length];
    const places = { warn: new Set<number>(), severe: new Set<number>() };
    const { length } = model.rows;
    for (const line of model.alerts) {
      const row = model.rows.rowOf(model.placeOf(line.number));
      if (row >= 0 && (!model.matches || model.line(line.number))) {
        places[levelOf(line) === 'severe' ? 'severe' : 'warn'].add(Math.floor((row / length) * PLACES));
      }
    }
    const key = JSON.stringify([[...places.warn], [...places.severe]]);
    if (key !== this._overviewKey) {
      this._overviewKey = key;
      overview.replaceChildren(
        ...(['warn', 'severe'] as const).map(level => {
          const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
          path.dataset.level = level;
          path.setAttribute(
            'd',
            [...places[level]].map(y => `M0 ${String(y)}h1v${level === 'warn' ? '2' : '3'}h-1z`).join('')
          );
          return path;
        })
      );
    }
  }

  private _fill(row: Row, at: number, { line, section }: IRow, wanted: number[]): void {
    const { _model: model } = this;
    if (line === null) {
      this._fillHeading(row, at, section);
      return;
    }
    const number = model.numberOf(line);
    const told = model.line(number);
    if (!told) {
      wanted.push(number);
    } else if (told.message.length > this._chars) {
      this._chars = Math.min(told.message.length, WIDE);
      this.node.style.setProperty('--jp-casa-logs-chars', String(this._chars));
    }
    const continued =
      told?.origin.endsWith('+') === true && line > section.start && model.numberOf(line - 1) === number - 1;
    row.showLine(at, number, told, continued, model.rows.headings, model.marks);
  }

  private _fillHeading(row: Row, at: number, section: ISection): void {
    const trans = this._trans;
    const { _model: model } = this;
    const call = section.call === null ? null : model.call(section.call);
    const where = call ? this._host.cellName(call) : '';
    const runs = model.isAlive && section.index === model.rows.sections.length - 1;
    const alerts = section.call === null ? null : model.alertsOf(section.call);
    const told = call ? words.outcome(call, runs, trans) : '';
    const problems = alerts ? words.alerts(alerts, trans) : '';
    const count = words.lines(section.lines, trans);
    const task = call ? call.task : section.call === null ? trans.__('outside of tasks') : trans.__('a task');
    const began = call ? new Date(call.began * 1000).toISOString().slice(0, 19).replace('T', ' ') : '';
    const alone = section.call !== null && model.filter.call === section.call;
    const key = [section.folded, where, task, told, problems, count, began, alone].join('\n');
    row.showHeading(at, key, section.folded, alerts?.severe ? 'severe' : alerts?.warn ? 'warn' : '', () => {
      const cell = element('span', 'jp-casa-logs-heading-cell');
      cell.setAttribute('role', 'gridcell');
      cell.setAttribute('aria-colspan', '5');
      const caret = element('span', 'jp-casa-logs-caret');
      caret.setAttribute('aria-hidden', 'true');
      cell.append(caret);
      if (where) {
        const link = element('span', 'jp-casa-logs-link', where);
        link.dataset.action = 'cell';
        link.title = trans.__('Go to the cell (Enter)');
        cell.append(link, element('span', 'jp-casa-logs-sep', '›'));
      }
      cell.append(element('b', '', task));
      for (const [what, text] of [
        ['outcome', told],
        ['count', count],
        ['began', began && trans.__('%1 UTC', began)]
      ] as const) {
        if (text) {
          cell.append(element('span', `jp-casa-logs-${what}`, text));
        }
      }
      if (problems) {
        cell.insertBefore(element('span', 'jp-casa-logs-problems', problems), cell.lastElementChild);
      }
      if (section.call !== null) {
        const only = element(
          'span',
          'jp-casa-logs-link jp-casa-logs-only',
          alone ? trans.__('show all') : trans.__('only this')
        );
        only.dataset.action = 'only';
        only.title = trans.__('Show the lines of this call alone, or the others again (O)');
        cell.append(only);
      }
      return cell;
    });
  }

  /** Keeps the heading of what is on top in sight. */
  private _pin(at: IRow | null): void {
    const { _pinned: pinned, _scroll: scroll } = this;
    const shown = at !== null && this._model.rows.headings && at.line !== null;
    if (pinned.node.hidden === shown) {
      pinned.node.hidden = !shown;
    }
    if (shown) {
      const { section } = at;
      this._fillHeading(pinned, section.row, section);
      const next = (section.row + 1 + section.lines) * ROW - scroll.top;
      const y = Math.min(0, next - ROW);
      if (y !== this._pinnedAt) {
        this._pinnedAt = y;
        pinned.node.style.transform = `translateY(${String(y)}px)`;
      }
    }
  }

  private _newRow(): Row {
    const row = new Row(`jp-casa-logs-${String(this._id)}-${String(this._rowIds++)}`);
    this._body.append(row.node);
    return row;
  }

  private _header(): HTMLElement {
    const trans = this._trans;
    const header = element('div', 'jp-casa-logs-row jp-casa-logs-header');
    header.setAttribute('role', 'row');
    header.setAttribute('aria-rowindex', '1');
    const titles = [
      ['number', trans.__('Line')],
      ['time', trans.__('UTC')],
      ['priority', trans.__('Priority')],
      ['origin', trans.__('Origin')],
      ['message', trans.__('Message')]
    ] as const;
    for (const [name, title] of titles) {
      const cell = element('span', `jp-casa-logs-${name}`, title);
      cell.setAttribute('role', 'columnheader');
      header.append(cell);
    }
    return header;
  }

  private readonly _scroll = new VirtualScroll(ROW);
  private readonly _scroller = element('div', 'jp-casa-logs-scroller');
  private readonly _layer = element('div', 'jp-casa-logs-layer');
  private readonly _sizer = element('div');
  private readonly _body = element('div', 'jp-casa-logs-body');
  private readonly _overview = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  private readonly _moved = new Signal<this, void>(this);
  private readonly _observer: ResizeObserver;
  private readonly _drawn = new Map<number, Row>();
  private readonly _id = lists++;
  private readonly _pinned = new Row(`jp-casa-logs-${String(this._id)}-pinned`);
  private _pinnedAt = 0;
  private _rowIds = 0;
  private _era = 0;
  private _activeId = '';
  private _overviewKey = '';
  private _overviewRows: Rows | null = null;
  private _overviewAlerts = 0;
  /** Pixels that the list is high; 0: that is not known. */
  private _height = 0;
  private _sizes = '';
  /** Where the browser has scrolled to. */
  private _at = 0;
  /** Whether more has changed than lines that have come. */
  private _isDue = false;
  private _origin = 0;
  private _chars = NARROW;
  private _frame = 0;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _wanting: ReturnType<typeof setTimeout> | undefined;
  /** When lines were asked for. */
  private _asked = 0;
  /** The row that is to stay where it is: the active one if it is in sight, or the first; and by how many pixels it is above the upper edge. */
  private _held: { place: IPlace; beyond: number } | null = null;
  private _active: IPlace | null = null;
  /** Where the selection began; null: only the active row is selected. */
  private _anchor: IPlace | null = null;
  private _following = true;
}

/** Whether somebody has marked text. */
function hasSelection(): boolean {
  return document.getSelection()?.isCollapsed === false;
}
