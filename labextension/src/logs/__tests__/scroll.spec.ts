/** @jest-environment node */
import fc from 'fast-check';
import { HIGHEST, VirtualScroll } from '../scroll';

const ROW = 20;

/** A list of so many rows, of which one sees so much. */
function list(rows: number, viewport: number, highest = HIGHEST): VirtualScroll {
  const scroll = new VirtualScroll(ROW, highest);
  scroll.resize(rows, viewport);
  return scroll;
}

const sizes = { rows: fc.integer({ min: 0, max: 5_000_000 }), viewport: fc.integer({ min: 20, max: 2000 }) };
const highest = fc.constantFrom(5000, 100_000, HIGHEST);

it('never asks the browser for more than it bears, nor for less than there is', () => {
  fc.assert(
    fc.property(fc.record({ ...sizes, highest }), ({ rows, viewport, highest }) => {
      const scroll = list(rows, viewport, highest);
      expect(scroll.height).toBeLessThanOrEqual(Math.max(highest, 2 * viewport));
      expect(scroll.height).toBe(Math.min(rows * ROW, Math.max(highest, 2 * viewport)));
    })
  );
});

it('a browser scrolls short lists as it always does', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (rows, share) => {
        const scroll = list(rows, 400);
        const place = Math.floor(share * Math.max(0, rows * ROW - 400));
        scroll.onScroll(place);
        expect(scroll.top).toBeCloseTo(place, 6);
      }
    )
  );
});

it('each row can be brought into sight, and stays there when the browser is told', () => {
  fc.assert(
    fc.property(
      fc.record({ ...sizes, highest, share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      ({ rows, viewport, highest, share }) => {
        fc.pre(rows > 0);
        const scroll = list(rows, viewport, highest);
        const row = Math.min(rows - 1, Math.floor(share * rows));
        scroll.reveal(row);
        const [first, end] = scroll.range;
        expect(first).toBeLessThanOrEqual(row);
        expect(end).toBeGreaterThan(row);
        const { top } = scroll;
        scroll.settle();
        scroll.arrived(Math.round(scroll.place));
        expect(scroll.top).toBe(top);
        expect(scroll.place).toBeGreaterThanOrEqual(0);
        expect(scroll.place).toBeLessThanOrEqual(Math.max(0, scroll.height - viewport) + 1);
      }
    )
  );
});

it('small steps move by as many pixels as they say, wherever one is, and reach both ends', () => {
  fc.assert(
    fc.property(
      fc.record({ ...sizes, highest, share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.array(fc.integer({ min: -300, max: 300 }), { maxLength: 30 }),
      ({ rows, viewport, highest, share }, steps) => {
        fc.pre(viewport >= 200);
        const scroll = list(rows, viewport, highest);
        scroll.moveTo(share * scroll.bottom);
        for (const step of steps) {
          const most = Math.max(0, scroll.height - viewport);
          const before = scroll.top;
          const place = Math.min(Math.max(0, scroll.place + step), most);
          const moved = place - scroll.place;
          scroll.onScroll(place);
          expect(scroll.top).toBeCloseTo(Math.min(Math.max(0, before + moved), scroll.bottom), 4);
          if (scroll.isStuck) {
            scroll.settle();
          }
          expect(scroll.isStuck).toBe(false);
        }
      }
    )
  );
  for (const to of [0, 1e9]) {
    const scroll = list(2_000_000, 400);
    scroll.moveTo(to ? scroll.bottom - 5000 : 5000);
    for (let n = 0; n < 100; n++) {
      scroll.onScroll(Math.min(Math.max(0, scroll.place + (to ? 100 : -100)), scroll.height - 400));
      if (n % 7 === 0 || scroll.isStuck) {
        scroll.settle();
      }
    }
    expect(scroll.top).toBeCloseTo(to ? scroll.bottom : 0, 3);
  }
});

it('the thumb goes to the same fraction of the whole', () => {
  const scroll = list(1_000_000, 400);
  const most = scroll.height - 400;
  scroll.onScroll(most / 2);
  expect(scroll.top).toBeCloseTo(scroll.bottom / 2, 3);
  scroll.onScroll(most);
  expect(scroll.top).toBe(scroll.bottom);
  expect(scroll.isAtBottom).toBe(true);
  scroll.onScroll(0);
  expect(scroll.top).toBe(0);
  let before = -1;
  for (let place = 0; place <= most; place += most / 50) {
    scroll.onScroll(place);
    expect(scroll.top).toBeGreaterThan(before);
    before = scroll.top;
  }
});

it('more rows leave what is on top where it is', () => {
  const scroll = list(500_000, 400);
  scroll.moveTo(123_456);
  scroll.resize(3_000_000, 300);
  expect(scroll.top).toBe(123_456);
  scroll.resize(10, 300);
  expect(scroll.top).toBe(0);
  scroll.resize(0, 300);
  expect([scroll.height, scroll.range]).toEqual([0, [0, 0]]);
});

it('a row is shown at a fraction of what is seen', () => {
  const scroll = list(1000, 400);
  scroll.reveal(500, 0.5);
  expect(scroll.top).toBe(500 * ROW - 190);
  scroll.reveal(505);
  expect(scroll.top).toBe(500 * ROW - 190);
  scroll.reveal(999, 0);
  expect(scroll.isAtBottom).toBe(true);
});
