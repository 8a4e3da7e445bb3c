/** Has graphs laid out off the main thread. */
import type { IDisposable } from '@lumino/disposable';
import type { ILayout, ILayoutRequest } from './layout';

/** The part of a worker that is needed. */
export type LayoutWorker = Pick<Worker, 'postMessage' | 'terminate' | 'onmessage' | 'onerror'>;

/** Layouts, one at a time; who asks again before the answer is there gets only the newest. */
export class Layouts implements IDisposable {
  /**
   * @param _start - Starts the worker; it may fail, where a server's pages may not have any.
   * @param _here - Lays out in this thread, if there is no worker.
   */
  constructor(
    private readonly _start: () => LayoutWorker,
    private readonly _here: (request: ILayoutRequest) => Promise<ILayout>
  ) {
    this._worker = this._begin();
  }

  /** Lays out a graph; null: somebody has asked for another one meanwhile. */
  async layOut(request: ILayoutRequest): Promise<ILayout | null> {
    const id = ++this._newest;
    const layout = await (this._worker ? this._ask(this._worker, id, request) : this._here(request));
    return id === this._newest && !this._isDisposed ? layout : null;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._worker?.terminate();
    this._worker = null;
    this._waiting.forEach(waiting => {
      waiting(null);
    });
    this._waiting.clear();
  }

  private _begin(): LayoutWorker | null {
    try {
      const worker = this._start();
      worker.onmessage = ({ data }: MessageEvent<{ id: number; layout: ILayout }>) => {
        this._waiting.get(data.id)?.(data.layout);
        this._waiting.delete(data.id);
      };
      worker.onerror = event => {
        event.preventDefault();
        this._worker = null; // it could not be loaded
        this._waiting.forEach(waiting => {
          waiting(null);
        });
        this._waiting.clear();
      };
      return worker;
    } catch {
      return null;
    }
  }

  private async _ask(worker: LayoutWorker, id: number, request: ILayoutRequest): Promise<ILayout | null> {
    const layout = await new Promise<ILayout | null>(resolve => {
      this._waiting.set(id, resolve);
      worker.postMessage({ id, request });
    });
    return layout ?? (this._isDisposed ? null : this._here(request));
  }

  private readonly _waiting = new Map<number, (layout: ILayout | null) => void>();
  private _worker: LayoutWorker | null = null;
  private _newest = 0;
  private _isDisposed = false;
}
