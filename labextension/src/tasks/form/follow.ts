/** The call under the cursor, as the cursor moves. */
import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { type ISignal, Signal } from '@lumino/signaling';
import type { Catalogue } from '../model';
import { callAt, type ICall, type IEdit, type IScope, readSource } from './source';

/** Milliseconds after the last change until one looks. */
const WAIT_MS = 80;

/** Where the cursor is. */
export interface IPlace {
  readonly panel: NotebookPanel;
  readonly cell: Cell;
  readonly source: string;
  /** The call under the cursor; null: there is none. */
  readonly call: ICall | null;
  /** What names stand for in this cell. */
  readonly scope: IScope;
}

/** Reads the cells of a notebook from the top; those that nothing has changed for are not read again. */
export class Scopes {
  /** What names stand for before a cell, given the sources of those above it. */
  before(sources: readonly string[], initial: IScope): IScope {
    let scope = initial;
    let same = this._initial === initial;
    sources.forEach((source, index) => {
      const known = this._known[index];
      if (!same || known?.source !== source) {
        same = false;
        this._known[index] = { source, after: readSource(source, scope).scope };
      }
      scope = this._known[index]?.after ?? scope;
    });
    if (!same) {
      this._known.length = sources.length;
    }
    this._initial = initial;
    return scope;
  }

  private _initial: IScope | null = null;
  private readonly _known: { source: string; after: IScope }[] = [];
}

/** Follows the cursor through notebooks. It looks only while somebody wants to know. */
export class Follower {
  constructor(
    private readonly _tracker: INotebookTracker,
    private readonly _catalogue: Catalogue
  ) {
    _tracker.activeCellChanged.connect(this._attach);
    _tracker.currentChanged.connect(this._attach);
    _catalogue.changed.connect(this._soon);
  }

  /** The cursor is elsewhere, or what it stands in is another. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Null: there is no notebook, or no cell of code. */
  get place(): IPlace | null {
    return this._place;
  }

  /** Whether there is a notebook, whatever the cursor stands in. */
  get hasNotebook(): boolean {
    return this._hasNotebook;
  }

  /** Whether somebody wants to know. */
  set wanted(wanted: boolean) {
    if (wanted !== this._wanted) {
      this._wanted = wanted;
      this._attach();
    }
  }

  /** Makes edits in the cell at hand, as one step for undo, and looks again. */
  write(place: IPlace, steps: readonly IEdit[]): void {
    const shared = place.cell.model.sharedModel;
    if (shared.getSource() !== place.source) {
      this._look(); // somebody was faster: what was read is not what is there
      return;
    }
    shared.transact(() => {
      for (const { from, to, insert } of steps) {
        shared.updateSource(from, to, insert);
      }
    });
    this._look();
  }

  private readonly _attach = (): void => {
    const cell = this._wanted ? this._tracker.activeCell : null;
    if (cell !== this._cell) {
      if (this._cell && !this._cell.isDisposed) {
        this._cell.model.sharedModel.changed.disconnect(this._soon);
      }
      this._cell?.editor?.model.selections.changed.disconnect(this._soon);
      this._cell = cell;
      cell?.model.sharedModel.changed.connect(this._soon);
      void cell?.ready.then(() => {
        if (cell === this._cell && !cell.isDisposed) {
          cell.editor?.model.selections.changed.connect(this._soon);
          this._soon();
        }
      });
    }
    this._soon();
  };

  private readonly _soon = (): void => {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => {
      this._look();
    }, WAIT_MS);
  };

  private _look(): void {
    clearTimeout(this._timer);
    const panel = this._tracker.currentWidget;
    const cell = this._wanted ? this._tracker.activeCell : null;
    const former = this._place;
    if (!panel?.content.model || !cell || cell.isDisposed || cell.model.type !== 'code') {
      this._place = null;
    } else {
      const source = cell.model.sharedModel.getSource();
      const above: string[] = [];
      for (const other of panel.content.model.cells) {
        if (other.id === cell.model.id) {
          break;
        }
        if (other.type === 'code') {
          above.push(other.sharedModel.getSource());
        }
      }
      let scopes = this._scopes.get(panel);
      if (!scopes) {
        scopes = new Scopes();
        this._scopes.set(panel, scopes);
      }
      const outer = scopes.before(above, this._catalogue.scope);
      const { calls, scope } = readSource(source, outer);
      const { editor } = cell;
      const offset = editor ? editor.getOffsetAt(editor.getCursorPosition()) : 0;
      this._place = { panel, cell, source, call: callAt(calls, source, offset), scope };
    }
    const now = this._place;
    const had = this._hasNotebook;
    this._hasNotebook = panel !== null;
    const same =
      had === this._hasNotebook &&
      former?.cell === now?.cell &&
      former?.source === now?.source &&
      former?.scope === now?.scope &&
      former?.call?.from === now?.call?.from;
    if (!same) {
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _scopes = new WeakMap<NotebookPanel, Scopes>();
  private _place: IPlace | null = null;
  private _cell: Cell | null = null;
  private _hasNotebook = false;
  private _wanted = false;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}
