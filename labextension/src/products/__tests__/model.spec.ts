import { CasaServerError } from '../../server/client';
import type { CasaEvent } from '../../server/events';
import type { IRestored } from '../../server/types';
import { budgetOf } from '../collect';
import { Differences, inputRows, parameterRows } from '../differences';
import { directory, ProductsModel, type ProductsServer } from '../model';
import { placeOf } from '../place';
import { call, made, ROWS, SHARES, STORE, versions } from './fixtures';

const restored = (of: Partial<IRestored> = {}): IRestored => ({
  schema: 1,
  version: 'm1',
  path: 'a.ms',
  changed: true,
  former: 'm3',
  ...of
});

function server(of: Partial<ProductsServer> = {}) {
  const asked: string[] = [];
  const note = <T>(name: string, value: T) =>
    jest.fn((path: string) => {
      asked.push(`${name} ${path}`);
      return Promise.resolve(value);
    });
  const api: ProductsServer = {
    versions: note('versions', versions()),
    shares: note('shares', SHARES),
    store: note('store', STORE),
    restore: jest.fn(() => Promise.resolve(restored())),
    ...of
  };
  return { asked, api };
}

async function shown(of: Partial<ProductsServer> = {}) {
  const { api, asked } = server(of);
  const model = new ProductsModel(api);
  model.path = 'work';
  model.wanted = true;
  await settled();
  return { model, api, asked };
}

const settled = async () => {
  for (let n = 0; n < 20; n++) {
    await Promise.resolve();
  }
};
const event = (kind: string, workspace: string, more: object = {}) =>
  ({ kind, data: { workspace, ...more } }) as unknown as CasaEvent;

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

it('lists products with their history, the newest first', async () => {
  const { model } = await shown();
  expect(model.state).toBe('ready');
  expect(
    model.products.map(({ path, versions, bytes }) => [path, versions.map(({ id }) => id), bytes])
  ).toEqual([
    ['a.image', ['i1'], 1_000_000],
    ['a.ms', ['m3', 'm2', 'm1'], 3_000_000],
    ['raw.fits', ['r1'], 0]
  ]);
  const [image, ms] = model.products;
  expect([image?.present, ms?.present?.id]).toEqual([null, 'm3']);
  expect(model.version('m2')).toMatchObject({ number: 2, alone: 200_000 });
  expect(model.version('r1')).toMatchObject({ number: 1, alone: null });
});

it('compares with what is there, and that with what was before', async () => {
  const { model } = await shown();
  const partner = (id: string) => {
    const of = model.version(id);
    return of && model.partner(of)?.id;
  };
  expect(['m1', 'm2', 'm3', 'i1'].map(partner)).toEqual(['m3', 'm3', 'm2', undefined]);
});

it('asks for nothing that nobody sees', async () => {
  const { api, asked } = server();
  const model = new ProductsModel(api);
  model.path = 'work';
  await model.refresh();
  expect(asked).toEqual([]);
  model.wanted = true;
  await settled();
  expect(asked).toEqual(['versions work', 'shares work', 'store work']);
  model.wanted = false;
  model.onEvent(event('product', 'work'));
  jest.runAllTimers();
  await settled();
  expect(asked).toHaveLength(3);
});

it('asks again once when many things happen, in its workspace only', async () => {
  const { model, asked } = await shown();
  for (let n = 0; n < 50; n++) {
    model.onEvent(event('product', n % 2 ? 'work' : 'elsewhere', { action: 'captured' }));
  }
  model.onEvent(event('call', 'work', { action: 'progressed' }));
  jest.runAllTimers();
  await settled();
  expect(asked).toHaveLength(6);
});

it('who asks while it is being asked gets what is newer', async () => {
  let rows = ROWS.slice(0, 1);
  const { model } = await shown({ versions: () => Promise.resolve(versions(rows)) });
  const first = model.refresh();
  rows = ROWS;
  void model.refresh();
  await first;
  expect(model.products).toHaveLength(3);
});

it('answers about a workspace that is left are nothing', async () => {
  let answer: (found: ReturnType<typeof versions>) => void = () => undefined;
  const { api } = server({
    versions: path =>
      path === 'old' ? new Promise(resolve => (answer = resolve)) : Promise.resolve(versions([]))
  });
  const model = new ProductsModel(api);
  model.wanted = true;
  model.path = 'old';
  await settled();
  model.path = 'new';
  answer(versions());
  await settled();
  expect([model.state, model.products.length]).toEqual(['ready', 0]);
});

it('is calm where nothing is remembered, and tells trouble', async () => {
  const nothing = new CasaServerError('refused', 'nothing has been run there', 404);
  const { model } = await shown({ versions: () => Promise.reject(nothing) });
  expect([model.state, model.error]).toEqual(['empty', null]);
  const offline = new CasaServerError('offline', 'no network');
  const other = await shown({ versions: () => Promise.reject(offline) });
  expect([other.model.state, other.model.error]).toEqual(['trouble', offline]);
});

it('keeps the list while the server is away, and drops it where the memory went', async () => {
  let trouble: CasaServerError | null = null;
  const { model } = await shown({
    versions: () => (trouble ? Promise.reject(trouble) : Promise.resolve(versions()))
  });
  trouble = new CasaServerError('offline', 'no network');
  await model.refresh();
  expect([model.state, model.products.length, model.error]).toEqual(['ready', 3, trouble]);
  trouble = new CasaServerError('refused', 'nothing has been run there', 404);
  await model.refresh();
  expect([model.state, model.products.length, model.error]).toEqual(['empty', 0, null]);
});

it('the list is there although nobody can say what it takes', async () => {
  const busy = new CasaServerError('refused', 'the memory is damaged', 409);
  const { model } = await shown({ shares: () => Promise.reject(busy) });
  expect([model.state, model.products.length, model.error]).toEqual(['ready', 3, busy]);
  expect([model.products[0]?.bytes, model.store]).toEqual([null, STORE]);
});

it('brings a version back, says so, and looks again', async () => {
  const { model, api, asked } = await shown();
  const row = model.version('m1');
  if (!row) {
    throw new Error('no m1');
  }
  const done = model.restore(row);
  expect(model.isBusy).toBe(true);
  await model.restore(row); // a second one waits for nobody
  await done;
  expect(api.restore).toHaveBeenCalledTimes(1);
  expect(api.restore).toHaveBeenCalledWith('m1', 'work', undefined);
  expect(model.done).toEqual({ kind: 'restored', version: row, answer: restored() });
  expect(asked).toHaveLength(6);
});

it('a kernel at work is told, not thrown', async () => {
  const conflict = new CasaServerError('refused', 'in use by process 7 runs tclean', 409);
  const { model } = await shown({ restore: () => Promise.reject(conflict) });
  const row = model.version('m1');
  await (row && model.restore(row));
  expect([model.done, model.isBusy]).toEqual([{ kind: 'trouble', error: conflict }, false]);
  model.path = 'elsewhere';
  expect(model.done).toBeNull();
});

it('knows what is nearly full, of its workspace', async () => {
  const near = [{ what: 'budget', used: 9, limit: 10, message: 'nearly' }];
  const { model } = await shown();
  model.onEvent(event('store', 'elsewhere', { near }));
  expect(model.near).toEqual([]);
  model.onEvent(event('store', 'work', { near }));
  expect(model.near).toEqual(near);
  model.onRestarted({ kernels: [], notebooks: [], logs: [], stores: [] });
  expect(model.near).toEqual([]);
});

it.each([
  ['.', ''],
  ['', ''],
  ['/', ''],
  ['a/b/', 'a/b'],
  ['./a', 'a'],
  ['.hidden/a', '.hidden/a']
])('directory %s', (given, expected) => {
  expect(directory(given)).toBe(expected);
});

describe('where a product lies', () => {
  it.each([
    ['a.ms', 'work', null, 'work/a.ms'],
    ['sub/a.ms', '', '/srv', 'sub/a.ms'],
    ['/srv/data/raw.ms', 'work', '/srv/work', 'data/raw.ms'],
    ['/srv/data/raw.ms', '', '/srv', 'data/raw.ms'],
    ['/archive/raw.ms', 'work', '/srv/work', null],
    ['/srvother/raw.ms', 'work', '/srv/work', null],
    ['/srv/raw.ms', 'work', null, null],
    ['/srv/raw.ms', 'link', '/srv/work', null]
  ])('%s in %s', (product, workspace, absolute, place) => {
    expect(placeOf(product, workspace, absolute)).toBe(place);
  });
});

describe('two calls', () => {
  it('have their parameters side by side, those that differ first', () => {
    const before = made('1', {
      call: call('tclean', { arguments: { vis: 'a', niter: 0, cell: ['1arcsec'], old: 1 } })
    });
    const after = made('2', {
      call: call('tclean', { arguments: { vis: 'a', niter: 100, cell: ['1arcsec'], scales: [] } })
    });
    expect(parameterRows(before, after)).toEqual([
      { name: 'niter', before: 0, after: 100, differs: true },
      { name: 'scales', before: undefined, after: [], differs: true },
      { name: 'old', before: 1, after: undefined, differs: true },
      { name: 'vis', before: 'a', after: 'a', differs: false },
      { name: 'cell', before: ['1arcsec'], after: ['1arcsec'], differs: false }
    ]);
    expect(parameterRows(made('1'), null)).toEqual([]);
  });

  it('read products in other states', () => {
    const before = made('1', { call: call('tclean', { inputs: { 'a.ms': 'm1', 'b.ms': 'x' } }) });
    const after = made('2', {
      call: call('tclean', { inputs: { 'a.ms': 'm2', 'b.ms': 'x', 'c.mask': 'y' } })
    });
    expect(inputRows(before, after)).toEqual([
      { path: 'a.ms', before: 'm1', after: 'm2' },
      { path: 'c.mask', before: undefined, after: 'y' }
    ]);
  });

  it('are asked for each by itself, and answers to former questions are nothing', async () => {
    const answers = new Map<string, (value: unknown) => void>();
    const ask =
      (name: string) =>
      (...given: string[]) =>
        new Promise<never>(resolve =>
          answers.set(`${name} ${given.join(' ')}`, resolve as (value: unknown) => void)
        );
    const differences = new Differences(
      {
        version: ask('version'),
        versions: ask('versions'),
        compare: ask('compare'),
        compareData: ask('data')
      },
      { path: 'w', before: '1', after: '2' }
    );
    answers.get('version 1 w')?.(made('1'));
    await settled();
    expect([differences.before.value?.id, differences.after.value]).toEqual(['1', null]);
    differences.pair = { path: 'w', before: '2', after: '1' };
    expect(differences.before.value).toBeNull();
    answers.get('data w 1 2')?.({ kind: 'other' });
    await settled();
    expect(differences.data.value).toBeNull();
    answers.get('data w 2 1')?.({ kind: 'text' });
    await settled();
    expect(differences.data.value).toEqual({ kind: 'text' });
  });

  it('may be gone', async () => {
    const gone = new CasaServerError('refused', 'there is no version 1', 404);
    const fails = () => Promise.reject(gone);
    const differences = new Differences(
      { version: fails, versions: fails, compare: fails, compareData: fails },
      { path: 'w', before: '1', after: '2' }
    );
    await settled();
    expect([differences.before, differences.data]).toEqual([
      { value: null, error: gone },
      { value: null, error: gone }
    ]);
  });
});

it.each([
  ['', undefined],
  [' 12 ', 12],
  ['999999', 999_999],
  ['0', null],
  ['-1', null],
  ['1.5', null],
  ['1000000', null],
  ['many', null]
])('budget %p', (text, budget) => {
  expect(budgetOf(text)).toBe(budget);
});
