/** The tasks of CASA: listed, searched, remembered. */
import type { IStateDB } from '@jupyterlab/statedb';
import { StringExt } from '@lumino/algorithm';
import { type ISignal, Signal } from '@lumino/signaling';
import { type CasaServer, CasaServerError } from '../server/client';
import type { IMeasurementSet, ITask, ITaskSummary } from '../server/types';
import { initialScope, type IScope } from './form/source';

/** Milliseconds for which it is believed what is in a MeasurementSet. */
const LASTS_MS = 30_000;

/** What the server knows of tasks, asked once. */
export class Catalogue {
  constructor(private readonly _server: Pick<CasaServer, 'tasks' | 'task' | 'measurementSet'>) {}

  /** There are others, or there is trouble. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** All tasks by name. */
  get tasks(): readonly ITaskSummary[] {
    return this._tasks;
  }

  /** The version of casatasks; empty: not known yet. */
  get version(): string {
    return this._version;
  }

  /** Why there are none. */
  get trouble(): CasaServerError | null {
    return this._trouble;
  }

  /** What names stand for in a new kernel. */
  get scope(): IScope {
    return this._scope;
  }

  /** Whether there is such a task. */
  has(name: string): boolean {
    return this._scope.known.has(name);
  }

  /** Asks the server. Never fails; see `trouble`. */
  async load(): Promise<void> {
    try {
      const { tasks, version } = await this._server.tasks();
      this._tasks = tasks;
      this._version = version;
      this._trouble = null;
      this._details.clear();
      this._scope = initialScope(
        tasks.map(task => task.name),
        tasks.map(task => task.package)
      );
    } catch (error) {
      this._trouble = troubleOf(error);
    }
    this._changed.emit();
  }

  /** A task with its parameters. Fails with a `CasaServerError`. */
  task(name: string): Promise<ITask> {
    let found = this._details.get(name);
    if (!found) {
      found = this._server.task(name);
      this._details.set(name, found);
      found.catch(() => this._details.delete(name));
    }
    return found;
  }

  /** The same, with how long it took in the workspace of a notebook, if the server can tell. */
  taskAt(name: string, path: string): Promise<ITask> {
    return this._server.task(name, path).catch(() => this.task(name));
  }

  /** What is in a MeasurementSet; null: the server cannot tell. */
  measurementSet(path: string, ms: string): Promise<IMeasurementSet | null> {
    const key = `${path}\n${ms}`;
    const known = this._sets.get(key);
    if (known && performance.now() - known.asked < LASTS_MS) {
      return known.answer;
    }
    const answer = this._server.measurementSet(path, ms).catch(() => null);
    this._sets.set(key, { answer, asked: performance.now() });
    void answer.then(there => {
      // It may be made any moment.
      if (!there?.exists) {
        this._sets.delete(key);
      }
    });
    return answer;
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _details = new Map<string, Promise<ITask>>();
  private readonly _sets = new Map<string, { answer: Promise<IMeasurementSet | null>; asked: number }>();
  private _tasks: readonly ITaskSummary[] = [];
  private _scope = initialScope([], []);
  private _version = '';
  private _trouble: CasaServerError | null = null;
}

/** What an error of the server says; others are not expected. */
export function troubleOf(error: unknown): CasaServerError {
  return error instanceof CasaServerError ? error : new CasaServerError('refused', String(error));
}

/** A task that was searched for. */
export interface IFound {
  task: ITaskSummary;
  /** Where in its name the letters are. */
  letters: readonly number[];
  /** The parameters in whose names a word of the query was found, if not elsewhere. */
  parameters: readonly string[];
}

/**
 * The tasks that fit a query, the best first. Each word of it is in the name (its letters, in order), in the summary or in
 * the name of a parameter; names count more than summaries, and these more than parameters.
 */
export function search(tasks: readonly ITaskSummary[], query: string): IFound[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = tasks.flatMap(task => {
    const letters = new Set<number>();
    const parameters = new Set<string>();
    let score = 0;
    for (const word of words) {
      const cost = fit(task, word, letters, parameters);
      if (cost === null) {
        return [];
      }
      score += cost;
    }
    const found: IFound = {
      task,
      letters: Array.from(letters).sort((one, other) => one - other),
      parameters: Array.from(parameters)
    };
    return [{ found, score }];
  });
  const order = (one: IFound, other: IFound) => (one.task.name < other.task.name ? -1 : 1);
  return scored
    .sort((one, other) => one.score - other.score || order(one.found, other.found))
    .map(({ found }) => found);
}

/** What a word costs; the less, the better it fits. Null: it does not. */
function fit(task: ITaskSummary, word: string, letters: Set<number>, parameters: Set<string>): number | null {
  const name = task.name.toLowerCase();
  const at = name.indexOf(word);
  if (at >= 0) {
    for (let i = at; i < at + word.length; i++) {
      letters.add(i);
    }
    return (at === 0 ? 0 : 10) + (name.length - word.length) / 100;
  }
  const summary = task.summary.toLowerCase();
  const inSummary = summary.indexOf(word);
  const begins = inSummary >= 0 && !/[a-z0-9]/.test(summary[inSummary - 1] ?? ' ');
  const spread = word.length > 1 ? StringExt.matchSumOfDeltas(name, word) : null;
  if (spread && (!begins || spread.score < word.length)) {
    spread.indices.forEach(index => letters.add(index));
    return 20 + spread.score / 10;
  }
  if (inSummary >= 0) {
    return begins ? 40 : 50;
  }
  const exact = task.parameters.filter(parameter => parameter.toLowerCase() === word);
  const fitting = exact.length
    ? exact
    : task.parameters.filter(parameter => parameter.toLowerCase().includes(word));
  fitting.forEach(parameter => parameters.add(parameter));
  return exact.length ? 60 : fitting.length ? 70 : null;
}

/** Tasks under one heading. */
export interface IGroup {
  category: string;
  tasks: readonly ITaskSummary[];
}

/** Tasks by category; one that has several is in each. */
export function byCategory(tasks: readonly ITaskSummary[]): IGroup[] {
  const groups = new Map<string, ITaskSummary[]>();
  for (const task of tasks) {
    for (const category of task.categories.length ? task.categories : ['']) {
      groups.set(category, [...(groups.get(category) ?? []), task]);
    }
  }
  return Array.from(groups, ([category, of]) => ({ category, tasks: of })).sort((one, other) =>
    one.category === '' || (other.category !== '' && one.category > other.category) ? 1 : -1
  );
}

/** How many tasks are remembered as used recently; as many may be listed (schema/tasks.json). */
const MOST = 50;
const KEY = 'jupyterlab-casa:tasks';

/** Favourites, what was used last, and which groups are folded; kept by JupyterLab. */
export class Remembered {
  /** @param _db - Where it is kept; null: nowhere. */
  constructor(private readonly _db: Pick<IStateDB, 'fetch' | 'save'> | null) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** In the order in which they became so. */
  get favourites(): readonly string[] {
    return this._favourites;
  }

  /** The last first; as many as are wanted. */
  get recent(): readonly string[] {
    return this._recent.slice(0, this._wanted);
  }

  /** How many of the last ones are wanted; all that may ever be are kept. */
  set wanted(count: number) {
    if (count !== this._wanted) {
      this._wanted = count;
      this._changed.emit();
    }
  }

  /** Whether a group is folded. */
  folded(group: string): boolean {
    return this._folded.includes(group);
  }

  /** Reads what was kept; what cannot be understood is forgotten. */
  async load(): Promise<void> {
    let kept: unknown;
    try {
      kept = await this._db?.fetch(KEY);
    } catch {
      return; // there is nothing but what happens from now on
    }
    const of = (name: string): string[] => {
      const found: unknown = kept && typeof kept === 'object' ? (kept as Record<string, unknown>)[name] : [];
      return Array.isArray(found) ? found.filter((item): item is string => typeof item === 'string') : [];
    };
    // What was done before it was read is newer.
    this._favourites = unique([...of('favourites'), ...this._favourites]);
    this._recent = unique([...this._recent, ...of('recent')]).slice(0, MOST);
    this._folded = unique([...of('folded'), ...this._folded]);
    this._changed.emit();
  }

  /** A task was used. */
  use(name: string): void {
    this._recent = unique([name, ...this._recent]).slice(0, MOST);
    this._keep();
  }

  /** Makes a task a favourite, or one no more. */
  toggleFavourite(name: string): void {
    this._favourites = toggled(this._favourites, name);
    this._keep();
  }

  /** Folds or unfolds a group. */
  toggleFolded(group: string): void {
    this._folded = toggled(this._folded, group);
    this._keep();
  }

  private _keep(): void {
    this._changed.emit();
    // A failure is JupyterLab's to tell; this session goes on with what it has.
    this._db
      ?.save(KEY, { favourites: this._favourites, recent: this._recent, folded: this._folded })
      .catch(() => undefined);
  }

  private readonly _changed = new Signal<this, void>(this);
  private _favourites: string[] = [];
  private _recent: string[] = [];
  private _wanted = 8;
  private _folded: string[] = [];
}

const unique = (names: readonly string[]): string[] => Array.from(new Set(names));
const toggled = (names: readonly string[], name: string): string[] =>
  names.includes(name) ? names.filter(other => other !== name) : [...names, name];
