import { expect, type IJupyterLabPageFixture, test } from '@jupyterlab/galata';
import { endKernels, openNotebook } from './helpers';

// Galata's mock of the kernels API answers a restart with another status than the server does.
test.use({ kernels: null });
test.afterEach(async ({ page }) => {
  await endKernels(page);
});

const outputs = (page: IJupyterLabPageFixture) => page.locator('.jp-OutputArea-output pre');

const PRINT_STORY =
  'import json; print(json.dumps(get_ipython().kernel.get_parent("shell")["metadata"].get("casa")))';

test('each executed cell tells a CASA kernel its place', async ({ page, tmpPath }) => {
  const path = `${tmpPath}/story.ipynb`;
  await openNotebook(page, path, 'casa', [PRINT_STORY, PRINT_STORY]);
  const story = JSON.stringify({ notebook: path, cells: ['c0', 'c1'] });
  const parsed = async () =>
    (await outputs(page).allTextContents()).map(text => JSON.stringify(JSON.parse(text)));

  await page.notebook.run();
  await expect.poll(parsed).toEqual([story, story]);

  // The same after a restart, with the cells in another order.
  await page.evaluate(() => {
    const { model } = (window.jupyterapp.shell.currentWidget as unknown as { context: { model: INotebook } })
      .context;
    model.sharedModel.moveCell(2, 1);
  });
  await page.evaluate(() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs'));
  const run = page.evaluate(() => window.jupyterapp.commands.execute('notebook:restart-run-all'));
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await run;
  const moved = JSON.stringify({ notebook: path, cells: ['c1', 'c0'] });
  await expect.poll(parsed).toEqual([moved, moved]);
});

interface INotebook {
  sharedModel: { moveCell(from: number, to: number): void };
}

test('other kernels are told nothing', async ({ page, tmpPath }) => {
  await openNotebook(page, `${tmpPath}/other.ipynb`, 'python3', [PRINT_STORY]);
  await page.notebook.run();
  await expect(outputs(page)).toHaveText('null\n');
});

test('the log of a task is a table that can be filtered', async ({ page, tmpPath }) => {
  const log = {
    version: 1,
    task: 'tclean',
    lines: [
      { time: '2026-11-22 13:00:00', priority: 'INFO', origin: 'tclean::', message: 'Run Major Cycle 1' },
      {
        time: '2026-11-22 13:00:01',
        priority: 'WARN',
        origin: 'imager::',
        message: '<b>no</b> unflagged data'
      },
      { time: '2026-11-22 13:00:02', priority: 'SEVERE', origin: 'imager::', message: 'cannot open table' }
    ],
    counts: { warn: 1, severe: 1 },
    omitted: 0
  };
  const bundle = {
    'application/vnd.casa.log+json': log,
    'text/html': '<details>plain</details>',
    'text/plain': 'log'
  };
  const path = `${tmpPath}/log.ipynb`;
  await openNotebook(page, path, 'casa', [
    `import json; from IPython.display import display; display(json.loads(r'''${JSON.stringify(bundle)}'''), raw=True)`
  ]);
  await page.notebook.run();

  const view = page.locator('.jp-CasaLog');
  await expect(view.locator('summary')).toHaveText('tclean: 3 lines, 1 warning, 1 error');
  await expect(view.locator('table')).toHaveCount(0);
  await view.locator('summary').click();
  const messages = view.locator('tbody td:last-child');
  await expect(messages).toHaveText(['Run Major Cycle 1', '<b>no</b> unflagged data', 'cannot open table']);

  await view.getByLabel('Which lines to show').selectOption('warn');
  await expect(messages).toHaveText(['<b>no</b> unflagged data', 'cannot open table']);
  // "dd" would delete the cell if the notebook took the keys.
  await view.getByLabel('Show only lines that contain this text').pressSequentially('dd');
  await expect(messages).toHaveCount(0);
  await expect(page.locator('.jp-Notebook .jp-CodeCell')).toHaveCount(1);
  await view.getByLabel('Show only lines that contain this text').fill('table');
  await expect(messages).toHaveText(['cannot open table']);
  await page.screenshot({ path: 'test-results/log.png' });
});
