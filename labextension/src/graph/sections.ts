/** The sections of a notebook, as its headings have them. */
import type { ISharedNotebook } from '@jupyter/ydoc';
import type { ISection } from './model';

/** A heading of the first or second rank; what stands in a block of code is none. */
const HEADING = /^ {0,3}(#{1,2})\s+(.+?)\s*#*\s*$/;
const FENCE = /^ {0,3}(```|~~~)/;

/** Code cells by the heading that stands above them; empty: there are no headings. */
export function sectionsOf(notebook: Pick<ISharedNotebook, 'cells'>, beginning: string): ISection[] {
  const sections: { title: string; cells: string[] }[] = [{ title: beginning, cells: [] }];
  let any = false;
  for (const cell of notebook.cells) {
    if (cell.cell_type === 'code') {
      sections.at(-1)?.cells.push(cell.id);
    } else if (cell.cell_type === 'markdown') {
      const title = headingOf(cell.getSource());
      if (title !== null) {
        sections.push({ title, cells: [] });
        any = true;
      }
    }
  }
  return any ? sections.filter(({ cells }) => cells.length) : [];
}

/** The last heading in a text; null: there is none. */
function headingOf(text: string): string | null {
  let title: string | null = null;
  let isCode = false;
  for (const line of text.split('\n')) {
    if (FENCE.test(line)) {
      isCode = !isCode;
    }
    const found = isCode ? null : HEADING.exec(line);
    if (found?.[2]) {
      title = found[2].replace(/[*_`]/g, '').replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1');
    }
  }
  return title;
}
