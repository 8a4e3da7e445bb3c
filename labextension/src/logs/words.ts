/** What is said of lines and calls. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { duration } from '../notebook/words';
import type { ILogCall, ILogLine } from '../server/types';
import type { IAlerts } from './model';

/** A line as it stands in the file. */
export function plain({ time, priority, origin, message }: ILogLine): string {
  return time === '' && priority === '' ? message : `${time}\t${priority}\t${origin}\t${message}`;
}

/** Characters of a time that tell the day. */
export const DATE = 11;

/** The time of day of a line; empty: it has none. */
export function timeOfDay({ time }: ILogLine): string {
  return time.slice(DATE);
}

/** Numbers in groups of three. */
export function grouped(n: number): string {
  return n.toLocaleString('en').replace(/,/g, '\u202f'); // as astronomers write them
}

/** How many lines. */
export function lines(n: number, trans: TranslationBundle): string {
  return trans._n('%2 line', '%2 lines', n, grouped(n));
}

/** What has become of a call. */
export function outcome({ action, began, ended }: ILogCall, runs: boolean, trans: TranslationBundle): string {
  if (ended === null) {
    return runs ? trans.__('running') : trans.__('did not end');
  }
  const time = duration(Math.max(0, ended - began));
  switch (action) {
    case 'failed':
      return trans.__('failed after %1', time);
    case 'restored':
      return trans.__('restored');
    default:
      return trans.__('ran in %1', time);
  }
}

/** Warnings and errors; empty: there are none. */
export function alerts({ warn, severe }: IAlerts, trans: TranslationBundle): string {
  return [
    ...(severe ? [trans._n('%1 error', '%1 errors', severe)] : []),
    ...(warn ? [trans._n('%1 warning', '%1 warnings', warn)] : [])
  ].join(', ');
}
