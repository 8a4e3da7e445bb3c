/** Help of tasks in JupyterLab's Contextual Help, and over their names in cells. Neither needs the kernel. */
import { type IInspector, InspectionHandler, KernelConnector } from '@jupyterlab/inspector';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Extension } from '@codemirror/state';
import { type EditorView, hoverTooltip } from '@codemirror/view';
import { type ReactElement, useEffect, useState } from 'react';
import { duration } from '../notebook/words';
import type { ITask } from '../server/types';
import { taskAt, taskNamed } from './at';
import { TaskHelp } from './help';
import { type Catalogue, troubleOf } from './model';
import { effectTexts, troubleText } from './words';

/** What the inspector is given instead of a docstring: the name of a task. */
const MIME_TYPE = 'application/vnd.casa.task+json';

/** Asks our server about tasks, and the kernel about everything else. */
class Connector extends KernelConnector {
  constructor(
    panel: NotebookPanel,
    private readonly _catalogue: Catalogue,
    private readonly _wanted: () => boolean
  ) {
    super({ sessionContext: panel.sessionContext });
  }

  async fetch(request: InspectionHandler.IRequest): Promise<InspectionHandler.IReply> {
    const offset = toUnits(request.text, request.offset);
    const task = this._wanted() ? taskAt(request.text, offset, this._catalogue) : null;
    if (task === null) {
      return super.fetch(request);
    }
    return { data: { [MIME_TYPE]: { task, turn: this.turn } }, metadata: {} };
  }

  /** How often its answers have been wanted again after another source's. */
  turn = 0;
}

/** Tells again what it told last when it was not the inspector's source meanwhile, which then shows something else. */
class TaskHandler extends InspectionHandler {
  constructor(
    private readonly _tasks: Connector,
    rendermime: IRenderMimeRegistry
  ) {
    super({ connector: _tasks, rendermime });
  }

  get standby(): boolean {
    return super.standby;
  }

  set standby(value: boolean) {
    if (super.standby && !value) {
      this._tasks.turn++;
    }
    super.standby = value;
  }
}

/** A place that is counted in characters, as one in JavaScript's units. */
function toUnits(text: string, characters: number): number {
  return Array.from(text).slice(0, characters).join('').length;
}

/**
 * Gives the inspector a source of ours for each notebook.
 *
 * @param rendermime - Draws help; a notebook's own may be older than our renderer.
 * @param wanted - Whether tasks' help is; else it is the kernel that is asked.
 * @param shown - Called when another widget comes to the fore, and after JupyterLab has set its own source.
 */
export function inspectTasks(
  inspector: IInspector,
  tracker: INotebookTracker,
  catalogue: Catalogue,
  rendermime: IRenderMimeRegistry,
  wanted: () => boolean,
  shown: (callback: (current: unknown) => void) => void
): void {
  const handlers = new Map<NotebookPanel, InspectionHandler>();
  const follow = (panel: NotebookPanel) => {
    const handler = new TaskHandler(new Connector(panel, catalogue, wanted), rendermime);
    handlers.set(panel, handler);
    const attach = () => {
      const cell = panel.content.activeCell;
      void cell?.ready.then(() => {
        if (!cell.isDisposed && cell === panel.content.activeCell) {
          handler.editor = cell.editor;
          if (panel === tracker.currentWidget) {
            inspector.source = handler;
          }
        }
      });
    };
    panel.content.activeCellChanged.connect(attach);
    attach();
    panel.disposed.connect(() => {
      handlers.delete(panel);
      handler.dispose();
    });
  };
  tracker.forEach(follow);
  tracker.widgetAdded.connect((_, panel) => {
    follow(panel);
  });
  shown(current => {
    const handler = handlers.get(current as NotebookPanel);
    if (handler && tracker.has(current as NotebookPanel)) {
      inspector.source = handler;
      handler.onEditorChange(); // the cursor may have come before
    }
  });
}

/** What cannot be said yet, or the help of a task. */
function Loaded({
  name,
  catalogue,
  trans
}: {
  name: string;
  catalogue: Catalogue;
  trans: TranslationBundle;
}): ReactElement {
  const [task, setTask] = useState<ITask | string>('');
  useEffect(() => {
    let here = true;
    catalogue.task(name).then(
      found => {
        if (here) {
          setTask(found);
        }
      },
      (error: unknown) => {
        if (here) {
          setTask(troubleText(troubleOf(error), trans));
        }
      }
    );
    return () => {
      here = false;
    };
  }, [name, catalogue, trans]);
  return typeof task === 'string' ? <p>{task}</p> : <TaskHelp task={task} trans={trans} />;
}

class HelpRenderer extends ReactWidget implements IRenderMime.IRenderer {
  constructor(
    private readonly _catalogue: Catalogue,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-inspected');
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data = model.data[MIME_TYPE] as { task?: unknown } | null | undefined;
    this._name = typeof data?.task === 'string' ? data.task : '';
    this.update();
    return Promise.resolve();
  }

  protected render(): ReactElement {
    return <Loaded name={this._name} catalogue={this._catalogue} trans={this._trans} />;
  }

  private _name = '';
}

/** Lets the inspector show help of tasks. */
export function addHelpRenderer(
  rendermime: IRenderMimeRegistry,
  catalogue: Catalogue,
  trans: TranslationBundle
): void {
  rendermime.addFactory(
    { safe: true, mimeTypes: [MIME_TYPE], createRenderer: () => new HelpRenderer(catalogue, trans) },
    0
  );
}

/** Help over the name of a task: what it is, what it does, how long it takes. */
export function hoverHelp(
  catalogue: Catalogue,
  wanted: (view: EditorView) => boolean,
  where: () => string | null,
  trans: TranslationBundle
): Extension {
  return hoverTooltip(async (view, position) => {
    const named = wanted(view) ? taskNamed(view.state.doc.toString(), position, catalogue) : null;
    if (!named) {
      return null;
    }
    const { task: name, from, to } = named;
    const path = where();
    const task = await (path === null ? catalogue.task(name) : catalogue.taskAt(name, path)).catch(
      () => null
    );
    if (!task) {
      return null;
    }
    return {
      pos: from,
      end: to,
      above: true,
      create: () => ({ dom: card(task, trans) })
    };
  });
}

function card(task: ITask, trans: TranslationBundle): HTMLElement {
  const node = document.createElement('div');
  node.className = 'jp-casa-hover';
  const add = (tag: string, text: string) => {
    const part = document.createElement(tag);
    part.textContent = text;
    node.append(part);
  };
  add('code', task.name);
  add('p', task.summary);
  effectTexts(task.effects, trans, true).forEach(text => {
    add('p', text);
  });
  const typical = task.here?.typical_s;
  if (typeof typical === 'number') {
    add('p', trans.__('Usually takes %1 here.', duration(typical)));
  }
  return node;
}
