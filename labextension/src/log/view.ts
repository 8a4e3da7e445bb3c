import type { TranslationBundle } from '@jupyterlab/translation';
import { type ILog, LEVELS, type Level, levelOf, select, summaryOf } from './model';

/** What one may choose to see. */
const choices = (trans: TranslationBundle): Record<Level, string> => ({
  debug: trans.__('All lines'),
  info: trans.__('Without debugging'),
  warn: trans.__('Warnings and errors'),
  severe: trans.__('Errors')
});

/**
 * A call: what came of it, remarks, what it printed, and its log.
 *
 * Everything that comes from the notebook is set as text, never as markup.
 */
export function createCallView(log: ILog, trans: TranslationBundle): HTMLElement {
  const view = element('div', 'jp-CasaCall');
  if (log.headline) {
    const headline = element('div', 'jp-CasaCall-headline');
    headline.append(element('b', '', log.headline), ...log.details.map(detail => ` · ${detail}`));
    view.append(headline);
  }
  view.append(...log.notes.map(note => element('div', 'jp-CasaCall-note', trans.__('Note: %1', note))));
  if (log.printed.length) {
    const printed = element('details', 'jp-CasaCall-printed');
    const count = trans._n('printed: %1 line', 'printed: %1 lines', log.printed.length);
    printed.append(element('summary', '', count), element('pre', '', log.printed.join('\n')));
    view.append(printed);
  }
  if (log.lines.length || !log.headline) {
    view.append(createLogView(log, trans));
  }
  return view;
}

/** A log behind a toggle: a table that is filtered by priority and text, made when it is first opened. */
export function createLogView(log: ILog, trans: TranslationBundle): HTMLElement {
  const view = element('details', 'jp-CasaLog');
  const summary = element('summary', 'jp-CasaLog-summary', summaryOf(log, trans));
  summary.dataset.level = log.counts.severe ? 'severe' : log.counts.warn ? 'warn' : 'info';
  view.append(summary);
  view.addEventListener(
    'toggle',
    () => {
      view.append(...createTable(log, trans));
    },
    { once: true }
  );
  view.open = log.opened;
  return view;
}

function createTable(log: ILog, trans: TranslationBundle): HTMLElement[] {
  const texts = choices(trans);
  const level = element('select', 'jp-CasaLog-level');
  level.setAttribute('aria-label', trans.__('Which lines to show'));
  level.append(
    ...LEVELS.map(value => {
      const option = element('option', '', texts[value]);
      option.value = value;
      return option;
    })
  );
  const search = element('input', 'jp-CasaLog-search');
  search.type = 'search';
  search.placeholder = trans.__('Filter');
  search.setAttribute('aria-label', trans.__('Show only lines that contain this text'));
  const status = element('span', 'jp-CasaLog-status');
  status.setAttribute('role', 'status');
  const bar = element('div', 'jp-CasaLog-bar');
  bar.append(level, search, status);

  const table = element('table', 'jp-CasaLog-table');
  const head = table.createTHead().insertRow();
  for (const title of [
    trans.__('Time (UTC)'),
    trans.__('Priority'),
    trans.__('Origin'),
    trans.__('Message')
  ]) {
    const cell = element('th', '', title);
    cell.scope = 'col';
    head.append(cell);
  }
  const body = table.createTBody();
  const scroller = element('div', 'jp-CasaLog-scroller');
  scroller.setAttribute('role', 'region');
  scroller.setAttribute('aria-label', trans.__('Log of %1', log.task));
  scroller.tabIndex = 0; // so that the keyboard can scroll it
  scroller.append(table);

  const show = () => {
    // The options are ours: the value is one of LEVELS.
    const lines = select(log.lines, level.value as Level, search.value);
    body.replaceChildren(
      ...lines.map(line => {
        const row = element('tr');
        row.dataset.level = levelOf(line);
        row.append(
          ...[line.time, line.priority, line.origin, line.message].map(value => element('td', '', value))
        );
        return row;
      })
    );
    const shown = trans.__('%1 of %2 lines', lines.length, log.lines.length);
    status.textContent = log.omitted
      ? trans.__('%1, %2 more not kept in the notebook', shown, log.omitted)
      : shown;
  };
  level.addEventListener('change', show);
  search.addEventListener('input', show);
  show();
  return [bar, scroller];
}

function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  text = ''
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}
