/** What jsdom lacks. */
const world = globalThis as { structuredClone?: unknown; ResizeObserver?: unknown };
world.structuredClone ??= <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
world.ResizeObserver ??= class {
  observe() {
    return;
  }
  unobserve() {
    return;
  }
  disconnect() {
    return;
  }
};

/** Pixels that everything is high: 20 rows of the log, and the header. */
Object.defineProperty(HTMLElement.prototype, 'clientHeight', { configurable: true, get: () => 424 });

/** All that was asked for has been answered and drawn. */
export async function drawn(): Promise<void> {
  for (let n = 0; n < 3; n++) {
    for (let tick = 0; tick < 300; tick++) {
      await Promise.resolve();
    }
    await new Promise(resolve => requestAnimationFrame(resolve));
  }
}
