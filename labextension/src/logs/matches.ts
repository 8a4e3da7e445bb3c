/** The lines of a log that a filter finds: first those that are near, others while there is time, new ones as they come. */
import type { ILogCall, ILogLine, ILogQuery, ILogWindow } from '../server/types';

/** Lines that are asked for first, and afterwards. */
const [FIRST, MORE] = [200, 1000];
/** Lines that are looked for without being asked to. */
const ENOUGH = 10_000;

/** What finds lines; null: it cannot be asked now. */
export type Find = (query: ILogQuery) => Promise<ILogWindow | null>;

/** What is found, of all lines from one to before another. */
export class Matches {
  /**
   * @param _find - Asks the server, with the filter.
   * @param _changed - Something was found, or looked for in vain.
   * @param _enough - Lines that are looked for without being asked to.
   */
  constructor(
    private readonly _find: Find,
    private readonly _changed: () => void,
    private readonly _enough = ENOUGH
  ) {
    this._goal = _enough;
  }

  /** What was found, in order. */
  get lines(): readonly ILogLine[] {
    return this._lines;
  }

  /** The calls to which these belong. */
  readonly calls = new Map<number, ILogCall>();

  /** The first line that was looked at; all from here on were. */
  get low(): number {
    return this._low;
  }

  /** The first line that was not looked at, after those that were. */
  get high(): number {
    return this._high;
  }

  /** Whether it is being looked for more. */
  get isSearching(): boolean {
    return this._searching;
  }

  /** Whether there may be others before or after them, which nobody looks for until {@link more} is asked for. */
  get hasMore(): boolean {
    return !this._searching && this._isOpen;
  }

  /**
   * Looks for those nearest to a line, and goes on until there are enough.
   *
   * @param around - The number of the line; where it begins to be looked, backwards and forwards.
   * @param total - How many lines there are.
   */
  async start(around: number, total: number): Promise<void> {
    this._total = total;
    this._low = this._high = Math.min(Math.max(1, around), total + 1);
    await this._search(FIRST);
  }

  /** Looks for others. */
  async more(): Promise<void> {
    this._goal = this._lines.length + this._enough;
    await this._search(MORE);
  }

  /** The log has lines up to that number: those that are new are looked through, if all before them were. */
  async grow(total: number): Promise<void> {
    const caughtUp = this._high > this._total;
    this._total = Math.max(this._total, total);
    if (caughtUp && this._low > 0 && !this._searching) {
      this._goal = Math.max(this._goal, this._lines.length + 1);
      this._searching = true;
      await this._forwards();
      this._searching = false;
    }
  }

  /** The place among the lines found of the last one that is not after a number; -1: there is none. */
  placeOf(number: number): number {
    let [low, high] = [0, this._lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this._lines[middle]?.number ?? Infinity) <= number) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }

  /** Nobody wants to know any more. */
  stop(): void {
    this._stopped = true;
  }

  /** Whether there are lines that nobody has looked at. */
  private get _isOpen(): boolean {
    return this._low > 1 || this._high <= this._total;
  }

  private async _search(first: number): Promise<void> {
    if (this._searching) {
      return;
    }
    this._searching = true;
    this._changed();
    let [forwards, more] = [true, true];
    for (let ask = first; more && this._isOpen && this._lines.length < this._goal; ask = MORE) {
      forwards = this._low === 1 || (!forwards && this._high <= this._total);
      more = forwards ? await this._look(ask) : await this._lookBack(ask);
    }
    if (more && this._high + MORE > this._total) {
      await this._forwards(); // what has come meanwhile
    }
    this._searching = false;
    if (!this._stopped) {
      this._changed();
    }
  }

  /** Looks through all that follows. */
  private async _forwards(): Promise<void> {
    while (this._high <= this._total && (await this._look(MORE))) {
      // and so on
    }
  }

  private async _look(count: number): Promise<boolean> {
    const found = await this._find({ from: this._high, count });
    if (!found || this._stopped) {
      return false;
    }
    this._lines.push(...found.lines);
    this._total = Math.max(this._total, found.total);
    this._high = found.next ?? found.total + 1;
    this._take(found.calls);
    return true;
  }

  private async _lookBack(count: number): Promise<boolean> {
    const found = await this._find({ from: -count, until: this._low });
    if (!found || this._stopped) {
      return false;
    }
    this._lines.unshift(...found.lines);
    this._low = found.previous ?? 1;
    this._take(found.calls);
    return true;
  }

  private _take(calls: readonly ILogCall[]): void {
    for (const call of calls) {
      this.calls.set(call.call, call);
    }
    this._changed();
  }

  private readonly _lines: ILogLine[] = [];
  private _low = 0; // it has not begun
  private _high = 0;
  private _total = 0;
  private _goal: number;
  private _searching = false;
  private _stopped = false;
}
