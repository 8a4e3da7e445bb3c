import { expect, galata, test as base } from '@jupyterlab/galata';
import { endKernels, openNotebook } from './helpers';

// Galata waits for a launcher that is called so in English. JupyterLab goes to the test's folder before it shows one.
const test = base.extend({
  waitForApplication: async ({ baseURL: _ }, use) => {
    await use(async page => {
      await page.locator('#jupyterlab-splash').waitFor({ state: 'detached' });
      await expect(page.locator('.jp-Launcher')).toBeVisible({ timeout: 30_000 });
    });
  }
});
test.use({
  kernels: null,
  mockSettings: {
    ...galata.DEFAULT_SETTINGS,
    '@jupyterlab/translation-extension:plugin': { locale: 'de_DE' }
  }
});
test.afterEach(async ({ page }) => {
  await endKernels(page);
});

test('JupyterLab in German has us in German', async ({ page, tmpPath }) => {
  const shown = '.jp-NotebookPanel:not(.lm-mod-hidden)';
  const button = page.locator(`${shown} .jp-casa-rerun-main`);
  const badges = page.locator(`${shown} .jp-casa-mark-badge`);
  await openNotebook(page, `${tmpPath}/deutsch.ipynb`, 'casa', ['a = 1', 'b = a']);
  await expect(badges).toHaveText(['veraltet', 'veraltet'], { timeout: 30_000 });
  await expect(button).toHaveText('Veraltetes erneut ausführen: 2 Zellen');
  await badges.first().hover();
  await expect(page.getByRole('tooltip')).toContainText('Veraltet: Sie muss laufen.');
  await button.click();
  await expect(button).toHaveText('Alles frisch', { timeout: 30_000 });
  await expect(page.locator('.jp-casa-status')).toHaveText('CASA: 2 ausgeführt');

  await page.evaluate(() => {
    window.jupyterapp.shell.activateById('jupyterlab-casa-tasks');
    window.jupyterapp.shell.activateById('jupyterlab-casa-form');
  });
  await expect(page.locator('.jp-casa-palette-search')).toHaveAttribute('placeholder', 'Tasks suchen');
  await page.locator('.jp-casa-palette-search').fill('xyzxyz');
  await expect(page.locator('.jp-casa-palette')).toContainText('Keine Task passt.');
  await expect(page.locator('.jp-casa-form')).toContainText('Setzen Sie den Cursor in den Aufruf einer Task');
  await page.screenshot({ path: 'test-results/german.png' });

  await page.keyboard.press('Control+Shift+C');
  await page.keyboard.type('Veraltete Zellen');
  await expect(page.locator('.lm-CommandPalette-item').first()).toContainText(
    'Veraltete Zellen erneut ausführen'
  );
});
