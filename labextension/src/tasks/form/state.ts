/** What the form shows: the call under the cursor, or a task that was asked for. */
import { type ISignal, Signal } from '@lumino/signaling';
import type { CasaServerError } from '../../server/client';
import type { IMeasurementSet, IParameter, ITask } from '../../server/types';
import { type Catalogue, troubleOf } from '../model';
import type { Follower, IPlace } from './follow';
import { CallForm } from './model';

/** What the form can do in JupyterLab. */
export interface IFormActions {
  /** Lets the user choose a file or directory, as a task in this notebook names it. */
  pick(place: IPlace, kind: 'directory' | 'file', title: string): Promise<string | null>;
  /** Puts a new call into the notebook. */
  insert(task: ITask, text?: string): void;
}

/** The state of the form. */
export class FormState {
  constructor(
    private readonly _follower: Follower,
    private readonly _catalogue: Catalogue,
    private readonly _actions: IFormActions
  ) {
    _follower.changed.connect(() => {
      void this._update();
    });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The task of the call under the cursor, or the one that was asked for. */
  get task(): ITask | null {
    return this._task;
  }

  /** The call under the cursor; null: there is none of this task. */
  get form(): CallForm | null {
    return this._form;
  }

  /** What is in the MeasurementSet of the call, as far as it is known. */
  get measurementSet(): IMeasurementSet | null {
    return this._measurementSet;
  }

  /** Why there is nothing. */
  get trouble(): CasaServerError | null {
    return this._trouble ?? this._catalogue.trouble;
  }

  get hasNotebook(): boolean {
    return this._follower.hasNotebook;
  }

  get readOnly(): boolean {
    const place = this._follower.place;
    return place !== null && (place.cell.readOnly || (place.panel.content.model?.readOnly ?? false));
  }

  /** Whether help was asked for. */
  get wantsHelp(): boolean {
    return this._wantsHelp;
  }

  /** The parameter that is to be brought into sight. */
  get target(): string | null {
    return this._target;
  }

  /** Whether somebody looks. */
  set wanted(wanted: boolean) {
    this._follower.wanted = wanted;
  }

  /** Something has run: there may be other data, and other durations. */
  refresh(): void {
    this._old = true;
    void this._update();
  }

  /** Shows a task, until the cursor comes to a call. */
  show(name: string): void {
    this._asked = name;
    this._wantsHelp = true;
    void this._update();
  }

  /** Brings a parameter into sight. */
  reach(name: string): void {
    this._target = name;
    this._changed.emit();
  }

  /** It is in sight. */
  reached(): void {
    this._target = null;
  }

  /** Gives a parameter a value, as Python source; null: its default. */
  write(name: string, text: string | null): void {
    const { place } = this._follower;
    const steps = this._form?.edits(name, text) ?? [];
    if (place && steps.length && !this.readOnly && place.source === this._form?.source) {
      this._follower.write(place, steps);
    }
  }

  /** Lets the user choose what a parameter names. */
  async pick(parameter: IParameter, kind: 'directory' | 'file'): Promise<string | null> {
    const { place } = this._follower;
    return place && this._actions.pick(place, kind, parameter.name);
  }

  /** Puts a new call into the notebook. */
  insert(text?: string): void {
    if (this._task) {
      this._actions.insert(this._task, text);
    }
  }

  private async _update(): Promise<void> {
    const turn = ++this._turn;
    const { place } = this._follower;
    if (place?.call) {
      // The cursor decides, unless help for another task was asked for and the cursor has not moved since.
      const moved = place.call.from !== this._last?.from || place.cell !== this._last.cell;
      this._last = { cell: place.cell, from: place.call.from };
      if (moved && this._asked !== null) {
        this._asked = null;
        this._wantsHelp = false;
      }
    }
    const name = this._asked ?? place?.call?.task ?? null;
    if (name === null) {
      this._task = this._form = this._measurementSet = null;
      this._changed.emit();
      return;
    }
    let task: ITask;
    try {
      task = await this._catalogue.task(name);
    } catch (error) {
      if (turn === this._turn) {
        this._trouble = troubleOf(error);
        this._changed.emit();
      }
      return;
    }
    if (turn !== this._turn) {
      return;
    }
    this._trouble = null;
    const path = place?.panel.context.localPath;
    const known = this._task?.name === name ? this._task.here : undefined;
    const ask = !known || this._old;
    this._old = false;
    this._task = known ? { ...task, here: known } : task;
    this._form =
      place?.call?.task === name ? new CallForm(task, place.source, place.call, place.scope.values) : null;
    const ms = this._form?.measurementSet ?? null;
    if (ms !== this._ms) {
      this._measurementSet = null;
    }
    this._ms = ms;
    this._changed.emit();
    if (path === undefined) {
      return;
    }
    const [there, here] = await Promise.all([
      ms === null ? null : this._catalogue.measurementSet(path, ms),
      this._form && ask ? this._catalogue.taskAt(name, path).catch(() => null) : null
    ]);
    if (turn === this._turn) {
      this._measurementSet = there;
      if (here?.here) {
        this._task = { ...task, here: here.here };
      }
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _task: ITask | null = null;
  private _form: CallForm | null = null;
  private _measurementSet: IMeasurementSet | null = null;
  private _trouble: CasaServerError | null = null;
  private _ms: string | null = null;
  private _asked: string | null = null;
  private _last: { cell: unknown; from: number } | null = null;
  private _old = false;
  private _wantsHelp = false;
  private _target: string | null = null;
  private _turn = 0;
}
