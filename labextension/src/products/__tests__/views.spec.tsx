import { act, type ReactElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { CasaServerError } from '../../server/client';
import type { CasaEvent } from '../../server/events';
import type { ICollection, IDataDifference, IDifference, IRestored } from '../../server/types';
import { trans } from '../../__tests__/trans';
import { CollectionPreview, type CollectionServer } from '../collect';
import { Comparison } from '../comparison';
import { Differences, type DifferencesServer } from '../differences';
import { ProductsModel, type ProductsServer } from '../model';
import { type IChoice, type IProductActions, ProductsPanel } from '../panel';
import { collectionWords, kindOf, percent, quantity, sentence, size, when } from '../words';
import { call, made, ROWS, SHARES, STORE, version, versions } from './fixtures';

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
Element.prototype.scrollIntoView = () => undefined;

let root: Root;
let node: HTMLElement;
beforeEach(() => {
  node = document.body.appendChild(document.createElement('div'));
  root = createRoot(node);
});
afterEach(() => {
  act(() => {
    root.unmount();
  });
  node.remove();
});
const show = (element: () => ReactElement) =>
  act(async () => {
    root.render(element());
    await new Promise(resolve => setTimeout(resolve));
  });
const one = (selector: string): HTMLElement => {
  const found = node.querySelector<HTMLElement>(selector);
  if (!found) {
    throw new Error(`no ${selector} in ${node.innerHTML}`);
  }
  return found;
};
const all = (selector: string) => Array.from(node.querySelectorAll<HTMLElement>(selector));
const texts = (selector: string) => all(selector).map(({ textContent }) => textContent);
const after = (what: () => void) =>
  act(async () => {
    what();
    await new Promise(resolve => setTimeout(resolve));
  });
const press = (key: string) =>
  after(() =>
    one('[role=tree]').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))
  );
const click = (target: HTMLElement) =>
  after(() => {
    target.click();
  });
const button = (text: string) => {
  const found = all('button').find(({ textContent }) => textContent === text);
  if (!found) {
    throw new Error(`no button ${text}`);
  }
  return found;
};

// -- the list -------------------------------------------------------------------------------------------------------

const restored: IRestored = { schema: 1, version: 'm1', path: 'a.ms', changed: true, former: 'm3' };

async function panel(of: Partial<ProductsServer> = {}, path: string | null = 'work') {
  const model = new ProductsModel({
    versions: () => Promise.resolve(versions()),
    shares: () => Promise.resolve(SHARES),
    store: () => Promise.resolve(STORE),
    restore: () => Promise.resolve(restored),
    ...of
  });
  const done: string[] = [];
  const actions: IProductActions = {
    restore: row => void model.restore(row),
    restoreAs: row => done.push(`as ${row.id}`),
    compare: row => done.push(`compare ${row.id}`),
    reveal: name => done.push(`reveal ${name}`),
    collect: () => done.push('collect'),
    menu: () => done.push('menu')
  };
  let choice: IChoice | null = null;
  const draw = () => (
    <ProductsPanel model={model} actions={actions} onChoice={chosen => (choice = chosen)} trans={trans} />
  );
  model.changed.connect(() => {
    act(() => {
      root.render(draw());
    });
  });
  model.path = path;
  model.wanted = true;
  await show(draw);
  return { model, done, choice: () => choice };
}

const focus = () =>
  after(() => {
    one('[role=tree]').focus();
  });
const selected = () => one('[aria-selected=true]').textContent;

it('shows products, what they take, and how full the store is', async () => {
  await panel();
  expect(texts('.jp-casa-product-name')).toEqual(['a.image', 'a.ms', 'raw.fits']);
  expect(texts('.jp-casa-product-kind')).toEqual(['IMG', 'MS', 'FITS']);
  expect(one('.jp-casa-product').textContent).toContain('1 version · not there now');
  expect(all('.jp-casa-product')[1]?.textContent).toContain('3 versions · now: applycal');
  expect(all('.jp-casa-product')[1]?.textContent).toContain('75 %');
  const meter = one('[role=meter]');
  expect([meter.getAttribute('aria-valuenow'), meter.getAttribute('aria-valuetext')]).toEqual(['50', '50 %']);
  expect(one('.jp-casa-products-used').textContent).toBe('3.5 MB of 7.0 MB');
  expect(one('.jp-casa-products-note').textContent).toBe(
    '3.5 MB of 7.0 MB 5 versions kept. Full copies of all versions would be 9.0 MB. 12.3 s saved in 2 restored calls.'
  );
  await click(button('Make room…'));
});

it('is used with the keyboard alone', async () => {
  const { done, choice } = await panel();
  await focus();
  expect(selected()).toContain('a.image');
  await press('ArrowDown');
  await press('ArrowRight');
  expect(texts('.jp-casa-version-maker')).toEqual(['applycal', 'flagdata', 'importuvfits']);
  await press('ArrowRight');
  await press('ArrowDown');
  expect(choice()?.version?.id).toBe('m2');
  const active = one('[role=tree]').getAttribute('aria-activedescendant') ?? '';
  expect(document.getElementById(active)?.textContent).toContain('flagdata');
  for (const key of ['c', 'Enter', 'f', 'ContextMenu']) {
    await press(key);
  }
  expect(done).toEqual(['compare m2', 'compare m2', 'reveal a.ms', 'menu']);
  await press('ArrowLeft');
  expect(choice()).toMatchObject({ version: null, product: { path: 'a.ms' } });
  await press('ArrowLeft');
  expect(all('.jp-casa-version')).toHaveLength(0);
  await press('End');
  expect(selected()).toContain('raw.fits');
});

it('restores with undo', async () => {
  const asked: string[] = [];
  const { model } = await panel({
    restore: id => {
      asked.push(id);
      return Promise.resolve({ ...restored, version: id });
    }
  });
  await focus();
  await press('ArrowDown');
  await press('ArrowRight');
  await press('End');
  await press('ArrowUp');
  expect(one('.jp-casa-products-details').textContent).toContain('a.ms, version 1');
  expect(one('.jp-casa-products-details').textContent).toContain(
    'It shares all its files with other versions.'
  );
  await press('r');
  expect(one('[role=status]').textContent).toBe('a.ms is as importuvfits left it. Undo');
  await click(button('Undo'));
  expect(asked).toEqual(['m1', 'm3']);
  expect(model.isBusy).toBe(false);
});

it('says what cannot be done, and why', async () => {
  const conflict = new CasaServerError('refused', 'in use by process 7 runs tclean', 409);
  const rows = [...ROWS, version('z1', 'z.ms', { kept: false })];
  await panel({ versions: () => Promise.resolve(versions(rows)), restore: () => Promise.reject(conflict) });
  await focus();
  await press('End');
  await press('ArrowRight');
  await press('ArrowRight');
  expect(one('.jp-casa-version').textContent).toContain('not kept');
  expect(button('Restore').getAttribute('aria-disabled')).toBe('true');
  expect(button('Restore').title).toBe('The store does not hold it: run its call again.');
  expect(button('Compare').title).toBe('There is no other version.');
  await click(button('Restore'));
  expect(one('[role=status]').textContent).toBe('');
  await press('Home');
  await press('ArrowRight');
  await press('ArrowRight');
  await click(button('Restore'));
  expect(one('[role=status]').textContent).toBe('In use by process 7 runs tclean.');
});

it.each([
  ['no workspace', null, {}, 'Open a notebook, or go to its folder in the file browser'],
  [
    'nothing remembered',
    'work',
    { versions: () => Promise.reject(new CasaServerError('refused', 'nothing', 404)) },
    'Nothing is remembered in this folder yet.'
  ],
  [
    'no server',
    'work',
    { versions: () => Promise.reject(new CasaServerError('offline', 'x')) },
    'The server cannot be reached.'
  ],
  [
    'no extension',
    'work',
    { versions: () => Promise.reject(new CasaServerError('missing', 'x', 404)) },
    'The server has no JupyterLab-CASA'
  ]
])('tells calmly: %s', async (_, path, of, said) => {
  await panel(of, path);
  expect(node.textContent).toContain(said);
  expect(all('[role=tree]')).toHaveLength(0);
});

it('warns when a store is nearly full', async () => {
  const { model } = await panel({
    store: () => Promise.resolve({ ...STORE, bytes: { ...STORE.bytes, budget: 3_600_000 } })
  });
  const near = [{ what: 'budget', used: 9, limit: 10, message: 'Versions take 9 GB of 10 GB.' }];
  await after(() => {
    model.onEvent({ kind: 'store', data: { workspace: 'work', near } } as unknown as CasaEvent);
  });
  expect(one('[role=alert]').textContent).toBe('Versions take 9 GB of 10 GB.');
  expect(one('[role=meter]').dataset.level).toBe('near');
});

it('finds one of many', async () => {
  const rows = Array.from({ length: 30 }, (_, n) => version(`v${String(n)}`, `x${String(n)}.image`));
  await panel({ versions: () => Promise.resolve(versions(rows)) });
  const input = one('input') as HTMLInputElement;
  await after(() => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(input, 'X7.');
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
  expect(texts('.jp-casa-product-name')).toEqual(['x7.image']);
});

// -- two versions ---------------------------------------------------------------------------------------------------

const NO_FILES: IDifference = {
  schema: 1,
  before: { id: '1', path: 'a.image', bytes: 5 },
  after: { id: '2', path: 'a.image', bytes: 6 },
  count: { added: 0, removed: 0, changed: 0, unsure: 0 },
  added: [],
  removed: [],
  changed: [],
  unsure: []
};
const OTHER: IDataDifference = { schema: 1, kind: 'other', flags: null, image: null, files: null };

async function comparison(of: Partial<DifferencesServer> = {}) {
  const differences = new Differences(
    {
      version: id =>
        Promise.resolve(
          made(id, {
            call: call('tclean', { arguments: { vis: 'a.ms', niter: id === 'm1' ? 0 : 500 }, inputs: {} })
          })
        ),
      versions: () => Promise.resolve(versions()),
      compare: () => Promise.resolve(NO_FILES),
      compareData: () => Promise.resolve(OTHER),
      ...of
    },
    { path: 'work', before: 'm1', after: 'm3' }
  );
  const draw = () => <Comparison differences={differences} trans={trans} />;
  differences.changed.connect(() => {
    act(() => {
      root.render(draw());
    });
  });
  await show(draw);
  return differences;
}

it('has the parameters of both calls, and hides those that are equal', async () => {
  await comparison();
  const rows = () =>
    all('.jp-casa-versions-table tbody tr').map(row => Array.from(row.children, cell => cell.textContent));
  expect(rows()).toEqual([['≠niter', '0', '500']]);
  await click(button('Show 1 parameter that is equal'));
  expect(rows()).toEqual([
    ['≠niter', '0', '500'],
    ['=vis', "'a.ms'", "'a.ms'"]
  ]);
  expect(node.textContent).toContain('All files are equal.');
});

it('others are chosen, and both are exchanged', async () => {
  const differences = await comparison();
  const [before] = all('select') as HTMLSelectElement[];
  expect(Array.from(before?.querySelectorAll('optgroup') ?? [], group => group.label)).toEqual([
    'a.ms',
    'a.image',
    'raw.fits'
  ]);
  await click(one('[aria-label="Exchange both"]'));
  expect(differences.pair).toEqual({ path: 'work', before: 'm3', after: 'm1' });
});

it('tells what is flagged, by what differs', async () => {
  await comparison({
    compareData: () =>
      Promise.resolve({
        ...OTHER,
        kind: 'flags' as const,
        flags: {
          read: 0.25,
          total: { before: 1.23456, after: 4 },
          groups: [
            { by: 'field' as const, omitted: 0, rows: [{ id: 0, name: '3C286', before: 1, after: 1 }] },
            {
              by: 'antenna' as const,
              omitted: 2,
              rows: [
                { id: 3, name: 'ea04', before: 0, after: 12.5 },
                { id: 4, name: '4', before: null, after: 5 }
              ]
            }
          ]
        }
      })
  });
  expect(one('.jp-casa-versions-lead').textContent).toBe('Flagged: 1.23 % before, 4 % after (+2.77 points)');
  expect(node.textContent).toContain('25 % of the data, evenly spread, were read');
  expect(texts('.jp-casa-versions-flags tbody tr')).toEqual(['3: ea040 %12.5 %+12.5', '4–5 %']);
  expect(node.textContent).toContain('2 more are not shown.');
});

it('shows images and how they differ', async () => {
  const numbers = { minimum: -1, maximum: 2, mean: 0, rms: 0.000123456 };
  const image = {
    read: 1,
    unit: 'Jy/beam',
    axes: ['direction', 'direction', 'stokes', 'spectral'],
    shapes: [
      [8, 8, 1, 5],
      [8, 8, 1, 5]
    ],
    before: numbers,
    after: numbers,
    difference: { ...numbers, largest: -0.5, at: [3, 4, 0, 2], differing: 0.5 },
    pictures: {
      places: [
        [0, 2],
        [0, 2]
      ],
      range: [-1, 2],
      before: 'data:image/png;base64,AA==',
      after: 'data:image/png;base64,BB==',
      difference: 'data:image/png;base64,CC==',
      difference_range: [-0.5, 0.5]
    }
  };
  await comparison({ compareData: () => Promise.resolve({ ...OTHER, kind: 'image' as const, image }) });
  expect(one('.jp-casa-versions-lead').textContent).toBe(
    'They differ by -0.5 Jy/beam at most, at pixel 3, 4; by 1.23e-4 Jy/beam rms. 50 % of the pixels differ.'
  );
  expect(node.textContent).toContain('Shown is where they differ most: channel 2.');
  expect(all('img').map(img => img.getAttribute('alt'))).toEqual([
    'Before: -1 to 2 Jy/beam',
    'After: -1 to 2 Jy/beam',
    'After − before: -0.5 to 0.5 Jy/beam'
  ]);
});

it('texts are told line by line, never as markup', async () => {
  const files = { before: 'a\n<b>x</b>', after: 'a\ny' };
  await comparison({ compareData: () => Promise.resolve({ ...OTHER, kind: 'text' as const, files }) });
  expect(texts('.jp-casa-compare-line')).toEqual(['  a', '− <b>x</b>', '+ y']);
});

it('what fails is said where it belongs', async () => {
  const conflict = new CasaServerError(
    'refused',
    'this version of a.ms is no longer kept: only its call is known',
    409
  );
  await comparison({ compareData: () => Promise.reject(conflict) });
  expect(one('[role=status]').textContent).toContain(
    'This version of a.ms is no longer kept: only its call is known.'
  );
  expect(all('.jp-casa-versions-table tbody tr')).toHaveLength(1);
});

it('a version that is gone is said once', async () => {
  const gone = () => Promise.reject(new CasaServerError('refused', "there is no version 'm1'", 404));
  await comparison({ version: gone, compare: gone, compareData: gone });
  expect(all('[role=status]')).toHaveLength(1);
  expect(one('[role=status]').textContent).toContain("There is no version 'm1'.");
});

// -- making room ----------------------------------------------------------------------------------------------------

const FOUND: ICollection = {
  schema: 1,
  workspace: '/srv/work',
  dry_run: true,
  physical: 9e9,
  logical: 20e9,
  goal: 5e9,
  freed: 3e9,
  excess: 1e9,
  orphans: 0,
  candidates: [
    {
      paths: ['a.image', 'a.psf', 'a.pb'],
      versions: ['1', '2', '3'],
      task: 'tclean',
      seconds: 42,
      calls: 2,
      age_s: 9,
      frees: 3e9,
      score: 1,
      keep: ''
    },
    {
      paths: ['a.ms'],
      versions: ['4'],
      task: 'flagdata',
      seconds: 1,
      calls: 1,
      age_s: 9,
      frees: 1,
      score: 1,
      keep: 'it lies at its path'
    },
    {
      paths: ['b.ms'],
      versions: ['5'],
      task: 'split',
      seconds: 1,
      calls: 1,
      age_s: 9,
      frees: 1,
      score: 1,
      keep: 'it lies at its path'
    }
  ]
};

it('says before it goes what would go', async () => {
  const asked: unknown[] = [];
  const budgets: unknown[] = [];
  const server: CollectionServer = {
    planCollection: (_, budget) => {
      asked.push(budget);
      return Promise.resolve(FOUND);
    },
    collect: () => Promise.resolve(FOUND)
  };
  await show(() => (
    <CollectionPreview server={server} path="work" onBudget={budget => budgets.push(budget)} trans={trans} />
  ));
  await after(() => undefined);
  expect(one('.jp-casa-collect-result').textContent).toBe(
    '1 result would go, and free 3.0 GB of disk. 1.0 GB above the budget remain, because all else is needed.'
  );
  expect(texts('.jp-casa-collect-going li')).toEqual([
    'tclean: a.image, a.psf and 1 more frees 3.0 GB; 42 s in 2 calls to compute again'
  ]);
  expect(texts('details li')).toEqual(['2 results stay: it lies at its path']);
  const input = one('input') as HTMLInputElement;
  await after(() => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(input, 'a lot');
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
  expect([input.getAttribute('aria-invalid'), one('[role=status]').textContent]).toEqual([
    'true',
    'A whole number of GB, 1 or more.'
  ]);
  expect([asked, budgets]).toEqual([[undefined], [undefined, null]]);
});

it('a kernel at work is told there, too', async () => {
  const conflict = () =>
    Promise.reject(new CasaServerError('refused', 'in use by process 7 runs tclean', 409));
  await show(() => (
    <CollectionPreview
      server={{ planCollection: conflict, collect: conflict }}
      path="work"
      onBudget={() => undefined}
      trans={trans}
    />
  ));
  await after(() => undefined);
  expect(one('[role=status]').textContent).toBe('In use by process 7 runs tclean.');
});

it('words', () => {
  expect(
    ['B', 0, 999, 1000, 123_456, 99_449, 5.6e9, 2e15].map(n => (typeof n === 'number' ? size(n) : n))
  ).toEqual(['B', '0 B', '999 B', '1.0 kB', '123 kB', '99.4 kB', '5.6 GB', '2000.0 TB']);
  expect([0, 0.0001, 0.003, 0.42, 1].map(percent)).toEqual(['0 %', '< 0.1 %', '0.3 %', '42 %', '100 %']);
  expect([null, 0, 0.000012345, 1234567, 3.14159].map(n => quantity(n))).toEqual([
    '–',
    '0',
    '1.23e-5',
    '1.23e+6',
    '3.14'
  ]);
  expect(['', 'in use', 'Done.'].map(sentence)).toEqual(['', 'In use.', 'Done.']);
  expect([
    kindOf('a/b.ms', []),
    kindOf('x', ['gaincal']),
    kindOf('y', [null]),
    kindOf('c.image.tt0', [])
  ]).toEqual(['MS', 'CAL', 'DATA', 'IMG']);
  const now = new Date(2026, 10, 23, 12, 0);
  expect(when(new Date(2026, 10, 23, 9, 5).toISOString(), now)).toMatch(/^0?9:05/);
  expect(when(new Date(2025, 10, 23, 9, 5).toISOString(), now)).toMatch(/2025/);
  const none = collectionWords({ ...FOUND, candidates: [], freed: 0, excess: 0 }, trans);
  expect([none.result, none.going]).toEqual(['Nothing has to go.', []]);
});
