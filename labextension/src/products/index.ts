/** The plugin of data products: list, comparison, and what can be done with versions. */
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, InputDialog, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { MenuSvg } from '@jupyterlab/ui-components';
import { isOurs } from '../notebook/notebooks';
import { DOMAIN, ICasaEvents, ICasaServer } from '../tokens';
import { Differences, type IPair } from './differences';
import { productsIcon } from './icons';
import { type IVersionRow, ProductsModel } from './model';
import { placeOf } from './place';
import type { IProductActions } from './panel';
import { makeRoom } from './room';
import { ComparisonWidget, ProductsWidget } from './widgets';

const CommandIDs = {
  show: 'jupyterlab-casa:show-products',
  restore: 'jupyterlab-casa:restore-version',
  restoreAs: 'jupyterlab-casa:restore-version-as',
  compare: 'jupyterlab-casa:compare-versions',
  open: 'jupyterlab-casa:open-comparison',
  reveal: 'jupyterlab-casa:reveal-product',
  collect: 'jupyterlab-casa:make-room'
} as const;

/** The list in the side bar, and comparisons in the main area. */
export const products: JupyterFrontEndPlugin<void> = {
  id: 'jupyterlab-casa:products',
  description: 'Lists the data products of a workspace with their versions; restores and compares them.',
  autoStart: true,
  requires: [ICasaServer, ICasaEvents, INotebookTracker],
  optional: [IDefaultFileBrowser, ILabShell, ITranslator, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    { api, state }: ICasaServer,
    events: ICasaEvents,
    tracker: INotebookTracker,
    browser: IDefaultFileBrowser | null,
    labShell: ILabShell | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const { commands, shell } = app;
    const model = new ProductsModel(api);
    events.happened.connect((_, event) => {
      model.onEvent(event);
    });
    events.restarted.connect((_, present) => {
      model.onRestarted(present);
    });
    state.changed.connect(() => void model.refresh());

    // -- which workspace ------------------------------------------------------------------------------------------

    const follow = () => {
      const panel = tracker.currentWidget;
      if (panel && isOurs(panel)) {
        model.path = PathExt.dirname(panel.context.localPath);
      } else if (browser) {
        model.path = app.serviceManager.contents.localPath(browser.model.path);
      }
    };
    const look = (panel: NotebookPanel) => {
      panel.sessionContext.kernelChanged.connect(follow);
      panel.context.pathChanged.connect(follow);
      panel.disposed.connect(follow);
      void panel.context.ready.then(follow);
    };
    tracker.forEach(look);
    tracker.widgetAdded.connect((_, panel) => {
      look(panel);
    });
    tracker.currentChanged.connect(follow);
    browser?.model.pathChanged.connect(follow);
    void app.restored.then(follow);

    // -- what can be done -----------------------------------------------------------------------------------------

    const tell = (error: unknown) => {
      model.tell({ kind: 'trouble', error });
    };
    const openComparison = (pair: IPair) => {
      const known = comparisons.find(({ content }) => {
        const { path, before, after } = content.differences.pair;
        return path === pair.path && before === pair.before && after === pair.after;
      });
      if (known) {
        shell.activateById(known.id);
        return known;
      }
      const content = new ComparisonWidget(new Differences(api, pair), trans);
      const widget = new MainAreaWidget({ content });
      widget.id = `jupyterlab-casa-comparison-${String((count += 1))}`;
      widget.title.icon = productsIcon;
      widget.title.closable = true;
      const retitle = () => {
        const name = content.differences.after.value?.path;
        widget.title.label = name === undefined ? trans.__('Comparison') : trans.__('Compare %1', name);
        widget.title.caption = trans.__('Two versions of data products beside each other');
      };
      let compared = pair;
      content.differences.changed.connect(() => {
        retitle();
        if (content.differences.pair !== compared) {
          compared = content.differences.pair;
          void comparisons.save(widget);
        }
      });
      retitle();
      shell.add(widget, 'main');
      void comparisons.add(widget);
      shell.activateById(widget.id);
      return widget;
    };
    let count = 0;
    const comparisons = new WidgetTracker<MainAreaWidget<ComparisonWidget>>({
      namespace: 'jupyterlab-casa-comparison'
    });
    void restorer?.restore(comparisons, {
      command: CommandIDs.open,
      args: ({ content }) => ({ ...content.differences.pair }),
      name: ({ content }) => Object.values(content.differences.pair).join(' ')
    });

    const actions: IProductActions = {
      restore: version => void model.restore(version),
      restoreAs: version => {
        void restoreAs(version).catch(tell);
      },
      compare: version => {
        const other = model.partner(version);
        if (other && model.path !== null) {
          const [before, after] = [version, other].sort((one, two) => one.number - two.number) as [
            IVersionRow,
            IVersionRow
          ];
          openComparison({ path: model.path, before: before.id, after: after.id });
        } else {
          tell(new Error(trans.__('There is no other version to compare it with.')));
        }
      },
      reveal: path => {
        reveal(path).catch(tell);
      },
      collect: () => {
        void collect().catch(tell);
      },
      menu: (x, y) => {
        menu.open(x, y);
      }
    };
    const restoreAs = async (version: IVersionRow) => {
      const { value } = await InputDialog.getText({
        title: trans.__('Restore Version %1 of %2 As', version.number, version.path),
        label: trans.__('Path in the workspace'),
        text: versionPath(version),
        okLabel: trans.__('Restore')
      });
      const to = value?.trim();
      if (to) {
        await model.restore(version, to);
      }
    };
    const reveal = async (path: string) => {
      const place = placeOf(path, model.path ?? '', model.store?.workspace ?? null);
      if (!browser || place === null) {
        throw new Error(trans.__('%1 lies outside of what the file browser shows', path));
      }
      await app.serviceManager.contents.get(place, { content: false }).catch(() => {
        throw new Error(trans.__('%1 is not there now: restore a version first', path));
      });
      shell.activateById(browser.id);
      await browser.model.cd(`/${PathExt.dirname(place)}`);
      await browser.selectItemByName(PathExt.basename(place));
    };
    const collect = async () => {
      if (model.path !== null) {
        const said = await makeRoom(api, model.path, trans);
        if (said) {
          model.tell({ kind: 'said', text: said });
        }
        await model.refresh();
      }
    };

    // -- the list -------------------------------------------------------------------------------------------------

    const list = new ProductsWidget(model, actions, trans);
    list.id = 'jupyterlab-casa-products';
    list.title.icon = productsIcon;
    list.title.caption = trans.__('Data products of CASA notebooks');
    list.node.setAttribute('role', 'region');
    list.node.setAttribute('aria-label', trans.__('Data products of CASA notebooks'));
    shell.add(list, 'left', { rank: 310, type: 'CASA' });
    restorer?.add(list, list.id);

    const chosen = () => list.choice?.version ?? null;
    const onChosen = (act: (version: IVersionRow) => void) => () => {
      const version = chosen();
      if (version) {
        act(version);
      }
    };
    commands.addCommand(CommandIDs.show, {
      label: trans.__('Show the Data Products'),
      icon: productsIcon,
      execute: () => {
        shell.activateById(list.id);
      }
    });
    commands.addCommand(CommandIDs.compare, {
      label: trans.__('Compare With the Present Version'),
      isEnabled: () => {
        const version = chosen();
        return version !== null && model.partner(version) !== null;
      },
      execute: onChosen(actions.compare)
    });
    commands.addCommand(CommandIDs.restore, {
      label: trans.__('Restore This Version'),
      caption: trans.__('What lies there is kept first.'),
      isEnabled: () => chosen()?.kept === true && chosen()?.present === false && !model.isBusy,
      execute: onChosen(actions.restore)
    });
    commands.addCommand(CommandIDs.restoreAs, {
      label: trans.__('Restore This Version As…'),
      isEnabled: () => chosen()?.kept === true && !model.isBusy,
      execute: onChosen(actions.restoreAs)
    });
    commands.addCommand(CommandIDs.reveal, {
      label: trans.__('Show in the File Browser'),
      isEnabled: () => list.choice !== null,
      execute: () => {
        if (list.choice) {
          actions.reveal(list.choice.product.path);
        }
      }
    });
    commands.addCommand(CommandIDs.collect, {
      label: trans.__('Make Room in the Store…'),
      isEnabled: () => model.path !== null && model.state !== 'empty',
      execute: actions.collect
    });
    commands.addCommand(CommandIDs.open, {
      label: trans.__('Compare Versions'),
      isVisible: () => false, // for the layout that is restored
      execute: args => {
        const { path, before, after } = args;
        return typeof path === 'string' && typeof before === 'string' && typeof after === 'string'
          ? openComparison({ path, before, after })
          : null;
      }
    });
    const menu = new MenuSvg({ commands });
    for (const command of [CommandIDs.compare, CommandIDs.restore, CommandIDs.restoreAs, CommandIDs.reveal]) {
      menu.addItem({ command });
    }
    if (palette) {
      const category = trans.__('CASA');
      palette.addItem({ command: CommandIDs.show, category });
      palette.addItem({ command: CommandIDs.collect, category });
    }
    // A side bar that was open when the page was left is shown without being told so.
    labShell?.layoutModified.connect(() => {
      model.wanted = list.isVisible;
    });
  }
};

/** A name beside the product for one of its versions. */
function versionPath({ path, number }: IVersionRow): string {
  const extension = PathExt.extname(path);
  return `${path.slice(0, path.length - extension.length)}-v${String(number)}${extension}`;
}
