/** @jest-environment node */
import fc from 'fast-check';
import type { ILogQuery } from '../../server/types';
import { Matches } from '../matches';
import { FakeServer, isWanted, makeLog, settle } from './fake';

/** What a filter finds in a log. */
function matches(server: FakeServer, query: ILogQuery, enough?: number) {
  const changed = jest.fn();
  const find = (of: ILogQuery) => server.log('s', 'w/nb.ipynb', { ...of, ...query }).catch(() => null);
  return { found: new Matches(find, changed, enough), changed };
}

const numbers = (found: Matches) => found.lines.map(({ number }) => number);

it('finds what is there, in order, wherever it begins and however little each request looks at', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        lines: fc.nat(400),
        around: fc.integer({ min: -3, max: 500 }),
        reach: fc.integer({ min: 1, max: 150 }),
        most: fc.integer({ min: 1, max: 60 }),
        more: fc.nat(50),
        priority: fc.constantFrom('WARN', 'WARN,SEVERE', 'INFO', 'NONE')
      }),
      async ({ lines, around, reach, most, more, priority }) => {
        const log = makeLog(lines, 7);
        const server = new FakeServer({ s: { lines: log } });
        [server.reach, server.most] = [reach, most];
        const { found } = matches(server, { priority });
        await found.start(around, lines);
        const expected = () => log.filter(line => isWanted(line, { priority })).map(({ number }) => number);
        expect(numbers(found)).toEqual(expected());
        expect([found.low, found.high, found.hasMore, found.isSearching]).toEqual([
          1,
          lines + 1,
          false,
          false
        ]);
        log.push(...makeLog(more, 7, lines + 1));
        await found.grow(log.length);
        expect(numbers(found)).toEqual(expected());
        expect([...found.calls.keys()].sort()).toEqual(
          [...new Set(found.lines.map(({ call }) => call))].sort()
        );
      }
    )
  );
});

it('looks near where one is first, and stops when there are enough, until more are wanted', async () => {
  const log = makeLog(100_000);
  const server = new FakeServer({ s: { lines: log } });
  const { found, changed } = matches(server, { priority: 'INFO,WARN,SEVERE' }, 2000);
  const started = found.start(50_000, log.length);
  expect(found.isSearching).toBe(true);
  await started;
  expect(found.lines.length).toBeGreaterThanOrEqual(2000);
  expect(found.lines.length).toBeLessThan(4000);
  expect(found.low).toBeLessThan(50_000);
  expect(found.high).toBeGreaterThan(50_000);
  expect(found.hasMore).toBe(true);
  expect(changed).toHaveBeenCalled();
  const before = found.lines.length;
  await found.more();
  expect(found.lines.length).toBeGreaterThanOrEqual(before + 2000);
  expect(numbers(found)).toEqual(Array.from({ length: found.high - found.low }, (_, n) => found.low + n));
  // What is new is far from what was looked at.
  log.push(...makeLog(10, 0, 100_001));
  await found.grow(log.length);
  expect(found.high).toBeLessThan(100_000);
});

it('new lines are found at the end, however many were found before', async () => {
  const log = makeLog(5000);
  const server = new FakeServer({ s: { lines: log } });
  const { found } = matches(server, { priority: 'INFO' }, 100);
  await found.start(Infinity, log.length);
  for (let n = 0; n < 3; n++) {
    log.push(...makeLog(10, 0, log.length + 1));
    await found.grow(log.length);
    expect(found.high).toBe(log.length + 1);
  }
  expect(numbers(found).at(-1)).toBe(5029);
});

it('tells where a number is among what was found', async () => {
  const server = new FakeServer({ s: { lines: makeLog(100) } });
  const { found } = matches(server, { priority: 'WARN' });
  await found.start(1, 100);
  expect(numbers(found)).toEqual([10, 20, 30, 40, 60, 70, 80, 90]);
  expect([5, 10, 19, 50, 95].map(number => found.placeOf(number))).toEqual([-1, 0, 0, 3, 7]);
});

it('ends when nobody wants to know, or nobody answers', async () => {
  const server = new FakeServer({ s: { lines: makeLog(5000) } });
  server.reach = 10;
  const { found } = matches(server, { priority: 'WARN' });
  const started = found.start(Infinity, 5000);
  await settle();
  found.stop();
  const asked = server.asked.length;
  await started;
  await settle();
  expect(server.asked.length).toBeLessThanOrEqual(asked + 1);
  const away = matches(server, { regex: '(' });
  await away.found.start(Infinity, 5000);
  expect([away.found.lines.length, away.found.isSearching, away.found.hasMore]).toEqual([0, false, true]);
});
