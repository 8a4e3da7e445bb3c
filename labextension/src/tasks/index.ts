/** Plugins: the list of tasks, the form, and help. */
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import type { EditorView } from '@codemirror/view';
import { EditorExtensionRegistry, IEditorExtensionRegistry } from '@jupyterlab/codemirror';
import { PathExt } from '@jupyterlab/coreutils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { FileDialog } from '@jupyterlab/filebrowser';
import { IInspector } from '@jupyterlab/inspector';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import type { ITask } from '../server/types';
import { formIcon, tasksIcon } from '../icons';
import { DOMAIN, ICasaServer } from '../tokens';
import { dragCell } from './drag';
import { Follower } from './form/follow';
import { newCall } from './form/model';
import { FormState } from './form/state';
import { insertCall } from './insert';
import { addHelpRenderer, hoverHelp, inspectTasks } from './inspector';
import { Catalogue, Remembered } from './model';
import type { ITaskActions } from './palette';
import { TaskFormPanel, TaskPalette } from './widgets';

/** The tasks, for our other plugins. */
interface ITaskCatalogue {
  readonly catalogue: Catalogue;
}
const ITaskCatalogue = new Token<ITaskCatalogue>('jupyterlab-casa:ITaskCatalogue', 'The tasks of CASA.');

const TASKS_ID = 'jupyterlab-casa:tasks';
const HELP_ID = 'jupyterlab-casa:help';

/** Commands of ours. */
export const CommandIDs = {
  insert: 'jupyterlab-casa:insert-task',
  showTasks: 'jupyterlab-casa:show-tasks',
  showForm: 'jupyterlab-casa:show-form',
  showHelp: 'jupyterlab-casa:show-task-help'
} as const;

const catalogue: JupyterFrontEndPlugin<ITaskCatalogue> = {
  id: 'jupyterlab-casa:catalogue',
  description: 'Knows the tasks of the CASA that kernels use.',
  autoStart: true,
  provides: ITaskCatalogue,
  requires: [ICasaServer],
  activate: (_: JupyterFrontEnd, server: ICasaServer) => {
    const tasks = new Catalogue(server.api);
    const load = () => {
      if (server.state.condition !== 'checking') {
        void tasks.load();
      }
    };
    server.state.changed.connect(load);
    load();
    return { catalogue: tasks };
  }
};

const tasks: JupyterFrontEndPlugin<void> = {
  id: TASKS_ID,
  description: 'Lists the tasks of CASA, puts calls into notebooks, and shows a call as a form.',
  autoStart: true,
  requires: [ITaskCatalogue, INotebookTracker, IDocumentManager],
  optional: [ITranslator, IStateDB, ICommandPalette, ILayoutRestorer, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    { catalogue }: ITaskCatalogue,
    tracker: INotebookTracker,
    manager: IDocumentManager,
    translator: ITranslator | null,
    state: IStateDB | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    registry: ISettingRegistry | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const remembered = new Remembered(state);
    void app.restored.then(() => remembered.load());

    // Who writes in a cell and then turns to our side bars wants the call where the cursor was.
    let writing: unknown = null;
    const sideBars: Node[] = [];
    const follow = (panel: typeof tracker.currentWidget) => {
      panel?.sessionContext.statusChanged.connect((_, status) => {
        if (status === 'idle' && panel === tracker.currentWidget) {
          form.refresh();
        }
      });
      const notebook = panel?.content;
      notebook?.stateChanged.connect((_, { name, newValue }) => {
        if (name === 'mode' && newValue === 'edit') {
          writing = notebook.activeCell;
        } else if (name === 'mode') {
          setTimeout(() => {
            if (!sideBars.some(bar => bar.contains(document.activeElement))) {
              writing = null;
            }
          });
        }
      });
    };
    tracker.forEach(follow);
    tracker.widgetAdded.connect((_, panel) => {
      follow(panel);
    });

    const insert = async (name: string, text?: string): Promise<string> => {
      const notebook = tracker.currentWidget?.content;
      if (!notebook?.model) {
        return trans.__('Open a notebook: the call goes there.');
      }
      if (notebook.model.readOnly) {
        return trans.__('The notebook cannot be changed.');
      }
      const task = text === undefined ? await catalogue.task(name).catch(() => null) : null;
      const call = task ? newCall(task) : { text: text ?? `${name}()`, cursor: (text ?? `${name}(`).length };
      const cell = notebook.activeCell;
      await insertCall(
        notebook,
        call.text,
        call.cursor,
        cell !== null && (cell === writing || notebook.mode === 'edit')
      );
      remembered.use(name);
      return '';
    };
    const actions: ITaskActions = {
      insert,
      show: name => {
        form.show(name);
        app.shell.activateById(panel.id);
      },
      drag: (name, event) => {
        const bare = `${name}()`;
        const better = catalogue.task(name).then(
          task => newCall(task).text,
          () => bare
        );
        return dragCell(event, name, () => {
          remembered.use(name);
          return { text: bare, better };
        });
      }
    };

    const list = new TaskPalette({ catalogue, remembered, actions, trans });
    list.id = 'jupyterlab-casa-tasks';
    list.title.icon = tasksIcon;
    list.title.caption = trans.__('Tasks of CASA');
    app.shell.add(list, 'left', { rank: 300, type: 'CASA' });

    const follower = new Follower(tracker, catalogue);
    const form = new FormState(follower, catalogue, {
      insert: (task: ITask, text?: string) => void insert(task.name, text),
      pick: async (place, kind, title) => {
        const directory = PathExt.dirname(place.panel.context.localPath);
        const { value } = await FileDialog[kind === 'file' ? 'getOpenFiles' : 'getExistingDirectory']({
          manager,
          title,
          translator: translator ?? undefined,
          defaultPath: directory
        });
        const path = value?.[0]?.path;
        return path === undefined
          ? null
          : PathExt.relative(directory, manager.services.contents.localPath(path));
      }
    });
    const panel = new TaskFormPanel(form, trans);
    panel.id = 'jupyterlab-casa-form';
    panel.title.icon = formIcon;
    panel.title.caption = trans.__('The call at the cursor as a form, and help');
    app.shell.add(panel, 'right', { rank: 300, type: 'CASA' });
    sideBars.push(list.node, panel.node);
    restorer?.add(list, list.id);
    restorer?.add(panel, panel.id);

    const taskOf = (args: { task?: unknown }): string => (typeof args.task === 'string' ? args.task : '');
    app.commands.addCommand(CommandIDs.insert, {
      label: args =>
        args.isPalette ? trans.__('Insert %1', taskOf(args)) : trans.__('Insert a Call of %1', taskOf(args)),
      caption: args => catalogue.tasks.find(({ name }) => name === taskOf(args))?.summary ?? '',
      isEnabled: () => tracker.currentWidget !== null,
      execute: async args => {
        await insert(taskOf(args));
      }
    });
    app.commands.addCommand(CommandIDs.showHelp, {
      label: args => trans.__('Help on %1', taskOf(args)),
      execute: args => {
        actions.show(taskOf(args));
      }
    });
    app.commands.addCommand(CommandIDs.showTasks, {
      label: trans.__('Show the Tasks of CASA'),
      execute: () => {
        app.shell.activateById(list.id);
      }
    });
    app.commands.addCommand(CommandIDs.showForm, {
      label: trans.__('Show the Call at the Cursor as a Form'),
      execute: () => {
        app.shell.activateById(panel.id);
      }
    });
    let offers = true;
    let offer = () => undefined as unknown;
    if (palette) {
      const category = trans.__('CASA');
      palette.addItem({ command: CommandIDs.showTasks, category });
      palette.addItem({ command: CommandIDs.showForm, category });
      let offered: { dispose(): void }[] = [];
      offer = () => {
        offered.forEach(item => {
          item.dispose();
        });
        offered = (offers ? catalogue.tasks : []).map(({ name }) =>
          palette.addItem({
            command: CommandIDs.insert,
            category: trans.__('CASA tasks'),
            args: { task: name, isPalette: true }
          })
        );
      };
      catalogue.changed.connect(() => offer());
      offer();
    }
    void registry?.load(TASKS_ID).then(settings => {
      const read = () => {
        remembered.wanted = Number(settings.composite.recent);
        offers = settings.composite.palette !== false;
        offer();
      };
      settings.changed.connect(read);
      read();
    });
  }
};

const help: JupyterFrontEndPlugin<void> = {
  id: HELP_ID,
  description: 'Shows help of tasks in the Contextual Help and over their names.',
  autoStart: true,
  requires: [ITaskCatalogue, INotebookTracker],
  optional: [
    ITranslator,
    IInspector,
    ILabShell,
    IRenderMimeRegistry,
    IEditorExtensionRegistry,
    ISettingRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    { catalogue }: ITaskCatalogue,
    tracker: INotebookTracker,
    translator: ITranslator | null,
    inspector: IInspector | null,
    shell: ILabShell | null,
    rendermime: IRenderMimeRegistry | null,
    editors: IEditorExtensionRegistry | null,
    registry: ISettingRegistry | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const wants = { hover: true, contextual: true };
    void registry?.load(HELP_ID).then(settings => {
      const read = () => {
        wants.hover = settings.composite.hover !== false;
        wants.contextual = settings.composite.contextual !== false;
      };
      settings.changed.connect(read);
      read();
    });
    if (inspector && shell && rendermime) {
      addHelpRenderer(rendermime, catalogue, trans);
      const wanted = () => wants.contextual;
      inspectTasks(inspector, tracker, catalogue, rendermime, wanted, callback => {
        // JupyterLab sets its own source in the same turn, before or after this.
        const show = (current: unknown) => {
          callback(current);
          setTimeout(callback, 0, current);
        };
        shell.currentChanged.connect((_, { newValue }) => {
          show(newValue);
        });
        void app.restored.then(() => {
          show(shell.currentWidget);
        });
      });
    }
    editors?.addExtension({
      name: 'jupyterlab-casa:hover',
      factory: ({ model }) => {
        // The language of a cell is known only when its kernel is.
        const wanted = (view: EditorView) =>
          wants.hover &&
          (model.mimeType.includes('python') ||
            (model.mimeType === 'text/plain' && view.dom.closest('.jp-CodeCell') !== null));
        const where = () => tracker.currentWidget?.context.localPath ?? null;
        return EditorExtensionRegistry.createImmutableExtension(hoverHelp(catalogue, wanted, where, trans));
      }
    });
  }
};

export default [catalogue, tasks, help] as JupyterFrontEndPlugin<unknown>[];
