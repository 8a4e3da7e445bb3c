/** What is known of a notebook, in words. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ICallNow, ICellPlan } from '../server/types';
import type { ICellMark, ISummary, Mark } from './model';
import { reasonText } from './reasons';

/** `2.3 s`, `3 min 12 s`, `2 h 05 min`: as the kernel and the command line say it. */
export function duration(seconds: number): string {
  if (seconds < 99.95) {
    return `${seconds.toFixed(1)} s`;
  }
  const all = Math.round(seconds);
  const minutes = Math.floor(all / 60);
  const two = (n: number) => String(n).padStart(2, '0');
  return minutes < 60
    ? `${String(minutes)} min ${two(all % 60)} s`
    : `${String(Math.floor(minutes / 60))} h ${two(minutes % 60)} min`;
}

/** The same where tenths of seconds would be too much: `0.4 s`, `42 s`. */
export function roughly(seconds: number): string {
  return seconds >= 9.5 && seconds < 99.95 ? `${seconds.toFixed(0)} s` : duration(seconds);
}

/** A mark in a word. */
export function word(mark: Mark, trans: TranslationBundle): string {
  return {
    fresh: trans.__('fresh'),
    stale: trans.__('stale'),
    restorable: trans.__('restorable'),
    maybe: trans.__('maybe'),
    queued: trans.__('queued'),
    running: trans.__('running'),
    failed: trans.__('failed')
  }[mark];
}

/** A mark in a sentence. */
export function sentence(mark: Mark, trans: TranslationBundle): string {
  return {
    fresh: trans.__('Fresh: all that it shows, binds and left on disk is true.'),
    stale: trans.__('Stale: it must run.'),
    restorable: trans.__('Restorable: it need not run, its results are brought back.'),
    maybe: trans.__('Maybe: it waits for a cell above, and may turn out unchanged.'),
    queued: trans.__('Queued: it runs when the cells before it are done.'),
    running: trans.__('Running.'),
    failed: trans.__('Failed: the last run did not reach its end; it must run again.')
  }[mark];
}

/** What a cell costs; empty: nothing, or nobody knows. */
export function price(plan: ICellPlan, trans: TranslationBundle): string {
  if (plan.state === 'fresh' || plan.state === 'restorable') {
    return '';
  }
  if (plan.estimate_s > 0 && plan.estimate_s < 0.05) {
    return ''; // nothing worth speaking of
  }
  if (plan.estimate_s > 0) {
    const rough = roughly(plan.estimate_s);
    return plan.state === 'maybe' ? trans.__('At most %1.', rough) : trans.__('About %1.', rough);
  }
  return trans.__('How long it takes is not known yet.');
}

/** The calls that a cell is going to make: `tclean runs (27.1 s), flagdata is restored`; empty: none are known. */
export function calls(plan: ICellPlan, trans: TranslationBundle): string {
  return plan.calls
    .filter(call => call.action !== 'none')
    .map(call => {
      if (call.action === 'restore') {
        return trans.__('%1 is restored', call.task);
      }
      return call.estimate_s > 0
        ? trans.__('%1 runs (%2)', call.task, roughly(call.estimate_s))
        : trans.__('%1 runs', call.task);
    })
    .join(', ');
}

/** What a running call does: `tclean: Major Cycle 2, 12 s of about 27 s`. */
export function progress(call: ICallNow, since_s: number, trans: TranslationBundle): string {
  if (call.waiting_for !== null) {
    return trans.__('%1: waits for %2', call.task, call.waiting_for);
  }
  const elapsed = roughly(call.elapsed_s + since_s);
  const time =
    call.expected_s === null ? elapsed : trans.__('%1 of about %2', elapsed, roughly(call.expected_s));
  return `${call.task}: ${call.stage ? `${call.stage}, ` : ''}${time}`;
}

/** How long a call has run, where there is little room: `12 s/27 s`. */
export function clock(call: ICallNow, since_s: number): string {
  const elapsed = roughly(Math.floor(call.elapsed_s + since_s)).replace('.0', '');
  return call.expected_s === null ? elapsed : `${elapsed}/${roughly(call.expected_s)}`;
}

/** How far a call is, from 0 to 1; null: nobody knows. It never says that it is done. */
export function share(call: ICallNow, since_s: number): number | null {
  return call.expected_s ? Math.min(0.98, (call.elapsed_s + since_s) / call.expected_s) : null;
}

/** How much there is to do: `3 cells, about 42 s`; empty: nothing. */
export function todo(summary: ISummary, trans: TranslationBundle): string {
  const { stale, maybe, restorable, estimate_s: seconds } = summary;
  if (stale + maybe === 0) {
    return restorable ? trans._n('%1 to bring back', '%1 to bring back', restorable) : '';
  }
  const cells =
    maybe === 0 || stale === 0
      ? trans._n('%1 cell', '%1 cells', stale + maybe)
      : trans.__('%1 to %2 cells', stale, stale + maybe);
  if (seconds < 0.05) {
    return cells;
  }
  const rough = roughly(seconds);
  return maybe ? trans.__('%1, at most %2', cells, rough) : trans.__('%1, about %2', cells, rough);
}

/** All that is to be said of a cell, line by line: a sentence, the reasons, calls and price. */
export function explain({ mark, plan, call, since_s }: ICellMark, trans: TranslationBundle): ICellWords {
  const reasons = plan && mark !== 'running' && mark !== 'queued' ? plan.reasons : [];
  const now = call ? [progress(call, since_s ?? 0, trans)] : [];
  const lines = plan && !call ? [calls(plan, trans), price(plan, trans)].filter(line => line) : now;
  if (plan?.impure.length) {
    lines.push(trans.__('It gives another result each time: %1.', plan.impure.join(', ')));
  }
  if (plan?.outside.length) {
    lines.push(trans.__('It writes outside the workspace: %1.', plan.outside.join(', ')));
  }
  return {
    title: sentence(mark, trans),
    reasons: reasons.map(({ message }) => reasonText(message, trans)),
    lines
  };
}

/** See {@link explain}. */
export interface ICellWords {
  title: string;
  reasons: string[];
  lines: string[];
}
