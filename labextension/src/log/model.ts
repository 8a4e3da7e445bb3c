/** The log of a task call as data: `application/vnd.casa.log+json`. */
import type { TranslationBundle } from '@jupyterlab/translation';

/** One line of a log. Text that CASA did not format has only a message. */
export interface ILogLine {
  /** `YYYY-MM-DD HH:MM:SS`, UTC. */
  time: string;
  /** `INFO`, `WARN`, `SEVERE`, `DEBUG1` ... */
  priority: string;
  /** Where in CASA the line comes from. */
  origin: string;
  message: string;
}

/** A task call: what came of it, and its log. */
export interface ILog {
  task: string;
  /** What came of the call: `tclean ran in 27.1 s`. */
  headline: string;
  /** What else is to be said in the same line: the reason. */
  details: string[];
  /** Remarks for the user. */
  notes: string[];
  /** What the task printed, line by line. */
  printed: string[];
  /** Whether to show the log unfolded: the call failed. */
  opened: boolean;
  lines: ILogLine[];
  /** How many warnings and errors the whole log has. */
  counts: { warn: number; severe: number };
  /** How many lines of the whole log are not in `lines`. */
  omitted: number;
}

/** How grave a line is; the order is that of rising gravity. */
export const LEVELS = ['debug', 'info', 'warn', 'severe'] as const;
export type Level = (typeof LEVELS)[number];

/** The level of a line. */
export function levelOf(line: ILogLine): Level {
  if (line.priority === 'SEVERE' || line.priority === 'ERROR') {
    return 'severe';
  }
  if (line.priority === 'WARN') {
    return 'warn';
  }
  return line.priority.startsWith('DEBUG') ? 'debug' : 'info';
}

/** The lines at least as grave as `level` in whose origin or message `text` occurs, in any case. */
export function select(lines: readonly ILogLine[], level: Level, text: string): ILogLine[] {
  const wanted = text.trim().toLowerCase();
  const gravity = LEVELS.indexOf(level);
  return lines.filter(
    line =>
      LEVELS.indexOf(levelOf(line)) >= gravity &&
      (line.message.toLowerCase().includes(wanted) || line.origin.toLowerCase().includes(wanted))
  );
}

/** `tclean: 237 lines, 2 warnings, 0 errors`. */
export function summaryOf(log: ILog, trans: TranslationBundle): string {
  const title = log.headline || !log.task ? trans.__('log') : log.task;
  const counts = [
    trans._n('%1 line', '%1 lines', log.lines.length + log.omitted),
    trans._n('%1 warning', '%1 warnings', log.counts.warn),
    trans._n('%1 error', '%1 errors', log.counts.severe)
  ];
  return `${title}: ${counts.join(', ')}`;
}

/**
 * Reads a log from a notebook, which may come from anywhere; null: it is of a later version, or no log at all.
 * Fields that are missing or of another type are empty.
 */
export function parseLog(data: unknown): ILog | null {
  if (!isRecord(data) || data.version !== 1 || !Array.isArray(data.lines)) {
    return null;
  }
  const counts = isRecord(data.counts) ? data.counts : {};
  return {
    task: text(data.task),
    headline: text(data.headline),
    details: texts(data.details),
    notes: texts(data.notes),
    printed: texts(data.printed),
    opened: data.opened === true,
    lines: data.lines.filter(isRecord).map(line => ({
      time: text(line.time),
      priority: text(line.priority),
      origin: text(line.origin),
      message: text(line.message)
    })),
    counts: { warn: number(counts.warn), severe: number(counts.severe) },
    omitted: number(data.omitted)
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
