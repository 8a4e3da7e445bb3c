/** The button in a notebook's toolbar: how much there is to do, and do it. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import type { ServerCondition } from '../server/condition';
import { element } from './hover';
import type { NotebookState } from './model';
import type { Rerun } from './rerun';
import { todo } from './words';

/** What the button says. */
export interface IFace {
  /** Empty: there is no button. */
  label: string;
  /** On hover. */
  title: string;
  /** What a click does. */
  action: 'rerun' | 'stop' | null;
  kind: 'stale' | 'restorable' | 'fresh' | 'running' | 'trouble' | 'waiting';
}

/** What the button of a CASA notebook says. */
export function face(
  server: Pick<ServerCondition, 'condition' | 'version' | 'serverVersion'>,
  state: Pick<NotebookState, 'summary' | 'trouble'> | null,
  rerun: Pick<Rerun, 'isRunning' | 'isStopping'> | null,
  trans: TranslationBundle
): IFace {
  const trouble = (title: string): IFace => ({
    label: trans.__('CASA: not known'),
    title,
    action: null,
    kind: 'trouble'
  });
  if (rerun?.isRunning) {
    return {
      label: rerun.isStopping ? trans.__('Stopping…') : trans.__('Stop after this call'),
      title: trans.__('The call that runs is run to its end and remembered; no other begins.'),
      action: rerun.isStopping ? null : 'stop',
      kind: 'running'
    };
  }
  switch (server.condition) {
    case 'missing':
      return trouble(
        trans.__(
          'The Jupyter server has no extension of JupyterLab-CASA: install jupyterlab-casa where it runs.'
        )
      );
    case 'other-version':
      return trouble(
        trans.__(
          'The browser has version %1 of JupyterLab-CASA, the server %2: restart the server, and load this page again.',
          server.version,
          server.serverVersion
        )
      );
    case 'offline':
      return trouble(trans.__('The server cannot be reached.'));
  }
  if (state?.trouble && state.summary === null) {
    const { trouble: why, message } = state.trouble;
    return trouble(why === 'offline' ? trans.__('The server cannot be reached.') : message);
  }
  const summary = state?.summary;
  if (!summary) {
    return {
      label: trans.__('Re-run stale'),
      title: trans.__('Being planned …'),
      action: null,
      kind: 'waiting'
    };
  }
  const much = todo(summary, trans);
  if (much === '') {
    return {
      label: trans.__('All fresh'),
      title: trans.__('All that this notebook shows, binds and left on disk is true.'),
      action: null,
      kind: 'fresh'
    };
  }
  const stale = summary.stale + summary.maybe > 0;
  return {
    label: stale ? trans.__('Re-run stale: %1', much) : trans.__('Bring back: %1', summary.restorable),
    title: trans.__('Runs what is stale, brings back what is known, and leaves the rest.'),
    action: 'rerun',
    kind: stale ? 'stale' : 'restorable'
  };
}

/** The button, and one beside it that opens a menu. */
export class RerunButton extends Widget {
  /**
   * @param _face - What it says now.
   * @param act - Does what the button is for.
   * @param menu - Opens the menu at a place of the page.
   * @param trans - Our texts.
   */
  constructor(
    private readonly _face: () => IFace,
    act: (action: 'rerun' | 'stop') => void,
    menu: (x: number, y: number) => void,
    trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-rerun');
    this._main.type = this._more.type = 'button';
    this._main.addEventListener('click', () => {
      const { action } = this._face();
      if (action) {
        act(action);
      }
    });
    this._more.setAttribute('aria-haspopup', 'menu');
    this._more.setAttribute('aria-label', trans.__('More about re-running'));
    this._more.title = trans.__('More about re-running');
    this._more.append(element('span', 'jp-casa-rerun-caret'));
    this._more.addEventListener('click', () => {
      const { left, bottom } = this.node.getBoundingClientRect();
      menu(left, bottom);
    });
    this._icon.setAttribute('aria-hidden', 'true');
    this._main.append(this._icon, this._text);
    this.node.append(this._main, this._more);
    this.refresh();
  }

  /** Says what is so now. */
  refresh(): void {
    const { label, title, action, kind } = this._face();
    this.setHidden(label === '');
    if (this._text.textContent !== label) {
      this._text.textContent = label;
    }
    this._main.title = title;
    this._main.setAttribute('aria-disabled', String(action === null));
    this._main.dataset.kind = kind;
  }

  private readonly _main = element('button', 'jp-casa-rerun-main');
  private readonly _icon = element('span', 'jp-casa-rerun-icon');
  private readonly _text = element('span');
  private readonly _more = element('button', 'jp-casa-rerun-more');
}
