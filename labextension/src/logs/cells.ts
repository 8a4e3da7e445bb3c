/** The cells of open notebooks, as the log names them; links from cells that have failed to what the log says of it. */
import { CodeCell, type ICodeCellModel } from '@jupyterlab/cells';
import { PathExt } from '@jupyterlab/coreutils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { element } from '../notebook/hover';
import { isOurs } from '../notebook/notebooks';
import type { ILogCall } from '../server/types';

/** What a call leaves in a cell. */
const CALL = 'application/vnd.casa.log+json';
/** Milliseconds after the last change until it is looked which cells have failed. */
const LOOK_MS = 200;
const LINK = 'jp-casa-logs-from-cell';

/** The cells of open notebooks. */
export class LoggedCells {
  /**
   * @param _tracker - JupyterLab's notebooks.
   * @param _show - Shows what the log says of a cell.
   * @param _trans - Our texts.
   */
  constructor(
    private readonly _tracker: INotebookTracker,
    private readonly _show: (panel: NotebookPanel, cell: string) => void,
    private readonly _trans: TranslationBundle
  ) {
    _tracker.forEach(panel => {
      this._follow(panel);
    });
    _tracker.widgetAdded.connect((_, panel) => {
      this._follow(panel);
    });
  }

  /** The notebook of a call, if it is open; of several that are called so, the one in front. */
  panelOf(call: Pick<ILogCall, 'notebook'>): NotebookPanel | null {
    const current = this._tracker.currentWidget;
    const name = PathExt.basename(call.notebook);
    if (!current || name === '' || nameOf(current) === name) {
      return current;
    }
    const directory = PathExt.dirname(current.context.localPath);
    return (
      this._tracker.find(
        panel => nameOf(panel) === name && PathExt.dirname(panel.context.localPath) === directory
      ) ?? null
    );
  }

  /** What a cell of a notebook is called; empty: there is no such cell. */
  name(panel: NotebookPanel | null, id: string): string {
    const number = panel && this._numbers(panel).get(id);
    return number ? this._trans.__('cell %1', number) : '';
  }

  /** What the cell of a call is called; empty: it has none. */
  nameOf(call: ILogCall): string {
    if (call.cell === null) {
      return '';
    }
    const panel = this.panelOf(call);
    if (!panel) {
      return PathExt.basename(call.notebook);
    }
    return this.name(panel, call.cell) || this._trans.__('a cell that is no longer there');
  }

  private _numbers(panel: NotebookPanel): Map<string, number> {
    let numbers = this._known.get(panel);
    if (!numbers) {
      const cells = [...(panel.content.model?.cells ?? [])].filter(({ type }) => type === 'code');
      numbers = new Map(cells.map(({ id }, index) => [id, index + 1]));
      this._known.set(panel, numbers);
    }
    return numbers;
  }

  private _follow(panel: NotebookPanel): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      this._known.delete(panel);
      clearTimeout(timer);
      timer = setTimeout(() => {
        this._link(panel);
      }, LOOK_MS);
    };
    panel.content.modelContentChanged.connect(look);
    panel.content.cellInViewportChanged.connect(look);
    panel.sessionContext.kernelChanged.connect(look);
    panel.disposed.connect(() => {
      clearTimeout(timer);
    });
    void panel.context.ready.then(look);
  }

  /** Puts a link below the outputs of cells whose call has failed. */
  private _link(panel: NotebookPanel): void {
    if (panel.isDisposed) {
      return;
    }
    const ours = isOurs(panel);
    for (const cell of panel.content.widgets) {
      if (!(cell instanceof CodeCell) || !cell.isAttached) {
        continue;
      }
      const { node } = cell.outputArea;
      const link = [...node.children].find(child => child.classList.contains(LINK));
      const wanted = ours && hasFailedCall(cell.model);
      if (link && !wanted) {
        link.remove();
      } else if (!link && wanted) {
        const button = element('button', LINK, this._trans.__('Show the error in the CASA log'));
        button.type = 'button';
        button.addEventListener('click', () => {
          this._show(panel, cell.model.id);
        });
        node.append(button);
      }
    }
  }

  private readonly _known = new WeakMap<NotebookPanel, Map<string, number>>();
}

function nameOf(panel: NotebookPanel): string {
  return PathExt.basename(panel.context.localPath);
}

/** Whether a cell shows an error, and that it has called a task. */
function hasFailedCall({ outputs }: ICodeCellModel): boolean {
  let [failed, called] = [false, false];
  for (let index = 0; index < outputs.length; index++) {
    const output = outputs.get(index);
    failed ||= output.type === 'error';
    called ||= CALL in output.data;
  }
  return failed && called;
}
