/**
 * A cell's place in the story: which notebook it is in, and in which order its code cells stand.
 *
 * A kernel only sees the source of one cell. To know what state the data should be in before the cell runs, ours must
 * also know which cells come before it. Each request that executes a cell carries that in its metadata, under `casa`.
 */
import type { INotebookModel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';

/** The name of the kernels that are told. */
export const KERNEL_NAME = 'casa';

/** What the kernel receives: `metadata.casa` of an execute_request. */
export interface IStory {
  /** Path of the notebook, from the root directory of the server. */
  notebook: string;
  /** The ids of all code cells, from top to bottom. */
  cells: string[];
}

/** The part of a cell that matters here. */
type Cell = Pick<INotebookModel['cells'] extends Iterable<infer C> ? C : never, 'id' | 'type'>;

/** The story of a notebook as it is now. */
export function storyOf(path: string, cells: Iterable<Cell>): IStory {
  return {
    notebook: path,
    cells: Array.from(cells)
      .filter(cell => cell.type === 'code')
      .map(cell => cell.id)
  };
}

/** The part of a connection to a kernel that matters here. */
type Connection = Pick<Kernel.IKernelConnection, 'name' | 'requestExecute'>;

/** From which state cells are to run: what the next request for each of them takes along. */
const states = new WeakMap<Connection, Map<string, JSONObject>>();

/**
 * Lets the next execution of a cell start from a state.
 *
 * @param kernel - A connection that tells the story.
 * @param cell - The cell's id.
 * @param state - For the kernel alone.
 * @returns Whether the state has been taken along; it is asked when the cell has been executed, and forgets the state.
 */
export function startFrom(kernel: Connection, cell: string, state: JSONObject): () => boolean {
  const waiting = states.get(kernel) ?? new Map<string, JSONObject>();
  states.set(kernel, waiting);
  waiting.set(cell, state);
  return () => {
    const left = waiting.get(cell) === state;
    waiting.delete(cell);
    return !left;
  };
}

/**
 * Makes a connection to one of our kernels tell the story with each cell that it executes; leaves others alone.
 *
 * JupyterLab has no way to add to the metadata of a request. To provide another `INotebookCellExecutor` would mean to
 * disable JupyterLab's, and only one extension can do that; whichever executor is in use, its requests pass here.
 * A request that is not for a cell (a console, a completer, a widget) has no `cellId` and is passed as it is.
 *
 * @param kernel - A connection. It belongs to one notebook panel: other panels have connections of their own.
 * @param story - Called at each execution.
 */
export function tellStory(kernel: Connection, story: () => IStory): void {
  if (kernel.name !== KERNEL_NAME) {
    return;
  }
  const requestExecute = kernel.requestExecute.bind(kernel);
  kernel.requestExecute = (content, disposeOnDone, metadata) => {
    const cell = metadata?.cellId;
    if (typeof cell !== 'string') {
      return requestExecute(content, disposeOnDone, metadata);
    }
    const state = states.get(kernel)?.get(cell);
    states.get(kernel)?.delete(cell);
    const casa: JSONObject = { ...story(), ...(state && { state }) };
    return requestExecute(content, disposeOnDone, { ...metadata, casa });
  };
}
