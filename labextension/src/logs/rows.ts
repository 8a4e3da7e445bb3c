/** Rows of a log: lines, with a heading above those of each call; calls can be folded. */

/** Lines that follow one another, and belong to one call or to none. */
export interface ISpan {
  /** The number of the call; null: of none, or it is not known. */
  call: number | null;
  /** How many lines. */
  lines: number;
}

/** Such lines, with their places. */
export interface ISection extends ISpan {
  /** Which of the sections it is. */
  index: number;
  /** How many lines are before it. */
  start: number;
  /** The row of its heading, or of its first line if there are no headings. */
  row: number;
  folded: boolean;
}

/** A row: the heading of a section, or, with `line` not null, one of its lines (counted from 0, through all sections). */
export interface IRow {
  section: ISection;
  line: number | null;
}

/** Which row is what. */
export class Rows {
  /**
   * @param spans - In order; those without lines have a heading, too.
   * @param headings - Whether each has a heading.
   * @param folded - Calls of which only the heading is shown.
   */
  constructor(
    spans: readonly ISpan[],
    readonly headings: boolean,
    folded: ReadonlySet<number | null> = new Set()
  ) {
    let [start, row] = [0, 0];
    this.sections = spans.map(({ call, lines }, index) => {
      const section = { call, lines, index, start, row, folded: headings && folded.has(call) };
      start += lines;
      row += (headings ? 1 : 0) + (section.folded ? 0 : lines);
      return section;
    });
    [this.lines, this.length] = [start, row];
  }

  readonly sections: readonly ISection[];
  /** How many lines there are, folded ones, too. */
  readonly lines: number;
  /** How many rows there are. */
  readonly length: number;

  /** What a row is; null: there is no such row. */
  at(row: number): IRow | null {
    if (row < 0 || row >= this.length) {
      return null;
    }
    const section = this._last(section => section.row <= row);
    if (!section) {
      return null;
    }
    const below = row - section.row - (this.headings ? 1 : 0);
    return { section, line: below < 0 ? null : section.start + below };
  }

  /** The row of a line (from 0), or of the heading below which it is folded; -1: there is no such line. */
  rowOf(line: number): number {
    const section = line < 0 || line >= this.lines ? null : this.sectionOf(line);
    if (!section) {
      return -1;
    }
    return section.folded ? section.row : section.row + (this.headings ? 1 : 0) + line - section.start;
  }

  /** The section of a line (from 0); null: there is none. */
  sectionOf(line: number): ISection | null {
    // Sections without lines begin where the next one does.
    return this._last(section => section.start <= line);
  }

  /** The last section for which something holds that holds for all before it. */
  private _last(holds: (section: ISection) => boolean): ISection | null {
    let [low, high] = [0, this.sections.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const section = this.sections[middle];
      if (section && holds(section)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return this.sections[low - 1] ?? null;
  }
}

/** The spans of `total` lines (numbered from 1) of which some belong to calls; in order, without gaps. */
export function spansOf(
  parts: readonly { call: number; first: number; lines: number }[],
  total: number
): ISpan[] {
  const spans: ISpan[] = [];
  let next = 1;
  const add = (call: number | null, lines: number) => {
    if (lines > 0) {
      spans.push({ call, lines });
      next += lines;
    }
  };
  for (const { call, first, lines } of parts) {
    add(null, Math.min(first, total + 1) - next);
    add(call, Math.min(first + lines, total + 1) - next);
  }
  add(null, total + 1 - next);
  return spans;
}

/** The spans of lines that were found: those of one call that follow one another. */
export function runsOf(lines: readonly { call: number | null }[]): ISpan[] {
  const spans: ISpan[] = [];
  let last: ISpan | undefined;
  for (const { call } of lines) {
    if (last?.call === call) {
      last.lines++;
    } else {
      spans.push((last = { call, lines: 1 }));
    }
  }
  return spans;
}
