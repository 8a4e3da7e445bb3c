/** Starts the worker in which graphs are laid out; the bundler takes what follows as it stands. */
export function startWorker(): Worker {
  return new Worker(new URL('./layout.worker.js', import.meta.url));
}
