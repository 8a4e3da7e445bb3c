/** The plugin of the graph panel; the panel itself is loaded when it is opened for the first time. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, WidgetTracker } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { isOurs } from '../notebook/notebooks';
import { face } from '../notebook/toolbar';
import { DOMAIN, ICasaNotebooks, ICasaServer } from '../tokens';
import type { Direction } from './layout';
import type { Level } from './model';
import type { GraphPanel } from './panel';
import { sectionsOf } from './sections';
import { GraphState } from './state';

const CommandIDs = {
  show: 'jupyterlab-casa:show-graph',
  saveSvg: 'jupyterlab-casa:save-graph-svg',
  savePng: 'jupyterlab-casa:save-graph-png',
  search: 'jupyterlab-casa:search-graph'
} as const;

const ID = 'jupyterlab-casa:graph';

/** The graph of the notebook in front. */
const graph: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Shows cells, calls and data products of a CASA notebook as a graph.',
  autoStart: true,
  requires: [INotebookTracker, ICasaServer, ICasaNotebooks],
  optional: [ITranslator, ICommandPalette, ILayoutRestorer, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    server: ICasaServer,
    casa: ICasaNotebooks,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    registry: ISettingRegistry | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const graphs = new Graph(app, tracker, server, casa, registry, trans);
    if (palette) {
      for (const command of [CommandIDs.show, CommandIDs.search, CommandIDs.saveSvg, CommandIDs.savePng]) {
        palette.addItem({ command, category: trans.__('CASA') });
      }
    }
    if (restorer) {
      void restorer.restore(graphs.panels, { command: CommandIDs.show, name: () => 'graph' });
    }
  }
};

/** The panel, while it is open, and what it shows. */
class Graph {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _tracker: INotebookTracker,
    private readonly _server: ICasaServer,
    private readonly _casa: ICasaNotebooks,
    private readonly _registry: ISettingRegistry | null,
    private readonly _trans: TranslationBundle
  ) {
    this._addCommands();
  }

  /** For whoever restores the layout. */
  readonly panels = new WidgetTracker<GraphPanel>({ namespace: 'jupyterlab-casa-graph' });

  private _addCommands(): void {
    const { _trans: trans } = this;
    const { commands } = this._app;
    const isDrawn = () =>
      this._panel !== null && this._state !== null && this._state.diagram.nodes.length > 0;
    commands.addCommand(CommandIDs.show, {
      label: trans.__('Show the Graph of the Notebook'),
      caption: trans.__('Cells, calls and data products, and what depends on what'),
      execute: () => this._show()
    });
    commands.addCommand(CommandIDs.search, {
      label: trans.__('Search the Graph of the Notebook'),
      execute: async () => {
        await this._show();
        this._panel?.search();
      }
    });
    commands.addCommand(CommandIDs.saveSvg, {
      label: trans.__('Save the Graph as SVG'),
      isEnabled: isDrawn,
      execute: () => this._save('svg')
    });
    commands.addCommand(CommandIDs.savePng, {
      label: trans.__('Save the Graph as PNG'),
      isEnabled: isDrawn,
      execute: () => this._save('png')
    });
  }

  private async _show(): Promise<void> {
    const open = () =>
      (this._opening ??= this._open().finally(() => {
        this._opening = null;
      }));
    const panel = this._panel ?? (await open());
    this._app.shell.activateById(panel.id);
  }

  private async _open(): Promise<GraphPanel> {
    const state = new GraphState(this._server.api);
    this._state = state;
    this._follow(this._tracker.currentWidget);
    state.isVisible = true; // what is to be shown is asked for while the panel is loaded
    const [{ GraphPanel }, { Layouts }, { startWorker }, settings] = await Promise.all([
      import('./panel'),
      import('./layouts'),
      import('./worker'),
      this._settings()
    ]);
    const panel = new GraphPanel({
      state,
      layouts: new Layouts(startWorker, async request => (await import('./layout')).layOut(request)),
      trans: this._trans,
      commands: this._app.commands,
      exports: [CommandIDs.saveSvg, CommandIDs.savePng],
      open: (cell, enter) => {
        this._goTo(cell, enter);
      },
      explain: () => this._explain(),
      remember: options => {
        for (const [name, value] of Object.entries(options)) {
          // where settings cannot be written, it is so until the page is closed
          settings?.set(name, value).catch(() => undefined);
        }
      }
    });
    const read = () => {
      const { level = 'cells', names, direction = 'down' } = settings?.composite ?? {};
      state.set({ level: level as Level, names: names !== false });
      panel.direction = direction as Direction;
    };
    settings?.changed.connect(read);
    panel.disposed.connect(() => settings?.changed.disconnect(read));
    read();
    this._panel = panel;
    this._connect(panel, state);
    if (!panel.isAttached) {
      const beside = this._tracker.currentWidget;
      this._app.shell.add(panel, 'main', beside ? { mode: 'split-right', ref: beside.id } : {});
    }
    await this.panels.add(panel);
    return panel;
  }

  /** What the user has set; null: there are no settings. */
  private async _settings(): Promise<ISettingRegistry.ISettings | null> {
    try {
      return (await this._registry?.load(ID)) ?? null;
    } catch {
      return null; // an installation without our schemas
    }
  }

  /** Follows the notebook in front while the panel is open. */
  private _connect(panel: GraphPanel, state: GraphState): void {
    const follow = () => {
      this._follow(this._tracker.currentWidget);
      panel.refresh();
    };
    const onCasa = (_: unknown, of: NotebookPanel) => {
      if (of === this._tracker.currentWidget && !panel.isDisposed) {
        follow();
      }
    };
    const onCurrent = (_: unknown, current: NotebookPanel | null) => {
      follow();
      // which kernel it wants is known when it has been read
      void current?.context.ready.then(() => {
        onCasa(null, current);
      });
    };
    const onCell = () => {
      state.active = this._tracker.activeCell?.model.id ?? null;
    };
    this._tracker.currentChanged.connect(onCurrent);
    this._casa.changed.connect(onCasa);
    this._tracker.activeCellChanged.connect(onCell);
    this._server.state.changed.connect(follow);
    onCell();
    onCurrent(null, this._tracker.currentWidget);
    panel.disposed.connect(() => {
      this._tracker.currentChanged.disconnect(onCurrent);
      this._casa.changed.disconnect(onCasa);
      this._tracker.activeCellChanged.disconnect(onCell);
      this._server.state.changed.disconnect(follow);
      state.dispose();
      this._panel = this._state = null;
    });
  }

  private _follow(panel: NotebookPanel | null): void {
    const state = panel && this._casa.get(panel);
    if (this._state) {
      this._state.subject = state && {
        state,
        sections: () => sectionsOf(state.notebook, this._trans.__('Beginning'))
      };
      this._state.active = this._tracker.activeCell?.model.id ?? null;
    }
  }

  /** Why there can be no graph. */
  private _explain(): string {
    const { _trans: trans } = this;
    const panel = this._tracker.currentWidget;
    if (!panel) {
      return trans.__(
        'Open a notebook with the kernel CASA: its cells, and what passes between them, are shown here.'
      );
    }
    const name = PathExt.basename(panel.context.localPath);
    if (panel.context.isReady && !isOurs(panel)) {
      return trans.__('The kernel of %1 is not CASA: what its cells use and make is not recorded.', name);
    }
    if (this._server.state.condition !== 'ready' && this._server.state.condition !== 'checking') {
      return face(this._server.state, null, null, trans).title;
    }
    return '';
  }

  private _goTo(cell: string, enter: boolean): void {
    const panel = this._tracker.currentWidget;
    const index = panel?.content.widgets.findIndex(({ model }) => model.id === cell) ?? -1;
    if (panel && index >= 0) {
      panel.content.activeCellIndex = index;
      void panel.content.scrollToItem(index, 'smart');
      if (enter) {
        this._app.shell.activateById(panel.id);
      }
    }
  }

  private async _save(kind: 'svg' | 'png'): Promise<void> {
    const picture = this._panel?.picture();
    const path = this._state?.subject?.state.path;
    if (!this._panel || !picture || path === undefined) {
      return;
    }
    const { asPng, asSvg, download } = await import('./export');
    const name = PathExt.basename(path, PathExt.extname(path));
    const text = asSvg(picture, this._panel.node, this._trans.__('Graph of %1', PathExt.basename(path)));
    const content = kind === 'svg' ? new Blob([text], { type: 'image/svg+xml' }) : await asPng(text);
    download(content, `${name}-graph.${kind}`);
  }

  private _panel: GraphPanel | null = null;
  private _state: GraphState | null = null;
  private _opening: Promise<GraphPanel> | null = null;
}

export default graph;
