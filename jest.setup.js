// jsdom has no DragEvent, which Lumino's widgets are built on.
if (globalThis.MouseEvent) {
  globalThis.DragEvent ??= class DragEvent extends MouseEvent {};
}
