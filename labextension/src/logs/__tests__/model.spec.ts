/** @jest-environment node */
import { CasaServerError } from '../../server/client';
import type { ILogEvent, ILogLine } from '../../server/types';
import { EVERYTHING, LogModel } from '../model';
import { FakeServer, makeLog, settle } from './fake';

const PATH = 'w/nb.ipynb';

beforeEach(() => jest.useFakeTimers({ doNotFake: ['performance', 'queueMicrotask', 'nextTick'] }));
afterEach(() => {
  jest.clearAllTimers();
  jest.useRealTimers();
});

/** A panel that is looked at. */
async function shown(server: FakeServer, kernel: string | null = null): Promise<LogModel> {
  const model = new LogModel(server);
  model.source = { path: PATH, kernel };
  model.isActive = true;
  await settle();
  return model;
}

/** The event that a log has got lines. */
function grew(session: string, lines: ILogLine[], total: number, skipped = 0): ILogEvent {
  const common = { epoch: 'e', revision: 1, time: 0, workspace: 'w', kernel: 'k', session };
  return { ...common, first: lines[0]?.number ?? 0, lines, total, skipped };
}

const told = (model: LogModel) =>
  Array.from({ length: model.rows.length }, (_, row) => {
    const at = model.rows.at(row);
    return at?.line == null ? `call ${String(at?.section.call)}` : model.numberOf(at.line);
  });

it('shows the log of the notebook, its newest lines, and which are of which call', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(30, 10) } });
  const model = await shown(server);
  expect([model.session, model.total, model.isAlive, model.trouble]).toEqual(['a1', 30, false, null]);
  expect(told(model).slice(0, 3)).toEqual(['call 1', 1, 2]);
  expect(model.rows.length).toBe(33);
  expect(model.call(2)?.cell).toBe('c1');
  expect(model.partsOf('c2').map(({ call }) => call)).toEqual([3]);
  expect(model.line(25)?.message).toBe('message 25');
  model.grouped = false;
  expect(told(model)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
  model.grouped = true;
  model.fold([1, 3], true);
  expect(told(model)).toEqual(['call 1', 'call 2', 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 'call 3']);
});

it('prefers the session of the kernel, then the last one of the notebook, unless somebody chooses', async () => {
  const other = { notebook: 'w/other.ipynb' };
  const server = new FakeServer({
    a1: { lines: makeLog(5), summary: { ...other, alive: true, kernel: 'k2' } },
    b2: { lines: makeLog(6) },
    c3: { lines: makeLog(7), summary: { alive: true, kernel: 'k1', notebook: null } },
    kernels: { lines: makeLog(8), summary: { notebook: null, alive: true } }
  });
  const model = await shown(server, 'k1');
  expect([model.session, model.total]).toEqual(['c3', 7]);
  model.source = { path: PATH, kernel: null };
  await settle();
  expect([model.session, model.total]).toEqual(['b2', 6]);
  model.choice = 'kernels';
  await settle();
  expect([model.session, model.total]).toEqual(['kernels', 8]);
  model.source = { path: 'w/third.ipynb', kernel: null };
  await settle();
  expect([model.session, model.total, model.rows.length]).toEqual([null, 0, 0]);
  model.source = null;
  await settle();
  expect(model.logs).toEqual([]);
});

it('a restarted kernel has a new log', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(5), summary: { alive: true, kernel: 'k' } } });
  const model = await shown(server, 'k');
  model.filter = { ...EVERYTHING, call: 1 };
  server.sessions.a1 = { lines: makeLog(5), summary: { alive: false } };
  server.sessions.b2 = { lines: [], summary: { alive: true, kernel: 'k' } };
  await model.refresh();
  await settle();
  expect([model.session, model.total, model.isAlive, model.filter.call]).toEqual(['b2', 0, true, null]);
  model.onLog(grew('a1', makeLog(6), 6));
  expect(model.total).toBe(0);
  server.sessions.b2.lines.push(...makeLog(3));
  model.onLog(grew('b2', makeLog(3), 3));
  await settle();
  expect([model.total, model.line(3)?.number]).toEqual([3, 3]);
});

it('takes in new lines as they come, and asks for those that were left out', async () => {
  const log = makeLog(20, 10);
  const server = new FakeServer({ a1: { lines: log, summary: { alive: true } } });
  const model = await shown(server);
  const asked = server.asked.length;
  const news = makeLog(500, 10, 21);
  log.push(...news);
  model.onLog(grew('a1', news.slice(-2), 520, 498));
  expect([model.total, model.line(520)?.number, model.line(100)]).toEqual([520, 520, null]);
  expect(model.rows.lines).toBe(520);
  model.want([100]);
  await settle();
  expect(model.line(100)?.message).toBe('message 100');
  await jest.advanceTimersByTimeAsync(500);
  expect(model.partsOf('c0').at(-1)?.call).toBe(52);
  expect(server.asked.length).toBeGreaterThan(asked);
  model.onLog({ ...grew('a1', [], 9999), workspace: 'elsewhere' });
  expect(model.total).toBe(520);
});

it('nothing is asked while nobody looks', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(20), summary: { alive: true } } });
  const model = new LogModel(server);
  model.source = { path: PATH, kernel: null };
  await settle();
  expect(server.asked).toEqual([]);
  model.isActive = true;
  await settle();
  model.isActive = false;
  const asked = server.asked.length;
  model.onLog(grew('a1', makeLog(30), 30));
  model.callsChanged();
  await jest.advanceTimersByTimeAsync(20_000);
  expect(server.asked.length).toBe(asked);
  expect(model.total).toBe(20);
});

it('filters by priority, text, expression, cell and call, and says what it found', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(100, 10), summary: { alive: true } } });
  const model = await shown(server);
  expect([model.count('warn'), model.count('severe'), model.count('debug')]).toEqual([8, 2, 0]);
  const numbers = async (filter: Partial<typeof EVERYTHING>) => {
    model.filter = { ...EVERYTHING, ...filter };
    await settle();
    return told(model).filter(row => typeof row === 'number');
  };
  expect(await numbers({ levels: new Set(['severe']) })).toEqual([50, 100]);
  expect(await numbers({ text: 'MESSAGE 7' })).toEqual([7, ...Array.from({ length: 10 }, (_, n) => 70 + n)]);
  expect(await numbers({ text: 'ge \\d$', regex: true })).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(await numbers({ call: 3 })).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  expect(await numbers({ cell: 'c0', levels: new Set(['warn', 'severe']) })).toEqual([10, 40, 70, 100]);
  expect(await numbers({ text: 'message 7', only: false })).toHaveLength(100);
  expect(await numbers({ levels: new Set() })).toHaveLength(100);
  expect(await numbers({ levels: new Set(['severe']) })).toEqual([50, 100]);
  expect(told(model)).toEqual(['call 5', 50, 'call 10', 100]);
  expect([1, 50, 60, 100].map(number => model.placeOf(number))).toEqual([0, 0, 0, 1]);
  expect((await model.fetch(0, 2))?.map(({ number }) => number)).toEqual([50, 100]);
});

it('an expression that cannot be used is told in the words of the server, and nothing else is disturbed', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(100) } });
  const model = await shown(server);
  model.filter = { ...EVERYTHING, text: '(', regex: true };
  await settle();
  expect(model.complaint).toContain('missing )');
  expect([model.trouble, model.total, model.rows.length]).toEqual([null, 100, 0]);
  model.filter = EVERYTHING;
  await settle();
  expect([model.complaint, model.rows.length]).toEqual(['', 100]);
});

it('finds the next line that matches, and the one before', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(1000) } });
  server.reach = 100;
  const model = await shown(server);
  model.filter = { ...EVERYTHING, text: 'message 50', only: false };
  expect(await model.find(0, false)).toBe(50);
  expect(await model.find(50, false)).toBe(500);
  expect(await model.find(509, false)).toBeNull();
  expect(await model.find(1001, true)).toBe(509);
  expect(await model.find(500, true)).toBe(50);
  expect(await model.find(50, true)).toBeNull();
});

it('tells where the last error of a call begins', async () => {
  const lines = makeLog(100, 10).map(line =>
    line.number > 96 ? { ...line, priority: 'SEVERE', origin: line.number > 97 ? 'x+' : 'x' } : line
  );
  const model = await shown(new FakeServer({ a1: { lines } }));
  expect([await model.lastError(10), await model.lastError(5), await model.lastError(4)]).toEqual([
    97,
    50,
    null
  ]);
});

it('waits for a log that is being read for the first time', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(1000, 10), summary: { lines: null, counts: null } } });
  server.known = 0.3;
  const model = await shown(server);
  expect(model.known).toBeCloseTo(0.3);
  expect(model.count('warn')).toBeNull();
  model.filter = { ...EVERYTHING, levels: new Set(['severe']) };
  server.known = 1;
  await jest.advanceTimersByTimeAsync(400);
  await settle();
  expect([model.known, model.total]).toEqual([1, 1000]);
  expect(told(model).filter(row => typeof row === 'number')).toHaveLength(20);
  model.filter = EVERYTHING;
  expect(model.rows.sections.map(({ lines }) => lines)).toEqual(Array<number>(100).fill(10));
});

it('says why there is nothing new, and goes on when there is', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(10) } });
  const model = await shown(server);
  server.trouble = new CasaServerError('offline', 'Failed to fetch');
  await model.refresh();
  expect(model.trouble).toEqual({ trouble: 'offline', message: 'Failed to fetch' });
  expect(model.rows.length).toBe(10);
  server.trouble = null;
  server.sessions.a1?.lines.push(...makeLog(5, 0, 11));
  await jest.advanceTimersByTimeAsync(5100);
  await settle();
  expect([model.trouble, model.total]).toEqual([null, 15]);
});

it('a log that was emptied or replaced is shown anew', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(100, 10), summary: { alive: true } } });
  const model = await shown(server);
  server.sessions.a1 = { lines: makeLog(3), summary: { alive: true } };
  server.generation = 'g2';
  model.onLog(grew('a1', makeLog(3), 3));
  await settle();
  expect([model.total, model.rows.length, model.line(50)]).toEqual([3, 3, null]);
  expect(model.partsOf('c0')).toEqual([]);
  server.sessions.a1.lines.push(...makeLog(2, 0, 4));
  model.onLog(grew('a1', makeLog(2, 0, 4), 5));
  expect(model.total).toBe(5);
});

it('knows all calls, however many there are, and how many warnings each has', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(5000, 2) } });
  server.calls = 1000;
  const model = await shown(server);
  await settle();
  await settle();
  expect(model.rows.sections).toHaveLength(2500);
  expect(model.call(1)?.call).toBe(1);
  expect(model.alertsOf(25)).toEqual({ warn: 0, severe: 1 });
  expect(model.alertsOf(5)).toEqual({ warn: 1, severe: 0 });
  expect(model.alertsOf(6)).toEqual({ warn: 0, severe: 0 });
});

it('lines are had even if they were never seen', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(5000) } });
  const model = await shown(server);
  const lines = await model.fetch(10, 3500);
  expect(lines?.map(({ number }) => number)).toEqual(Array.from({ length: 3490 }, (_, n) => n + 11));
  server.trouble = new CasaServerError('offline', 'away');
  expect(await model.fetch(0, 10)).toBeNull();
});

it('tells nothing any more when it is disposed', async () => {
  const server = new FakeServer({ a1: { lines: makeLog(50) } });
  const model = new LogModel(server);
  const changed = jest.fn();
  model.source = { path: PATH, kernel: null };
  model.isActive = true;
  model.dispose();
  model.changed.connect(changed);
  await settle();
  expect(changed).not.toHaveBeenCalled();
});
