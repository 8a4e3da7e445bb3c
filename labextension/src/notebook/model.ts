/**
 * What is known of a notebook while it is edited: which cells are stale, why, what it costs, and what runs.
 *
 * The server answers for the cells as they are posted. This model posts them a moment after the last change, one request
 * at a time, and the newest cells always; it holds what was answered last. It knows no JupyterLab but the shared model.
 */
import type { ISharedCell, ISharedCodeCell, ISharedNotebook, NotebookChange } from '@jupyter/ydoc';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import type * as Y from 'yjs';
import { type CasaServer, CasaServerError } from '../server/client';
import type { CellState, ICallNow, ICellPlan, IPlan, IPostedCell, IPostedOutputs } from '../server/types';

/** What is shown of a cell. */
export type Mark = CellState | 'queued' | 'running' | 'failed';

/** What is known of a cell. */
export interface ICellMark {
  readonly mark: Mark;
  /** Its part of the plan; null: it has not been planned, as it runs for the first time. */
  readonly plan: ICellPlan | null;
  /** The call that it runs now, and seconds since that was told. */
  readonly call?: ICallNow;
  readonly since_s?: number;
}

/** How much there is to do. */
export interface ISummary {
  /** Cells that run. */
  stale: number;
  /** Cells that may turn out unchanged. */
  maybe: number;
  /** Cells and products that are brought back. */
  restorable: number;
  /** Seconds; at most. */
  estimate_s: number;
}

/** What a kernel does. */
export interface IDoing {
  /** The id of the cell that it runs. */
  readonly cell: string | null;
  readonly call: ICallNow | null;
  /** When this was told, in milliseconds of `performance.now()`. */
  readonly told: number;
}

/** The part of the server that is needed. */
export type Plans = Pick<CasaServer, 'plan' | 'outputs'>;

/** Milliseconds between posts while somebody types; what is typed after a pause is posted at once. */
const SPACING_MS = 100;
/** The same for outputs: they come in pieces. */
const OUTPUTS_WAIT_MS = 400;
/** After a refusal that passes, the next attempt; each is twice as late as the one before. */
const RETRY_MS = [1000, 30_000] as const;
/** While a call runs, all that tells how far it is, is drawn again after so many milliseconds. */
const TICK_MS = 1000;
/** Characters of outputs that are posted at a time; the server refuses 32 MB. */
const POST_LIMIT = 8_000_000;
/** What an empty list of outputs is identified by. */
const NOTHING = '';
/** HTTP's status of a body that is too large. */
const TOO_LARGE = 413;

/** One notebook. */
export class NotebookState implements IDisposable {
  /**
   * @param notebook - Its cells.
   * @param path - Tells its path from the server's root; notebooks are renamed.
   * @param server - Answers.
   * @param kernel - Tells Jupyter's id of its kernel; null: it has none.
   */
  constructor(
    readonly notebook: ISharedNotebook,
    private readonly _path: () => string,
    private readonly _server: Plans,
    private readonly _kernel: () => string | null
  ) {
    notebook.changed.connect(this._onNotebook);
    this._follow();
    this.refresh();
  }

  /** Something is known anew. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The newest plan; null: there is none, see {@link trouble}. */
  get plan(): IPlan | null {
    return this._plan;
  }

  /** Why there is no plan; null: there is one, or it is asked for. */
  get trouble(): CasaServerError | null {
    return this._trouble;
  }

  /** What the notebook's kernel does now, as the server tells it; null: not known. */
  get doing(): IDoing | null {
    return this._doing;
  }

  set doing(doing: IDoing | null) {
    this._doing = doing;
    clearInterval(this._ticker);
    if (doing?.call) {
      this._ticker = setInterval(() => {
        this._changed.emit();
      }, TICK_MS);
    }
    this._changed.emit();
  }

  /** Seconds since what the kernel does was told. */
  get sinceTold_s(): number {
    return this._doing ? (performance.now() - this._doing.told) / 1000 : 0;
  }

  /** Seconds of computation that calls of its kernel were spared, as they were restored, since the notebook is open. */
  spared_s = 0;

  /** The notebook's path. */
  get path(): string {
    return this._path();
  }

  /** Jupyter's id of the notebook's kernel; null: it has none. */
  get kernel(): string | null {
    return this._kernel();
  }

  /** The code cells as they are posted, with what is known of what they show. */
  posted(): IPostedCell[] {
    return this._codeCells().map(({ cell, index }) => {
      const shown = this._shown.get(cell)?.identity;
      const posted = { id: cell.id, index, source: cell.getSource() };
      return shown === undefined ? posted : { ...posted, shown };
    });
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    clearTimeout(this._timer);
    clearInterval(this._ticker);
    this.notebook.changed.disconnect(this._onNotebook);
    for (const unfollow of this._followed.values()) {
      unfollow();
    }
    this._followed.clear();
    Signal.clearData(this);
  }

  /** What is known of a cell; null: nothing, or there is nothing to know, as of an empty one. */
  mark(id: string): ICellMark | null {
    const plan = this._planned.get(id) ?? null;
    if (this._doing?.cell === id) {
      const { call } = this._doing;
      return { mark: 'running', plan, ...(call && { call, since_s: this.sinceTold_s }) };
    }
    if (this._executing.has(id)) {
      return { mark: this._doing?.cell ? 'queued' : 'running', plan };
    }
    if (plan === null) {
      return null;
    }
    const failed = plan.state === 'stale' && plan.reasons.some(reason => reason.kind === 'failed');
    return { mark: failed ? 'failed' : plan.state, plan };
  }

  /** How much there is to do; null: not known. */
  get summary(): ISummary | null {
    const { _plan: plan } = this;
    if (plan === null) {
      return null;
    }
    const count = (state: CellState) => plan.cells.filter(cell => cell.state === state).length;
    return {
      stale: count('stale'),
      maybe: count('maybe'),
      restorable: count('restorable') + plan.restores.length,
      estimate_s: plan.estimate_s
    };
  }

  /** Looks again soon: something may have changed of which the notebook's cells tell nothing. */
  refresh(wait = 0): void {
    this._delay = RETRY_MS[0];
    this._schedule(wait);
  }

  /** Looks again as soon as that does not crowd the server. */
  private _edited(): void {
    this.refresh(Math.max(0, this._asked + SPACING_MS - performance.now()));
  }

  /** Waits until what is known is of the cells as they are now, or cannot be had. */
  async settled(): Promise<void> {
    while (!this._isDisposed && (this._running || this._due)) {
      await new Promise<void>(resolve => {
        const done = () => {
          this._rested.disconnect(done);
          resolve();
        };
        this._rested.connect(done);
      });
    }
  }

  // -- following ----------------------------------------------------------------------------------------------------

  /** Listens to the cells that are there now. */
  private _follow(): void {
    const gone = new Set(this._followed.keys());
    for (const cell of this.notebook.cells) {
      if (!gone.delete(cell)) {
        const slot = (_: unknown, change: ICellChange) => {
          this._onCell(cell, change);
        };
        cell.changed.connect(slot);
        const unobserve = isCode(cell) ? this._observe(cell) : () => undefined;
        this._followed.set(cell, () => {
          cell.changed.disconnect(slot);
          unobserve();
        });
      }
    }
    for (const cell of gone) {
      this._followed.get(cell)?.();
      this._followed.delete(cell);
      this._shown.delete(cell);
      this._executing.delete(cell.id);
    }
  }

  private _onCell(cell: ISharedCell, change: ICellChange): void {
    if (change.executionStateChange && isCode(cell)) {
      if (cell.executionState === 'running') {
        this._executing.add(cell.id);
      } else if (this._executing.delete(cell.id)) {
        this._edited();
      }
      this._changed.emit();
    }
    if (change.sourceChange ?? change.metadataChange) {
      this._edited();
    }
  }

  /** Listens to what a cell shows: JupyterLab tells of its own changes to that in no signal of the shared model. */
  private _observe(cell: ISharedCodeCell): () => void {
    if (cell.executionState === 'running') {
      this._executing.add(cell.id);
    }
    const outputs = (cell as IShownCell).ymodel.get('outputs') as Y.Array<unknown>;
    const slot = () => {
      this._shown.delete(cell);
      if (!this._executing.has(cell.id) && !this._due) {
        this.refresh(OUTPUTS_WAIT_MS);
      }
    };
    outputs.observeDeep(slot);
    return () => {
      outputs.unobserveDeep(slot);
    };
  }

  private _codeCells() {
    return this.notebook.cells.flatMap((cell, index) => {
      if (!isCode(cell)) {
        return [];
      }
      const tags = cell.getMetadata('tags');
      return Array.isArray(tags) && tags.includes('skip-execution') ? [] : [{ cell, index }];
    });
  }

  // -- asking -------------------------------------------------------------------------------------------------------

  private _schedule(wait: number): void {
    if (this._isDisposed) {
      return;
    }
    const at = performance.now() + wait;
    if (this._due && (this._timer === undefined || this._at <= at)) {
      return; // it is sooner, or waits for an answer
    }
    this._due = true;
    this._at = at;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => {
      this._timer = undefined;
      if (!this._running) {
        void this._ask();
      }
    }, wait);
  }

  /** Asks until nothing has changed meanwhile. Never fails. */
  private async _ask(): Promise<void> {
    this._running = true;
    this._due = false;
    this._asked = performance.now();
    let retry = 0;
    try {
      await this._identify();
      const plan = await this._server.plan(this.path, this.posted(), this.kernel);
      this._delay = RETRY_MS[0];
      this._learn(plan, null);
    } catch (error) {
      const trouble =
        error instanceof CasaServerError ? error : new CasaServerError('refused', String(error));
      if (trouble.trouble === 'busy' || trouble.trouble === 'offline') {
        retry = this._delay;
        this._delay = Math.min(2 * this._delay, RETRY_MS[1]);
      }
      // Marks of other cells than those that are there now would not be true.
      this._learn(trouble.trouble === 'busy' ? this._plan : null, trouble);
    }
    this._running = false;
    this._next(retry);
    this._rested.emit();
  }

  private _next(retry: number): void {
    if (this._due) {
      if (this._timer === undefined) {
        this._due = false;
        this._schedule(0);
      }
    } else if (retry) {
      this._schedule(retry);
      this._due = false; // nobody waits for that
    }
  }

  private _learn(plan: IPlan | null, trouble: CasaServerError | null): void {
    if (this._isDisposed) {
      return;
    }
    this._plan = plan;
    this._planned = new Map(plan?.cells.map(cell => [cell.id, cell]));
    this._trouble = trouble;
    this._changed.emit();
  }

  /** Has the server identify what cells show that have not been identified since it changed. */
  private async _identify(): Promise<void> {
    let batch: { cell: ISharedCell; posted: IPostedOutputs; entry: IIdentity }[] = [];
    let size = 0;
    const post = async () => {
      const asked = batch;
      [batch, size] = [[], 0];
      try {
        const { shown } = await this._server.outputs(asked.map(({ posted }) => posted));
        for (const { cell, entry } of asked) {
          entry.identity = shown[cell.id];
        }
      } catch (error) {
        if (error instanceof CasaServerError && error.status === TOO_LARGE) {
          return; // they are taken to be what the cell's run had shown
        }
        for (const { cell, entry } of asked) {
          if (this._shown.get(cell) === entry) {
            this._shown.delete(cell);
          }
        }
        throw error;
      }
    };
    for (const { cell } of this._codeCells()) {
      if (this._shown.has(cell) || this._executing.has(cell.id)) {
        continue;
      }
      const outputs = cell.getOutputs();
      const entry: IIdentity = { identity: outputs.length ? undefined : NOTHING };
      this._shown.set(cell, entry); // if they change meanwhile, it is taken out
      if (outputs.length) {
        const length = JSON.stringify(outputs).length;
        if (batch.length && size + length > POST_LIMIT) {
          await post();
        }
        batch.push({ cell, posted: { id: cell.id, outputs }, entry });
        size += length;
      }
    }
    if (batch.length) {
      await post();
    }
  }

  private readonly _onNotebook = (_: unknown, change: NotebookChange): void => {
    if (change.cellsChange) {
      this._follow();
      this._edited();
    }
  };

  private readonly _changed = new Signal<this, void>(this);
  private readonly _rested = new Signal<this, void>(this);
  private readonly _followed = new Map<ISharedCell, () => void>();
  /** What cells show; without an identity: it is asked for, or too large. */
  private readonly _shown = new Map<ISharedCell, IIdentity>();
  private readonly _executing = new Set<string>();
  private _planned = new Map<string, ICellPlan>();
  private _plan: IPlan | null = null;
  private _trouble: CasaServerError | null = null;
  private _doing: IDoing | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  /** When it is asked next, and was asked last. */
  private _at = 0;
  private _asked = -Infinity;
  private _ticker: ReturnType<typeof setInterval> | undefined;
  private _delay: number = RETRY_MS[0];
  private _due = false;
  private _running = false;
  private _isDisposed = false;
}

/** A cell as it is kept. */
type IShownCell = ISharedCodeCell & { ymodel: Y.Map<unknown> };

function isCode(cell: ISharedCell): cell is ISharedCodeCell {
  return cell.cell_type === 'code';
}

/** The server's identity of what a cell shows. */
interface IIdentity {
  identity: string | undefined;
}

/** What a cell tells of a change. */
type ICellChange = Parameters<Parameters<ISharedCell['changed']['connect']>[0]>[1];
