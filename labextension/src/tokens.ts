/** What our plugins share. */
import type { NotebookPanel } from '@jupyterlab/notebook';
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';
import type { NotebookState } from './notebook/model';
import type { CasaServer } from './server/client';
import type { ServerCondition } from './server/condition';
import type { CasaEvents } from './server/events';

export { DOMAIN } from './domain';

/** The server extension, and how it is with it. */
export interface ICasaServer {
  /** To be asked. */
  readonly api: CasaServer;
  /** Whether it is there, in our version. */
  readonly state: ServerCondition;
}

/** The server extension. */
export const ICasaServer = new Token<ICasaServer>(
  'jupyterlab-casa:ICasaServer',
  'The server extension of JupyterLab-CASA.'
);

/** What happens on the server. */
export type ICasaEvents = CasaEvents;

/** What happens on the server. */
export const ICasaEvents = new Token<ICasaEvents>(
  'jupyterlab-casa:ICasaEvents',
  'What happens to CASA kernels, calls, data products and stores, as signals.'
);

/** The open notebooks whose kernel is ours, and what is known of them. */
export interface ICasaNotebooks {
  /** A notebook came to have a kernel of ours, or has none any more. */
  readonly changed: ISignal<ICasaNotebooks, NotebookPanel>;
  /** The state of a notebook; null: its kernel is none of ours. */
  get(panel: NotebookPanel): NotebookState | null;
  /** The panels of those that have one. */
  readonly panels: readonly NotebookPanel[];
}

/** The open notebooks. */
export const ICasaNotebooks = new Token<ICasaNotebooks>(
  'jupyterlab-casa:ICasaNotebooks',
  'The open CASA notebooks: which cells are stale, and what runs.'
);
