/** Drags a call into a notebook, as notebooks drag cells. */
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';

/** By which notebooks know cells. */
const CELL_MIME = 'application/vnd.jupyter.cells';
/** Pixels after which a press is a drag. */
const THRESHOLD = 5;

/**
 * Follows a pressed pointer, and drags when it moves.
 *
 * @param event - That began it.
 * @param label - What is seen while it is dragged.
 * @param source - Of the cell, asked for when the drag begins; it may be better known while it is under way.
 * @returns Whether it became a drag; when it has ended.
 */
export function dragCell(
  event: { clientX: number; clientY: number },
  label: string,
  source: () => { text: string; better: Promise<string> }
): Promise<boolean> {
  const { clientX, clientY } = event;
  return new Promise(resolve => {
    const stop = () => {
      document.removeEventListener('pointermove', move, true);
      document.removeEventListener('pointerup', up, true);
      document.removeEventListener('pointercancel', up, true);
    };
    const up = () => {
      stop();
      resolve(false);
    };
    const move = (moved: PointerEvent) => {
      if (Math.hypot(moved.clientX - clientX, moved.clientY - clientY) < THRESHOLD) {
        return;
      }
      stop();
      const { text, better } = source();
      const mimeData = new MimeData();
      const carry = (content: string) => {
        const cell = { cell_type: 'code', source: content, metadata: {}, outputs: [], execution_count: null };
        mimeData.setData(CELL_MIME, [cell]);
        mimeData.setData('text/plain', content);
      };
      carry(text);
      void better.then(carry);
      const dragImage = document.createElement('div');
      dragImage.className = 'jp-casa-drag';
      dragImage.textContent = label;
      const drag = new Drag({
        mimeData,
        dragImage,
        supportedActions: 'copy',
        proposedAction: 'copy',
        source: null
      });
      void drag.start(moved.clientX, moved.clientY).then(() => {
        drag.dispose();
        resolve(true);
      });
    };
    document.addEventListener('pointermove', move, true);
    document.addEventListener('pointerup', up, true);
    document.addEventListener('pointercancel', up, true);
  });
}
