/** How two versions of a product differ: what made them, their files, their data. */
import { type ISignal, Signal } from '@lumino/signaling';
import type { CasaServer } from '../server/client';
import type { IDataDifference, IDifference, ITask, IVersion, IVersionSummary, Json } from '../server/types';
import { same } from '../tasks/form/literal';

/** The part of the server that is needed. */
export type DifferencesServer = Pick<CasaServer, 'version' | 'versions' | 'compare' | 'compareData' | 'task'>;

/** What is compared. */
export interface IPair {
  /** The workspace. */
  path: string;
  before: string;
  after: string;
}

/** A parameter of both calls. */
export interface IParameterRow {
  name: string;
  /** Undefined: the call has no such parameter. */
  before: Json | undefined;
  after: Json | undefined;
  /** Of a parameter that one call has: whether it is not as it is by default. */
  differs: boolean;
}

/** What one of both sides, or both, answered; null: not yet. */
export interface IAnswer<T> {
  value: T | null;
  error: unknown;
}

/**
 * The parameters of two calls side by side: those that differ first, each group as the calls have them.
 *
 * @param before - The one.
 * @param after - The other.
 * @param tasks - What is known of their tasks: calls of two tasks have little in common, and much is as it is by default.
 */
export function parameterRows(
  before: IVersion | null,
  after: IVersion | null,
  tasks: readonly ITask[] = []
): IParameterRow[] {
  const isDefault = (of: IVersion | null, name: string, value: Json | undefined) => {
    const task = tasks.find(known => known.name === of?.call?.task);
    const plain =
      task?.parameters.filter(parameter => parameter.name === name).map(parameter => parameter.default) ?? [];
    const under =
      task?.conditions.flatMap(({ defaults }) => (name in defaults ? [defaults[name] as Json] : [])) ?? [];
    return value === undefined || [...plain, ...under].some(known => same(known, value));
  };
  const [one, other] = [before?.call?.arguments ?? {}, after?.call?.arguments ?? {}];
  const rows = [...new Set([...Object.keys(other), ...Object.keys(one)])].map((name): IParameterRow => {
    const [was, is] = [one[name], other[name]];
    const differs =
      was === undefined || is === undefined
        ? !isDefault(before, name, was) || !isDefault(after, name, is)
        : !same(was, is);
    return { name, before: was, after: is, differs };
  });
  return [...rows.filter(row => row.differs), ...rows.filter(row => !row.differs)];
}

/** Products that both calls read, or one of them, of which the versions differ: path, and both versions. */
export function inputRows(
  before: IVersion | null,
  after: IVersion | null
): { path: string; before: string | undefined; after: string | undefined }[] {
  const [one, other] = [before?.call?.inputs ?? {}, after?.call?.inputs ?? {}];
  return [...new Set([...Object.keys(other), ...Object.keys(one)])]
    .map(path => ({ path, before: one[path], after: other[path] }))
    .filter(row => row.before !== row.after);
}

/** Two versions beside each other. */
export class Differences {
  constructor(
    private readonly _server: DifferencesServer,
    pair: IPair
  ) {
    this._pair = pair;
    void this._load();
  }

  /** Something was answered, or others are compared. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get pair(): IPair {
    return this._pair;
  }

  /** Compares others. */
  set pair(pair: IPair) {
    if (
      pair.path !== this._pair.path ||
      pair.before !== this._pair.before ||
      pair.after !== this._pair.after
    ) {
      this._pair = pair;
      void this._load();
    }
  }

  /** Versions that can be compared, by path and age. */
  versions: IAnswer<readonly IVersionSummary[]> = waiting();
  before: IAnswer<IVersion> = waiting();
  after: IAnswer<IVersion> = waiting();
  /** What their tasks are, if they are two. */
  tasks: IAnswer<readonly ITask[]> = waiting();
  files: IAnswer<IDifference> = waiting();
  data: IAnswer<IDataDifference> = waiting();

  /** Tries again what has failed. */
  retry(): void {
    void this._load();
  }

  private async _load(): Promise<void> {
    const pair = this._pair;
    const { path, before, after } = pair;
    const ask = async <K extends 'versions' | 'before' | 'after' | 'tasks' | 'files' | 'data'>(
      what: K,
      question: Promise<NonNullable<this[K]['value']>>
    ) => {
      let answer: IAnswer<unknown>;
      try {
        answer = { value: await question, error: null };
      } catch (error) {
        answer = { value: null, error };
      }
      if (this._pair === pair) {
        this[what] = answer as this[K];
        this._changed.emit();
      }
    };
    this.before = this.after = waiting();
    this.tasks = waiting();
    this.files = waiting();
    this.data = waiting();
    this._changed.emit();
    const both = [this._server.version(before, path), this._server.version(after, path)] as const;
    await Promise.all([
      ask('before', both[0]),
      ask('after', both[1]),
      ask(
        'tasks',
        Promise.all(both).then(([{ call: one }, { call: other }]) =>
          one && other && one.task !== other.task
            ? Promise.all([this._server.task(one.task), this._server.task(other.task)])
            : []
        )
      ),
      ask(
        'versions',
        this._server.versions(path).then(({ versions }) => versions)
      ),
      ask('files', this._server.compare(path, before, after)),
      ask('data', this._server.compareData(path, before, after))
    ]);
  }

  private readonly _changed = new Signal<this, void>(this);
  private _pair: IPair;
}

function waiting<T>(): IAnswer<T> {
  return { value: null, error: null };
}
