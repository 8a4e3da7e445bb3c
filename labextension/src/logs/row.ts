/** Rows of the log on the screen. They are used again and again: only what is to be different is written. */
import { type Level, levelOf } from '../log/model';
import { element } from '../notebook/hover';
import type { ILogLine } from '../server/types';
import * as words from './words';

/** Characters of an origin for which there is room; the style sheet has the same. */
const ORIGIN = 24;
const COLUMNS = ['number', 'time', 'priority', 'origin', 'message'] as const;

/** Where in a line, as {@link words.plain} has it, what was looked for is: from one character to before another, in order. */
export type Marks = (line: ILogLine) => readonly (readonly number[])[];

/** One row. */
export class Row {
  /** @param id - Of the node, for who reads the page out. */
  constructor(id: string) {
    this.node.setAttribute('role', 'row');
    this.node.id = id;
    const cells = COLUMNS.map(name => {
      const cell = element('span', `jp-casa-logs-${name}`);
      const text = document.createTextNode('');
      cell.setAttribute('role', 'gridcell');
      cell.append(text);
      return { cell, text };
    });
    this._cells = cells.map(({ cell }) => cell);
    this._texts = cells.map(({ text }) => text);
  }

  readonly node = element('div', 'jp-casa-logs-row');

  /** Which of the rows it is. */
  get row(): number {
    return this._row;
  }

  /** The line that it shows; null: it shows none. */
  get line(): ILogLine | null {
    return this._line;
  }

  /** Puts it so many pixels below the upper end of all of them. */
  moveTo(y: number): void {
    if (this._y !== y) {
      this._y = y;
      this.node.style.top = `${String(y)}px`;
    }
  }

  /** Shows that it is active, or among those that are selected. */
  mark(selected: boolean, active: boolean): void {
    if (selected !== this._selected) {
      this._selected = selected;
      this.node.classList.toggle('jp-mod-selected', selected);
      this.node.setAttribute('aria-selected', String(selected));
    }
    if (active !== this._active) {
      this._active = active;
      this.node.classList.toggle('jp-mod-active', active);
    }
  }

  /**
   * Shows a line.
   *
   * @param row - Which of the rows it is.
   * @param number - The number of the line.
   * @param line - Null: it is not here yet.
   * @param continued - Whether it goes on with the message of the line above.
   * @param grouped - Whether there are headings.
   * @param marks - What marks what was looked for.
   */
  showLine(
    row: number,
    number: number,
    line: ILogLine | null,
    continued: boolean,
    grouped: boolean,
    marks: Marks | null
  ): void {
    this._place(row);
    if (this._heading !== null || this._bare) {
      this._bare = false;
      this._heading = null;
      this._dress('jp-casa-logs-row', grouped ? '2' : null);
      this.node.replaceChildren(...this._cells);
      this._number = 0;
    } else if (grouped !== this._grouped) {
      this._dress('jp-casa-logs-row', grouped ? '2' : null);
    }
    this._grouped = grouped;
    if (continued !== this._continued) {
      this._continued = continued;
      this.node.dataset.continued = String(continued);
    }
    if (number === this._number && line === this._line && marks === this._marks) {
      return;
    }
    this._level(line ? levelOf(line) : '');
    this._write(0, words.grouped(number));
    const places = (line && marks?.(line)) ?? [];
    if (line) {
      const { time, priority, origin, message } = line;
      const plain = time === '' && priority === '';
      const [second, third] = [time.length + 1, time.length + priority.length + 2];
      this._write(1, words.timeOfDay(line), places, words.DATE);
      this._write(2, priority, places, second);
      this._write(3, cut(origin), places, third);
      this._write(4, message, places, plain ? 0 : third + origin.length + 1);
    } else {
      this._write(1, '');
      this._write(2, '');
      this._write(3, '');
      this._write(4, '…');
    }
    [this._number, this._line, this._marks] = [number, line, marks];
  }

  /**
   * Shows a heading.
   *
   * @param row - Which of the rows it is.
   * @param key - What it says: if this is the same as before, nothing is done.
   * @param make - Makes it.
   */
  showHeading(row: number, key: string, folded: boolean, level: Level | '', make: () => HTMLElement): void {
    this._place(row);
    this._level(level);
    if (this._heading === key) {
      return;
    }
    if (this._heading === null || this._bare) {
      this._dress('jp-casa-logs-row jp-casa-logs-heading', '1');
      this.node.dataset.action = 'fold';
    }
    this._bare = false;
    this._heading = key;
    this._line = null;
    this.node.setAttribute('aria-expanded', String(!folded));
    this.node.replaceChildren(make());
  }

  private _place(row: number): void {
    if (row !== this._row) {
      this._row = row;
      this.node.dataset.row = String(row);
      this.node.setAttribute('aria-rowindex', String(row + 2));
    }
  }

  private _dress(name: string, ariaLevel: string | null): void {
    const { node } = this;
    node.className = name;
    this._selected = this._active = this._continued = false;
    node.setAttribute('aria-selected', 'false');
    node.removeAttribute('aria-expanded');
    delete node.dataset.action;
    delete node.dataset.continued;
    if (ariaLevel === null) {
      node.removeAttribute('aria-level');
    } else {
      node.setAttribute('aria-level', ariaLevel);
    }
  }

  private _level(level: Level | ''): void {
    if (level !== this._shownLevel) {
      this._shownLevel = level;
      this.node.dataset.level = level;
    }
  }

  /** @param begin - Where in the line the text begins. */
  private _write(column: number, text: string, places: ReturnType<Marks> = [], begin = 0): void {
    const [cell, node] = [this._cells[column], this._texts[column]];
    if (!cell || !node) {
      return;
    }
    const parts: (string | HTMLElement)[] = [];
    let done = 0;
    for (const place of places) {
      const [from, to] = place.map(at => Math.min(Math.max(done, at - begin), text.length)) as [
        number,
        number
      ];
      if (from < to) {
        parts.push(text.slice(done, from), element('mark', '', text.slice(from, to)));
        done = to;
      }
    }
    if (parts.length) {
      cell.replaceChildren(...parts, text.slice(done));
      return;
    }
    if (cell.childNodes.length > 1 || cell.firstChild !== node) {
      cell.replaceChildren(node);
    }
    if (node.data !== text) {
      node.data = text;
    }
  }

  private readonly _cells: HTMLElement[];
  private readonly _texts: Text[];
  private _row = -1;
  private _y = NaN;
  /** It has shown nothing yet. */
  private _bare = true;
  /** What its heading says; null: it shows a line. */
  private _heading: string | null = null;
  private _number = 0;
  private _line: ILogLine | null = null;
  private _marks: Marks | null = null;
  private _grouped = false;
  private _continued = false;
  private _selected = false;
  private _active = false;
  private _shownLevel: Level | '' | null = null;
}

/** As much of an origin as there is room for; its title has all of it. */
function cut(origin: string): string {
  return origin.length > ORIGIN ? `${origin.slice(0, ORIGIN - 1)}…` : origin;
}
