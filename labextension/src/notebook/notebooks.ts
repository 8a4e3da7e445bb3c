/** The open notebooks whose kernel is ours: each has a state as long as it has such a kernel. */
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { type ISignal, Signal } from '@lumino/signaling';
import type { CasaEvents } from '../server/events';
import type { ISessionNow } from '../server/types';
import { KERNEL_NAME } from '../story';
import type { ICasaNotebooks, ICasaServer } from '../tokens';
import { NotebookState } from './model';

/** Milliseconds between looks while nobody tells anything: files may have been changed by another program. */
const LOOK_MS = 30_000;

/** The open notebooks; see {@link ICasaNotebooks}. */
export class CasaNotebooks implements ICasaNotebooks {
  /**
   * @param tracker - JupyterLab's notebooks.
   * @param _server - Answers.
   * @param _events - What happens on the server.
   */
  constructor(
    tracker: INotebookTracker,
    private readonly _server: ICasaServer,
    private readonly _events: CasaEvents
  ) {
    tracker.forEach(panel => {
      this._follow(panel);
    });
    tracker.widgetAdded.connect((_, panel) => {
      this._follow(panel);
    });
    _server.state.changed.connect(() => {
      tracker.forEach(panel => {
        this._look(panel);
      });
    });
    _events.restarted.connect(() => {
      this._states.forEach((state, panel) => {
        this._tell(panel, state);
        state.refresh();
      });
    });
    _events.happened.connect((_, { kind, data }) => {
      this._states.forEach((state, panel) => {
        if (kind === 'cells') {
          // What somebody else has posted is not what is here.
          if (data.path === state.path && data.because !== 'asked') {
            state.refresh();
          }
        } else if (data.kernel !== '' && data.kernel === kernelOf(panel)?.id) {
          state.spared_s += kind === 'call' ? (data.result?.saved_s ?? 0) : 0;
          this._tell(panel, state);
        }
      });
    });
    // A notebook that comes into sight, or has been in sight for long, may have been overtaken by what no kernel has done.
    tracker.currentChanged.connect((_, panel) => {
      if (panel) {
        this.get(panel)?.refresh();
      }
    });
    setInterval(() => {
      if (!document.hidden && tracker.currentWidget) {
        this.get(tracker.currentWidget)?.refresh();
      }
    }, LOOK_MS);
  }

  get changed(): ISignal<ICasaNotebooks, NotebookPanel> {
    return this._changed;
  }

  get panels(): readonly NotebookPanel[] {
    return [...this._states.keys()];
  }

  get(panel: NotebookPanel): NotebookState | null {
    return this._states.get(panel) ?? null;
  }

  private _follow(panel: NotebookPanel): void {
    const { sessionContext, context } = panel;
    const look = () => {
      this._look(panel);
    };
    sessionContext.kernelChanged.connect(look);
    sessionContext.statusChanged.connect((_, status) => {
      // What a kernel has done it has recorded by then, also when another client has asked it.
      if (status === 'idle') {
        this.get(panel)?.refresh();
      }
    });
    context.pathChanged.connect(() => this.get(panel)?.refresh());
    // Saved, restored from a checkpoint, read again: the workspace may be another.
    context.fileChanged.connect(() => this.get(panel)?.refresh());
    panel.disposed.connect(() => {
      this._drop(panel);
    });
    void context.ready.then(look);
  }

  private _look(panel: NotebookPanel): void {
    const { context } = panel;
    if (panel.isDisposed || !context.isReady) {
      return;
    }
    if (!isOurs(panel) || this._server.state.condition !== 'ready') {
      this._drop(panel);
      return;
    }
    let state = this._states.get(panel);
    if (!state) {
      const kernel = () => kernelOf(panel)?.id ?? null;
      state = new NotebookState(context.model.sharedModel, () => context.localPath, this._server.api, kernel);
      this._states.set(panel, state);
      this._changed.emit(panel);
    }
    this._tell(panel, state);
    state.refresh();
  }

  private _drop(panel: NotebookPanel): void {
    const state = this._states.get(panel);
    if (state) {
      this._states.delete(panel);
      state.dispose();
      this._changed.emit(panel);
    }
  }

  private _tell(panel: NotebookPanel, state: NotebookState): void {
    const kernel = kernelOf(panel);
    const now: ISessionNow | null = kernel ? this._events.kernel(kernel.id) : null;
    state.doing = now && { cell: now.cell, call: now.call, told: performance.now() };
  }

  private readonly _changed = new Signal<this, NotebookPanel>(this);
  private readonly _states = new Map<NotebookPanel, NotebookState>();
}

function kernelOf(panel: NotebookPanel) {
  return panel.sessionContext.session?.kernel ?? null;
}

/** Whether the notebook's kernel is ours; while it has none, whether it says that it wants one of ours. */
export function isOurs(panel: NotebookPanel): boolean {
  const kernel = kernelOf(panel);
  const wanted = panel.context.model.getMetadata('kernelspec') as { name?: unknown } | undefined;
  return (kernel?.name ?? wanted?.name) === KERNEL_NAME;
}
