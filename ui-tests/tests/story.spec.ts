/**
 * The whole story, as somebody lives it who sees it for the first time: the tutorial, real CASA, a parameter changed in the
 * form, a restart, an interrupted clean. Its pictures are those of the user guide.
 */
import { expect, type IJupyterLabPageFixture, test } from '@jupyterlab/galata';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { createHash } from 'crypto';
import { hearComplaints } from './helpers';

// Galata's mock of the kernels API answers a restart with another status than the server does.
test.use({ kernels: null, viewport: { width: 1440, height: 900 } });

hearComplaints();

const SHOWN = '.jp-NotebookPanel:not(.lm-mod-hidden)';
const MINUTES = 60_000;

const run = (page: IJupyterLabPageFixture, command: string) =>
  page.evaluate(async id => {
    await window.jupyterapp.commands.execute(id); // what it answers cannot leave the page
  }, command);

/** The mark of each code cell, by its id. */
const marks = (page: IJupyterLabPageFixture) =>
  page.evaluate(() => {
    const panel = window.jupyterapp.shell.currentWidget as unknown as NotebookPanel;
    const code = panel.content.widgets.filter(({ model }) => model.type === 'code');
    return Object.fromEntries(code.map(({ model, node }) => [model.id, node.dataset.casaMark ?? 'none']));
  });

/** The cells that bear this mark. */
const bearing = async (page: IJupyterLabPageFixture, mark: string) =>
  Object.entries(await marks(page))
    .filter(([, one]) => one === mark)
    .map(([id]) => id);

/** Brings a cell into sight, and makes it the active one. */
async function goTo(page: IJupyterLabPageFixture, id: string) {
  await page.evaluate(async cell => {
    const { content } = window.jupyterapp.shell.currentWidget as unknown as NotebookPanel;
    content.activeCellIndex = content.widgets.findIndex(({ model }) => model.id === cell);
    await content.scrollToItem(content.activeCellIndex, 'start');
  }, id);
}

/** The line of a cell in which a text stands. */
const line = (page: IJupyterLabPageFixture, text: string) =>
  page.locator(`${SHOWN} .cm-line`).filter({ hasText: text }).first();

/** Opens the menu beside the button, and picks from it. */
async function pick(page: IJupyterLabPageFixture, item: string) {
  await page.locator(`${SHOWN} .jp-casa-rerun-more`).click();
  await page.getByRole('menuitem', { name: item }).click();
}

/** Sets a parameter in the form of the call that is shown there. */
async function fill(page: IJupyterLabPageFixture, parameter: string, value: string) {
  const input = page.locator(`[data-parameter="${parameter}"] input`);
  await input.fill(value);
  await input.press('Enter');
}

const closeTab = (page: IJupyterLabPageFixture, name: string) =>
  page.getByRole('tab', { name }).locator('.lm-TabBar-tabCloseIcon').click();

const CUBE = ['image-cube', 'measure-noise'];

test('from the tutorial to a clean that was interrupted', async ({ page, tmpPath }) => {
  test.setTimeout(10 * MINUTES);
  const picture = (name: string) => page.screenshot({ path: `test-results/guide/${name}.png` });
  const pixels = async () => {
    const file = await page.request.get(`/files/${tmpPath}/ngc5921.cube.image/table.f0_TSM0`);
    expect(file.ok()).toBe(true);
    return createHash('sha256')
      .update(await file.body())
      .digest('hex');
  };

  // Open the tutorial.
  await page.evaluate(async cwd => {
    await window.jupyterapp.commands.execute('launcher:create', { cwd });
  }, tmpPath);
  const card = page.locator('.jp-Launcher:visible .jp-LauncherCard', { hasText: 'CASA tutorial' });
  await card.scrollIntoViewIfNeeded();
  await picture('launcher');
  await card.click();
  await expect(page.locator(`${SHOWN} .jp-casa-rerun-main`)).toHaveText(/^Re-run stale: 26 cells/, {
    timeout: MINUTES
  });
  expect(new Set(Object.values(await marks(page)))).toEqual(new Set(['stale']));

  // Run it, down to the noise of the image.
  await goTo(page, 'measure-noise');
  await pick(page, 'to Here');
  await expect(page.locator('.jp-casa-status')).toContainText('tclean', { timeout: 3 * MINUTES });
  await goTo(page, 'image-cube');
  await picture('running');
  await expect(page.locator('.jp-casa-status')).toHaveText(/^CASA: 20 executed/, { timeout: 2 * MINUTES });
  const fresh = await bearing(page, 'fresh');
  expect(fresh.slice(-2)).toEqual(CUBE);
  expect(await bearing(page, 'stale')).toHaveLength(26 - fresh.length);
  const first = await pixels();

  // Change niter through the form: what is made of the image is stale, nothing above it.
  await line(page, 'niter=niter').click();
  await run(page, 'jupyterlab-casa:show-tasks');
  await run(page, 'jupyterlab-casa:show-form');
  await expect(page.locator('.jp-casa-form-head')).toContainText('tclean');
  await fill(page, 'niter', '100');
  await expect(line(page, 'niter=100')).toBeVisible();
  await expect.poll(async () => (await marks(page))['image-cube']).toBe('stale');
  expect((await marks(page))['measure-noise']).toBe('maybe');
  expect(await bearing(page, 'fresh')).toEqual(fresh.slice(0, -2));
  await goTo(page, 'image-cube');
  await page.locator(`${SHOWN} [data-casa-mark="stale"] .jp-casa-mark-badge`).first().hover();
  const reasons = page.getByRole('tooltip');
  await expect(reasons).toContainText('`niter`');
  await picture('stale');
  await page.mouse.move(700, 5);
  await run(page, 'jupyterlab-casa:show-graph');
  await expect(page.locator('.jp-casa-graph [data-node="c:image-cube"]')).toHaveAttribute(
    'data-mark',
    'stale'
  );
  await picture('graph');
  await closeTab(page, 'Graph');

  // Re-run, and see what ran.
  await goTo(page, 'measure-noise');
  await pick(page, 'to Here');
  await expect(page.locator('.jp-casa-status')).toHaveText(/^CASA: 2 executed/, { timeout: 2 * MINUTES });
  expect(await bearing(page, 'fresh')).toEqual(fresh);
  const shallow = await pixels();
  expect(shallow).not.toBe(first);
  await run(page, 'jupyterlab-casa:show-products');
  await page.locator('.jp-casa-product-name', { hasText: 'ngc5921.cube.image' }).first().click();
  await page.locator('.jp-casa-products-details').getByRole('button', { name: 'Compare' }).click();
  const lead = page.locator('.jp-casa-versions-panel:not(.lm-mod-hidden) .jp-casa-versions-lead');
  await expect(lead).toContainText('They differ by', { timeout: MINUTES });
  await picture('compared');
  await closeTab(page, 'Compare ngc5921.cube.image');

  // Set back: nothing is computed.
  await line(page, 'niter=100').click();
  await fill(page, 'niter', '5000');
  await expect.poll(async () => (await marks(page))['image-cube']).not.toBe('fresh');
  await goTo(page, 'measure-noise');
  await pick(page, 'to Here');
  await expect.poll(() => bearing(page, 'fresh'), { timeout: MINUTES }).toEqual(fresh);
  expect(await pixels()).toBe(first);
  await page.notebook.save();

  // A new kernel: still fresh.
  const restart = run(page, 'kernelmenu:restart');
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await restart;
  await line(page, 'niter=5000').click();
  await page.keyboard.press('End');
  await page.keyboard.press('Space');
  await page.keyboard.press('Backspace');
  await page.waitForTimeout(1000); // whatever it is going to say now
  expect(await bearing(page, 'fresh')).toEqual(fresh);

  // Interrupt a clean.
  await fill(page, 'niter', '4000');
  await expect.poll(async () => (await marks(page))['image-cube']).toBe('stale');
  await goTo(page, 'image-cube');
  await pick(page, 'to Here');
  await expect(page.locator('.jp-casa-status')).toContainText('tclean', { timeout: MINUTES });
  await run(page, 'jupyterlab-casa:show-log');
  await expect(page.locator('.jp-casa-logs')).toContainText('Run Major Cycle', { timeout: MINUTES });
  await run(page, 'notebook:interrupt-kernel');
  await expect.poll(async () => (await marks(page))['image-cube'], { timeout: MINUTES }).toBe('failed');
  await expect(page.locator('.jp-casa-status')).toContainText('cell 19 failed', { timeout: MINUTES });
  await picture('log');

  // Everything as before: the image is, and with the former niter what the cell showed comes back, too.
  expect(await pixels()).toBe(first);
  await line(page, 'niter=4000').click();
  await fill(page, 'niter', '5000');
  await expect.poll(async () => (await marks(page))['image-cube']).toBe('restorable');
  await goTo(page, 'measure-noise');
  await pick(page, 'to Here');
  await expect.poll(() => bearing(page, 'fresh'), { timeout: MINUTES }).toEqual(fresh);
  expect(await pixels()).toBe(first);
});
