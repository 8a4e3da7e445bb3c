/** What happens on the server, as typed signals; what was missed is asked for. */
import type { Event } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import type { CasaServer } from './client';
import type {
  ICallEvent,
  ICellEvent,
  ICellsEvent,
  IChanges,
  IEvent,
  IKernelEvent,
  ILogEvent,
  IPresent,
  IProductEvent,
  ISessionNow,
  IStoreEvent,
  ITaggedEvent
} from './types';

/** Kinds of events. */
export interface IEventKinds {
  kernel: IKernelEvent;
  cell: ICellEvent;
  call: ICallEvent;
  cells: ICellsEvent;
  product: IProductEvent;
  log: ILogEvent;
  store: IStoreEvent;
}

/** An event of one of the kinds. */
export type CasaEvent = { [K in keyof IEventKinds]: { kind: K; data: IEventKinds[K] } }[keyof IEventKinds];

const ID = /^urn:jupyterlab-casa:event:(kernel|cell|call|cells|product|log|store):1$/;

/** Milliseconds between looks whether events were missed while none comes: a connection may be dead without a word. */
const LOOK_MS = 15_000;

/** The event stream of the server. */
export class CasaEvents implements IDisposable {
  /**
   * @param _stream - The server's event stream, which JupyterLab connects again by itself.
   * @param _server - Tells what was missed meanwhile.
   * @param _ready - Whether it can be asked.
   */
  constructor(
    private readonly _stream: ISignal<unknown, Event.Emission>,
    private readonly _server: Pick<CasaServer, 'changes'>,
    private readonly _ready: () => boolean = () => true
  ) {
    this._stream.connect(this._onEmission);
    this._timer = setInterval(() => {
      if (!document.hidden) {
        void this.look();
      }
    }, LOOK_MS);
    document.addEventListener('visibilitychange', this._onVisible);
    void this.look();
  }

  /** Something happened; in order, and each once. */
  get happened(): ISignal<this, CasaEvent> {
    return this._happened;
  }

  /** So much was missed that only what is so now can be told: all is to be looked at again. */
  get restarted(): ISignal<this, IPresent> {
    return this._restarted;
  }

  /** What a kernel does now; null: nothing is known of it. */
  kernel(id: string): ISessionNow | null {
    return [...this._sessions.values()].find(session => session.kernel === id) ?? null;
  }

  /** Asks for what has been missed. Never fails: it is tried again. */
  async look(): Promise<void> {
    if (this._looking || this._isDisposed || !this._ready()) {
      return;
    }
    this._looking = true;
    const changes = await this._missed();
    this._looking = false;
    const early = this._early.splice(0);
    if (changes === null) {
      return; // these, too, are asked for the next time
    }
    const { epoch, revision, events, state } = changes;
    if (state) {
      this._sessions = new Map(state.kernels.map(session => [session.session, session]));
      [this._epoch, this._revision] = [epoch, revision];
      this._restarted.emit(state);
    }
    for (const event of events ?? []) {
      this._take(event);
    }
    this._revision = Math.max(revision, this._revision);
    for (const event of early) {
      this._onEvent(event);
    }
  }

  /** What was missed; null: the server is away, or has no such thing. */
  private async _missed(): Promise<IChanges | null> {
    try {
      const since = this._epoch === '' ? undefined : `${this._epoch}.${String(this._revision)}`;
      const changes = await this._server.changes(since);
      return this._isDisposed ? null : changes;
    } catch {
      return null;
    }
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    clearInterval(this._timer);
    document.removeEventListener('visibilitychange', this._onVisible);
    this._stream.disconnect(this._onEmission);
    Signal.clearData(this);
  }

  private readonly _onVisible = (): void => {
    if (!document.hidden) {
      void this.look();
    }
  };

  private readonly _onEmission = (_: unknown, emission: Event.Emission): void => {
    if (ID.test(emission.schema_id)) {
      this._onEvent(emission as unknown as ITaggedEvent); // the server checks it against its schema
    }
  };

  private _onEvent(event: ITaggedEvent): void {
    if (!this._ready()) {
      return; // it is asked for when it can be
    }
    if (this._looking) {
      this._early.push(event);
    } else if (event.epoch !== this._epoch || event.revision > this._revision + 1) {
      this._early.push(event);
      void this.look();
    } else {
      this._take(event);
    }
  }

  private _take(event: ITaggedEvent): void {
    const kind = ID.exec(event.schema_id)?.[1];
    if (kind === undefined || event.revision <= this._revision) {
      return;
    }
    this._revision = event.revision;
    const happened = { kind, data: event as IEvent } as CasaEvent;
    this._apply(happened);
    this._happened.emit(happened);
  }

  private _apply({ kind, data }: CasaEvent): void {
    const session = this._sessions.get(data.session);
    if (kind === 'kernel') {
      if (data.action === 'ended') {
        this._sessions.delete(data.session);
      } else {
        this._sessions.set(data.session, data);
      }
    } else if (session && kind === 'cell') {
      const started = data.action === 'started';
      const notebook = started ? data.notebook : session.notebook;
      this._sessions.set(data.session, {
        ...session,
        notebook,
        cell: started ? data.cell : null,
        call: null
      });
    } else if (session && kind === 'call') {
      this._sessions.set(data.session, { ...session, call: data.action === 'ended' ? null : data });
    }
  }

  private readonly _happened = new Signal<this, CasaEvent>(this);
  private readonly _restarted = new Signal<this, IPresent>(this);
  private readonly _timer: ReturnType<typeof setInterval>;
  /** Events that came while it was asked for what was missed before. */
  private readonly _early: ITaggedEvent[] = [];
  private _sessions = new Map<string, ISessionNow>();
  private _epoch = '';
  private _revision = 0;
  private _looking = false;
  private _isDisposed = false;
}
