/** Puts a new call into a notebook: at the cursor, or as a new cell. */
import { type Notebook, NotebookActions } from '@jupyterlab/notebook';
import { type IPlaced, placed } from './place';

/**
 * Puts a call into a notebook, and the cursor into the call.
 *
 * @param atCursor - Whether the user was writing in the active cell; else it becomes a new cell below, unless the active one
 * is empty.
 */
export async function insertCall(
  notebook: Notebook,
  text: string,
  cursor: number,
  atCursor: boolean
): Promise<void> {
  let cell = notebook.activeCell;
  let place: IPlaced = { from: 0, to: 0, insert: text, cursor };
  const source = cell?.model.sharedModel.getSource() ?? '';
  if (cell?.model.type === 'code' && !cell.readOnly && (source.trim() === '' || (atCursor && cell.editor))) {
    const { editor } = cell;
    if (source.trim() === '' || !editor) {
      place = { ...place, to: source.length };
    } else {
      const { start, end } = editor.getSelection();
      const [from, to] = [editor.getOffsetAt(start), editor.getOffsetAt(end)].sort(
        (one, other) => one - other
      ) as [number, number];
      place = placed(source, from, to, text, cursor);
    }
  } else {
    NotebookActions.insertBelow(notebook);
    cell = notebook.activeCell;
    if (cell?.model.type !== 'code') {
      NotebookActions.changeCellType(notebook, 'code');
      cell = notebook.activeCell;
    }
  }
  if (!cell) {
    return;
  }
  cell.model.sharedModel.updateSource(place.from, place.to, place.insert);
  await cell.ready;
  notebook.activate();
  notebook.mode = 'edit';
  const { editor } = cell;
  const position = editor?.getPositionAt(place.cursor);
  if (editor && position) {
    editor.setCursorPosition(position);
    editor.focus();
  }
}
