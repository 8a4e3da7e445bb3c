import { trans } from '../../__tests__/trans';
import type { ICell, IRun, IRunSummary } from '../../server/types';
import { CellComparison, type Runs } from '../compare';
import { diffLines } from '../diff';

const told = (before: string, after: string) =>
  diffLines(before, after)
    .map(({ kind, text }) => `${{ same: ' ', gone: '-', new: '+' }[kind]}${text}`)
    .join('|');

it('tells lines that are gone and new', () => {
  expect(told('a', 'a')).toBe(' a');
  expect(told('a\nb\nc', 'a\nB\nc')).toBe(' a|-b|+B| c');
  expect(told('a\nb', 'a\nx\nb\ny')).toBe(' a|+x| b|+y');
  expect(told('', 'a')).toBe('-|+a');
  expect(told('a\na', 'a')).toBe(' a|-a');
});

it('what is told of a difference gives both texts', () => {
  let seed = 1;
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  for (let n = 0; n < 300; n++) {
    const text = () => Array.from({ length: random(8) }, () => 'abc'[random(3)]).join('\n');
    const [before, after] = [text(), text()];
    const lines = diffLines(before, after);
    const without = (kind: string) =>
      lines
        .filter(line => line.kind !== kind)
        .map(line => line.text)
        .join('\n');
    expect([without('new'), without('gone')]).toEqual([before, after]);
  }
});

it('a large difference is told at once', () => {
  const text = (of: string) => Array.from({ length: 5000 }, (_, n) => `${of} ${String(n)}`).join('\n');
  expect(diffLines(text('a'), text('b'))).toHaveLength(10_000);
});

const run = (number: number, more: Partial<IRunSummary> = {}): IRunSummary => ({
  number,
  cell: 'c',
  notebook: 'n.ipynb',
  started: '2026-11-23T03:00:00+00:00',
  seconds: 27.1,
  outcome: 'ok',
  error: null,
  calls: [{ task: 'tclean', key: 'k', action: 'ran', seconds: 27, cpu_s: 25, memory_bytes: null }],
  ...more
});

async function compare(runs: IRunSummary[], source: string, server: Partial<Runs> = {}) {
  const comparison = new CellComparison(
    {
      cell: () => Promise.resolve({ schema: 1, cell: 'c', plan: null, runs } as ICell),
      run: number =>
        Promise.resolve({
          schema: 1,
          run: runs.find(one => one.number === number),
          source: `tclean(niter=${String(number)})`,
          reads: [
            { resource: 'p:a.ms', version: 'v', origin: 'b' },
            { resource: 'n:niter', version: 'v', origin: null },
            { resource: 'n:<random>', version: 'v', origin: null },
            { resource: 'e:x', version: 'v', origin: null }
          ],
          writes: [{ resource: 'p:a.image', version: 'v', anew: true }]
        } as unknown as IRun),
      ...server
    },
    {
      id: 'c',
      path: 'n.ipynb',
      source,
      words: { title: 'Stale: it must run.', reasons: ['`niter` was 2, is now 3'], lines: [] },
      name: id => `cell ${id}`
    },
    trans
  );
  await comparison.ready;
  return comparison.node;
}

it('shows the reasons, the text then and now, and what the run did', async () => {
  const node = await compare([run(2), run(1)], 'tclean(niter=3)');
  expect([...node.querySelectorAll('li')].map(item => item.textContent)).toEqual([
    '`niter` was 2, is now 3',
    'tclean: ran, 27.0 s',
    'a.ms, of cell b',
    'niter',
    'a.image'
  ]);
  const lines = () => [...node.querySelectorAll('.jp-casa-compare-line')].map(line => line.textContent);
  expect(lines()).toEqual(['− tclean(niter=2)', '+ tclean(niter=3)']);
  const choice = node.querySelector('select') as HTMLSelectElement;
  choice.value = '1';
  choice.dispatchEvent(new Event('change'));
  await new Promise(resolve => setTimeout(resolve));
  expect(lines()).toEqual(['− tclean(niter=1)', '+ tclean(niter=3)']);
});

it('says so when the text is the same, when it failed, and when it never ran', async () => {
  const same = await compare(
    [run(2, { outcome: 'error', error: 'RuntimeError: no data' })],
    'tclean(niter=2)'
  );
  expect(same.textContent).toContain('The same as now.');
  expect(same.textContent).toContain('RuntimeError: no data');
  expect(same.querySelector('option')?.textContent).toMatch(/27\.1 s, failed$/);
  const never = await compare([], 'x');
  expect(never.textContent).toContain('It has not run in this notebook yet.');
});

it('says why there is no answer', async () => {
  const node = await compare([], 'x', { cell: () => Promise.reject(new Error('the memory cannot be read')) });
  expect(node.textContent).toContain('the memory cannot be read');
});
