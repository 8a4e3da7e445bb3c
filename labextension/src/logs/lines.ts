/** The lines of a log that are in memory; others are asked for when they are to be seen. */
import type { ILogLine } from '../server/types';

/** Lines that are asked for at once. */
export const CHUNK = 200;
/** Chunks that are held. */
const HELD = 250;
/** Requests that are under way at a time. */
const AT_ONCE = 2;

/** Some chunks of a log's lines. */
export class LineCache {
  /**
   * @param _ask - Gives so many lines from a number on; fails or gives none if there are none to be had.
   * @param _came - Lines have come.
   */
  constructor(
    private readonly _ask: (from: number, count: number) => Promise<readonly ILogLine[] | null>,
    private readonly _came: () => void
  ) {}

  /** A line by its number; null: it is not here. */
  get(number: number): ILogLine | null {
    return this._chunks.get(chunkOf(number))?.[(number - 1) % CHUNK] ?? null;
  }

  /** Takes in lines. */
  put(lines: readonly ILogLine[]): void {
    for (const line of lines) {
      const key = chunkOf(line.number);
      let chunk = this._chunks.get(key);
      if (!chunk) {
        chunk = [];
        this._chunks.set(key, chunk);
      }
      chunk[(line.number - 1) % CHUNK] = line;
    }
    for (const key of this._chunks.keys()) {
      if (this._chunks.size <= HELD) {
        break;
      }
      this._chunks.delete(key); // that which was not wanted for the longest time
    }
  }

  /** Lines are wanted, and no longer those that were wanted before. */
  want(numbers: Iterable<number>): void {
    this._wanted.clear();
    for (const number of numbers) {
      const key = chunkOf(number);
      const chunk = this._chunks.get(key);
      if (chunk) {
        this._chunks.delete(key); // it is put at the end
        this._chunks.set(key, chunk);
      }
      if (!chunk?.[(number - 1) % CHUNK]) {
        this._wanted.add(key);
      }
    }
    this._next();
  }

  /** What could not be had is asked for again. */
  retry(): void {
    this._failed = false;
    this._next();
  }

  /** Forgets all lines: they are others now. */
  clear(): void {
    this._chunks.clear();
    this._wanted.clear();
    this._era++;
    this._asked.clear();
    this._failed = false;
  }

  private _next(): void {
    for (const key of this._wanted) {
      if (this._asked.size >= AT_ONCE || this._failed) {
        return;
      }
      if (!this._asked.has(key)) {
        void this._load(key);
      }
    }
  }

  private async _load(key: number): Promise<void> {
    const era = this._era;
    this._asked.add(key);
    const lines = await this._ask(key * CHUNK + 1, CHUNK);
    if (era !== this._era) {
      return;
    }
    this._asked.delete(key);
    this._wanted.delete(key);
    if (lines?.length) {
      this.put(lines);
      this._came();
    } else {
      this._failed = true; // until somebody says that it may be different now
      this._wanted.add(key);
    }
    this._next();
  }

  private readonly _chunks = new Map<number, ILogLine[]>();
  private readonly _wanted = new Set<number>();
  private readonly _asked = new Set<number>();
  private _era = 0;
  private _failed = false;
}

function chunkOf(number: number): number {
  return Math.floor((number - 1) / CHUNK);
}
