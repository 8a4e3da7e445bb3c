/** The log panel: whose log it shows, which lines of it, and what is known of them. */
import { PathExt } from '@jupyterlab/coreutils';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { type Level, LEVELS, levelOf } from '../log/model';
import { type CasaServer, CasaServerError, type Trouble } from '../server/client';
import type {
  ILogCall,
  ILogEvent,
  ILogLine,
  ILogPart,
  ILogQuery,
  ILogs,
  ILogState,
  ILogSummary,
  ILogWindow
} from '../server/types';
import { LineCache } from './lines';
import { Matches } from './matches';
import type { Marks } from './row';
import { Rows, runsOf, spansOf } from './rows';
import { plain } from './words';

/** Lines from the end that are asked for when a log is opened. */
const TAIL = 200;
/** Warnings and errors of which it is known where they are. */
const ALERTS = 1000;
/** Calls that are asked for at once; the server tells no more. */
const CALLS = 1000;
/** Lines that a message has at most, but for rare ones. */
const MESSAGE = 50;
/** Milliseconds until something is asked for again: what is being read, who is busy, who is away, what grows. */
const AGAIN_MS = { reading: 300, busy: 1000, offline: 5000, calls: 400, counts: 2000 } as const;

/** CASA's names of priorities; a log may have others, too. */
const NAMES: Readonly<Record<Level, readonly string[]>> = {
  debug: ['DEBUG', 'DEBUG1', 'DEBUG2'],
  info: ['INFO', 'INFO1', 'INFO2', 'INFO3', 'INFO4', 'INFO5'],
  warn: ['WARN'],
  severe: ['SEVERE', 'ERROR']
};

/** The session that stands for the tools of all kernels. */
export const TOOLS = 'kernels';

/** Which lines are shown. */
export interface IFilter {
  /** Those of all levels, or of some. */
  levels: ReadonlySet<Level>;
  /** What is looked for; empty: nothing. */
  text: string;
  /** Whether that is a regular expression. */
  regex: boolean;
  /** Whether only lines are shown that match. */
  only: boolean;
  /** Only lines of this cell. */
  cell: string | null;
  /** Only lines of this call. */
  call: number | null;
}

/** All lines are shown. */
export const EVERYTHING: IFilter = {
  levels: new Set(LEVELS),
  text: '',
  regex: false,
  only: true,
  cell: null,
  call: null
};

/** A notebook whose log is to be shown. */
export interface ILogSource {
  /** From the server's root. */
  path: string;
  /** Jupyter's id of its kernel; null: it has none. */
  kernel: string | null;
}

/** Why nothing new is shown. */
export interface ILogTrouble {
  trouble: Trouble;
  message: string;
}

/** How many lines of a call are warnings and errors. */
export interface IAlerts {
  warn: number;
  severe: number;
}

/** What is asked of the server. */
export type LogServer = Pick<CasaServer, 'logs' | 'log' | 'logCalls'>;

/** What the log panel shows. */
export class LogModel implements IDisposable {
  constructor(private readonly _server: LogServer) {
    this._cache = new LineCache(
      async (from, count) => {
        const mark = this._mark();
        const found = await this._window({ from, count, ...mark });
        const refused = mark.mark !== undefined && this._complaint !== '';
        return (found ?? (refused ? await this._window({ from, count }) : null))?.lines ?? null;
      },
      () => {
        this._arrived.emit();
      }
    );
  }

  /** Something else is to be shown. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Lines that were wanted are here, and nothing else has changed. */
  get arrived(): ISignal<this, void> {
    return this._arrived;
  }

  // -- whose log ----------------------------------------------------------------------------------------------------

  /** The notebook; null: there is none. */
  get source(): ILogSource | null {
    return this._source;
  }

  set source(source: ILogSource | null) {
    const former = this._source;
    if (former?.path === source?.path && former?.kernel === source?.kernel) {
      return;
    }
    this._source = source;
    if (directoryOf(former) !== directoryOf(source) || former?.path !== source?.path) {
      this._choice = null;
    }
    if (directoryOf(former) !== directoryOf(source)) {
      this._logs = [];
      this._open(null);
    } else {
      this._pick();
    }
    this._changed.emit();
    void this.refresh();
  }

  /** The logs of its workspace. */
  get logs(): readonly ILogSummary[] {
    return this._logs;
  }

  /** The session whose log is shown; null: there is none. */
  get session(): string | null {
    return this._session;
  }

  /** The session that somebody has chosen; null: that of the notebook's kernel. */
  get choice(): string | null {
    return this._choice;
  }

  set choice(session: string | null) {
    if (session !== this._choice) {
      this._choice = session;
      this._pick();
      this._changed.emit();
      void this.refresh();
    }
  }

  /** The log that is shown. */
  get summary(): ILogSummary | null {
    return this._logs.find(({ session }) => session === this._session) ?? null;
  }

  // -- what is known of it ------------------------------------------------------------------------------------------

  /** Counts the logs that were shown, one after another. */
  get era(): number {
    return this._era;
  }

  /** How many lines it has; all have numbers from 1 on. */
  get total(): number {
    return this._total;
  }

  /** Whether its session goes on. */
  get isAlive(): boolean {
    return this._alive;
  }

  /** How much of it has been read, from 0 to 1; less than 1 when it is long and is read for the first time. */
  get known(): number {
    return this._known;
  }

  /** Whether it is not yet known what there is. */
  get isLoading(): boolean {
    return this._loading;
  }

  /** Why nothing new is shown; null: all is well. */
  get trouble(): ILogTrouble | null {
    return this._trouble;
  }

  /** Why the filter cannot be used, in the server's words; empty: it can. */
  get complaint(): string {
    return this._complaint;
  }

  /** A call; null: nothing is known of it. */
  call(number: number): ILogCall | null {
    return (
      this._parts[partOf(this._parts, number)] ??
      this._matches?.calls.get(number) ??
      this._alerts?.calls.get(number) ??
      null
    );
  }

  /** The calls of a cell with what they have written, in order. */
  partsOf(cell: string): readonly ILogPart[] {
    return this._parts.filter(part => part.cell === cell);
  }

  /** Warnings and errors, the newest of them. */
  get alerts(): readonly ILogLine[] {
    return this._alerts?.lines ?? [];
  }

  /** How many of them a call has; null: that is not known. */
  alertsOf(call: number): IAlerts | null {
    const part = this._parts[partOf(this._parts, call)];
    if (!part || !this._alerts || part.first < this._alerts.low || this._alerts.low === 0) {
      return null;
    }
    return this._alertCounts.get(call) ?? { warn: 0, severe: 0 };
  }

  /** How many lines have which level; null: that is not known. */
  count(level: Level): number | null {
    const counts = this.summary?.counts;
    if (!counts) {
      return null;
    }
    return Object.entries(counts).reduce(
      (sum, [priority, count]) => sum + (levelOfPriority(priority) === level ? count : 0),
      0
    );
  }

  // -- which lines --------------------------------------------------------------------------------------------------

  get filter(): IFilter {
    return this._filter;
  }

  set filter(filter: IFilter) {
    const { text, regex } = this._filter;
    this._filter = { ...filter, levels: filter.levels.size ? filter.levels : EVERYTHING.levels };
    this._complaint = '';
    if (filter.text !== text || filter.regex !== regex) {
      if (regex || filter.regex) {
        this._cache.clear(); // other lines are told, with other marks
      }
      this._marks =
        filter.text === '' ? null : filter.regex ? ({ marks = [] }) => marks : occurrences(filter.text);
    }
    this._search();
    this._build();
  }

  /** The number of the line that is on top, if the end is not followed: a filter looks there first. */
  around = Infinity;

  /** What the filter has found; null: there is none. */
  get matches(): Matches | null {
    return this._matches;
  }

  /** Whether there are headings. */
  get grouped(): boolean {
    return this._grouped;
  }

  set grouped(grouped: boolean) {
    this._grouped = grouped;
    this._build();
  }

  /** Folds calls, or unfolds them; null: what belongs to no call. */
  fold(calls: readonly (number | null)[], folded: boolean): void {
    for (const call of calls) {
      if (folded) {
        this._folded.add(call);
      } else {
        this._folded.delete(call);
      }
    }
    this._build();
  }

  /** What is shown. */
  get rows(): Rows {
    return this._rows;
  }

  /** The number of a line that is shown (from 0). */
  numberOf(line: number): number {
    return this._matches ? (this._matches.lines[line]?.number ?? 0) : line + 1;
  }

  /** Which of the lines that are shown (from 0) has a number, or is before it; -1: there is none. */
  placeOf(number: number): number {
    if (!this._matches) {
      return Math.min(number, this._total) - 1;
    }
    return this._matches.lines.length ? Math.max(0, this._matches.placeOf(number)) : -1;
  }

  /** A line by its number; null: it is not here, see {@link want}. */
  line(number: number): ILogLine | null {
    const place = this._matches?.placeOf(number) ?? -1;
    const found = this._matches?.lines[place];
    return found?.number === number ? found : this._cache.get(number);
  }

  /** Where in a line what is looked for is; null: nothing is looked for. */
  get marks(): Marks | null {
    return this._marks;
  }

  /** Lines are to be seen: those that are not here are asked for. */
  want(numbers: Iterable<number>): void {
    this._cache.want(numbers);
  }

  /**
   * Looks for what is to be found.
   *
   * @param from - Number of a line: it is looked for after it, or before it.
   * @returns the number of the line that matches; null: there is none, or it cannot be told.
   */
  find(from: number, backwards: boolean): Promise<number | null> {
    return this._nearest({ ...this._query(), ...this._pattern() }, from, backwards);
  }

  /** The number of the line with which the last error of a call begins; null: there is none, or it cannot be told. */
  async lastError(call: number): Promise<number | null> {
    const query = { call, priority: this._priorities(new Set(['severe'])) };
    const last = await this._nearest(query, this._total + 1, true);
    if (last === null) {
      return null;
    }
    const found = await this._window({ ...query, from: -MESSAGE, until: last + 1 });
    return found?.lines.findLast(({ origin }) => !origin.endsWith('+'))?.number ?? last;
  }

  /** Lines by what is shown (from 0), asked for if they are not here; null: they cannot be had. */
  async fetch(first: number, end: number): Promise<ILogLine[] | null> {
    if (this._matches) {
      return this._matches.lines.slice(first, end);
    }
    const lines: ILogLine[] = [];
    while (first + lines.length < end) {
      const from = first + lines.length + 1;
      const here = this._cache.get(from);
      const some = here
        ? [here]
        : (await this._window({ from, count: Math.min(1000, end - from + 1) }))?.lines;
      if (!some?.length) {
        return null;
      }
      lines.push(...some);
    }
    return lines;
  }

  // -- what happens -------------------------------------------------------------------------------------------------

  /** Whether somebody looks; else nothing is asked. */
  get isActive(): boolean {
    return this._active;
  }

  set isActive(active: boolean) {
    if (active !== this._active) {
      this._active = active;
      clearTimeout(this._timer);
      if (active) {
        this._loading = this._source !== null && this._logs.length === 0;
        void this.refresh();
      }
    }
  }

  /** A log has new lines. */
  onLog({ workspace, session, lines, total }: ILogEvent): void {
    if (!this._active || session !== this._session || workspace !== directoryOf(this._source)) {
      return;
    }
    if (total < this._total || this._known < 1) {
      void this.refresh();
      return;
    }
    if (this._mark().mark === undefined) {
      this._cache.put(lines); // else they are asked for with their marks
    }
    this._grow(total);
  }

  /** A call of the session has begun or ended. */
  callsChanged(): void {
    if (this._active) {
      this._askCallsSoon();
    }
  }

  /** Whether it is being found out what there is; it may be asked again when this has come to an end. */
  get isBusy(): boolean {
    return this._refreshing || this._known < 1 || this._earlier;
  }

  /** Looks what there is. Never fails. */
  async refresh(): Promise<void> {
    clearTimeout(this._timer);
    if (this._refreshing) {
      this._again = true;
      return;
    }
    this._refreshing = true;
    do {
      this._again = false;
      await this._refresh();
    } while (this._isDue());
    this._refreshing = false;
  }

  /** Whether somebody has asked meanwhile. */
  private _isDue(): boolean {
    return this._again;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._active = false;
    clearTimeout(this._timer);
    clearTimeout(this._callsTimer);
    this._matches?.stop();
    this._alerts?.stop();
    Signal.clearData(this);
  }

  private async _refresh(): Promise<void> {
    const source = this._source;
    if (!this._active || !source) {
      return;
    }
    const told = await this._asked<ILogs>(this._server.logs(source.path));
    if (directoryOf(source) !== directoryOf(this._source)) {
      this._again = true;
    } else if (told) {
      this._logs = told.logs;
      this._loading = false;
      this._pick();
      await this._look();
      this._changed.emit();
    }
  }

  /** Chooses the log that is shown. */
  private _pick(): void {
    const { _source: source, _logs: logs, _choice: choice } = this;
    const name = source && PathExt.basename(source.path);
    const mine =
      logs.find(({ session }) => session === choice) ??
      logs.find(({ kernel, alive }) => alive && kernel !== null && kernel === source?.kernel) ??
      logs.find(({ notebook }) => notebook !== null && PathExt.basename(notebook) === name);
    if ((mine?.session ?? null) !== this._session) {
      this._open(mine?.session ?? null);
    }
  }

  /** Another log, of which nothing is known yet. */
  private _open(session: string | null): void {
    this._era++;
    this._session = session;
    this._generation = '';
    this._total = 0;
    this._alive = false;
    this._known = 1;
    this._loading = this._active && (session !== null || this._logs.length === 0);
    this._parts = [];
    this._earlier = false;
    this._folded.clear();
    this._filter = { ...this._filter, cell: null, call: null };
    this._cache.clear();
    clearTimeout(this._callsTimer);
    this._search();
    this._build();
  }

  /** Asks for the newest lines. */
  private async _look(): Promise<void> {
    const found = this._session === null ? null : await this._window({ from: -TAIL });
    if (!found) {
      return;
    }
    const wasKnown = this._known === 1;
    this._loading = false;
    this._alive = found.alive;
    this._known = found.complete ? 1 : Math.min(0.99, found.indexed / Math.max(1, found.size));
    if (this._mark().mark === undefined) {
      this._cache.put(found.lines);
    }
    if (!found.complete) {
      this._timer = setTimeout(() => void this.refresh(), AGAIN_MS.reading);
    }
    this._grow(found.total);
    if (!wasKnown && found.complete) {
      this._search();
      this._build();
    }
    this._cache.retry();
    await this._askCalls();
  }

  private _grow(total: number): void {
    if (total <= this._total) {
      return;
    }
    const first = this._total === 0;
    this._total = total;
    if (this._known === 1 && first) {
      this._search();
    } else if (this._known === 1) {
      void this._matches?.grow(total);
      void this._alerts?.grow(total);
    }
    this._askCallsSoon();
    this._build();
    if (!this._countsAsked) {
      this._countsAsked = true;
      setTimeout(() => {
        this._countsAsked = false;
        void this.refresh();
      }, AGAIN_MS.counts);
    }
  }

  private _askCallsSoon(): void {
    clearTimeout(this._callsTimer);
    this._callsTimer = setTimeout(() => void this._askCalls(), AGAIN_MS.calls);
  }

  /** Asks for calls from the last one on that is known, or, at first, for all of them. */
  private async _askCalls(): Promise<void> {
    const { _session: session, _source: source, _era: era } = this;
    if (!this._active || session === null || !source || this._asking) {
      return;
    }
    this._asking = true;
    const last = this._parts.at(-1)?.call;
    const told = await this._asked(this._server.logCalls(session, source.path, last));
    this._asking = false;
    if (era !== this._era) {
      await this._askCalls(); // of the log that is shown now
      return;
    }
    if (!told || this._replaced(told) || !told.complete) {
      return; // of a log that is being read for the first time, some calls seem to have no lines yet
    }
    const kept = last === undefined ? [] : this._parts.slice(0, partOf(this._parts, last));
    this._parts = [...kept, ...told.calls];
    this._grow(told.total);
    this._build();
    if (told.next !== null) {
      this._askCallsSoon();
    }
    if (last === undefined && told.previous !== null) {
      await this._askEarlierCalls(session, source.path, era, told.previous);
    }
  }

  /** Asks for all calls before one. */
  private async _askEarlierCalls(session: string, path: string, era: number, before: number): Promise<void> {
    this._earlier = true;
    for (let first = before; first > 1;) {
      const from = Math.max(1, first - CALLS);
      const told = await this._asked(this._server.logCalls(session, path, from, CALLS));
      if (era !== this._era) {
        return;
      }
      if (!told) {
        break; // their lines are shown as if they were of no call
      }
      this._parts = [...told.calls.filter(({ call }) => call < first), ...this._parts];
      first = from;
    }
    this._earlier = false;
    this._build();
  }

  /** Looks anew for what the filter wants, and for warnings and errors. */
  private _search(): void {
    this._matches?.stop();
    this._alerts?.stop();
    this._matches = this._alerts = null;
    const query = this._query();
    if (this._total > 0 && this._known === 1) {
      const alerts = new Matches(
        of => this._window({ ...of, priority: [...NAMES.warn, ...NAMES.severe].join() }),
        () => {
          if (this._alerts === alerts) {
            this._countAlerts();
            this._changed.emit();
          }
        },
        ALERTS
      );
      this._alerts = alerts;
      void alerts.start(this._total + 1, this._total);
    }
    if (Object.keys(query).length > 0) {
      const matches = new Matches(
        of => this._window({ ...of, ...query, ...this._mark() }),
        () => {
          if (this._matches === matches) {
            this._build();
          }
        }
      );
      this._matches = matches;
      if (this._total > 0 && this._known === 1) {
        void matches.start(this.around, this._total);
      }
    }
  }

  private _countAlerts(): void {
    this._alertCounts.clear();
    for (const line of this.alerts) {
      if (line.call !== null && !line.origin.endsWith('+')) {
        const counts = this._alertCounts.get(line.call) ?? { warn: 0, severe: 0 };
        counts[levelOf(line) === 'severe' ? 'severe' : 'warn']++;
        this._alertCounts.set(line.call, counts);
      }
    }
  }

  private _build(): void {
    const spans = this._matches ? runsOf(this._matches.lines) : spansOf(this._parts, this._total);
    // One heading that says nothing of all lines is none.
    const headings = this._grouped && spans.some(({ call }) => call !== null);
    this._rows = new Rows(spans, headings, this._folded);
    this._changed.emit();
  }

  /** What the filter asks for. */
  private _query(): ILogQuery {
    const { levels, only, cell, call } = this._filter;
    return {
      ...(levels.size < LEVELS.length ? { priority: this._priorities(levels) } : {}),
      ...(only ? this._pattern() : {}),
      ...(cell === null ? {} : { cell }),
      ...(call === null ? {} : { call })
    };
  }

  private _pattern(): ILogQuery {
    const { text, regex } = this._filter;
    return text === '' ? {} : regex ? { regex: text } : { text };
  }

  /** What is to be marked that we cannot find as the server does: its expressions are not the browser's. */
  private _mark(): ILogQuery {
    const { text, regex } = this._filter;
    return regex && text !== '' && this._complaint === '' ? { mark: text } : {};
  }

  private _priorities(levels: ReadonlySet<Level>): string {
    const known = Object.keys(this.summary?.counts ?? {}).filter(name => levels.has(levelOfPriority(name)));
    return [...new Set([...[...levels].flatMap(level => NAMES[level]), ...known])].join();
  }

  /** The number of the nearest line that a query wants, after a line or before it. */
  private async _nearest(query: ILogQuery, from: number, backwards: boolean): Promise<number | null> {
    for (let place = from; ;) {
      const given = backwards ? { from: -1, until: Math.max(1, place) } : { from: place + 1, count: 1 };
      const found = await this._window({ ...query, ...given });
      const [line] = found?.lines ?? [];
      const next = backwards ? found?.previous : found?.next;
      if (line || next == null || !found?.complete) {
        return line?.number ?? null;
      }
      place = backwards ? next : next - 1;
    }
  }

  /** Asks for lines of the log that is shown; null: there is no answer, or it is not that log any more. */
  private async _window(query: ILogQuery): Promise<ILogWindow | null> {
    const { _session: session, _source: source, _era: era } = this;
    if (session === null || !source) {
      return null;
    }
    const found = await this._asked(this._server.log(session, source.path, query));
    return era !== this._era || !found || this._replaced(found) ? null : found;
  }

  /** Whether the log has become another one, which is looked at then. */
  private _replaced({ generation, total }: ILogState): boolean {
    if (generation === this._generation && (generation !== '' || total === 0)) {
      return false;
    }
    const replaced = this._generation !== '';
    this._generation = generation;
    if (replaced) {
      const { cell, call } = this._filter;
      this._open(this._session);
      this._generation = generation;
      this._filter = { ...this._filter, cell, call };
      void this.refresh();
    }
    return replaced;
  }

  /** An answer; null: there is none, and why is told. */
  private async _asked<T>(asking: Promise<T>): Promise<T | null> {
    const era = this._era;
    try {
      const told = await asking;
      if (this._trouble && !this._isDisposed) {
        this._trouble = null;
        this._changed.emit();
      }
      return told;
    } catch (error) {
      if (this._isDisposed || era !== this._era) {
        return null;
      }
      const { trouble, message, status } =
        error instanceof CasaServerError ? error : new CasaServerError('refused', String(error));
      if (status === 400) {
        this._complaint = message;
      } else {
        this._trouble = { trouble, message };
        this._loading = false;
        if (trouble === 'offline' || trouble === 'busy') {
          clearTimeout(this._timer);
          this._timer = setTimeout(() => void this.refresh(), AGAIN_MS[trouble]);
        }
      }
      this._changed.emit();
      return null;
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _arrived = new Signal<this, void>(this);
  private readonly _cache: LineCache;
  private readonly _folded = new Set<number | null>();
  private readonly _alertCounts = new Map<number, IAlerts>();
  private _source: ILogSource | null = null;
  private _logs: readonly ILogSummary[] = [];
  private _choice: string | null = null;
  private _session: string | null = null;
  private _generation = '';
  private _total = 0;
  private _alive = false;
  private _known = 1;
  private _loading = false;
  private _trouble: ILogTrouble | null = null;
  private _complaint = '';
  private _filter = EVERYTHING;
  private _marks: Marks | null = null;
  private _matches: Matches | null = null;
  private _alerts: Matches | null = null;
  private _grouped = true;
  private _parts: readonly ILogPart[] = [];
  /** Whether earlier calls than those that are known are asked for. */
  private _earlier = false;
  private _rows = new Rows([], false);
  private _active = false;
  private _isDisposed = false;
  /** Counts the logs that were opened: answers about another one come too late. */
  private _era = 0;
  private _refreshing = false;
  private _again = false;
  private _asking = false;
  private _countsAsked = false;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _callsTimer: ReturnType<typeof setTimeout> | undefined;
}

/** The level of lines of a priority. */
export function levelOfPriority(priority: string): Level {
  return levelOf({ time: '', priority, origin: '', message: '' });
}

/** The workspace of a notebook. */
function directoryOf(source: ILogSource | null): string | null {
  return source && PathExt.dirname(source.path);
}

/** Where among parts, by the numbers of their calls, one is; -1: nowhere. */
function partOf(parts: readonly ILogPart[], call: number): number {
  let [low, high] = [0, parts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((parts[middle]?.call ?? Infinity) < call) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return parts[low]?.call === call ? low : -1;
}

/** Where a text is, in whatever case, as the server looks for it. */
function occurrences(sought: string): Marks {
  const low = sought.toLowerCase();
  return line => {
    const whole = plain(line);
    const text = whole.toLowerCase();
    const places: [number, number][] = [];
    for (
      let at = text.length === whole.length ? text.indexOf(low) : -1;
      at >= 0;
      at = text.indexOf(low, at + low.length)
    ) {
      places.push([at, at + low.length]);
    }
    return places;
  };
}
