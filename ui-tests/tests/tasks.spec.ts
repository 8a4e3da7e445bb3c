import { expect, type IJupyterLabPageFixture, test } from '@jupyterlab/galata';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { accessibleInAllThemes, endKernels } from './helpers';

test.use({ kernels: null });
test.afterEach(async ({ page }) => {
  await endKernels(page);
});

const CELLS = [
  'import casadata\nimport casatasks as ct\nms = "ngc5921.ms"',
  'importuvfits(fitsfile=f"{casadata.datapath}/demo/NGC5921.fits", vis=ms)',
  "ct.gaincal(\n    vis=ms,\n    caltable='ngc.gcal',\n    solint='inf',  # per scan\n    refant='15',\n)",
  ''
];

/** A notebook on our kernel, with the list of tasks at its left and the form at its right; console errors fail the test. */
async function begin(page: IJupyterLabPageFixture, path: string, sources = CELLS): Promise<string[]> {
  const errors: string[] = [];
  page.on('console', message => {
    if (message.type() === 'error') {
      errors.push(`${message.text()} ${message.location().url}`);
    }
  });
  page.on('pageerror', error => errors.push(error.message));
  const cells = sources.map((source, index) => ({
    cell_type: 'code',
    id: `c${String(index)}`,
    source,
    metadata: {},
    outputs: [],
    execution_count: null
  }));
  const metadata = { kernelspec: { name: 'casa', display_name: 'CASA', language: 'python' } };
  await page.contents.uploadContent(
    JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 5 }),
    'text',
    path
  );
  await page.notebook.openByPath(path);
  await page.notebook.activate(path);
  await page.evaluate(() => {
    window.jupyterapp.shell.activateById('jupyterlab-casa-tasks');
    window.jupyterapp.shell.activateById('jupyterlab-casa-form');
  });
  await expect(page.locator('.jp-casa-palette-task').first()).toBeVisible();
  return errors;
}

const cell = (page: IJupyterLabPageFixture, index: number) =>
  page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-CodeCell').nth(index);
const line = (page: IJupyterLabPageFixture, index: number, at: number) =>
  cell(page, index).locator('.cm-line').nth(at);
const sources = (page: IJupyterLabPageFixture) =>
  page.evaluate(() =>
    (window.jupyterapp.shell.currentWidget as unknown as NotebookPanel).content.widgets.map(widget =>
      widget.model.sharedModel.getSource()
    )
  );
const source = async (page: IJupyterLabPageFixture, index: number) => (await sources(page))[index];
const field = (page: IJupyterLabPageFixture, name: string) => page.locator(`[data-parameter="${name}"]`);
const search = (page: IJupyterLabPageFixture) => page.locator('.jp-casa-palette-search');

test('a call is a form, and what is changed there is written, and nothing else', async ({
  page,
  tmpPath
}) => {
  const errors = await begin(page, `${tmpPath}/form.ipynb`);
  await page.notebook.runCell(0);
  await page.notebook.runCell(1);
  await line(page, 2, 3).click();
  await expect(page.locator('.jp-casa-form-head')).toContainText('gaincal');
  await expect(field(page, 'caltable').locator('input')).toHaveValue('ngc.gcal');
  const before = await source(page, 2);

  await field(page, 'solint').locator('input').fill('60s');
  await field(page, 'solint').locator('input').press('Enter');
  await expect.poll(() => source(page, 2)).toBe(before?.replace("'inf'", "'60s'"));

  // What is in the MeasurementSet, whose name is in a variable of another cell.
  await field(page, 'field').getByLabel('Choose field from').click();
  await field(page, 'field').getByLabel('1445+09900002_0').check();
  await expect.poll(() => source(page, 2)).toContain("    refant='15',\n    field='1445+09900002_0',\n)");
  await page.screenshot({ path: 'test-results/form.png' });

  // A sub-parameter comes with its condition, and a value that CASA would refuse is not written.
  await expect(field(page, 'splinetime')).toHaveCount(0);
  await field(page, 'gaintype').locator('select').selectOption("'GSPLINE'");
  await expect(field(page, 'splinetime')).toBeVisible();
  const now = await source(page, 2);
  await field(page, 'splinetime').locator('input').fill("'long'");
  await field(page, 'splinetime').locator('input').press('Enter');
  await expect(field(page, 'splinetime').getByRole('alert')).toContainText('This should be a number');
  expect(await source(page, 2)).toBe(now);
  expect(errors).toEqual([]);
});

test('tasks are found and put where one writes, without a mouse', async ({ page, tmpPath }) => {
  const errors = await begin(page, `${tmpPath}/list.ipynb`, ['x = 1', '']);
  await cell(page, 1).locator('.cm-content').click();
  await search(page).focus();
  await page.keyboard.type('recon image');
  await expect(page.locator('.jp-casa-palette-task').first()).toContainText('tclean');
  await page.keyboard.press('Enter');
  await expect.poll(() => source(page, 1)).toMatch(/^tclean\(vis='', imagename=''\)$/);
  await page.keyboard.type('a.ms'); // the cursor is in the first text
  await expect.poll(() => source(page, 1)).toMatch(/^tclean\(vis='a.ms'/);
  await expect(field(page, 'vis').locator('input')).toHaveValue('a.ms');

  await search(page).focus();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('tree', { name: 'CASA tasks' })).toBeFocused();
  await page.keyboard.press('End');
  await page.keyboard.press('f');
  await expect(page.getByRole('treeitem', { name: 'Favourites' })).toHaveText(/Favourites 1/);
  await expect(page.getByRole('treeitem', { name: 'Recent' })).toHaveText(/Recent 1/);
  await page.screenshot({ path: 'test-results/tasks.png' });

  await page.keyboard.press('Control+Shift+C');
  await page.keyboard.type('insert flagdata');
  await expect(page.locator('.lm-CommandPalette-item.lm-mod-active')).toContainText('Insert flagdata');
  await page.keyboard.press('Enter');
  await expect.poll(async () => (await sources(page)).join('\n')).toContain("flagdata(vis='')");
  expect(errors).toEqual([]);
});

test('a task is dragged into the notebook', async ({ page, tmpPath }) => {
  const errors = await begin(page, `${tmpPath}/drag.ipynb`, ['x = 1', 'y = 2']);
  await search(page).fill('split');
  const row = page.locator('.jp-casa-palette-task').first();
  const from = await row.boundingBox();
  const to = await cell(page, 1).boundingBox();
  if (!from || !to) {
    throw new Error('not to be seen');
  }
  await page.mouse.move(from.x + 40, from.y + 8);
  await page.mouse.down();
  await page.mouse.move(from.x + 90, from.y + 20, { steps: 4 });
  await page.mouse.move(to.x + 150, to.y + 5, { steps: 8 });
  await page.mouse.up();
  await expect.poll(() => sources(page)).toEqual(['x = 1', "split(vis='', outputvis='')", 'y = 2']);
  expect(errors).toEqual([]);
});

test('help is beside the form, over a name, and in Contextual Help, also while the kernel is busy', async ({
  page,
  tmpPath
}) => {
  const errors = await begin(page, `${tmpPath}/help.ipynb`, [
    "flagdata(vis='a.ms')",
    'import time; time.sleep(60)'
  ]);
  await page.evaluate(() => {
    void (
      window.jupyterapp.shell.currentWidget as unknown as NotebookPanel
    ).sessionContext.session?.kernel?.requestExecute({ code: 'import time; time.sleep(60)' });
  });
  const box = await line(page, 0, 0).boundingBox();
  if (!box) {
    throw new Error('not to be seen');
  }
  await expect(async () => {
    await page.mouse.move(box.x + 20, box.y + 60);
    await page.mouse.move(box.x + 34, box.y + 8, { steps: 3 });
    await expect(page.locator('.jp-casa-hover')).toContainText('Changes vis', { timeout: 2000 });
  }).toPass(); // the list of tasks may not have come yet
  await page.screenshot({ path: 'test-results/hover.png' });
  await page.mouse.move(box.x + 300, box.y + 300);

  await line(page, 0, 0).click({ position: { x: 34, y: 8 } });
  await page.locator('.jp-casa-form').getByRole('tab', { name: 'Help' }).click();
  const help = page.locator('.jp-casa-form .jp-casa-help');
  await expect(help).toContainText('What it does to data');
  await expect(help).toContainText('It has not been run here yet.');
  await search(page).fill('immath');
  await search(page).press('Shift+Enter');
  await help.getByRole('button', { name: 'Insert' }).first().click();
  await expect.poll(async () => (await sources(page)).join('\n')).toMatch(/immath\(.+\)/);

  await page.evaluate(() => {
    void window.jupyterapp.commands.execute('inspector:open');
  });
  const inspected = page.locator('.jp-Inspector .jp-casa-help');
  // While it finds its place beside the notebook, a click may land behind the call.
  const look = () =>
    expect(async () => {
      await line(page, 0, 0).click({ position: { x: 34, y: 8 } });
      await expect(inspected).toContainText('flagdata', { timeout: 3000 });
    }).toPass({ timeout: 30_000 });
  await look();
  // Whatever was shown meanwhile, and when it is opened anew: the same call tells the same.
  for (let time = 0; time < 3; time++) {
    await page.locator('.lm-TabBar-tab').filter({ hasText: 'Contextual Help' }).first().click();
    await look();
  }
  for (const command of ['inspector:close', 'inspector:open']) {
    await page.evaluate(name => void window.jupyterapp.commands.execute(name), command);
  }
  await expect(inspected).toContainText('flagdata');
  await page.screenshot({ path: 'test-results/help.png' });
  expect(errors).toEqual([]);
});

test('list, form and help can be read by everybody', async ({ page, tmpPath }) => {
  const errors = await begin(page, `${tmpPath}/themes.ipynb`);
  await line(page, 2, 3).click();
  await expect(page.locator('.jp-casa-form-head')).toContainText('gaincal');
  await field(page, 'solint').locator('input').fill('a long time');
  await accessibleInAllThemes(page, '#jupyterlab-casa-tasks', 'list');
  await accessibleInAllThemes(page, '#jupyterlab-casa-form', 'form');
  await page.locator('.jp-casa-form').getByRole('tab', { name: 'Help' }).click();
  await expect(page.locator('.jp-casa-form .jp-casa-help')).toContainText('What it does to data');
  await accessibleInAllThemes(page, '#jupyterlab-casa-form', 'help');
  expect(errors).toEqual([]);
});
