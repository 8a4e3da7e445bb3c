/** Does in an open notebook what a walk tells. */
import type { ICodeCellModel } from '@jupyterlab/cells';
import type { INotebookCellExecutor, NotebookPanel } from '@jupyterlab/notebook';
import type { IOutput } from '@jupyterlab/nbformat';
import type { IOutputJson, IPostedCell } from '../server/types';
import { startFrom, storyOf } from '../story';
import type { NotebookState } from './model';
import { type Ending, type IHands, type KernelState, OTHER_EXECUTOR } from './rerun';

/** A panel and its kernel; see {@link IHands}. */
export class PanelHands implements IHands {
  /**
   * @param _panel - Whose cells are executed.
   * @param _state - What is known of them.
   * @param _executor - JupyterLab's, or that of another extension.
   */
  constructor(
    private readonly _panel: NotebookPanel,
    private readonly _state: NotebookState,
    private readonly _executor: INotebookCellExecutor
  ) {}

  get path(): string {
    return this._state.path;
  }

  get kernel(): string | null {
    return this._connection?.id ?? null;
  }

  get spared_s(): number {
    return this._state.spared_s;
  }

  posted(): IPostedCell[] {
    return this._state.posted();
  }

  async execute(id: string, state: KernelState): Promise<Ending> {
    const { _panel: panel, _connection: kernel } = this;
    const cell = panel.content.widgets.find(({ model }) => model.id === id);
    const model = panel.content.model;
    if (!kernel || !cell || !model) {
      return cell ? 'lost' : 'error'; // it was deleted
    }
    const taken = startFrom(kernel, id, state);
    let ending: Ending = 'lost';
    try {
      await this._executor.runCell({
        cell,
        notebook: model,
        notebookConfig: panel.content.notebookConfig,
        onCellExecutionScheduled: () => undefined,
        onCellExecuted: ({ success }) => {
          ending = success ? 'ok' : 'error';
        },
        sessionContext: panel.sessionContext
      });
    } catch {
      // The cell shows it, and it has been told above.
    }
    if (!taken()) {
      throw new Error(OTHER_EXECUTOR);
    }
    return ending;
  }

  async settle(state: KernelState): Promise<Ending> {
    const kernel = this._connection;
    if (!kernel) {
      return 'lost';
    }
    const { context } = this._panel;
    const casa = { ...storyOf(context.localPath, context.model.cells), state };
    const request = {
      code: 'pass',
      silent: true,
      store_history: false,
      allow_stdin: false,
      stop_on_error: false
    };
    try {
      const reply = await kernel.requestExecute(request, true, { casa: { ...casa } }).done;
      return reply.content.status === 'ok' ? 'ok' : 'error';
    } catch {
      return 'lost';
    }
  }

  outputs(id: string): IOutputJson[] {
    return this._model(id)?.outputs.toJSON() ?? [];
  }

  show(id: string, outputs: IOutputJson[]): void {
    const model = this._model(id);
    if (model) {
      model.trusted = true; // it is what the user's own run had shown
      model.outputs.fromJSON(outputs as unknown as IOutput[]);
    }
  }

  private get _connection() {
    return this._panel.sessionContext.session?.kernel ?? null;
  }

  private _model(id: string): ICodeCellModel | null {
    for (const model of this._panel.context.model.cells) {
      if (model.id === id && model.type === 'code') {
        return model as ICodeCellModel;
      }
    }
    return null;
  }
}
