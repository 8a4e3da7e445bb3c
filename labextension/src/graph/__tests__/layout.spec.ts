import fc from 'fast-check';
import { type ILayout, type ILayoutRequest, layOut } from '../layout';

/** Any graph whose links go down the story, or up. */
const requests: fc.Arbitrary<ILayoutRequest> = fc
  .record({
    boxes: fc.array(
      fc.record({ width: fc.integer({ min: 40, max: 260 }), height: fc.integer({ min: 20, max: 120 }) }),
      { minLength: 1, maxLength: 40 }
    ),
    ends: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 60 }),
    direction: fc.constantFrom('down' as const, 'right' as const),
    aspect: fc.double({ min: 0.4, max: 3, noNaN: true })
  })
  .map(({ boxes, ends, direction, aspect }) => {
    const links = ends
      .map(([a, b]) => [a % boxes.length, b % boxes.length] as const)
      .filter(([a, b]) => a !== b);
    const once = new Map(links.map(link => [link.join(), link]));
    return { boxes, links: [...once.values()], direction, aspect };
  });

const areas = ({ boxes }: ILayoutRequest, { places }: ILayout) =>
  boxes.map(({ width, height }, n) => {
    const [x, y] = places[n] as readonly [number, number];
    return { x, y, width, height };
  });

describe('a layout', () => {
  it('lets no nodes overlap, and none stand outside', () => {
    fc.assert(
      fc.property(requests, request => {
        const layout = layOut(request);
        const all = areas(request, layout);
        all.forEach((one, n) => {
          expect(one.x).toBeGreaterThanOrEqual(-0.01);
          expect(one.y).toBeGreaterThanOrEqual(-0.01);
          expect(one.x + one.width).toBeLessThanOrEqual(layout.width + 0.01);
          expect(one.y + one.height).toBeLessThanOrEqual(layout.height + 0.01);
          for (const other of all.slice(n + 1)) {
            const apart =
              one.x + one.width <= other.x ||
              other.x + other.width <= one.x ||
              one.y + one.height <= other.y ||
              other.y + other.height <= one.y;
            expect(apart).toBe(true);
          }
        });
      })
    );
  });

  it('goes with the story', () => {
    fc.assert(
      fc.property(requests, request => {
        const all = areas(request, layOut(request));
        for (const [a, b] of request.links) {
          const [above, below] = [all[Math.min(a, b)], all[Math.max(a, b)]];
          if (above && below) {
            const [end, begin] =
              request.direction === 'down'
                ? [above.y + above.height, below.y]
                : [above.x + above.width, below.x];
            expect(end).toBeLessThanOrEqual(begin);
          }
        }
      })
    );
  });

  it('draws each link from one node to the other, and its head where it arrives', () => {
    fc.assert(
      fc.property(requests, request => {
        const layout = layOut(request);
        const all = areas(request, layout);
        request.links.forEach(([from, to], n) => {
          const { path, tip } = layout.routes[n] as ILayout['routes'][number];
          const numbers = path.match(/-?[\d.]+/g)?.map(Number) ?? [];
          const touches = (x = NaN, y = NaN, area = all[from]) =>
            area !== undefined &&
            x >= area.x - 0.2 &&
            x <= area.x + area.width + 0.2 &&
            y >= area.y - 0.2 &&
            y <= area.y + area.height + 0.2;
          expect(touches(numbers[0], numbers[1])).toBe(true);
          expect(touches(tip.x, tip.y, all[to])).toBe(true);
          expect(numbers.slice(-2)).toEqual([tip.x, tip.y]);
          const degrees = (request.direction === 'down' ? 90 : 0) + (from < to ? 0 : 180);
          expect(tip.degrees).toBe(degrees);
        });
      })
    );
  });

  it('draws lines through no node', () => {
    fc.assert(
      fc.property(requests, request => {
        const layout = layOut(request);
        const all = areas(request, layout);
        request.links.forEach(([from, to], n) => {
          // where a line goes straight through a layer
          for (const [, x = '', y0 = '', y1 = ''] of (layout.routes[n]?.path ?? '').matchAll(
            /([-\d.]+) ([-\d.]+)L\1 ([-\d.]+)/g
          )) {
            all.forEach((area, node) => {
              if (request.direction === 'down' && node !== from && node !== to) {
                const inside =
                  Number(x) > area.x &&
                  Number(x) < area.x + area.width &&
                  Math.max(Number(y0), Number(y1)) > area.y &&
                  Math.min(Number(y0), Number(y1)) < area.y + area.height;
                expect(inside).toBe(false);
              }
            });
          }
        });
      })
    );
  });

  it('is always the same, and turned it is the same sideways', () => {
    fc.assert(
      fc.property(requests, request => {
        const layout = layOut(request);
        expect(layOut(request)).toEqual(layout);
        const boxes = request.boxes.map(({ width, height }) => ({ width: height, height: width }));
        const direction = request.direction === 'down' ? 'right' : 'down';
        const turned = layOut({ ...request, boxes, direction, aspect: 1 / request.aspect });
        expect([turned.height, turned.width].map(Math.round)).toEqual(
          [layout.width, layout.height].map(Math.round)
        );
      })
    );
  });

  it('of nodes without links is read like a text', () => {
    const boxes = Array.from({ length: 9 }, () => ({ width: 100, height: 100 }));
    const { places } = layOut({ boxes, links: [], direction: 'down', aspect: 1 });
    expect(places.map(([x, y]) => [Math.round(x / 128), Math.round(y / 128)])).toEqual(
      [0, 1, 2].flatMap(row => [0, 1, 2].map(column => [column, row]))
    );
  });

  it('has no layer that is much too wide, whatever hangs on one node', () => {
    const boxes = Array.from({ length: 200 }, () => ({ width: 100, height: 40 }));
    const links = boxes.slice(1).map((_, n) => [0, n + 1] as const);
    const { width, height } = layOut({ boxes, links, direction: 'down', aspect: 1 });
    expect(width / height).toBeLessThan(4);
  });

  it('can be made of very many nodes', () => {
    const boxes = Array.from({ length: 2000 }, () => ({ width: 100, height: 40 }));
    const links = boxes
      .slice(1)
      .flatMap((_, n) => [[n, n + 1] as const, [Math.floor(n / 2), n + 1] as const]);
    const { places, routes } = layOut({ boxes, links, direction: 'down', aspect: 1 });
    expect(places).toHaveLength(2000);
    expect(routes.every(({ path }) => /^M[-\d.]+ [-\d.]+[LC]/.test(path))).toBe(true);
  });
});
