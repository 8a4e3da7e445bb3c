/**
 * Re-running what is stale: the server says which cell is next and from which state, this has it executed in the
 * notebook's kernel, and says how it went.
 */
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { type CasaServer, CasaServerError } from '../server/client';
import type {
  IOutputJson,
  IPlan,
  IPostedCell,
  IStepReport,
  IWalk,
  IWalkDone,
  IWalkStep
} from '../server/types';

/** How a cell ended; `lost`: nobody knows, the kernel has gone. */
export type Ending = 'ok' | 'error' | 'lost';

/** The state from which a kernel is to run a cell. */
export type KernelState = NonNullable<IWalkStep['state']>;

/** What a walk has done in a notebook. */
export interface IHands {
  /** The notebook's path. */
  readonly path: string;
  /** Jupyter's id of its kernel; null: it has none. */
  readonly kernel: string | null;
  /** Seconds of computation that calls were spared, since some time. */
  readonly spared_s: number;
  /** Its code cells as they are now. */
  posted(): IPostedCell[];
  /** Executes a cell. */
  execute(cell: string, state: KernelState): Promise<Ending>;
  /** Brings the kernel's names and products to a state. */
  settle(state: KernelState): Promise<Ending>;
  /** What a cell shows. */
  outputs(cell: string): IOutputJson[];
  /** Lets a cell show something. */
  show(cell: string, outputs: IOutputJson[]): void;
}

/** The part of the server that is needed. */
export type Walks = Pick<CasaServer, 'beginWalk' | 'stepWalk' | 'stopWalk' | 'endWalk'>;

/** How to go. */
export interface IWalkOptions {
  /** The last cell that is to be made fresh. */
  to?: string;
  /** Execute every cell. */
  everything?: boolean;
}

/** What came of it. */
export interface IOutcome {
  /** Cells that were executed to their end. */
  executed: number;
  /** Cells that show an earlier run again. */
  restored: number;
  /** The cell that failed, or was interrupted. */
  failed: string | null;
  /** Whether somebody stopped it. */
  stopped: boolean;
  /** Products that were brought to their last versions. */
  changed: readonly string[];
  /** Seconds of computation that need not be repeated. */
  saved_s: number;
  /** Seconds that it took. */
  seconds: number;
  /** Why it could not go on, for people. */
  trouble: string | null;
}

/** Milliseconds until a server that has too much to do is asked the same again. */
const AGAIN_MS = 1000;

/** The re-runs of one notebook, one at a time. */
export class Rerun implements IDisposable {
  /**
   * @param _server - Says what is next.
   * @param _hands - Do it.
   */
  constructor(
    private readonly _server: Walks,
    private readonly _hands: IHands
  ) {}

  /** It began, went on, is to stop, or ended. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** It ended. */
  get ended(): ISignal<this, IOutcome> {
    return this._ended;
  }

  /** Whether it is under way. */
  get isRunning(): boolean {
    return this._isRunning;
  }

  /** Whether it stops after the call that runs. */
  get isStopping(): boolean {
    return this._isStopping;
  }

  /** The plan with which it began. */
  get plan(): IPlan | null {
    return this._plan;
  }

  /** When it began, in milliseconds of `performance.now()`. */
  get began(): number {
    return this._began;
  }

  /** The cell that is executed. */
  get cell(): string | null {
    return this._cell;
  }

  /** How many cells it has passed. */
  get passed(): number {
    return this._passed;
  }

  /** Re-runs what is stale. Never fails: what went wrong is told in the outcome. Does nothing while it runs. */
  async run(options: IWalkOptions = {}): Promise<IOutcome | null> {
    if (this._isRunning || this._isDisposed) {
      return null;
    }
    const outcome = { ...NOTHING_DONE };
    const before_s = this._hands.spared_s;
    [this._isRunning, this._isStopping, this._stopAsked] = [true, false, false];
    [this._plan, this._passed, this._cell, this._began] = [null, 0, null, performance.now()];
    this._changed.emit();
    try {
      const done = await this._walk(options, outcome);
      Object.assign(outcome, { failed: done.failed, changed: done.changed, saved_s: done.saved_s });
    } catch (error) {
      outcome.trouble = error instanceof Error ? error.message : String(error);
      await this._giveUp();
    }
    outcome.saved_s += this._hands.spared_s - before_s;
    outcome.stopped = this.isStopping;
    outcome.seconds = (performance.now() - this._began) / 1000;
    [this._isRunning, this._isStopping, this._cell, this._id] = [false, false, null, null];
    this._changed.emit();
    this._ended.emit(outcome);
    return outcome;
  }

  /** Stops after the call that runs; where none runs, before the next cell. Never fails. */
  async stop(): Promise<void> {
    if (!this._isRunning || this._isStopping) {
      return;
    }
    this._isStopping = true;
    this._changed.emit();
    if (this._id !== null) {
      try {
        await this._server.stopWalk(this._id);
        return;
      } catch {
        // It is told with the next step.
      }
    }
    this._stopAsked = true;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** The notebook is closed: the walk is given up, what its kernel runs goes on. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      void this._giveUp();
      Signal.clearData(this);
    }
  }

  private async _walk(options: IWalkOptions, outcome: IOutcome): Promise<IWalkDone> {
    const { _hands: hands, _server: server } = this;
    this._cells = hands.posted();
    const request = { cells: this._cells, kernel: hands.kernel, ...options };
    let answer = await this._patiently(() => server.beginWalk(hands.path, request));
    this._id = answer.id;
    this._plan = answer.plan;
    if (this._stopAsked) {
      await this._giveUp();
      return { failed: null, changed: [], saved_s: 0 };
    }
    while (answer.done === null) {
      const report = await this._take(answer, outcome);
      const { id } = answer;
      answer = await this._patiently(() => server.stepWalk(id, report));
      if (answer.refused && this._former) {
        hands.show(this._former.cell, this._former.outputs);
        outcome.executed -= report.ok ? 1 : 0;
      }
    }
    return answer.done;
  }

  /** Takes the steps of an answer; what is to be reported. */
  private async _take({ steps }: IWalk, outcome: IOutcome): Promise<IStepReport> {
    const { _hands: hands } = this;
    const report: IStepReport = {};
    this._former = null;
    for (const { cell, action, state, outputs } of steps) {
      let ending: Ending | null = null;
      if (action === 'execute' && cell !== null) {
        this._former = { cell, outputs: hands.outputs(cell) };
        this._cell = cell;
        this._changed.emit();
        ending = await hands.execute(cell, state ?? {});
        outcome.executed += ending === 'ok' ? 1 : 0;
      } else if (action === 'settle') {
        this._cell = null;
        this._changed.emit();
        ending = await hands.settle(state ?? {});
      } else if (action === 'restore' && cell !== null) {
        hands.show(cell, outputs ?? []);
        outcome.restored += 1;
      }
      this._passed += 1;
      if (ending === 'lost' || this._isDisposed) {
        throw new Error(KERNEL_LOST);
      }
      if (ending !== null) {
        report.ok = ending === 'ok';
      }
    }
    this._changed.emit();
    const cells = hands.posted();
    if (!same(cells, this._cells)) {
      this._cells = report.cells = cells;
    }
    if (this._stopAsked) {
      report.stop = true;
    }
    return report;
  }

  /** Asks again while the server has too much to do, or the kernel has not let go of the workspace yet. */
  private async _patiently(ask: () => Promise<IWalk>): Promise<IWalk> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof CasaServerError && error.trouble === 'busy') || this._isDisposed) {
          throw error;
        }
      }
      await new Promise(resolve => setTimeout(resolve, AGAIN_MS));
    }
  }

  private async _giveUp(): Promise<void> {
    if (this._id !== null) {
      try {
        await this._server.endWalk(this._id);
      } catch {
        // The server gives it up by itself after a while.
      }
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _ended = new Signal<this, IOutcome>(this);
  /** What the cell that was executed had shown before. */
  private _former: { cell: string; outputs: IOutputJson[] } | null = null;
  /** As the server knows them. */
  private _cells: IPostedCell[] = [];
  private _id: string | null = null;
  private _plan: IPlan | null = null;
  private _cell: string | null = null;
  private _passed = 0;
  private _began = 0;
  private _isRunning = false;
  private _isStopping = false;
  /** Whether the server is to be told with the next step. */
  private _stopAsked = false;
  private _isDisposed = false;
}

/** Why a walk ended whose kernel has gone. */
export const KERNEL_LOST = 'the kernel is lost';
/** Why a walk ended that could not give its states to the kernel. */
export const OTHER_EXECUTOR = 'another extension executes';

const NOTHING_DONE: IOutcome = {
  executed: 0,
  restored: 0,
  failed: null,
  stopped: false,
  changed: [],
  saved_s: 0,
  seconds: 0,
  trouble: null
};

/** Whether the cells say the same in the same order; what they show follows from the walk itself. */
function same(one: readonly IPostedCell[], other: readonly IPostedCell[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ id, source }, n) => id === other[n]?.id && source === other[n].source)
  );
}
