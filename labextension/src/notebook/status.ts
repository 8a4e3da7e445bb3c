/** What goes on in the current notebook, in the status bar. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import { element } from './hover';
import type { NotebookState } from './model';
import { type IOutcome, KERNEL_LOST, OTHER_EXECUTOR, type Rerun } from './rerun';
import { duration, progress, roughly, share, todo } from './words';

/** What the status bar says; `done` is from 0 to 1, or null: nobody knows; undefined: nothing is under way. */
export interface IStatusText {
  text: string;
  done?: number | null;
}

/** What is to be said of a notebook. */
export function statusOf(
  state: Pick<NotebookState, 'doing' | 'plan' | 'summary' | 'trouble' | 'sinceTold_s'>,
  rerun: Pick<Rerun, 'isRunning' | 'began' | 'cell' | 'plan'> | null,
  now: number,
  trans: TranslationBundle
): IStatusText {
  const { doing, plan } = state;
  const call = doing?.call;
  const running = call ? progress(call, state.sinceTold_s, trans) : '';
  const name = (cell: string) => {
    const n = plan?.cells.findIndex(({ id }) => id === cell) ?? -1;
    return n < 0 ? '' : trans.__('cell %1', n + 1);
  };
  if (rerun?.isRunning) {
    const seconds = (now - rerun.began) / 1000;
    const all = rerun.plan?.estimate_s ?? 0;
    const where = rerun.cell === null ? trans.__('looking what is next') : name(rerun.cell);
    const time = all > 0 ? trans.__('%1 of about %2', roughly(seconds), roughly(all)) : roughly(seconds);
    const said = [where, running, time].filter(part => part).join(' · ');
    return { text: trans.__('CASA: %1', said), done: all > 0 ? Math.min(0.98, seconds / all) : null };
  }
  if (call) {
    return { text: trans.__('CASA: %1', running), done: share(call, state.sinceTold_s) };
  }
  if (doing?.cell) {
    return { text: trans.__('CASA: %1 runs', name(doing.cell)), done: null };
  }
  if (state.summary === null) {
    return { text: state.trouble ? trans.__('CASA: not known') : '' };
  }
  const much = todo(state.summary, trans);
  if (much === '') {
    return { text: trans.__('CASA: all fresh') };
  }
  const stale = state.summary.stale + state.summary.maybe > 0;
  return { text: stale ? trans.__('CASA: stale: %1', much) : trans.__('CASA: %1', much) };
}

/** What a re-run has done, calmly: `4 executed, 9 restored, saved 6 min 12 s`. */
export function summaryOf(outcome: IOutcome, cell: (id: string) => string, trans: TranslationBundle): string {
  const { executed, restored, failed, stopped, saved_s, trouble } = outcome;
  const done = [
    ...(executed || !restored ? [trans.__('%1 executed', executed)] : []),
    ...(restored ? [trans.__('%1 restored', restored)] : []),
    ...(saved_s >= 0.05 ? [trans.__('saved %1', duration(saved_s))] : [])
  ].join(', ');
  if (trouble !== null) {
    return trans.__('The re-run ended early: %1 (%2)', troubleText(trouble, trans), done);
  }
  if (stopped) {
    return trans.__('Stopped: %1', done);
  }
  return failed === null ? done : trans.__('%1 failed; %2', cell(failed), done);
}

/** Why a re-run ended early; the server says it itself. */
function troubleText(trouble: string, trans: TranslationBundle): string {
  switch (trouble) {
    case KERNEL_LOST:
      return trans.__('The kernel has restarted or ended.');
    case OTHER_EXECUTOR:
      return trans.__(
        'Cells are executed by another extension, which does not pass on from which state they are to run.'
      );
    default:
      return trouble;
  }
}

/** The item in the status bar. */
export class CasaStatus extends Widget {
  constructor() {
    super();
    this.addClass('jp-casa-status');
    this._bar.max = 1;
    this.node.append(this._text, this._bar);
    this.say({ text: '' });
  }

  /** Says something. */
  say({ text, done }: IStatusText): void {
    if (this._text.textContent !== text) {
      this._text.textContent = text;
      this.node.title = text;
    }
    this._bar.hidden = done === undefined;
    if (typeof done === 'number') {
      this._bar.value = done;
    } else {
      this._bar.removeAttribute('value');
    }
  }

  private readonly _text = element('span', 'jp-casa-status-text');
  private readonly _bar = element('progress', 'jp-casa-status-bar');
}
