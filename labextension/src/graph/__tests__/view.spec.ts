import { Signal } from '@lumino/signaling';
import { trans } from '../../__tests__/trans';
import { asSvg } from '../export';
import { layOut } from '../layout';
import { byCells } from '../model';
import { GraphState } from '../state';
import { GraphView } from '../view';
import { cellOf, graphOf } from './graphs';

const size = { width: 800, height: 600 };
beforeAll(() => {
  for (const [name, value] of [
    ['clientWidth', size.width],
    ['clientHeight', size.height]
  ] as const) {
    Object.defineProperty(HTMLElement.prototype, name, { configurable: true, get: () => value });
  }
  HTMLCanvasElement.prototype.getContext = () => null;
});

const chain = (count: number) =>
  graphOf(
    Array.from({ length: count }, (_, n) => cellOf(`c${String(n)}`, { state: n === 1 ? 'stale' : 'fresh' })),
    Array.from({ length: count - 1 }, (_, n) => [
      [`c${String(n)}`, 'writes', `n:x${String(n)}`] as [string, 'writes', string],
      [`c${String(n + 1)}`, 'reads', `n:x${String(n)}`, `c${String(n)}`] as [string, 'reads', string, string]
    ]).flat()
  );

async function shown(graph = chain(4)) {
  const state = new GraphState({ graph: () => Promise.resolve(graph) });
  const notebook = {
    changed: new Signal({}),
    path: 'nb',
    plan: null,
    trouble: null,
    mark: () => null,
    posted: () => [],
    kernel: null
  };
  state.isVisible = true;
  state.subject = { state: notebook as never, sections: () => [] };
  await new Promise(resolve => setTimeout(resolve, 20));
  const opened: [string, boolean][] = [];
  const view = new GraphView(state, trans, (cell, enter) => opened.push([cell, enter]));
  document.body.replaceChildren(view.node);
  const request = view.request('down');
  view.show(state.diagram, request, layOut(request));
  state.changed.connect(() => {
    view.update();
  });
  const nodes = () => [...view.node.querySelectorAll<SVGGElement>('.jp-casa-graph-node')];
  const node = (cell: string) => nodes().find(({ dataset }) => dataset.node === `c:${cell}`) as SVGGElement;
  const press = (key: string, more: KeyboardEventInit = {}) => {
    document.activeElement?.dispatchEvent(
      new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more })
    );
  };
  return { state, view, nodes, node, press, opened };
}

describe('the view of a graph', () => {
  it('draws nodes and edges, with their marks', async () => {
    const { view, nodes, node } = await shown();
    expect(nodes()).toHaveLength(4);
    expect(view.node.querySelectorAll('.jp-casa-graph-edge')).toHaveLength(3);
    expect(node('c1').dataset.mark).toBe('stale');
    expect(node('c1').getAttribute('aria-label')).toContain('Cell 2: do(c1), stale');
    const marks = [...view.node.querySelectorAll<SVGGElement>('.jp-casa-graph-edge')].map(
      ({ dataset }) => dataset.mark
    );
    expect(marks.sort()).toEqual(['', '', 'stale']);
  });

  it('draws only what is in sight', async () => {
    const { view, nodes } = await shown(chain(600));
    expect(nodes().length).toBeLessThan(60);
    const before = nodes()[0]?.dataset.node;
    view.reveal('c:c500');
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    expect(nodes().some(({ dataset }) => dataset.node === 'c:c500')).toBe(true);
    expect(nodes().length).toBeLessThan(60);
    expect(before).toBe('c:c0');
  });

  it('is walked through with the keyboard', async () => {
    const { view, node, press, opened } = await shown();
    view.focus();
    expect(document.activeElement).toBe(node('c0'));
    press('ArrowDown');
    press('ArrowDown');
    expect(document.activeElement).toBe(node('c2'));
    press('ArrowUp');
    expect(document.activeElement).toBe(node('c1'));
    press('End');
    expect(document.activeElement).toBe(node('c3'));
    press('p');
    expect(document.activeElement).toBe(node('c2'));
    press('n');
    press('n');
    expect(document.activeElement).toBe(node('c3'));
    press('Home');
    press('Enter');
    press(' ');
    expect(opened).toEqual([
      ['c0', true],
      ['c0', false]
    ]);
    const reached = view.node.querySelectorAll('.jp-casa-graph-node[tabindex="0"]');
    expect([...reached]).toEqual([node('c0')]);
  });

  it('is larger or smaller with the keyboard, and leaves other keys alone', async () => {
    const { view, press } = await shown();
    view.focus();
    const before = view.scale;
    press('+');
    expect(view.scale).toBeCloseTo(before * 1.25);
    press('-');
    expect(view.scale).toBeCloseTo(before);
    press('0');
    press('1');
    expect(view.scale).toBeCloseTo(1);
    const event = new KeyboardEvent('keydown', {
      key: 'ArrowDown',
      ctrlKey: true,
      bubbles: true,
      cancelable: true
    });
    document.activeElement?.dispatchEvent(event);
    expect(event.defaultPrevented).toBe(false);
  });

  it('stays in sight, however far it is moved', async () => {
    const { view, node } = await shown();
    const place = () => {
      const port = node('c0').closest('svg')?.firstElementChild?.getAttribute('transform') ?? '';
      return /translate\((\S+) (\S+)\)/.exec(port)?.slice(1).map(Number) ?? [];
    };
    const frame = () => new Promise(requestAnimationFrame);
    view.pan(1e5, 1e5);
    await frame();
    expect(place()).toEqual([size.width - 48, size.height - 48]);
    view.pan(-1e6, -1e6);
    await frame();
    const all = view.picture(0);
    const ends = ['width', 'height'].map(name => Number(all?.getAttribute(name)) * view.scale);
    place().forEach((at, n) => {
      expect(at + (ends[n] ?? 0)).toBeCloseTo(48);
    });
  });

  it('tells where the user is in the notebook, and what was found', async () => {
    const { state, node } = await shown();
    state.active = 'c2';
    expect([node('c2').getAttribute('aria-current'), node('c1').getAttribute('aria-current')]).toEqual([
      'location',
      null
    ]);
    state.query = 'c3';
    expect([node('c3').dataset.found, node('c2').dataset.found]).toEqual(['true', 'false']);
    state.query = '';
    expect(node('c2').dataset.found).toBe('false');
  });

  it('keeps the keyboard where it is when the graph is drawn anew', async () => {
    const { state, view, node, press } = await shown();
    view.focus();
    press('ArrowDown');
    const request = view.request('right');
    view.show(state.diagram, request, layOut(request));
    expect(document.activeElement).toBe(node('c1'));
  });

  it('becomes a picture of its own', async () => {
    const { view } = await shown(chain(100));
    const picture = view.picture(10) as SVGSVGElement;
    expect(picture.querySelectorAll('.jp-casa-graph-node')).toHaveLength(100);
    const text = asSvg(picture, view.node, 'Graph of <nb>');
    const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
    expect(parsed.querySelector('parsererror')).toBeNull();
    expect(parsed.documentElement.getAttribute('width')).toBe(picture.getAttribute('width'));
    expect(parsed.querySelector('title')?.textContent).toBe('Graph of <nb>');
    expect(text).not.toMatch(/class=|tabindex|data-/);
    expect(view.node.querySelector('.jp-casa-graph-export')).toBeNull();
  });

  it('can be empty', async () => {
    const { view, nodes } = await shown();
    view.clear();
    view.focus();
    view.fit();
    expect([nodes().length, view.picture(1)]).toEqual([0, null]);
    expect(byCells(graphOf([], [])).nodes).toEqual([]);
  });
});
