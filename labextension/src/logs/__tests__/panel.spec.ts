import { MessageLoop } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { trans } from '../../__tests__/trans';
import { CasaServerError } from '../../server/client';
import type { Condition } from '../../server/condition';
import type { ILogCall, ILogSummary } from '../../server/types';
import { LogModel } from '../model';
import { LogPanel } from '../panel';
import { drawn } from './dom';
import { FakeServer, makeLog } from './fake';

class Host {
  cell: string | null = 'c1';
  said = '';
  openCell = jest.fn();
  download = jest.fn();
  copied: string[] = [];
  copy = (text: string) => Promise.resolve(void this.copied.push(text));
  cellName = ({ cell }: ILogCall) => (cell === null ? '' : `cell ${cell}`);
  nameOfCell = (id: string) => (id === '' ? '' : `cell ${id}`);
  activeCell = () => this.cell;
  obstacle = () => this.said;
}

class State {
  version = '1';
  serverVersion = '2';
  condition: Condition = 'ready';
  changed = new Signal<never, Condition>(this as never);
}

const open: LogPanel[] = [];
afterEach(() => {
  open.splice(0).forEach(panel => {
    panel.dispose();
  });
});

async function shown(lines = makeLog(100, 10), summary: Partial<ILogSummary> = {}) {
  const server = new FakeServer({ a1: { lines, summary } });
  const [host, state] = [new Host(), new State()];
  const panel = new LogPanel(new LogModel(server), state, host, trans);
  open.push(panel);
  Widget.attach(panel, document.body);
  MessageLoop.flush();
  panel.model.source = { path: 'w/nb.ipynb', kernel: null };
  await drawn();
  return { server, host, state, panel, model: panel.model };
}
type Shown = Awaited<ReturnType<typeof shown>>;

const empty = ({ panel }: Shown) => {
  const node = panel.node.querySelector<HTMLElement>('.jp-casa-logs-empty');
  return node?.hidden ? '' : node?.textContent;
};
const said = ({ panel }: Shown) => {
  const node = panel.node.querySelector<HTMLElement>('.jp-casa-logs-said');
  return node?.hidden ? '' : node?.firstChild?.textContent;
};
const count = ({ panel }: Shown) => panel.node.querySelector('.jp-casa-logs-total')?.textContent;
const button = ({ panel }: Shown, name: string) => {
  const found = [...panel.node.querySelectorAll('button')].find(node =>
    (node.getAttribute('aria-label') ?? node.textContent).startsWith(name)
  );
  if (!found) {
    throw new Error(`there is no button ${name}`);
  }
  return found;
};
const typed = async (one: Shown, text: string) => {
  const input = one.panel.node.querySelector('input') as HTMLInputElement;
  input.value = text;
  input.dispatchEvent(new Event('change'));
  await drawn();
};

it('tells how many lines there are, and filters them by buttons', async () => {
  const one = await shown();
  expect(count(one)).toBe('100 lines');
  expect(button(one, 'Warnings').textContent).toBe('Warnings 8');
  expect(button(one, 'Errors').getAttribute('aria-pressed')).toBe('true');
  button(one, 'Info').click();
  await drawn();
  expect(count(one)).toBe('10 of 100');
  expect(button(one, 'Info').getAttribute('aria-pressed')).toBe('false');
  button(one, 'Errors').dispatchEvent(new MouseEvent('click', { shiftKey: true }));
  await drawn();
  expect(count(one)).toBe('2 of 100');
  button(one, 'Errors').dispatchEvent(new MouseEvent('click', { shiftKey: true }));
  await drawn();
  expect(count(one)).toBe('100 lines');
});

it('looks for text and expressions, and says quietly what is wrong with one', async () => {
  const one = await shown();
  await typed(one, 'message 5');
  expect(count(one)).toBe('11 of 100');
  button(one, 'Regular').click();
  await typed(one, '(');
  expect(empty(one)).toContain('missing )');
  expect(one.panel.node.querySelector('input')?.getAttribute('aria-invalid')).toBe('true');
  await typed(one, 'none such');
  expect(empty(one)).toBe('No line is as the filter wants it.');
  await typed(one, '');
  expect([empty(one), count(one)]).toEqual(['', '100 lines']);
  await typed(one, 'message 7');
  button(one, 'Only matches').click();
  await drawn();
  expect(count(one)).toBe('100 lines');
  button(one, 'Next').click();
  await drawn();
  expect(one.panel.list.active?.number).toBe(7);
  button(one, 'Next').click();
  await drawn();
  expect(one.panel.list.active?.number).toBe(70);
  button(one, 'Previous').click();
  await drawn();
  button(one, 'Previous').click();
  await drawn();
  expect([one.panel.list.active?.number, said(one)]).toEqual([79, 'Continued from the end.']);
});

it('follows the active cell when it is asked to, and shows it alone', async () => {
  const one = await shown();
  one.host.cell = 'c0';
  one.panel.cellChanged();
  expect(one.panel.list.active).toBeNull();
  button(one, 'Follow').click();
  await drawn();
  expect(one.panel.list.active).toEqual({ number: 91, heading: true });
  one.host.cell = 'c1';
  one.panel.cellChanged();
  expect(one.panel.list.active).toEqual({ number: 71, heading: true });
  button(one, 'Only cell c1').click();
  await drawn();
  expect(count(one)).toBe('30 of 100');
  one.host.cell = 'c2';
  one.panel.cellChanged();
  await drawn();
  expect(count(one)).toBe('30 of 100');
  expect(one.panel.list.active?.number).toBe(81);
  button(one, 'Only cell c2').click();
  await drawn();
  expect(count(one)).toBe('100 lines');
});

it('goes to the last error of a cell, whatever is filtered', async () => {
  const one = await shown();
  button(one, 'Errors').click();
  await drawn();
  expect(await one.panel.showError('c0')).toBe(true);
  await drawn();
  expect(one.panel.list.active).toEqual({ number: 100, heading: false });
  expect(count(one)).toBe('100 lines');
  expect(await one.panel.showError('c2')).toBe(true);
  expect(one.panel.list.active).toEqual({ number: 90, heading: false }); // its last line: there is no error
  expect(await one.panel.showError('elsewhere')).toBe(false);
  expect(one.panel.showCell('elsewhere')).toBe(false);
});

it('copies what is selected, or all that is shown, as it stands in the file', async () => {
  const one = await shown();
  const { copied } = one.host;
  one.panel.list.goTo(3);
  await one.panel.copy();
  expect(copied).toEqual(['2026-01-01 12:00:03\tINFO\ttclean::::casa\tmessage 3\n']);
  expect(said(one)).toBe('Copied: 1 line');
  one.panel.list.selectAll();
  await one.panel.copy();
  expect(copied[1]?.split('\n')).toHaveLength(101);
  button(one, 'Download').click();
  expect(one.host.download).toHaveBeenCalled();
});

it('says what is so when there is nothing to show', async () => {
  const none = await shown([], { alive: true });
  expect(empty(none)).toBe('CASA has not logged anything in this session yet.');
  const one = await shown();
  delete one.server.sessions.a1;
  one.server.sessions.b2 = { lines: makeLog(3), summary: { notebook: 'w/other.ipynb' } };
  await one.model.refresh();
  await drawn();
  expect(empty(one)).toMatch(/not logged anything for this notebook yet/);
  one.host.said = 'nb.ipynb runs on another kernel than CASA: it has no CASA log.';
  one.model.source = null;
  await drawn();
  expect(empty(one)).toBe(one.host.said);
  for (const [condition, words] of [
    ['missing', /install jupyterlab-casa where it runs/],
    ['other-version', /the browser has version 1 .* the server 2/i],
    ['offline', /cannot be reached/]
  ] as const) {
    one.state.condition = condition;
    one.state.changed.emit(condition);
    await drawn();
    expect(empty(one)).toMatch(words);
  }
});

it('leaves lines in sight when the server is away, and says so', async () => {
  const one = await shown();
  one.server.trouble = new CasaServerError('offline', 'Failed to fetch');
  await one.model.refresh();
  await drawn();
  expect([empty(one), said(one)]).toEqual(['', 'The server cannot be reached: what is shown may be old.']);
  one.server.trouble = null;
  await one.model.refresh();
  await drawn();
  expect(said(one)).toBe('');
});

it('lists the sessions of the workspace, and shows the one that is chosen', async () => {
  const one = await shown();
  one.server.sessions.b2 = { lines: makeLog(7), summary: { notebook: 'w/<b>.ipynb' } };
  one.server.sessions.kernels = { lines: makeLog(3), summary: { notebook: null } };
  one.server.sessions.e0 = { lines: [] };
  await one.model.refresh();
  await drawn();
  const select = one.panel.node.querySelector('select') as HTMLSelectElement;
  expect([...select.options].map(({ text }) => text)).toEqual([
    'nb.ipynb, ended 2001-09-09 01:46',
    '<b>.ipynb, ended 2001-09-09 01:46',
    'Tools of all kernels'
  ]);
  select.value = 'b2';
  select.dispatchEvent(new Event('change'));
  await drawn();
  expect(count(one)).toBe('7 lines');
});

it('nothing is asked while the panel is hidden', async () => {
  const one = await shown();
  one.panel.hide();
  const asked = one.server.asked.length;
  await one.model.refresh();
  expect(one.server.asked.length).toBe(asked);
  one.panel.show();
  await drawn();
  expect(one.server.asked.length).toBeGreaterThan(asked);
});
