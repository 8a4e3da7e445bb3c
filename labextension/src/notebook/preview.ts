/** What a re-run is going to do, before it does. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CellState, IPlan } from '../server/types';
import { element } from './hover';
import { reasonText } from './reasons';
import { calls, price, roughly } from './words';

/** A plan as a table: cell, what is done, why, and the price. All of it is set as text. */
export function previewPlan(
  plan: IPlan,
  titles: (id: string) => string,
  trans: TranslationBundle
): HTMLElement {
  const node = element('div', 'jp-casa-preview');
  const cells = plan.cells.map((cell, n) => ({ cell, n })).filter(({ cell }) => cell.state !== 'fresh');
  if (!cells.length && !plan.restores.length) {
    node.append(element('p', '', trans.__('There is nothing to do: all is fresh.')));
    return node;
  }
  const does: Record<CellState, string> = {
    fresh: '',
    stale: trans.__('runs'),
    maybe: trans.__('runs, or turns out unchanged'),
    restorable: trans.__('is brought back')
  };
  const table = element('table');
  const head = table.createTHead().insertRow();
  for (const title of [trans.__('Cell'), trans.__('What'), trans.__('Why'), trans.__('How long')]) {
    const cell = element('th', '', title);
    cell.scope = 'col';
    head.append(cell);
  }
  const body = table.createTBody();
  for (const { cell, n } of cells) {
    const row = body.insertRow();
    row.dataset.state = cell.state;
    const name = element('td', '', trans.__('cell %1', n + 1));
    name.append(element('div', 'jp-casa-preview-title', titles(cell.id)));
    const why = element('td');
    why.append(
      ...cell.reasons.slice(0, 3).map(({ message }) => element('div', '', reasonText(message, trans)))
    );
    const what = element('td', '', does[cell.state]);
    const making = calls(cell, trans);
    if (making) {
      what.append(element('div', 'jp-casa-preview-title', making));
    }
    row.append(name, what, why, element('td', '', price(cell, trans)));
  }
  node.append(table);
  if (plan.restores.length) {
    node.append(element('p', '', trans.__('Products that are brought back: %1', plan.restores.join(', '))));
  }
  if (plan.estimate_s > 0) {
    const maybe = plan.cells.some(cell => cell.state === 'maybe');
    const rough = roughly(plan.estimate_s);
    node.append(
      element('p', '', maybe ? trans.__('In all at most %1.', rough) : trans.__('In all about %1.', rough))
    );
  }
  return node;
}
