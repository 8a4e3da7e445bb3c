import { layOut } from '../layout';
import { Layouts, type LayoutWorker } from '../layouts';

const request = (width: number) => ({
  boxes: [{ width, height: 10 }],
  links: [],
  direction: 'down' as const,
  aspect: 1
});

/** A worker that answers when it is told to. */
class Worker implements LayoutWorker {
  readonly asked: { id: number; request: ReturnType<typeof request> }[] = [];
  terminated = false;
  onmessage: LayoutWorker['onmessage'] = null;
  onerror: LayoutWorker['onerror'] = null;
  postMessage(message: Worker['asked'][number]): void {
    this.asked.push(message);
  }
  terminate(): void {
    this.terminated = true;
  }
  answer(n: number): void {
    const { id, request: asked } = this.asked[n] as Worker['asked'][number];
    this.onmessage?.call(this as never, new MessageEvent('message', { data: { id, layout: layOut(asked) } }));
  }
}

const never = () => Promise.reject(new Error('in this thread'));
const here = (asked: ReturnType<typeof request>) => Promise.resolve(layOut(asked));

describe('layouts', () => {
  it('come from the worker, and only the newest counts', async () => {
    const worker = new Worker();
    const layouts = new Layouts(() => worker, never);
    const [first, second] = [layouts.layOut(request(1)), layouts.layOut(request(2))];
    worker.answer(1);
    worker.answer(0);
    expect(await first).toBeNull();
    expect((await second)?.width).toBe(2);
  });

  it('are made in this thread where there can be no worker', async () => {
    const layouts = new Layouts(() => {
      throw new DOMException('not from there', 'SecurityError');
    }, here as never);
    expect((await layouts.layOut(request(3)))?.width).toBe(3);
  });

  it('are made in this thread when the worker cannot be loaded', async () => {
    const worker = new Worker();
    const layouts = new Layouts(() => worker, here as never);
    const asked = layouts.layOut(request(4));
    const event = new Event('error', { cancelable: true });
    (worker.onerror as (event: Event) => void)(event);
    expect((await asked)?.width).toBe(4);
    expect(event.defaultPrevented).toBe(true);
    expect((await layouts.layOut(request(5)))?.width).toBe(5);
  });

  it('end with the panel', async () => {
    const worker = new Worker();
    const layouts = new Layouts(() => worker, never);
    const asked = layouts.layOut(request(1));
    layouts.dispose();
    expect([await asked, worker.terminated]).toEqual([null, true]);
  });
});
