/** The lines of a log that a filter finds: the newest first, older ones while there is time, new ones as they come. */
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

  /** Whether there may be older ones that nobody looks for until {@link more} is asked for. */
  get hasMore(): boolean {
    return this._low > 1 && !this._searching;
  }

  /** Looks for the newest ones, and goes on until there are enough. */
  async start(): Promise<void> {
    await this._back(FIRST);
  }

  /** Looks for older ones. */
  async more(): Promise<void> {
    this._goal = this._lines.length + this._enough;
    await this._back(MORE);
  }

  /** The log has lines up to that number: looks through those that are new. */
  async grow(total: number): Promise<void> {
    this._total = Math.max(this._total, total);
    if (this._growing || this._high === 0) {
      return;
    }
    this._growing = true;
    while (this._high <= this._total && !this._stopped) {
      const found = await this._find({ from: this._high, count: MORE });
      if (!found || this._gone()) {
        break;
      }
      this._take(found.calls);
      this._lines.push(...found.lines);
      this._high = found.next ?? found.total + 1;
      this._changed();
    }
    this._growing = false;
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

  private async _back(count: number): Promise<void> {
    if (this._searching) {
      return;
    }
    this._searching = true;
    this._changed();
    for (let ask = count; this._low !== 1 && this._lines.length < this._goal && !this._stopped; ask = MORE) {
      const found = await this._find({ from: -ask, ...(this._low > 0 ? { until: this._low } : {}) });
      if (!found || this._gone()) {
        break;
      }
      if (this._low === 0 && !found.complete) {
        break; // it is being read for the first time; who started starts again
      }
      this._take(found.calls);
      this._lines.unshift(...found.lines);
      this._high = this._high || found.total + 1;
      this._low = found.previous ?? 1;
      this._changed();
    }
    this._searching = false;
    if (!this._stopped) {
      this._changed();
      await this.grow(this._total);
    }
  }

  private _take(calls: readonly ILogCall[]): void {
    for (const call of calls) {
      this.calls.set(call.call, call);
    }
  }

  /** Whether it was stopped while somebody was asked. */
  private _gone(): boolean {
    return this._stopped;
  }

  private readonly _lines: ILogLine[] = [];
  private _low = 0; // 0: nothing was looked at yet
  private _high = 0;
  private _total = 0;
  private _goal: number;
  private _searching = false;
  private _growing = false;
  private _stopped = false;
}
