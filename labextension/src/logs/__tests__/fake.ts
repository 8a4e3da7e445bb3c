/** A server that has logs, and answers as ours does. */
import { CasaServerError } from '../../server/client';
import type {
  ILogCalls,
  ILogLine,
  ILogPart,
  ILogQuery,
  ILogs,
  ILogState,
  ILogSummary,
  ILogWindow
} from '../../server/types';
import type { LogServer } from '../model';

/** A log whose lines belong to calls of so many lines each; 0: to none. */
export function makeLog(lines: number, perCall = 0, first = 1): ILogLine[] {
  return Array.from({ length: lines }, (_, index) => {
    const number = first + index;
    const call = perCall ? Math.floor((number - 1) / perCall) + 1 : null;
    return {
      number,
      time: `2026-01-01 12:${String(Math.floor(number / 60) % 60).padStart(2, '0')}:${String(number % 60).padStart(2, '0')}`,
      priority: number % 50 === 0 ? 'SEVERE' : number % 10 === 0 ? 'WARN' : 'INFO',
      origin: 'tclean::::casa',
      message: `message ${String(number)}`,
      call,
      cell: call === null ? null : `c${String((call - 1) % 3)}`
    };
  });
}

/** The calls of such a log. */
export function partsOf(lines: readonly ILogLine[]): ILogPart[] {
  const parts: ILogPart[] = [];
  for (const { call, cell, number } of lines) {
    const last = parts.at(-1);
    if (call !== null && last?.call === call) {
      last.lines++;
    } else if (call !== null) {
      const about = {
        task: 'tclean',
        cell,
        notebook: 'w/nb.ipynb',
        began: 1e9 + number,
        ended: 1e9 + number + 2
      };
      parts.push({ call, ...about, action: 'ran', first: number, lines: 1 });
    }
  }
  return parts;
}

/** A server with the logs of one workspace, `w`. */
export class FakeServer implements LogServer {
  constructor(readonly sessions: Record<string, { lines: ILogLine[]; summary?: Partial<ILogSummary> }>) {}

  /** What was asked for: sessions with queries. */
  readonly asked: string[] = [];
  /** Lines that one request looks at. */
  reach = Infinity;
  /** Lines that one request gives. */
  most = 1000;
  generation = 'g1';
  trouble: CasaServerError | null = null;
  /** Of the bytes of logs, which have been read. */
  known = 1;
  /** Calls that one request tells. */
  calls = 1000;

  logs = (path: string): Promise<ILogs> =>
    this._answer(`logs ${path}`, () => ({
      schema: 1 as const,
      logs: Object.entries(this.sessions).map(([session, { lines, summary }]) => ({
        session,
        kernel: null,
        notebook: 'w/nb.ipynb',
        alive: false,
        size: lines.length * 100,
        changed: 1e9,
        lines: lines.length,
        counts: countsOf(lines),
        ...summary
      }))
    }));

  log = (session: string, path: string, query: ILogQuery = {}): Promise<ILogWindow> =>
    this._answer(`${session} ${path} ${JSON.stringify(query)}`, () => {
      const { from = -100, count = 100, until } = query;
      const state = this._state(session);
      if (query.regex === '(' || query.mark === '(') {
        throw new CasaServerError('refused', 'the regular expression cannot be used: missing )', 400);
      }
      const end = Math.min(until ?? Infinity, state.total + 1);
      const all = this._lines(session);
      const none = { ...state, lines: [], calls: [], previous: null, next: null };
      if (from < 0 && until === undefined && !state.complete) {
        return none;
      }
      const wanted = (line: ILogLine) => isWanted(line, query);
      const parts = (lines: ILogLine[]) =>
        partsOf(all).filter(({ call }) => lines.some(line => line.call === call));
      if (from > 0) {
        const stop = Math.min(end, from + this.reach);
        const most = Math.min(count, this.most);
        const lines = marked(
          all
            .slice(from - 1, stop - 1)
            .filter(wanted)
            .slice(0, most),
          query
        );
        const high = lines.length === most ? (lines.at(-1)?.number ?? 0) + 1 : Math.max(from, stop);
        return {
          ...none,
          lines,
          calls: parts(lines),
          previous: from > 1 ? from : null,
          next: high <= state.total ? high : null
        };
      }
      const begin = Math.max(1, end - this.reach);
      const most = Math.min(-from, this.most);
      const lines = marked(
        all
          .slice(begin - 1, end - 1)
          .filter(wanted)
          .slice(-most),
        query
      );
      const low = lines.length === most ? (lines[0]?.number ?? 1) : begin;
      return {
        ...none,
        lines,
        calls: parts(lines),
        previous: low > 1 ? low : null,
        next: end <= state.total ? end : null
      };
    });

  logCalls = (session: string, path: string, from = -1000, count = 1000): Promise<ILogCalls> =>
    this._answer(`${session} ${path} calls ${String(from)}`, () => {
      const end = this._state(session).total + 1;
      const all = partsOf(this._lines(session)).map(part => ({
        ...part,
        first: Math.min(part.first, end),
        lines: Math.max(0, Math.min(part.first + part.lines, end) - part.first)
      }));
      const some = from < 0 ? all.slice(-this.calls) : all.filter(({ call }) => call >= from);
      const calls = some.slice(0, Math.min(count, this.calls));
      const [first, last] = [calls[0]?.call ?? 1, calls.at(-1)?.call ?? 0];
      const more = (all.at(-1)?.call ?? 0) > last;
      return {
        ...this._state(session),
        calls,
        previous: first > 1 ? first : null,
        next: calls.length && more ? last + 1 : null
      };
    });

  private _lines(session: string): ILogLine[] {
    const found = this.sessions[session];
    if (!found) {
      throw new CasaServerError('refused', 'there is no log of this session', 404);
    }
    return found.lines;
  }

  private _state(session: string): ILogState {
    const lines = this._lines(session);
    const total = Math.floor(lines.length * this.known);
    return {
      schema: 1,
      session,
      generation: lines.length ? this.generation : '',
      alive: this.sessions[session]?.summary?.alive ?? false,
      size: lines.length * 100,
      indexed: total * 100,
      complete: this.known === 1,
      total
    };
  }

  private async _answer<T>(asked: string, answer: () => T): Promise<T> {
    this.asked.push(asked);
    await Promise.resolve();
    if (this.trouble) {
      throw this.trouble;
    }
    return structuredClone(answer());
  }
}

/** Whether a line is as a query wants it. */
export function isWanted(line: ILogLine, { priority, text, regex, call, cell }: ILogQuery): boolean {
  const whole = `${line.time}\t${line.priority}\t${line.origin}\t${line.message}`;
  return (
    (priority === undefined || priority.split(',').includes(line.priority)) &&
    (text === undefined || whole.toLowerCase().includes(text.toLowerCase())) &&
    (regex === undefined || new RegExp(regex).test(whole)) &&
    (call === undefined || line.call === call) &&
    (cell === undefined || line.cell === cell)
  );
}

function marked(lines: ILogLine[], { mark }: ILogQuery): ILogLine[] {
  return mark === undefined
    ? lines
    : lines.map(line => {
        const whole = `${line.time}\t${line.priority}\t${line.origin}\t${line.message}`;
        const matches = [...whole.matchAll(new RegExp(mark, 'g'))];
        return { ...line, marks: matches.map(({ index, 0: { length } }) => [index, index + length]) };
      });
}

function countsOf(lines: readonly ILogLine[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { priority } of lines) {
    counts[priority] = (counts[priority] ?? 0) + 1;
  }
  return counts;
}

/** Waits until all that was asked for has been answered. */
export async function settle(): Promise<void> {
  for (let n = 0; n < 300; n++) {
    await Promise.resolve();
  }
}
