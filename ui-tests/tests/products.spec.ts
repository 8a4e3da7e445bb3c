import { expect, type IJupyterLabPageFixture, test } from '@jupyterlab/galata';
import { accessible, accessibleInAllThemes, hearComplaints, kernelStarted, openNotebook } from './helpers';

// Galata's mock of the kernels API answers a restart with another status than the server does.
test.use({ kernels: null });

hearComplaints();

interface IReloads {
  reload(options: { waitForIsReady: boolean }): Promise<unknown>;
}

const PANEL = '.jp-casa-products-panel';
const COMPARISON = '.jp-MainAreaWidget:not(.lm-mod-hidden) > .jp-casa-versions-panel';
const product = (page: IJupyterLabPageFixture, name: string) =>
  page.locator('.jp-casa-product').filter({ has: page.locator('.jp-casa-product-name', { hasText: name }) });
const makers = (page: IJupyterLabPageFixture) => page.locator('.jp-casa-version-maker');
const said = (page: IJupyterLabPageFixture) => page.locator('.jp-casa-products-said');

const execute = (page: IJupyterLabPageFixture, command: string) =>
  page.evaluate(async id => {
    await window.jupyterapp.commands.execute(id); // what it answers cannot leave the page
  }, command);
const showPanel = (page: IJupyterLabPageFixture) => execute(page, 'jupyterlab-casa:show-products');

/** Opens a launcher in a folder. What commands answer cannot leave the page. */
const launch = (page: IJupyterLabPageFixture, folder: string) =>
  page.evaluate(async cwd => {
    await window.jupyterapp.commands.execute('launcher:create', { cwd });
  }, folder);

/** Runs what is stale in the notebook in front, and waits for the end. */
async function rerun(page: IJupyterLabPageFixture, cells: number) {
  const shown = '.jp-NotebookPanel:not(.lm-mod-hidden)';
  const button = page.locator(`${shown} .jp-casa-rerun-main`);
  await expect(button).toHaveText(/^Re-run stale:/, { timeout: 60_000 });
  await button.click();
  await expect(page.locator(`${shown} .jp-casa-mark[data-mark="fresh"]`)).toHaveCount(cells, {
    timeout: 150_000
  });
}

const REDUCTION = (niter: number) => [
  "importuvfits('NGC5921.fits', 'ngc5921.ms')",
  "flagdata('ngc5921.ms', mode='manual', spw='0:0~5')\nflagdata('ngc5921.ms', mode='manual', antenna='3', scan='3')",
  `tclean('ngc5921.ms', imagename='dirty', field='2', imsize=96, cell='15arcsec', specmode='cube', start=24, nchan=2, niter=${String(niter)})`
];

test('the launcher begins the tutorial, and never overwrites it', async ({ page, tmpPath }) => {
  const card = (name: string) => page.locator('.jp-Launcher:visible .jp-LauncherCard', { hasText: name });
  await launch(page, tmpPath);
  await expect(card('CASA notebook')).toBeVisible();
  await expect(card('CASA tutorial')).toBeVisible();
  await card('CASA tutorial').scrollIntoViewIfNeeded();
  await page.screenshot({ path: 'test-results/launcher.png' });
  await card('CASA tutorial').click();
  await expect(page.getByRole('tab', { name: 'NGC5921.ipynb' })).toBeVisible({ timeout: 30_000 });
  expect(await page.contents.fileExists(`${tmpPath}/NGC5921.fits`)).toBe(true);

  // Who has changed it, and comes again, is asked.
  const changed = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}';
  await kernelStarted(page); // JupyterLab complains of one that starts for a notebook which is closed
  await page.notebook.save(); // else it is asked whether to
  await execute(page, 'application:close-all');
  await page.contents.uploadContent(changed, 'text', `${tmpPath}/NGC5921.ipynb`);
  await launch(page, tmpPath);
  await card('CASA tutorial').click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toContainText('The Tutorial Is Here Already');
  await page.screenshot({ path: 'test-results/tutorial-again.png' });
  await dialog.getByRole('button', { name: 'Begin Anew' }).click();
  await expect(page.getByRole('tab', { name: 'NGC5921.ipynb' })).toBeVisible({ timeout: 30_000 });
  expect(await page.contents.fileExists(`${tmpPath}/NGC5921/NGC5921.ipynb`)).toBe(true);
  expect(await page.contents.fileExists(`${tmpPath}/NGC5921/NGC5921.fits`)).toBe(true);

  await launch(page, tmpPath);
  await card('CASA notebook').click();
  await expect(page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Toolbar-kernelName')).toHaveText(
    'CASA',
    {
      timeout: 30_000
    }
  );
  await kernelStarted(page);
});

test('versions are listed, compared, and brought back', async ({ page, tmpPath }) => {
  test.setTimeout(420_000);
  await page.evaluate(path => {
    const { serverSettings } = window.jupyterapp.serviceManager;
    const headers = {
      'Content-Type': 'application/json',
      'X-XSRFToken': /_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? ''
    };
    const url = `${serverSettings.baseUrl}jupyterlab-casa/api/tutorial?path=${encodeURIComponent(path)}`;
    return fetch(url, { method: 'POST', body: '{}', headers }).then(({ status }) => status);
  }, tmpPath);
  const path = `${tmpPath}/imaging.ipynb`;
  await openNotebook(page, path, 'casa', REDUCTION(0));
  await showPanel(page);
  await expect(page.locator(PANEL)).toContainText('Nothing is remembered in this folder yet');
  await page.screenshot({ path: 'test-results/products-nothing.png' });
  await rerun(page, 3);

  // It fills by itself, by what the events tell.
  await expect(product(page, 'ngc5921.ms').first()).toContainText('3 versions · now: flagdata', {
    timeout: 30_000
  });
  await expect(product(page, 'NGC5921.fits')).toContainText('FITS');
  await expect(page.locator('.jp-casa-products-used')).toContainText(/ of .*B/);
  await expect(product(page, 'ngc5921.ms').first().locator('.jp-casa-product-size')).toHaveText(
    /^3\d\.\d MB\d\d %$/
  );

  // With the keyboard: unfold, choose, compare.
  await page.locator('.jp-casa-products-tree').focus();
  await product(page, 'ngc5921.ms').first().click();
  await expect(makers(page)).toHaveText(['flagdata', 'flagdata', 'importuvfits']);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await expect(page.locator('.jp-casa-products-details')).toContainText('ngc5921.ms, version 1');
  await accessibleInAllThemes(page, PANEL, 'products');
  await page.locator('.jp-casa-products-tree').focus();
  await page.keyboard.press('Enter');
  const comparison = page.locator(COMPARISON);
  await expect(comparison.locator('.jp-casa-versions-lead')).toContainText(
    /Flagged: 0 % before, .* % after/,
    {
      timeout: 60_000
    }
  );
  await expect(comparison.locator('thead').first()).toContainText('importuvfits');
  // of two tasks what was given, and not what all calls have by default
  await expect(comparison.locator('section').first().locator('tbody tr')).toContainText([
    /antenna–'3'/,
    /scan–'3'/,
    /fitsfile/
  ]);
  await comparison.getByLabel('By', { exact: true }).selectOption('antenna');
  await expect(comparison.locator('.jp-casa-versions-flags tbody tr').nth(2)).toContainText(/^2: 3/);
  await accessibleInAllThemes(page, COMPARISON, 'flags');

  // Bringing back, and undoing that.
  await showPanel(page);
  await page.keyboard.press('r');
  await expect(said(page)).toContainText('ngc5921.ms is as importuvfits left it.', { timeout: 30_000 });
  await expect(page.locator('.jp-casa-version').nth(2)).toContainText('now');
  await page.screenshot({ path: 'test-results/products-restored.png' });
  await said(page).getByRole('button', { name: 'Undo' }).click();
  await expect(said(page)).toContainText('ngc5921.ms is as flagdata left it.', { timeout: 30_000 });
  await expect(page.locator('.jp-casa-version').first()).toContainText('now');

  // A name of its own; and what the file browser shows of it.
  await page.locator('.jp-casa-version').nth(1).click({ button: 'right' });
  await page.screenshot({ path: 'test-results/products-menu.png' });
  await page.getByRole('menuitem', { name: 'Restore This Version As' }).click();
  await expect(page.locator('.jp-Dialog input')).toHaveValue('ngc5921-v2.ms');
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await expect(said(page)).toContainText('ngc5921-v2.ms is as flagdata left it.', { timeout: 30_000 });
  await page.locator('.jp-casa-version').nth(1).click();
  await page.locator('.jp-casa-products-details').getByRole('button', { name: 'Show in files' }).click();
  await expect(page.locator('.jp-DirListing-item.jp-mod-selected')).toContainText('ngc5921.ms');

  // Images: what another niter has changed.
  await page.notebook.activate('imaging.ipynb');
  await page.notebook.setCell(3, 'code', REDUCTION(100)[2] as string);
  await rerun(page, 3);
  await showPanel(page);
  await product(page, 'dirty.image').first().click();
  await page.locator('.jp-casa-products-details').getByRole('button', { name: 'Compare' }).click();
  const shown = page.locator(COMPARISON);
  await expect(shown.locator('.jp-casa-versions-lead')).toContainText('They differ by', { timeout: 60_000 });
  await expect(shown.locator('tr[data-differs="true"]').first()).toHaveText('≠niter0100');
  await expect(shown.locator('img')).toHaveCount(3);
  await accessibleInAllThemes(page, COMPARISON, 'images');

  // What was open is there again.
  await page.notebook.activate('imaging.ipynb');
  await page.notebook.save();
  await page.waitForTimeout(1500); // JupyterLab keeps its layout a moment later
  await (page as unknown as IReloads).reload({ waitForIsReady: false });
  await expect(page.locator(PANEL)).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole('tab', { name: 'Compare dirty.image' })).toBeVisible({ timeout: 30_000 });
  await expect(product(page, 'ngc5921.ms').first()).toBeVisible({ timeout: 30_000 });

  // Making room says first what it would do.
  await page.locator(PANEL).getByRole('button', { name: 'Make room…' }).click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toContainText('Nothing has to go.', { timeout: 30_000 });
  await page.screenshot({ path: 'test-results/make-room.png' });
  await accessible(page, '.jp-casa-collect');
  await dialog.getByRole('button', { name: 'Let Them Go' }).click();
  await expect(said(page)).toContainText('Nothing had to go: versions take', { timeout: 30_000 });
});

const ROWS = ['importuvfits', 'flagdata', 'applycal'].map((task, n) => ({
  id: `k-${String(n)}`,
  path: 'a.ms',
  task,
  key: `key${String(n)}`,
  bytes: 1_000_000,
  kept: n > 0,
  present: n === 2,
  also: [],
  created: '2026-11-23T07:00:00+00:00'
}));
const API = '**/jupyterlab-casa/api';
const refusal = (status: number, message: string) => ({ status, json: { message, reason: null } });

test('a kernel at work, a version that is gone and a full store are said quietly', async ({
  page,
  tmpPath
}) => {
  const answers: [string, object][] = [
    ['versions?*', { schema: 1, workspace: '/w', versions: ROWS }],
    ['store/shares*', { schema: 1, workspace: '/w', bytes: 4, products: [], versions: [] }],
    [
      'store?*',
      {
        schema: 1,
        workspace: '/w',
        store: { kind: 'copy', reason: 'this file system does not share blocks' },
        objects: 3,
        bytes: { versions: 5e9, objects: 4e9, on_disk: 3.8e9, budget: 4e9, free: 1e9, ledger: 1, logs: 1 },
        calls: 3,
        versions: 3,
        restored: 7,
        saved_s: 372,
        threads: 2
      }
    ]
  ];
  for (const [route, json] of answers) {
    await page.route(`${API}/${route}`, answer => answer.fulfill({ json }));
  }
  await page.route(`${API}/versions/*/restore*`, answer =>
    answer.fulfill(refusal(409, 'the workspace is in use by process 7 runs tclean'))
  );
  await page.route(`${API}/store/collection*`, answer =>
    answer.fulfill({
      json: {
        schema: 1,
        workspace: '/w',
        dry_run: true,
        physical: 3.8e9,
        logical: 5e9,
        goal: 1e9,
        freed: 2.9e9,
        excess: 0,
        orphans: 0,
        candidates: [
          {
            paths: ['x.image', 'x.psf', 'x.pb'],
            versions: ['1'],
            task: 'tclean',
            seconds: 42,
            calls: 1,
            age_s: 9,
            frees: 2e9,
            score: 1,
            keep: ''
          },
          {
            paths: ['b.ms'],
            versions: ['2'],
            task: 'split',
            seconds: 3,
            calls: 2,
            age_s: 9,
            frees: 9e8,
            score: 2,
            keep: ''
          },
          {
            paths: ['a.ms'],
            versions: ['3'],
            task: 'flagdata',
            seconds: 3,
            calls: 2,
            age_s: 9,
            frees: 9e8,
            score: 2,
            keep: 'it lies at its path'
          }
        ]
      }
    })
  );
  await openNotebook(page, `${tmpPath}/full.ipynb`, 'casa', ['a = 1']);
  await showPanel(page);
  await expect(page.locator('.jp-casa-products-meter')).toHaveAttribute('data-level', 'near');
  await product(page, 'a.ms').click();
  await page.locator('.jp-casa-version').nth(2).click();
  await expect(page.getByRole('button', { name: 'Restore', exact: true })).toHaveAttribute(
    'aria-disabled',
    'true'
  );
  await page.locator('.jp-casa-version').nth(1).click();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(said(page)).toHaveText('The workspace is in use by process 7 runs tclean.');
  await page.screenshot({ path: 'test-results/products-busy.png' });
  await accessible(page, PANEL);
  await page.locator('.jp-casa-products-details').getByRole('button', { name: 'Compare' }).click();
  await expect(page.locator(COMPARISON)).toContainText("There is no version 'k-1'.");
  await page.getByRole('button', { name: 'Make room…' }).click();
  await expect(page.locator('.jp-casa-collect-going li')).toHaveCount(2);
  await page.screenshot({ path: 'test-results/make-room-preview.png' });
  await page.keyboard.press('Escape');
});

for (const [what, answer, text] of [
  [
    'no server extension',
    { status: 404, contentType: 'text/html', body: '<html>' },
    'The server has no JupyterLab-CASA'
  ],
  ['a server that is away', null, 'The server cannot be reached.']
] as const) {
  test(`with ${what} all is quiet`, async ({ page, tmpPath }) => {
    await page.route(`${API}/**`, route => (answer ? route.fulfill(answer) : route.abort()));
    await page.reload();
    await openNotebook(page, `${tmpPath}/quiet.ipynb`, 'casa', ['a = 1']);
    await showPanel(page);
    await expect(said(page)).toContainText(text);
    await page.screenshot({ path: `test-results/products-${answer ? 'missing' : 'offline'}.png` });
    await accessible(page, PANEL);
  });
}

test('what is listed stays, whatever becomes of the notebook and the server', async ({ page, tmpPath }) => {
  // A notebook that cannot be written.
  await page.route('**/api/contents/**/reading.ipynb?*', async route => {
    const answer = await route.fetch();
    if (route.request().method() === 'GET' && answer.ok()) {
      await route.fulfill({ response: answer, json: { ...(await answer.json()), writable: false } });
    } else {
      await route.fulfill({ response: answer });
    }
  });
  const path = `${tmpPath}/reading.ipynb`;
  await openNotebook(page, path, 'casa', [
    "open('model.txt', 'w').write('5 Jy')",
    "print(open('model.txt').read())"
  ]);
  await kernelStarted(page);
  await showPanel(page);
  await expect(page.locator(PANEL)).toContainText('Nothing is remembered in this folder yet');
  await rerun(page, 2);
  await expect(product(page, 'model.txt')).toContainText('1 version', { timeout: 30_000 });
  await expect(page.locator('.jp-casa-products-used')).toContainText(/ of .*B/);
  await page.screenshot({ path: 'test-results/products-read-only.png' });

  // A server that goes away, and comes back.
  await page.route(`${API}/**`, route => route.abort());
  await page.getByRole('button', { name: 'Look again' }).click();
  await expect(said(page)).toContainText('The server cannot be reached.');
  await expect(product(page, 'model.txt')).toBeVisible();
  await product(page, 'model.txt').click();
  await page.locator('.jp-casa-version').click();
  await page.locator('.jp-casa-products-details').getByRole('button', { name: 'Restore as…' }).click();
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await expect(said(page)).toContainText('The server cannot be reached.');
  await page.screenshot({ path: 'test-results/products-went-offline.png' });
  await accessible(page, PANEL);
  await page.unroute(`${API}/**`);
  await page.locator('.jp-casa-products-details').getByRole('button', { name: 'Restore as…' }).click();
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await expect(said(page)).toContainText('model-v1.txt is as', { timeout: 30_000 });

  // A notebook that is closed: the file browser is in its folder, where the tests begin.
  await page.evaluate(() => {
    window.jupyterapp.shell.currentWidget?.dispose();
  });
  await expect(page.locator('.jp-NotebookPanel')).toHaveCount(0);
  await showPanel(page);
  await expect(product(page, 'model.txt')).toBeVisible();
});

test('without a notebook the folder of the file browser is shown', async ({ page, tmpPath }) => {
  await page.filebrowser.openDirectory(tmpPath);
  await showPanel(page);
  await expect(page.locator('.jp-casa-products-head')).toContainText(tmpPath.split('/').pop() ?? '');
  await expect(page.locator(PANEL)).toContainText('Nothing is remembered in this folder yet');
});
