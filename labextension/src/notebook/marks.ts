/** The marks beside the cells of a notebook: a bar and a badge each; more of it on hover. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { hideHover, showHover, updateHover } from './hover';
import type { ICellMark, NotebookState } from './model';
import { clock, explain, type ICellWords, word } from './words';

/** A cell, as far as it matters: JupyterLab makes another one when a cell is moved or changes its type. */
export interface IMarkable {
  readonly node: HTMLElement;
  readonly model: { readonly id: string };
}

/** What is drawn on a cell. */
interface IDrawn {
  readonly box: HTMLElement;
  readonly text: HTMLElement;
}

/** The marks of one notebook. */
export class CellMarks implements IDisposable {
  /**
   * @param _state - What is known of its cells.
   * @param _cells - Its cells as they are now.
   * @param _trans - Our texts.
   * @param _open - Called when somebody wants to know more of a cell.
   */
  constructor(
    private readonly _state: NotebookState,
    private readonly _cells: () => Iterable<IMarkable>,
    private readonly _trans: TranslationBundle,
    private readonly _open: (id: string) => void
  ) {
    _state.changed.connect(this._draw);
    this._draw();
  }

  /** Draws all marks as they are now: cells may have come or gone. */
  update(): void {
    this._draw();
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._state.changed.disconnect(this._draw);
      for (const { node } of this._cells()) {
        this._erase(node);
      }
      hideHover();
    }
  }

  private readonly _draw = (): void => {
    for (const cell of this._cells()) {
      const found = this._state.mark(cell.model.id);
      if (found) {
        this._mark(cell, found);
      } else {
        this._erase(cell.node);
      }
    }
    if (this._hovered) {
      updateHover(this._hovered.badge, this._words(this._hovered.id), this._trans);
    }
  };

  private _words(id: string): ICellWords | null {
    const mark = this._state.mark(id);
    return mark && explain(mark, this._trans);
  }

  private _mark(cell: IMarkable, { mark, call, since_s }: ICellMark): void {
    let drawn = this._drawn.get(cell.node);
    if (!drawn) {
      drawn = this._make(cell);
      this._drawn.set(cell.node, drawn);
    }
    // A cell that is drawn when it comes into sight takes its children anew.
    if (drawn.box.parentNode !== cell.node) {
      cell.node.append(drawn.box);
    }
    if (drawn.box.dataset.mark !== mark) {
      drawn.box.dataset.mark = mark;
      cell.node.dataset.casaMark = mark;
    }
    const said = call ? clock(call, since_s ?? 0) : word(mark, this._trans);
    if (drawn.text.textContent !== said) {
      drawn.text.textContent = said;
    }
  }

  private _make(cell: IMarkable): IDrawn {
    const box = document.createElement('div');
    box.className = 'jp-casa-mark';
    const bar = document.createElement('div');
    bar.className = 'jp-casa-mark-bar';
    const badge = document.createElement('button');
    badge.className = 'jp-casa-mark-badge';
    badge.type = 'button';
    // There is one beside each cell: the keyboard reaches the active cell's through a command.
    badge.tabIndex = -1;
    const icon = document.createElement('span');
    icon.className = 'jp-casa-mark-icon';
    icon.setAttribute('aria-hidden', 'true');
    const text = document.createElement('span');
    badge.append(icon, text);
    box.append(bar, badge);
    for (const target of [bar, badge]) {
      target.addEventListener('pointerenter', () => {
        this._hovered = { id: cell.model.id, badge };
        showHover(badge, () => this._words(cell.model.id), this._trans);
      });
      target.addEventListener('pointerleave', () => {
        this._hovered = null;
        hideHover();
      });
    }
    badge.addEventListener('click', event => {
      event.stopPropagation();
      hideHover();
      this._open(cell.model.id);
    });
    return { box, text };
  }

  private _erase(node: HTMLElement): void {
    const drawn = this._drawn.get(node);
    if (drawn) {
      drawn.box.remove();
      delete node.dataset.casaMark;
      this._drawn.delete(node);
    }
  }

  private readonly _drawn = new WeakMap<HTMLElement, IDrawn>();
  /** The mark on which the pointer rests. */
  private _hovered: { id: string; badge: HTMLElement } | null = null;
  private _isDisposed = false;
}
