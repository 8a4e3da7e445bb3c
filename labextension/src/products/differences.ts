/** How two versions of a product differ: what made them, their files, their data. */
import { type ISignal, Signal } from '@lumino/signaling';
import type { CasaServer } from '../server/client';
import type { IDataDifference, IDifference, IVersion, IVersionSummary, Json } from '../server/types';
import { same } from '../tasks/form/literal';

/** The part of the server that is needed. */
export type DifferencesServer = Pick<CasaServer, 'version' | 'versions' | 'compare' | 'compareData'>;

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
  differs: boolean;
}

/** What one of both sides, or both, answered; null: not yet. */
export interface IAnswer<T> {
  value: T | null;
  error: unknown;
}

/** The parameters of two calls side by side: those that differ first, each group as the calls have them. */
export function parameterRows(before: IVersion | null, after: IVersion | null): IParameterRow[] {
  const [one, other] = [before?.call?.arguments ?? {}, after?.call?.arguments ?? {}];
  const rows = [...new Set([...Object.keys(other), ...Object.keys(one)])].map((name): IParameterRow => {
    const [was, is] = [one[name], other[name]];
    return {
      name,
      before: was,
      after: is,
      differs: was === undefined || is === undefined ? was !== is : !same(was, is)
    };
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
  files: IAnswer<IDifference> = waiting();
  data: IAnswer<IDataDifference> = waiting();

  /** Tries again what has failed. */
  retry(): void {
    void this._load();
  }

  private async _load(): Promise<void> {
    const pair = this._pair;
    const { path, before, after } = pair;
    const ask = async <K extends 'versions' | 'before' | 'after' | 'files' | 'data'>(
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
    this.files = waiting();
    this.data = waiting();
    this._changed.emit();
    await Promise.all([
      ask('before', this._server.version(before, path)),
      ask('after', this._server.version(after, path)),
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
