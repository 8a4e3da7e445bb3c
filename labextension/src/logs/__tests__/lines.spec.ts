/** @jest-environment node */
import fc from 'fast-check';
import type { ILogLine } from '../../server/types';
import { CHUNK, LineCache } from '../lines';
import { makeLog, settle } from './fake';

function cache(lines: readonly ILogLine[]) {
  const asked: [number, number][] = [];
  const came = jest.fn();
  const state = { fails: false };
  const of = new LineCache((from, count) => {
    asked.push([from, count]);
    return Promise.resolve(state.fails ? null : lines.slice(from - 1, from - 1 + count));
  }, came);
  return { of, asked, came, state };
}

const range = (first: number, count: number) => Array.from({ length: count }, (_, index) => first + index);

it('asks for what is to be seen, once, and has it then', async () => {
  const { of, asked, came } = cache(makeLog(1000));
  of.want(range(190, 30));
  of.want(range(190, 30));
  expect(of.get(190)).toBeNull();
  await settle();
  expect(asked).toEqual([
    [1, CHUNK],
    [CHUNK + 1, CHUNK]
  ]);
  expect(came).toHaveBeenCalledTimes(2);
  expect(range(190, 30).map(number => of.get(number)?.number)).toEqual(range(190, 30));
  of.want(range(195, 30));
  await settle();
  expect(asked).toHaveLength(2);
});

it('what is no longer to be seen is not asked for', async () => {
  const { of, asked } = cache(makeLog(100_000));
  for (let first = 1; first < 90_000; first += 1000) {
    of.want(range(first, 40));
  }
  await settle();
  expect(asked.map(([from]) => from)).toEqual([1, 1001, 89_001]);
});

it('holds what it is told, whatever the order, and never too much', () => {
  const all = makeLog(3000);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2999), fc.nat(30)), { maxLength: 20 }), pieces => {
      const { of } = cache(all);
      const told = new Set<number>();
      for (const [start, count] of pieces) {
        const lines = all.slice(start, start + count);
        of.put(lines);
        lines.forEach(({ number }) => told.add(number));
      }
      expect(all.filter(({ number }) => (of.get(number)?.number === number) !== told.has(number))).toEqual(
        []
      );
    })
  );
  const { of } = cache([]);
  of.put(makeLog(CHUNK * 400));
  const held = range(0, 400).filter(chunk => of.get(chunk * CHUNK + 1) !== null);
  expect(held.length).toBeLessThan(300);
  expect(held.at(-1)).toBe(399);
});

it('asks again when it is told that things may be different', async () => {
  const { of, asked, state } = cache(makeLog(50));
  state.fails = true;
  of.want([10]);
  await settle();
  of.want([10]);
  await settle();
  expect(asked).toHaveLength(1);
  state.fails = false;
  of.retry();
  await settle();
  expect(of.get(10)?.number).toBe(10);
});

it('forgets all, also what is under way', async () => {
  const { of, asked } = cache(makeLog(500));
  of.want([10]);
  of.clear();
  await settle();
  expect(of.get(10)).toBeNull();
  of.want([10]);
  await settle();
  expect(asked).toHaveLength(2);
  expect(of.get(10)?.number).toBe(10);
});

it('a log that has grown is asked for what is new in a piece that is here', async () => {
  const lines = makeLog(50);
  const { of } = cache(lines);
  of.want([50]);
  await settle();
  lines.push(...makeLog(30, 0, 51));
  of.want([70]);
  await settle();
  expect(of.get(70)?.number).toBe(70);
});
