/** The data products of a workspace: what versions there are, what they take, and how to bring them back. */
import { type ISignal, Signal } from '@lumino/signaling';
import { type CasaServer, CasaServerError } from '../server/client';
import type { CasaEvent } from '../server/events';
import type { INearLimit, IPresent, IRestored, IShares, IStore, IVersionSummary } from '../server/types';

/** Milliseconds after which what happens is looked at: tasks keep many products at once. */
const SOON_MS = 300;

/** The part of the server that is needed. */
export type ProductsServer = Pick<CasaServer, 'versions' | 'shares' | 'store' | 'restore'>;

/** A version of a product. */
export interface IVersionRow extends IVersionSummary {
  /** Among those of its product: 1 is the oldest. */
  number: number;
  /** Bytes that are stored for it alone; null: not known, or it is not kept. */
  alone: number | null;
}

/** A product with its history. */
export interface IProduct {
  path: string;
  /** The newest first. */
  versions: IVersionRow[];
  /** The one that lay at its path when somebody last looked; null: nothing did. */
  present: IVersionRow | null;
  /** Its part of what is stored; null: not known. */
  bytes: number | null;
}

/** How it is with the list: nothing to look at; being asked for; nothing remembered; there; trouble. */
export type ListState = 'none' | 'loading' | 'empty' | 'ready' | 'trouble';

/** What was done last. */
export type Done =
  | { kind: 'restored'; version: IVersionRow; answer: IRestored }
  | { kind: 'said'; text: string }
  | { kind: 'trouble'; error: unknown };

/** A directory, as events and paths have it: the root is empty. */
export function directory(path: string): string {
  return path.replace(/^(?:\.?\/+|\.$)|\/+$/g, '');
}

/** The products of one workspace. */
export class ProductsModel {
  constructor(private readonly _server: ProductsServer) {}

  /** Anything is other than it was. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The directory, from the server's root; null: none is looked at. */
  get path(): string | null {
    return this._path;
  }

  set path(path: string | null) {
    const next = path === null ? null : directory(path);
    if (next !== this._path) {
      this._path = next;
      this._rows = [];
      this._shares = this._store = this._done = null;
      this._error = null;
      this._state = next === null ? 'none' : 'loading';
      this._build();
      void this.refresh();
    }
  }

  /** Whether somebody sees it: nothing is asked for otherwise. */
  get wanted(): boolean {
    return this._wanted;
  }

  set wanted(wanted: boolean) {
    if (wanted !== this._wanted) {
      this._wanted = wanted;
      if (wanted) {
        void this.refresh();
      }
    }
  }

  get state(): ListState {
    return this._state;
  }

  /** Why there is no list, or an old one. */
  get error(): unknown {
    return this._error;
  }

  /** By path. */
  get products(): readonly IProduct[] {
    return this._products;
  }

  /** What the store holds; null: not known yet. */
  get store(): IStore | null {
    return this._store;
  }

  /** All that is stored, in bytes; 0: not known. */
  get stored(): number {
    return this._shares?.bytes ?? 0;
  }

  /** What is nearly full. */
  get near(): readonly INearLimit[] {
    return (this._path !== null && this._near.get(this._path)) || [];
  }

  /** Whether a version is being brought back. */
  get isBusy(): boolean {
    return this._busy;
  }

  /** What was done last; null: it was taken off. */
  get done(): Done | null {
    return this._done;
  }

  /** A version by its id. */
  version(id: string): IVersionRow | null {
    return this._versions.get(id) ?? null;
  }

  /** The one before another in its product's history; null: it is the first. */
  before(version: IVersionRow): IVersionRow | null {
    const versions = this._products.find(({ path }) => path === version.path)?.versions ?? [];
    return versions.find(({ number }) => number === version.number - 1) ?? null;
  }

  /** With which one it is compared: the one that is there now; if it is that itself, the one before it. */
  partner(version: IVersionRow): IVersionRow | null {
    const present = this._products.find(({ path }) => path === version.path)?.present ?? null;
    return present && present.id !== version.id ? present : this.before(version);
  }

  /** Asks for everything; once more afterwards, if somebody asks meanwhile. Never fails, see `error`. */
  async refresh(): Promise<void> {
    clearTimeout(this._timer);
    if (this._path === null || !this._wanted) {
      return;
    }
    this._again = true;
    if (this._asking) {
      return;
    }
    this._asking = true;
    try {
      do {
        this._again = false;
        await this._ask(this._path);
      } while (this._asked());
    } finally {
      this._asking = false;
    }
  }

  /** Takes in what happens on the server. */
  onEvent({ kind, data }: CasaEvent): void {
    const where = directory(data.workspace);
    if (kind === 'store') {
      this._near.set(where, data.near);
      this._changed.emit();
    } else if (where === this._path && (kind === 'product' || (kind === 'call' && data.action === 'ended'))) {
      this._soon();
    }
  }

  /** Takes in what is so now, after much was missed. */
  onRestarted(present: IPresent): void {
    this._near = new Map(present.stores.map(({ workspace, near }) => [directory(workspace), near]));
    this._changed.emit();
    this._soon();
  }

  /**
   * Brings a version to its path, or elsewhere. Never fails, see `done`.
   *
   * @param to - Relative to the workspace.
   */
  async restore(version: IVersionRow, to?: string): Promise<void> {
    const path = this._path;
    if (path === null || this._busy) {
      return;
    }
    this._busy = true;
    this._done = null;
    this._changed.emit();
    let done: Done;
    try {
      done = { kind: 'restored', version, answer: await this._server.restore(version.id, path, to) };
    } catch (error) {
      done = { kind: 'trouble', error };
    }
    this._busy = false;
    if (path === this._path) {
      this._done = done;
    }
    this._changed.emit();
    await this.refresh();
  }

  /** Says something, as if it had been done here. */
  tell(done: Done | null): void {
    this._done = done;
    this._changed.emit();
  }

  /** Whether somebody has asked meanwhile, and still wants it. */
  private _asked(): boolean {
    return this._again && this._wanted;
  }

  private _soon(): void {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => void this.refresh(), SOON_MS);
  }

  private async _ask(path: string | null): Promise<void> {
    if (path === null) {
      return;
    }
    /** Whether it is known, and still wanted. */
    const ask = async <T>(answer: Promise<T>, take: (found: T) => void, fail: (error: unknown) => void) => {
      try {
        const found = await answer;
        if (path === this._path) {
          take(found);
        }
      } catch (error) {
        if (path === this._path) {
          fail(error);
        }
      }
      if (path === this._path) {
        this._build();
      }
      return path === this._path && this._state === 'ready';
    };
    const note = (error: unknown) => {
      this._error = error;
    };
    const listed = await ask(
      this._server.versions(path),
      ({ versions }) => {
        this._rows = versions;
        this._state = 'ready';
        this._error = null;
      },
      error => {
        const nothing =
          error instanceof CasaServerError && error.trouble === 'refused' && error.status === 404;
        this._state = nothing ? 'empty' : this._rows.length ? this._state : 'trouble';
        this._error = nothing ? null : error;
        this._rows = nothing ? [] : this._rows;
      }
    );
    // The list is there at once; what it takes on the disk may be long in finding out.
    if (listed && this._error === null) {
      await ask(this._server.shares(path), shares => (this._shares = shares), note);
      await ask(this._server.store(path), store => (this._store = store), note);
    }
  }

  private _build(): void {
    const alone = new Map(this._shares?.versions.map(one => [one.id, one.alone]));
    const bytes = new Map(this._shares?.products.map(one => [one.path, one.bytes]));
    const products = new Map<string, IProduct>();
    this._versions.clear();
    // The server tells them by path and age.
    for (const row of this._rows) {
      const known: IProduct = products.get(row.path) ?? {
        path: row.path,
        versions: [],
        present: null,
        bytes: this._shares ? (bytes.get(row.path) ?? 0) : null
      };
      products.set(row.path, known);
      const version = { ...row, number: known.versions.length + 1, alone: alone.get(row.id) ?? null };
      known.versions.unshift(version);
      known.present = version.present ? version : known.present;
      this._versions.set(row.id, version);
    }
    this._products = [...products.values()];
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _versions = new Map<string, IVersionRow>();
  private _near = new Map<string, readonly INearLimit[]>();
  private _products: readonly IProduct[] = [];
  private _rows: readonly IVersionSummary[] = [];
  private _shares: IShares | null = null;
  private _store: IStore | null = null;
  private _path: string | null = null;
  private _state: ListState = 'none';
  private _error: unknown = null;
  private _done: Done | null = null;
  private _wanted = false;
  private _busy = false;
  private _asking = false;
  private _again = false;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}
