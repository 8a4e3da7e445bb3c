/** The log panel as a plugin: commands, which notebook it is about, and what happens on the server. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Clipboard, ICommandPalette, WidgetTracker } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { logIcon } from '../icons';
import { isOurs } from '../notebook/notebooks';
import type { CasaEvent } from '../server/events';
import type { ILogCall } from '../server/types';
import { DOMAIN, ICasaEvents, ICasaServer } from '../tokens';
import { LoggedCells } from './cells';
import { LogModel } from './model';
import { type ILogHost, LogPanel } from './panel';

const CommandIDs = {
  show: 'jupyterlab-casa:show-log',
  showCell: 'jupyterlab-casa:show-log-of-cell',
  search: 'jupyterlab-casa:search-log'
} as const;

const PLUGIN_ID = 'jupyterlab-casa:logs';
const PANEL_ID = 'jupyterlab-casa-logs';
/** Milliseconds for which lines of a cell are waited for; while a long log is read, more. */
const [WAIT_MS, LONG_MS] = [1500, 20_000];

/** The log panel. */
export const logs: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Shows the CASA log of the current notebook, live.',
  autoStart: true,
  requires: [INotebookTracker, ICasaServer, ICasaEvents],
  optional: [ICommandPalette, ILayoutRestorer, ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    server: ICasaServer,
    events: ICasaEvents,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    registry: ISettingRegistry | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const ui = new LogUi(app, tracker, server, trans);
    events.happened.connect((_, event) => {
      ui.onEvent(event);
    });
    events.restarted.connect(() => {
      ui.refresh();
    });
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category: trans.__('CASA') });
    }
    void registry?.load(PLUGIN_ID).then(settings => {
      const read = () => {
        ui.grouped = settings.composite.grouped !== false;
        ui.followsCell = settings.composite.followCell === true;
      };
      settings.changed.connect(read);
      read();
    });
    void restorer?.restore(ui.tracker, {
      command: CommandIDs.show,
      args: () => ({ activate: false }),
      name: () => PANEL_ID
    });
  }
};

/** Opens the panel, and tells it what happens. */
class LogUi implements ILogHost {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _notebooks: INotebookTracker,
    private readonly _server: ICasaServer,
    private readonly _trans: TranslationBundle
  ) {
    this._cells = new LoggedCells(
      _notebooks,
      (panel, cell) => void this._showCell(panel, cell, true),
      _trans
    );
    const look = () => {
      this._look();
    };
    const follow = (panel: NotebookPanel) => {
      panel.sessionContext.kernelChanged.connect(look);
      panel.context.pathChanged.connect(look);
      panel.disposed.connect(look);
      void panel.context.ready.then(look);
    };
    _notebooks.forEach(follow);
    _notebooks.widgetAdded.connect((_, panel) => {
      follow(panel);
    });
    _notebooks.currentChanged.connect(look);
    _notebooks.activeCellChanged.connect(() => {
      this._panel?.cellChanged();
    });
    _server.state.changed.connect(look);
    this._addCommands();
  }

  /** Remembers that the panel was open. */
  readonly tracker = new WidgetTracker<LogPanel>({ namespace: 'jupyterlab-casa-logs' });

  /** Whether there are headings above the lines of calls, until somebody wants it otherwise. */
  set grouped(grouped: boolean) {
    this._grouped = grouped;
    if (this._panel) {
      this._panel.model.grouped = grouped;
    }
  }

  /** Whether the lines of the active cell are brought into sight, until somebody wants it otherwise. */
  set followsCell(follow: boolean) {
    this._followsCell = follow;
    if (this._panel) {
      this._panel.followsCell = follow;
    }
  }

  /** Something has happened on the server. */
  onEvent({ kind, data }: CasaEvent): void {
    const model = this._panel?.model;
    if (!model?.source) {
      return;
    }
    if (kind === 'log') {
      model.onLog(data);
    } else if (data.workspace === PathExt.dirname(model.source.path)) {
      if (kind === 'kernel' && data.action !== 'changed') {
        void model.refresh();
      } else if (kind === 'call' && data.session === model.session && data.action !== 'progressed') {
        model.callsChanged();
      }
    }
  }

  /** Looks what there is. */
  refresh(): void {
    void this._panel?.model.refresh();
  }

  // -- what the panel asks ------------------------------------------------------------------------------------------

  cellName(call: ILogCall): string {
    return this._cells.nameOf(call);
  }

  nameOfCell(id: string): string {
    return this._cells.name(this._notebooks.currentWidget, id);
  }

  activeCell(): string | null {
    const { activeCell } = this._notebooks;
    return activeCell?.model.type === 'code' ? activeCell.model.id : null;
  }

  openCell(call: ILogCall): void {
    const panel = this._cells.panelOf(call);
    const index = panel?.content.widgets.findIndex(({ model }) => model.id === call.cell) ?? -1;
    if (panel && index >= 0) {
      this._app.shell.activateById(panel.id);
      panel.content.deselectAll();
      panel.content.activeCellIndex = index;
      panel.content.mode = 'command';
      void panel.content.scrollToItem(index, 'smart');
      panel.content.activate();
    } else if (call.cell === null) {
      this._panel?.say(this._trans.__('This call was made by no cell.'));
    } else {
      this._panel?.say(
        panel
          ? this._trans.__('The cell is no longer in the notebook.')
          : this._trans.__('%1 is not open.', PathExt.basename(call.notebook))
      );
    }
  }

  async copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      Clipboard.copyToSystem(text); // without https, or without being allowed to
    }
  }

  download(): void {
    const model = this._panel?.model;
    if (model?.source && model.session !== null) {
      const anchor = document.createElement('a');
      anchor.href = this._server.api.logFile(model.session, model.source.path);
      anchor.download = `casa-${model.session}.log`;
      document.body.append(anchor);
      anchor.click();
      anchor.remove();
    }
  }

  obstacle(): string {
    const panel = this._notebooks.currentWidget;
    if (!panel) {
      return this._trans.__('Open a CASA notebook: its log is shown here.');
    }
    return panel.context.isReady && !isOurs(panel)
      ? this._trans.__('%1 runs on another kernel than CASA: it has no CASA log.', panel.title.label)
      : '';
  }

  // -- what is asked for --------------------------------------------------------------------------------------------

  private _addCommands(): void {
    const { commands } = this._app;
    const trans = this._trans;
    commands.addCommand(CommandIDs.show, {
      label: trans.__('Show the CASA Log'),
      execute: args => {
        this._open(args.activate !== false);
      }
    });
    commands.addCommand(CommandIDs.showCell, {
      label: trans.__('Show the Cell in the CASA Log'),
      isEnabled: () => this._notebooks.activeCell?.model.type === 'code',
      isVisible: () => this._notebooks.currentWidget !== null && isOurs(this._notebooks.currentWidget),
      execute: async () => {
        const panel = this._notebooks.currentWidget;
        const cell = this.activeCell();
        if (panel && cell !== null) {
          await this._showCell(panel, cell, false);
        }
      }
    });
    commands.addCommand(CommandIDs.search, {
      label: trans.__('Search in the CASA Log'),
      execute: () => {
        this._open(true).focusSearch();
      }
    });
  }

  private _open(activate: boolean): LogPanel {
    let panel = this._panel;
    if (!panel) {
      const { state } = this._server;
      panel = this._panel = new LogPanel(new LogModel(this._server.api), state, this, this._trans);
      panel.id = PANEL_ID;
      panel.model.grouped = this._grouped;
      panel.followsCell = this._followsCell;
      panel.title.label = this._trans.__('CASA Log');
      panel.title.caption = this._trans.__('The CASA log of the current notebook');
      panel.title.icon = logIcon;
      panel.title.closable = true;
      panel.disposed.connect(() => {
        this._panel = null;
      });
      this._app.shell.add(panel, 'down', { rank: 100, type: 'CASA' });
      void this.tracker.add(panel);
      this._look();
    }
    if (activate) {
      this._app.shell.activateById(panel.id);
    }
    return panel;
  }

  /** Shows what a cell has written last, or its last error. */
  private async _showCell(notebook: NotebookPanel, cell: string, problem: boolean): Promise<void> {
    const panel = this._open(true);
    this._look();
    panel.model.choice = null;
    const began = performance.now();
    await panel.model.refresh();
    while (!(problem ? await panel.showError(cell) : panel.showCell(cell))) {
      if (panel.isDisposed || performance.now() - began > (panel.model.isBusy ? LONG_MS : WAIT_MS)) {
        panel.say(this._trans.__('Nothing is in this log of %1.', this._cells.name(notebook, cell)));
        return;
      }
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }

  /** Tells the panel which notebook it is about. */
  private _look(): void {
    const panel = this._panel;
    const notebook = this._notebooks.currentWidget;
    if (!panel) {
      return;
    }
    const ready = this._server.state.condition === 'ready' && notebook?.context.isReady && isOurs(notebook);
    panel.model.source = ready
      ? { path: notebook.context.localPath, kernel: notebook.sessionContext.session?.kernel?.id ?? null }
      : null;
    panel.cellChanged();
  }

  private readonly _cells: LoggedCells;
  private _panel: LogPanel | null = null;
  private _grouped = true;
  private _followsCell = false;
}
