/** The server extension, asked over HTTP: one method per route of its contract. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type {
  ICell,
  IChanges,
  IDataDifference,
  ICollection,
  IDifference,
  IGraph,
  IKernel,
  IKernels,
  IKilled,
  ILogCalls,
  ILogQuery,
  ILogs,
  ILogWindow,
  IMeasurementSet,
  IPlan,
  IPostedCell,
  IPostedOutputs,
  IRefusal,
  IRestored,
  IRun,
  IShares,
  IShown,
  IStepReport,
  IStatus,
  IStore,
  ITask,
  ITasks,
  ITutorial,
  IVersion,
  IVersions,
  IWalk,
  IWalkEnded,
  IWalkRequest,
  IWalkStopping,
  IWindows
} from './types';

const API = 'jupyterlab-casa/api';

/**
 * Why there is no answer:
 *
 * - `offline`: the server cannot be reached;
 * - `missing`: it has no extension of ours;
 * - `busy`: too much is asked for at once, try again;
 * - `refused`: the extension says why in a sentence for people.
 */
export type Trouble = 'offline' | 'missing' | 'busy' | 'refused';

/** There is no answer. */
export class CasaServerError extends Error {
  /**
   * @param trouble - Why.
   * @param message - The same for people.
   * @param status - HTTP's; 0: the server was not reached.
   */
  constructor(
    readonly trouble: Trouble,
    message: string,
    readonly status = 0
  ) {
    super(message);
    this.name = 'CasaServerError';
  }
}

/** Arguments of a query; what is undefined is left out. */
type Query = Record<string, string | number | undefined>;

/** The server extension. All methods fail with a {@link CasaServerError} only. */
export class CasaServer {
  /** @param settings - How the server is reached. */
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Which versions are installed where the server runs. */
  status(): Promise<IStatus> {
    return this._ask('status');
  }

  /** All tasks. */
  tasks(): Promise<ITasks> {
    return this._ask('tasks');
  }

  /**
   * A task with its parameters and docs.
   *
   * @param name - Of the task.
   * @param path - A notebook, or its directory: then also how long the task takes there.
   */
  task(name: string, path?: string): Promise<ITask> {
    return this._ask(`tasks/${encode(name)}`, { path });
  }

  /** What is in a MeasurementSet, as a task names it in the workspace of a notebook (or in a directory). */
  measurementSet(path: string, ms: string): Promise<IMeasurementSet> {
    return this._ask('ms', { path, ms });
  }

  /**
   * Which cells of a notebook are stale, why, and what it costs.
   *
   * @param path - Of the notebook, from the server's root; it need not have been saved.
   * @param cells - Its code cells as they are in the editor.
   * @param kernel - Jupyter's id of its kernel: what that has in memory need not be made again.
   */
  plan(path: string, cells: readonly IPostedCell[], kernel: string | null): Promise<IPlan> {
    return this._ask('plan', { path }, { cells, kernel });
  }

  /** What depends on what; arguments as of {@link plan}. */
  graph(path: string, cells: readonly IPostedCell[], kernel: string | null): Promise<IGraph> {
    return this._ask('graph', { path }, { cells, kernel });
  }

  /** Identities of outputs, which plans take instead of them. */
  outputs(cells: readonly IPostedOutputs[]): Promise<IShown> {
    return this._ask('outputs', {}, { cells });
  }

  /** A cell's part of the plan that was asked for last, and its runs. */
  cell(id: string, path: string): Promise<ICell> {
    return this._ask(`cells/${encode(id)}`, { path });
  }

  /** A run of a cell. */
  run(number: number, path: string): Promise<IRun> {
    return this._ask(`runs/${String(number)}`, { path });
  }

  /**
   * Versions of data products.
   *
   * @param path - A notebook, or its directory.
   * @param product - Only of this one.
   */
  versions(path: string, product?: string): Promise<IVersions> {
    return this._ask('versions', { path, product });
  }

  /** A version, and the call that made it. */
  version(id: string, path: string): Promise<IVersion> {
    return this._ask(`versions/${encode(id)}`, { path });
  }

  /** Brings a version to its path, or to another one in the workspace. */
  restore(id: string, path: string, to?: string): Promise<IRestored> {
    return this._ask(`versions/${encode(id)}/restore`, { path }, to === undefined ? {} : { to });
  }

  /** How two versions differ. */
  compare(path: string, before: string, after: string): Promise<IDifference> {
    return this._ask('compare', { path, before, after });
  }

  /** How their data differ; this may take a while. */
  compareData(path: string, before: string, after: string): Promise<IDataDifference> {
    return this._ask('compare/data', { path, before, after });
  }

  /** What the store of a workspace holds. */
  store(path: string): Promise<IStore> {
    return this._ask('store', { path });
  }

  /** What of it belongs to what. */
  shares(path: string): Promise<IShares> {
    return this._ask('store/shares', { path });
  }

  /** Which versions would go, to keep a budget in GB. */
  planCollection(path: string, budget?: number): Promise<ICollection> {
    return this._ask('store/collection', { path, budget });
  }

  /** Lets versions go until a budget in GB is kept. */
  collect(path: string, budget?: number): Promise<ICollection> {
    return this._ask('store/collection', { path }, budget === undefined ? {} : { budget });
  }

  /** The kernels `casa`, and what they do; they are not asked themselves. */
  kernels(): Promise<IKernels> {
    return this._ask('kernels');
  }

  /** The same of one kernel. */
  kernel(id: string): Promise<IKernel> {
    return this._ask(`kernels/${encode(id)}`);
  }

  /** Interrupts what a kernel runs. */
  interrupt(id: string): Promise<IKernel> {
    return this._ask(`kernels/${encode(id)}/interrupt`, {}, {});
  }

  /** Ends the process of the call that a kernel runs: the call fails, products are as before it, the kernel lives on. */
  killCall(id: string): Promise<IKilled> {
    return this._ask(`kernels/${encode(id)}/kill-call`, {}, {});
  }

  /** The windows that graphical tasks of a kernel show, the lowest first. */
  windows(id: string): Promise<IWindows> {
    return this._ask(`kernels/${encode(id)}/windows`);
  }

  /** A picture (PNG) of one of them, or of all that the kernel's display shows. */
  async picture(id: string, window: number | 'screen'): Promise<Blob> {
    const response = await this._send(`kernels/${encode(id)}/windows/${String(window)}`, { method: 'GET' });
    if (response.ok && response.headers.get('Content-Type') === 'image/png') {
      return this._body(response.blob());
    }
    throw refusal(response, parse(await this._body(response.text())));
  }

  /** Begins to re-run what is stale; who asks executes the cells. */
  beginWalk(path: string, request: IWalkRequest): Promise<IWalk> {
    return this._ask('walks', { path }, request);
  }

  /** Says how the last step of a walk went, and hears the next ones. */
  stepWalk(id: string, report: IStepReport): Promise<IWalk> {
    return this._ask(`walks/${encode(id)}/step`, {}, report);
  }

  /** The call that runs is to be the last one of a walk. */
  stopWalk(id: string): Promise<IWalkStopping> {
    return this._ask(`walks/${encode(id)}/stop`, {}, {});
  }

  /** Gives a walk up where it is. */
  endWalk(id: string): Promise<IWalkEnded> {
    return this._ask(`walks/${encode(id)}`, {}, undefined, 'DELETE');
  }

  /** The logs of a workspace: `path` is a notebook, or its directory. */
  logs(path: string): Promise<ILogs> {
    return this._ask('logs', { path });
  }

  /** Lines of the log of a session. */
  log(session: string, path: string, query: ILogQuery = {}): Promise<ILogWindow> {
    return this._ask(`logs/${encode(session)}`, { path, ...query });
  }

  /** Which lines of it belong to which call: from the call `from` on (below 0: the last so many). */
  logCalls(session: string, path: string, from?: number, count?: number): Promise<ILogCalls> {
    return this._ask(`logs/${encode(session)}/calls`, { path, from, count });
  }

  /** The address of the log as a file; a browser that is logged in gets it. */
  logFile(session: string, path: string): string {
    const query = new URLSearchParams({ path }).toString();
    return `${URLExt.join(this.settings.baseUrl, API)}/logs/${encode(session)}/file?${query}`;
  }

  /**
   * Writes the tutorial where it is not there yet.
   *
   * @param path - A directory.
   * @param beside - Into a new directory there.
   */
  tutorial(path: string, beside = false): Promise<ITutorial> {
    return this._ask('tutorial', { path }, { beside });
  }

  /** What has happened since an event (`<epoch>.<revision>`), or what is so now. */
  changes(since?: string): Promise<IChanges> {
    return this._ask('changes', { since });
  }

  private async _ask<T>(route: string, query: Query = {}, body?: object, method = 'GET'): Promise<T> {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    const init: RequestInit =
      body === undefined
        ? { method }
        : { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
    const response = await this._send(`${route}${search && `?${search}`}`, init);
    const answer = parse(await this._body(response.text()));
    if (response.ok && answer !== undefined) {
      return answer as T;
    }
    throw refusal(response, answer);
  }

  private _send(address: string, init: RequestInit): Promise<Response> {
    const url = `${URLExt.join(this.settings.baseUrl, API)}/${address}`;
    return this._body(ServerConnection.makeRequest(url, init, this.settings));
  }

  /** What comes over the net, or fails to. */
  private async _body<T>(coming: Promise<T>): Promise<T> {
    try {
      return await coming;
    } catch (error) {
      throw new CasaServerError('offline', error instanceof Error ? error.message : String(error));
    }
  }
}

/** What an answer says that is none. */
function refusal(response: Response, answer: unknown): CasaServerError {
  const { status } = response;
  const ours = isRefusal(answer);
  const message = ours ? answer.message : `${String(status)} ${response.statusText}`.trim();
  // Proxies in front of the server answer 502 to 504 when it is away.
  const trouble = status === 429 ? 'busy' : status >= 502 && status <= 504 ? 'offline' : 'refused';
  // Ours says in words what is not there; without it, the answer is a page.
  const missing = response.ok || (status === 404 && !ours);
  return new CasaServerError(missing ? 'missing' : trouble, message, status);
}

function encode(part: string): string {
  return encodeURIComponent(part);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // a page of a proxy, or of a server without our extension
  }
}

function isRefusal(answer: unknown): answer is IRefusal {
  return typeof answer === 'object' && answer !== null && typeof (answer as IRefusal).message === 'string';
}
