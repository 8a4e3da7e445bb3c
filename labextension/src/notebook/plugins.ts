/** The plugins of CASA notebooks: what is known of them, marks, re-running. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  Dialog,
  ICommandPalette,
  IToolbarWidgetRegistry,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import { INotebookCellExecutor, INotebookTracker, type NotebookPanel, runCell } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { MenuSvg } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import { DOMAIN, ICasaEvents, ICasaNotebooks, ICasaServer } from '../tokens';
import { CellComparison } from './compare';
import { PanelHands } from './hands';
import { CellMarks } from './marks';
import type { NotebookState } from './model';
import { CasaNotebooks, isOurs } from './notebooks';
import { previewPlan } from './preview';
import { type IOutcome, type IWalkOptions, Rerun } from './rerun';
import { CasaStatus, statusOf, summaryOf } from './status';
import { face, RerunButton } from './toolbar';
import { explain } from './words';

const CommandIDs = {
  rerunStale: 'jupyterlab-casa:rerun-stale',
  rerunToHere: 'jupyterlab-casa:rerun-to-here',
  rerunAll: 'jupyterlab-casa:rerun-all',
  stop: 'jupyterlab-casa:stop-rerun',
  preview: 'jupyterlab-casa:preview-plan',
  explain: 'jupyterlab-casa:explain-cell'
} as const;

const RERUN_ID = 'jupyterlab-casa:rerun';

/** Milliseconds for which the status bar tells what a re-run has done. */
const SUMMARY_MS = 15_000;

/** Follows the open notebooks. */
export const notebooks: JupyterFrontEndPlugin<ICasaNotebooks> = {
  id: 'jupyterlab-casa:notebooks',
  description: 'Knows which cells of the open CASA notebooks are stale, and what runs.',
  autoStart: true,
  requires: [INotebookTracker, ICasaServer, ICasaEvents],
  provides: ICasaNotebooks,
  activate: (_: JupyterFrontEnd, tracker: INotebookTracker, server: ICasaServer, events: ICasaEvents) =>
    new CasaNotebooks(tracker, server, events)
};

/** What belongs to one open notebook. */
interface IOpen {
  state: NotebookState;
  marks: CellMarks | null;
  rerun: Rerun;
}

/** Marks, the button, its menu, the status bar, and the commands. */
export const rerun: JupyterFrontEndPlugin<void> = {
  id: RERUN_ID,
  description: 'Marks stale cells of CASA notebooks, and re-runs them.',
  autoStart: true,
  requires: [INotebookTracker, ICasaServer, ICasaNotebooks],
  optional: [
    INotebookCellExecutor,
    IToolbarWidgetRegistry,
    IStatusBar,
    ISettingRegistry,
    ITranslator,
    ICommandPalette
  ],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    server: ICasaServer,
    casa: ICasaNotebooks,
    executor: INotebookCellExecutor | null,
    toolbar: IToolbarWidgetRegistry | null,
    statusBar: IStatusBar | null,
    registry: ISettingRegistry | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const ui = new NotebookUi(app, tracker, server, casa, executor ?? { runCell }, trans);
    toolbar?.addFactory<NotebookPanel>('Notebook', 'casa-rerun', panel => ui.button(panel));
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category: trans.__('CASA') });
    }
    if (statusBar) {
      ui.registerStatus(statusBar);
    }
    void registry?.load(RERUN_ID).then(settings => {
      const read = () => {
        ui.showMarks = settings.composite.showMarks !== false;
        ui.notifyAfter_s = Number(settings.composite.notifyAfter);
      };
      settings.changed.connect(read);
      read();
    });
  }
};

/** Draws what is known of the open notebooks, and does what is asked for. */
class NotebookUi {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _tracker: INotebookTracker,
    private readonly _server: ICasaServer,
    private readonly _casa: ICasaNotebooks,
    private readonly _executor: INotebookCellExecutor,
    private readonly _trans: TranslationBundle
  ) {
    _casa.panels.forEach(panel => {
      this._follow(panel);
    });
    _casa.changed.connect((_, panel) => {
      this._follow(panel);
    });
    _tracker.currentChanged.connect(() => {
      this._refreshStatus();
      this._refreshCommands();
    });
    _server.state.changed.connect(() => {
      this._refresh();
    });
    this._addCommands();
  }

  /** Seconds that a re-run takes at least, after which a notification tells what it has done. */
  notifyAfter_s = 20;

  get showMarks(): boolean {
    return this._showMarks;
  }

  set showMarks(show: boolean) {
    if (show !== this._showMarks) {
      this._showMarks = show;
      this._open.forEach((one, panel) => {
        one.marks?.dispose();
        one.marks = show ? this._marks(panel, one.state) : null;
      });
    }
  }

  /** The button for a notebook's toolbar. */
  button(panel: NotebookPanel): Widget {
    const trans = this._trans;
    const menu = new MenuSvg({ commands: this._app.commands });
    for (const command of [
      CommandIDs.preview,
      CommandIDs.rerunToHere,
      CommandIDs.rerunAll,
      CommandIDs.stop
    ]) {
      menu.addItem({ command });
    }
    const button = new RerunButton(
      () => this._face(panel),
      action => {
        const one = this._open.get(panel);
        void (action === 'stop' ? one?.rerun.stop() : this._run(panel, {}));
      },
      (x, y) => {
        this._app.shell.activateById(panel.id); // commands are about the current notebook
        menu.open(x, y);
      },
      trans
    );
    this._buttons.set(panel, button);
    const refresh = () => {
      button.refresh();
    };
    panel.sessionContext.kernelChanged.connect(refresh);
    void panel.context.ready.then(refresh);
    button.disposed.connect(() => {
      menu.dispose();
      this._buttons.delete(panel);
    });
    return button;
  }

  /** Puts what goes on in the current notebook into the status bar. */
  registerStatus(bar: IStatusBar): void {
    const status = new CasaStatus();
    this._status = status;
    bar.registerStatusItem('jupyterlab-casa:status', {
      item: status,
      align: 'left',
      rank: 50,
      isActive: () => {
        const panel = this._tracker.currentWidget;
        return panel !== null && this._app.shell.currentWidget === panel && this._open.has(panel);
      }
    });
    this._refreshStatus();
  }

  private _face(panel: NotebookPanel) {
    if (!isOurs(panel)) {
      return { label: '', title: '', action: null, kind: 'waiting' as const };
    }
    const one = this._open.get(panel);
    return face(this._server.state, one?.state ?? null, one?.rerun ?? null, this._trans);
  }

  private _follow(panel: NotebookPanel): void {
    const state = this._casa.get(panel);
    const former = this._open.get(panel);
    if (former && former.state !== state) {
      former.marks?.dispose();
      former.rerun.dispose();
      this._open.delete(panel);
    }
    if (state && !this._open.has(panel)) {
      const hands = new PanelHands(panel, state, this._executor);
      const one: IOpen = {
        state,
        marks: this._showMarks ? this._marks(panel, state) : null,
        rerun: new Rerun(this._server.api, hands)
      };
      this._open.set(panel, one);
      const draw = () => {
        this._open.get(panel)?.marks?.update();
      };
      // Cells are moved, change their type, or are drawn when they come into sight.
      panel.content.modelContentChanged.connect(draw);
      panel.content.cellInViewportChanged.connect(draw);
      state.changed.connect(() => {
        this._refresh(panel);
      });
      one.rerun.changed.connect(() => {
        this._refresh(panel);
      });
      one.rerun.ended.connect((_, outcome) => {
        state.refresh();
        this._tell(panel, outcome);
      });
    }
    this._refresh(panel);
  }

  private _marks(panel: NotebookPanel, state: NotebookState): CellMarks {
    return new CellMarks(
      state,
      () => panel.content.widgets,
      this._trans,
      id => void this._compare(panel, id)
    );
  }

  private _refresh(panel?: NotebookPanel): void {
    for (const [of, button] of this._buttons) {
      if (!panel || of === panel) {
        button.refresh();
      }
    }
    if (!panel || panel === this._tracker.currentWidget) {
      this._refreshStatus();
      this._refreshCommands();
    }
  }

  private _refreshStatus(): void {
    const one = this._current;
    if (this._status && one) {
      const summary = this._summaries.get(one.state);
      const holds = summary && !one.rerun.isRunning && summary.sources === sourcesOf(one.state);
      this._status.say(
        holds
          ? { text: this._trans.__('CASA: %1', summary.text) }
          : statusOf(one.state, one.rerun, performance.now(), this._trans)
      );
    }
    clearInterval(this._ticker);
    if (one?.rerun.isRunning) {
      this._ticker = setInterval(() => {
        this._refreshStatus();
      }, 1000);
    }
  }

  /** Who shows commands looks at all of them again when one changes. */
  private _refreshCommands(): void {
    const able = Object.values(CommandIDs).map(id => this._app.commands.isEnabled(id));
    const key = able.join();
    if (key !== this._able) {
      this._able = key;
      for (const id of Object.values(CommandIDs)) {
        this._app.commands.notifyCommandChanged(id);
      }
    }
  }

  private get _current(): IOpen | null {
    const panel = this._tracker.currentWidget;
    return (panel && this._open.get(panel)) ?? null;
  }

  // -- what is asked for --------------------------------------------------------------------------------------------

  private _addCommands(): void {
    const { _trans: trans } = this;
    const { commands } = this._app;
    const canRun = () => this._current !== null && !this._current.rerun.isRunning;
    const onCurrent = (job: (panel: NotebookPanel, one: IOpen) => unknown) => async () => {
      const panel = this._tracker.currentWidget;
      const one = this._current;
      if (panel && one) {
        await job(panel, one);
      }
    };
    commands.addCommand(CommandIDs.rerunStale, {
      label: trans.__('Re-run Stale Cells'),
      isEnabled: canRun,
      execute: onCurrent(panel => this._run(panel, {}))
    });
    commands.addCommand(CommandIDs.rerunToHere, {
      label: trans.__('Re-run Stale Cells to Here'),
      caption: trans.__('The active cell is the last one that is made fresh.'),
      isEnabled: () => canRun() && this._tracker.activeCell?.model.type === 'code',
      execute: onCurrent(panel => this._run(panel, { to: panel.content.activeCell?.model.id }))
    });
    commands.addCommand(CommandIDs.rerunAll, {
      label: trans.__('Run All Cells From the Top'),
      caption: trans.__('Calls that are known are restored nevertheless.'),
      isEnabled: canRun,
      execute: onCurrent(panel => this._run(panel, { everything: true }))
    });
    commands.addCommand(CommandIDs.stop, {
      label: trans.__('Stop After the Current Call'),
      isEnabled: () => this._current?.rerun.isRunning === true && !this._current.rerun.isStopping,
      execute: onCurrent((_, one) => one.rerun.stop())
    });
    commands.addCommand(CommandIDs.preview, {
      label: trans.__('Preview the Plan…'),
      isEnabled: () => this._current?.state.plan != null,
      execute: onCurrent(panel => this._preview(panel))
    });
    commands.addCommand(CommandIDs.explain, {
      label: trans.__('What Has Changed in This Cell…'),
      isEnabled: () => this._current !== null && this._tracker.activeCell?.model.type === 'code',
      execute: onCurrent(panel => this._compare(panel, panel.content.activeCell?.model.id ?? ''))
    });
  }

  private async _run(panel: NotebookPanel, options: IWalkOptions): Promise<void> {
    const one = this._open.get(panel);
    if (!one || one.rerun.isRunning) {
      return;
    }
    this._summaries.delete(one.state);
    const told = this._told.get(one.state);
    if (told !== undefined) {
      Notification.dismiss(told); // of the last time
    }
    const { sessionContext } = panel;
    await sessionContext.ready; // else it would get a second kernel
    if (sessionContext.hasNoKernel) {
      await sessionContext.startKernel();
    }
    await sessionContext.session?.kernel?.info; // a kernel that has not started has not opened its workspace yet
    await one.state.settled();
    await one.rerun.run(options);
  }

  private _tell(panel: NotebookPanel, outcome: IOutcome): void {
    const one = this._open.get(panel);
    if (!one) {
      return;
    }
    const said = summaryOf(outcome, id => this._cellName(one.state, id), this._trans);
    const summary = { text: said, sources: sourcesOf(one.state) };
    this._summaries.set(one.state, summary);
    setTimeout(() => {
      if (this._summaries.get(one.state) === summary) {
        this._summaries.delete(one.state);
        this._refreshStatus();
      }
    }, SUMMARY_MS);
    this._refreshStatus();
    const { failed, trouble, stopped, seconds } = outcome;
    const message = `${panel.title.label}: ${said}`;
    const tell = (id: string) => this._told.set(one.state, id);
    if (trouble !== null) {
      tell(Notification.error(message, { autoClose: false }));
    } else if (failed !== null && !stopped) {
      const show = {
        label: this._trans.__('Show the Cell'),
        callback: () => {
          this._reveal(panel, failed);
        }
      };
      tell(Notification.error(message, { autoClose: false, actions: [show] }));
    } else if (seconds >= this.notifyAfter_s) {
      tell(Notification.success(message, { autoClose: document.hidden ? false : 10_000 }));
    }
  }

  private _reveal(panel: NotebookPanel, id: string): void {
    const index = panel.content.widgets.findIndex(({ model }) => model.id === id);
    if (index >= 0) {
      this._app.shell.activateById(panel.id);
      panel.content.activeCellIndex = index;
      void panel.content.scrollToItem(index, 'smart');
    }
  }

  private async _preview(panel: NotebookPanel): Promise<void> {
    const one = this._open.get(panel);
    await one?.state.settled();
    const plan = one?.state.plan;
    if (!one || !plan) {
      return;
    }
    const sources = new Map(one.state.posted().map(({ id, source }) => [id, source]));
    const first = (id: string) => sources.get(id)?.trimStart().split('\n', 1)[0] ?? '';
    const { button } = await showDialog({
      title: this._trans.__('What a re-run does'),
      body: new Widget({ node: previewPlan(plan, first, this._trans) }),
      buttons: [
        Dialog.cancelButton({ label: this._trans.__('Close') }),
        ...(plan.fresh || one.rerun.isRunning
          ? []
          : [Dialog.okButton({ label: this._trans.__('Re-run Now') })])
      ]
    });
    if (button.accept) {
      await this._run(panel, {});
    }
  }

  private async _compare(panel: NotebookPanel, id: string): Promise<void> {
    const one = this._open.get(panel);
    const posted = one?.state.posted().find(cell => cell.id === id);
    if (!one || !posted) {
      return;
    }
    const name = (of: string) => this._cellName(one.state, of);
    const mark = one.state.mark(id);
    const words = mark && explain(mark, this._trans);
    const body = new CellComparison(
      this._server.api,
      { id, path: one.state.path, source: posted.source, words, name },
      this._trans
    );
    const title = name(id);
    await showDialog({
      title: title.charAt(0).toUpperCase() + title.slice(1),
      body,
      buttons: [Dialog.okButton({ label: this._trans.__('Close') })]
    });
  }

  /** What people, and the server's reasons, call a cell. */
  private _cellName(state: NotebookState, id: string): string {
    const n = state.plan?.cells.findIndex(cell => cell.id === id) ?? -1;
    return n < 0 ? this._trans.__('a cell that is no longer there') : this._trans.__('cell %1', n + 1);
  }

  private readonly _open = new Map<NotebookPanel, IOpen>();
  private readonly _buttons = new Map<NotebookPanel, RerunButton>();
  /** What re-runs that have just ended have done; it is told until the notebook is edited. */
  private readonly _summaries = new WeakMap<NotebookState, { text: string; sources: string }>();
  /** Notifications of the newest re-runs. */
  private readonly _told = new WeakMap<NotebookState, string>();
  private _status: CasaStatus | null = null;
  private _able = '';
  private _showMarks = true;
  private _ticker: ReturnType<typeof setInterval> | undefined;
}

function sourcesOf(state: NotebookState): string {
  return JSON.stringify(state.posted().map(({ id, source }) => [id, source]));
}
