import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { trans } from '../../__tests__/trans';
import type { ILogCall, ILogLine } from '../../server/types';
import { LogList } from '../list';
import { EVERYTHING, LogModel } from '../model';
import { drawn } from './dom';
import { FakeServer, makeLog } from './fake';

interface IShown {
  list: LogList;
  model: LogModel;
  server: FakeServer;
  host: { cellName: (call: ILogCall) => string; openCell: jest.Mock; copy: jest.Mock };
}

const open: LogList[] = [];
afterEach(() => {
  open.splice(0).forEach(list => {
    list.dispose();
  });
});

async function shown(lines: ILogLine[]): Promise<IShown> {
  const server = new FakeServer({ a1: { lines } });
  const model = new LogModel(server);
  const host = {
    cellName: ({ cell }: ILogCall) => (cell === null ? '' : `cell ${cell}`),
    openCell: jest.fn(),
    copy: jest.fn()
  };
  const list = new LogList(model, host, trans);
  open.push(list);
  Widget.attach(list, document.body);
  MessageLoop.flush();
  model.source = { path: 'w/nb.ipynb', kernel: null };
  model.isActive = true;
  await drawn();
  return { list, model, server, host };
}

const grid = ({ list }: IShown) => list.node.querySelector('[role=treegrid]') as HTMLElement;
/** The rows that are seen, by their place. */
const rows = ({ list }: IShown) =>
  [...list.node.querySelectorAll<HTMLElement>('.jp-casa-logs-body > [role=row]')].sort(
    (a, b) => Number(a.dataset.row) - Number(b.dataset.row)
  );
const active = (one: IShown) => {
  const id = grid(one).getAttribute('aria-activedescendant');
  return id === null ? null : one.list.node.querySelector<HTMLElement>(`#${id}`);
};
const key = (one: IShown, name: string, more: KeyboardEventInit = {}) => {
  grid(one).dispatchEvent(
    new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true, ...more })
  );
};

it('draws a few rows of very many, the newest ones, and tells how many there are', async () => {
  const one = await shown(makeLog(450_000));
  expect(grid(one).getAttribute('aria-rowcount')).toBe('450001');
  expect(rows(one).length).toBeLessThan(40);
  const last = rows(one).at(-1) as HTMLElement;
  expect(last.getAttribute('aria-rowindex')).toBe('450001');
  expect(last.textContent).toContain('message 450000');
  expect(last.querySelector('.jp-casa-logs-priority')?.textContent).toBe('SEVERE');
  key(one, 'Home');
  await drawn();
  expect(rows(one)[0]?.textContent).toContain('message 1');
  expect(active(one)?.getAttribute('aria-rowindex')).toBe('2');
  expect(one.list.isFollowing).toBe(false);
  one.list.goTo(354_321);
  await drawn();
  expect(active(one)?.textContent).toContain('message 354321');
  expect(rows(one).length).toBeLessThan(40);
}, 30_000);

it('shows what CASA says as text, never as markup', async () => {
  const evil = '<img src=x onerror="alert(1)"> &amp; <b>bold</b>\u202e';
  const [line] = makeLog(1);
  const one = await shown([
    { ...(line as ILogLine), message: evil, origin: '<i>origin</i>', priority: 'WARN' },
    { ...(line as ILogLine), number: 2, message: `${evil} again`, time: '', priority: '', origin: '' }
  ]);
  one.model.filter = { ...EVERYTHING, text: '<B>bold' };
  await drawn();
  expect(one.list.node.querySelector('img, .jp-casa-logs-body b, i')).toBeNull();
  expect(rows(one)[0]?.querySelector('.jp-casa-logs-message')?.textContent).toBe(evil);
  expect(rows(one)[0]?.querySelector('mark')?.textContent).toBe('<b>bold');
  expect(rows(one)[1]?.querySelector('.jp-casa-logs-message')?.textContent).toBe(`${evil} again`);
});

it('marks what is looked for in all columns: texts, and what the server says that an expression matches', async () => {
  const one = await shown(makeLog(30));
  const marked = () =>
    rows(one).map(row => [...row.querySelectorAll('mark')].map(mark => mark.textContent).join('|'));
  one.model.filter = { ...EVERYTHING, text: 'AGE 7' };
  await drawn();
  expect(marked()).toEqual(['age 7']);
  one.model.filter = { ...EVERYTHING, text: 'warn\ttcl' };
  await drawn();
  expect(marked()).toEqual(['WARN|tcl', 'WARN|tcl', 'WARN|tcl']);
  one.model.filter = { ...EVERYTHING, text: 'message [78]$|:0[78]\t', regex: true };
  await drawn();
  expect(marked()).toEqual([':07|message 7', ':08|message 8']);
});

it('marks among lines that do not match, too, and those that are new', async () => {
  const lines = makeLog(30);
  const one = await shown(lines);
  const marked = () =>
    rows(one)
      .filter(row => row.querySelector('mark'))
      .map(row => row.querySelector('.jp-casa-logs-message')?.textContent);
  one.model.filter = { ...EVERYTHING, text: 'ge .5$', regex: true, only: false };
  await drawn();
  expect([rows(one).length > 20, marked()]).toEqual([true, ['message 15', 'message 25']]);
  lines.push(...makeLog(5, 0, 31));
  one.model.onLog({
    workspace: 'w',
    session: 'a1',
    first: 31,
    lines: lines.slice(30),
    total: 35,
    skipped: 0
  } as never);
  await drawn();
  expect(marked()).toEqual(['message 15', 'message 25', 'message 35']);
  one.model.filter = { ...EVERYTHING, text: '(', regex: true, only: false };
  await drawn();
  expect([
    one.model.complaint !== '',
    marked(),
    rows(one).at(-1)?.textContent.includes('message 35')
  ]).toEqual([true, [], true]);
});

it('tells what is cut off when somebody points at it', async () => {
  const [line] = makeLog(1);
  const origin = 'SynthesisImagerVi2::appendToVisBufferController';
  const one = await shown([{ ...(line as ILogLine), origin }]);
  const cell = rows(one)[0]?.querySelector<HTMLElement>('.jp-casa-logs-origin');
  expect(cell?.textContent).toBe('SynthesisImagerVi2::app…');
  cell?.dispatchEvent(new MouseEvent('mouseover', { bubbles: true }));
  expect(cell?.title).toBe(origin);
});

it('has headings that tell of cell, task and outcome, and can be folded by keyboard', async () => {
  const one = await shown(makeLog(12, 6));
  const [heading] = rows(one);
  expect(heading?.textContent).toMatch(/cell c0.*tclean.*ran in 2.0 s.*6 lines/);
  expect(heading?.getAttribute('aria-expanded')).toBe('true');
  expect(rows(one)[1]?.getAttribute('aria-level')).toBe('2');
  key(one, 'Home');
  key(one, 'ArrowLeft');
  await drawn();
  expect(rows(one)[0]?.getAttribute('aria-expanded')).toBe('false');
  expect(rows(one)).toHaveLength(8);
  key(one, 'ArrowRight');
  key(one, 'ArrowDown');
  key(one, 'ArrowDown');
  await drawn();
  expect(active(one)?.textContent).toContain('message 2');
  key(one, 'ArrowLeft');
  expect(active(one)?.dataset.row).toBe('0');
  key(one, 'Enter');
  expect(one.host.openCell).toHaveBeenCalledWith(expect.objectContaining({ call: 1, cell: 'c0' }));
  key(one, 'o');
  await drawn();
  expect([one.model.filter.call, rows(one).length]).toEqual([1, 7]);
  rows(one)[0]
    ?.querySelector('[data-action=only]')
    ?.dispatchEvent(new MouseEvent('click', { bubbles: true }));
  await drawn();
  expect(rows(one)).toHaveLength(14);
  one.model.fold([1, 2], true);
  one.list.goTo(9);
  await drawn();
  expect(active(one)?.textContent).toContain('message 9');
});

it('selects lines by keyboard and pointer', async () => {
  const one = await shown(makeLog(40));
  key(one, 'Home');
  key(one, 'ArrowDown', { shiftKey: true });
  key(one, 'ArrowDown', { shiftKey: true });
  expect(one.list.selected).toEqual([0, 3]);
  expect(rows(one).filter(row => row.getAttribute('aria-selected') === 'true')).toHaveLength(3);
  rows(one)[10]
    ?.querySelector('.jp-casa-logs-message')
    ?.dispatchEvent(new MouseEvent('click', { bubbles: true }));
  expect(one.list.selected).toEqual([10, 11]);
  rows(one)[8]?.dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }));
  expect(one.list.selected).toEqual([8, 11]);
  key(one, 'a', { ctrlKey: true });
  expect(one.list.selected).toEqual([0, 40]);
  key(one, 'c', { ctrlKey: true });
  expect(one.host.copy).toHaveBeenCalledTimes(1);
  key(one, 'End');
  expect([one.list.active?.number, one.list.isFollowing]).toEqual([40, true]);
});

it('stays where one reads while lines come, and at the end if one follows it', async () => {
  const lines = makeLog(300);
  const one = await shown(lines);
  const grow = async (count: number) => {
    lines.push(...makeLog(count, 0, lines.length + 1));
    await one.model.refresh();
    await drawn();
  };
  await grow(50);
  expect(rows(one).at(-1)?.textContent).toContain('message 350');
  one.list.goTo(100);
  await drawn();
  const before = rows(one).map(row => row.textContent);
  await grow(50);
  expect(rows(one).map(row => row.textContent)).toEqual(before);
  one.list.isFollowing = true;
  await drawn();
  expect(rows(one).at(-1)?.textContent).toContain('message 400');
});

it('a filter is looked at where one is', async () => {
  const one = await shown(makeLog(50_000));
  one.list.goTo(25_000);
  await drawn();
  one.model.filter = { ...EVERYTHING, levels: new Set(['severe']) };
  await drawn();
  const numbers = rows(one).map(row =>
    Number(row.querySelector('.jp-casa-logs-message')?.textContent.slice(8))
  );
  expect(numbers.some(number => Math.abs(number - 25_000) <= 50)).toBe(true);
  one.model.filter = EVERYTHING;
  await drawn();
  expect(active(one)?.textContent).toContain('message 25000');
});
