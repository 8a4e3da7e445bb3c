/** Whether the server has our extension, of our version. */
import { type ISignal, Signal } from '@lumino/signaling';
import { type CasaServer, CasaServerError } from './client';

/**
 * How it is with the server extension: `ready`; not known yet; not reached; not installed or not enabled; of another
 * version than what runs in the browser.
 */
export type Condition = 'checking' | 'ready' | 'offline' | 'missing' | 'other-version';

/** Asks which version the server has, until it knows. */
export class ServerCondition {
  /**
   * @param _server - Who is asked.
   * @param version - Of what runs in the browser.
   */
  constructor(
    private readonly _server: Pick<CasaServer, 'status'>,
    readonly version: string
  ) {}

  /** It is another one. */
  get changed(): ISignal<this, Condition> {
    return this._changed;
  }

  get condition(): Condition {
    return this._condition;
  }

  /** The version of the server's extension; empty: not known. */
  get serverVersion(): string {
    return this._serverVersion;
  }

  /** The version of CASA where kernels run; null: not known, or there is none. */
  get casatasks(): string | null {
    return this._casatasks;
  }

  /** Looks how it is. While the server cannot be reached, it is looked again from time to time. Never fails. */
  async check(): Promise<Condition> {
    clearTimeout(this._timer);
    try {
      const { version, casatasks } = await this._server.status();
      this._serverVersion = version;
      this._casatasks = casatasks;
      this._become(version === this.version ? 'ready' : 'other-version');
    } catch (error) {
      const missing = error instanceof CasaServerError && error.trouble === 'missing';
      this._become(missing ? 'missing' : 'offline');
      if (!missing) {
        this._timer = setTimeout(() => void this.check(), RETRY_MS);
      }
    }
    return this._condition;
  }

  private _become(condition: Condition): void {
    if (condition !== this._condition) {
      this._condition = condition;
      this._changed.emit(condition);
    }
  }

  private readonly _changed = new Signal<this, Condition>(this);
  private _condition: Condition = 'checking';
  private _serverVersion = '';
  private _casatasks: string | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}

const RETRY_MS = 10_000;
