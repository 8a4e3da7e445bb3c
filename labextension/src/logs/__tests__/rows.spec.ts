/** @jest-environment node */
import fc from 'fast-check';
import { Rows, runsOf, spansOf } from '../rows';

const spans = fc.array(
  fc.record({ call: fc.option(fc.integer({ min: 1, max: 5 })), lines: fc.integer({ min: 0, max: 5 }) }),
  { maxLength: 8 }
);
const folded = fc.array(fc.option(fc.integer({ min: 1, max: 5 }))).map(calls => new Set(calls));

it('is what writing all rows down gives', () => {
  fc.assert(
    fc.property(spans, fc.boolean(), folded, (given, headings, folded) => {
      const rows = new Rows(given, headings, folded);
      const written: string[] = [];
      const places: number[] = [];
      let line = 0;
      given.forEach(({ call, lines }, index) => {
        const heading = written.length;
        const closed = headings && folded.has(call);
        if (headings) {
          written.push(`heading ${String(index)}`);
        }
        for (let n = 0; n < lines; n++, line++) {
          places.push(closed ? heading : written.length);
          if (!closed) {
            written.push(`line ${String(line)} of ${String(index)}`);
          }
        }
      });
      expect(rows.length).toBe(written.length);
      expect(rows.lines).toBe(line);
      const told = written.map((_, row) => {
        const at = rows.at(row);
        const section = String(at?.section.index);
        return at?.line === null ? `heading ${section}` : `line ${String(at?.line)} of ${section}`;
      });
      expect(told).toEqual(written);
      expect(places.map((_, at) => rows.rowOf(at))).toEqual(places);
      for (const none of [-1, line, line + 5]) {
        expect(rows.rowOf(none)).toBe(-1);
      }
      expect([rows.at(-1), rows.at(written.length)]).toEqual([null, null]);
    })
  );
});

it('gives each line to the call to which it belongs', () => {
  expect(spansOf([], 3)).toEqual([{ call: null, lines: 3 }]);
  expect(spansOf([], 0)).toEqual([]);
  const parts = [
    { call: 2, first: 3, lines: 4 },
    { call: 3, first: 7, lines: 0 },
    { call: 5, first: 9, lines: 10 }
  ];
  expect(spansOf(parts, 20)).toEqual([
    { call: null, lines: 2 },
    { call: 2, lines: 4 },
    { call: null, lines: 2 },
    { call: 5, lines: 10 },
    { call: null, lines: 2 }
  ]);
  expect(spansOf(parts, 10).at(-1)).toEqual({ call: 5, lines: 2 });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(6))), fc.nat(60), (gaps, total) => {
      let next = 1;
      const parts = gaps.map(([gap, lines], index) => {
        const first = next + gap;
        next = first + lines;
        return { call: index + 1, first, lines };
      });
      const spans = spansOf(parts, total);
      expect(spans.reduce((sum, { lines }) => sum + lines, 0)).toBe(total);
      const owner = (number: number) =>
        parts.find(({ first, lines }) => number >= first && number < first + lines)?.call ?? null;
      const told = spans.flatMap(({ call, lines }) => Array<number | null>(lines).fill(call));
      expect(told).toEqual(Array.from({ length: total }, (_, index) => owner(index + 1)));
    })
  );
});

it('puts lines of one call together that follow one another', () => {
  expect(runsOf([1, 1, null, 1, 2, 2].map(call => ({ call })))).toEqual([
    { call: 1, lines: 2 },
    { call: null, lines: 1 },
    { call: 1, lines: 1 },
    { call: 2, lines: 2 }
  ]);
  expect(runsOf([])).toEqual([]);
});
