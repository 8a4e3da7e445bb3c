import { expect, galata, type IJupyterLabPageFixture, test } from '@jupyterlab/galata';
import type { ISessionContext } from '@jupyterlab/apputils';
import type { Page } from '@playwright/test';
import { accessibleInAllThemes, hearComplaints, openNotebook } from './helpers';

// Galata's mock of the kernels API answers a restart with another status than the server does.
test.use({ kernels: null });

declare global {
  interface Window {
    /** Milliseconds from a keystroke to the mark, and to the server's answer. */
    seen: Promise<{ mark: number; answer: number }>;
  }
}

const complaints = hearComplaints();

interface IReloads {
  reload(options: { waitForIsReady: boolean }): Promise<unknown>;
}

/** The notebook in front. */
const SHOWN = '.jp-NotebookPanel:not(.lm-mod-hidden)';

const badges = (page: IJupyterLabPageFixture) => page.locator(`${SHOWN} .jp-casa-mark-badge`);
const button = (page: IJupyterLabPageFixture) => page.locator(`${SHOWN} .jp-casa-rerun-main`);
const status = (page: IJupyterLabPageFixture) => page.locator('.jp-casa-status');

/** Waits until the cells are marked like this. */
const marked = (page: IJupyterLabPageFixture, ...marks: string[]) =>
  expect(badges(page)).toHaveText(marks, { timeout: 30_000 });

/** Types at the end of the first line of a code cell. */
async function type(page: IJupyterLabPageFixture, cell: number, keys: string) {
  await page.locator('.jp-CodeCell .cm-line').nth(cell).click();
  await page.keyboard.press('End');
  await page.keyboard.press(keys);
}

const STORY = ['niter = 500', 'model = niter * 2', "print('peak', model)", 'other = 5'];

/** Opens the story, and runs it by the button. */
async function runStory(page: IJupyterLabPageFixture, path: string) {
  await openNotebook(page, path, 'casa', STORY);
  await marked(page, 'stale', 'stale', 'stale', 'stale');
  await expect(button(page)).toHaveText('Re-run stale: 4 cells');
  await button(page).click();
  await marked(page, 'fresh', 'fresh', 'fresh', 'fresh');
}

test('stale cells are marked while they are edited, and re-run by a button', async ({ page, tmpPath }) => {
  await runStory(page, `${tmpPath}/story.ipynb`);
  await expect(button(page)).toHaveText('All fresh');
  await expect(status(page)).toHaveText('CASA: 4 executed');
  await expect(page.locator('.jp-OutputArea-output pre')).toHaveText('peak 1000\n');

  await type(page, 0, '5');
  await marked(page, 'stale', 'maybe', 'maybe', 'fresh');
  await expect(button(page)).toHaveText(/^Re-run stale: 1 to 3 cells/);

  await badges(page).first().hover();
  await expect(page.getByRole('tooltip')).toContainText('it was edited since it ran');
  await page.screenshot({ path: 'test-results/marks.png' });
  await badges(page).first().click();
  await expect(page.locator('.jp-casa-compare-line')).toHaveText(['− niter = 500', '+ niter = 5005']);
  await page.screenshot({ path: 'test-results/compare.png' });
  await page.keyboard.press('Escape');

  await type(page, 0, 'Backspace');
  await marked(page, 'fresh', 'fresh', 'fresh', 'fresh');

  await type(page, 0, '5');
  await marked(page, 'stale', 'maybe', 'maybe', 'fresh');
  await page.locator('.jp-casa-rerun-more').click();
  await page.getByRole('menuitem', { name: 'Preview the Plan' }).click();
  await expect(page.locator('.jp-casa-preview tbody tr')).toHaveCount(3);
  await page.screenshot({ path: 'test-results/preview.png' });
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await marked(page, 'fresh', 'fresh', 'fresh', 'fresh');
  await expect(page.locator('.jp-OutputArea-output pre')).toHaveText('peak 10010\n');
});

test('marks, button and comparison can be read by everybody', async ({ page, tmpPath }) => {
  await runStory(page, `${tmpPath}/themes.ipynb`);
  await type(page, 0, '5');
  await marked(page, 'stale', 'maybe', 'maybe', 'fresh');
  await accessibleInAllThemes(page, '.jp-casa-rerun', 'button');
  await accessibleInAllThemes(page, '.jp-casa-mark', 'marks');
  await badges(page).first().click();
  await expect(page.locator('.jp-casa-compare-line')).toHaveCount(2);
  await accessibleInAllThemes(page, '.jp-casa-compare', 'run-compared');
  await page.keyboard.press('Escape');
});

test('marks survive a reload and a restart of the kernel', async ({ page, tmpPath }) => {
  await runStory(page, `${tmpPath}/kept.ipynb`);
  await page.notebook.save();
  // Galata's own way to wait expects the launcher; its types hide the option.
  await (page as unknown as IReloads).reload({ waitForIsReady: false });
  await marked(page, 'fresh', 'fresh', 'fresh', 'fresh');
  const restart = page.evaluate(() => window.jupyterapp.commands.execute('kernelmenu:restart'));
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await restart;
  await type(page, 2, ' ');
  await marked(page, 'fresh', 'fresh', 'fresh', 'fresh');
  await type(page, 2, ',');
  await page.keyboard.type(" 'Jy')");
  await type(page, 2, 'Backspace');
  await marked(page, 'fresh', 'fresh', 'stale', 'fresh');
});

test('two browsers on one notebook agree', async ({ page, tmpPath, browser, baseURL }) => {
  const path = `${tmpPath}/both.ipynb`;
  await runStory(page, path);
  await page.notebook.save();
  const context = await browser.newContext();
  const other = await context.newPage();
  other.on('pageerror', error => complaints.push(error.message));
  const reread = (client: Page) =>
    client.evaluate(async () => {
      await window.jupyterapp.commands.execute('docmanager:reload');
    });
  const otherMarks = (...marks: string[]) =>
    expect(other.locator(`${SHOWN} .jp-casa-mark-badge`)).toHaveText(marks, { timeout: 30_000 });
  await other.goto(`${baseURL ?? ''}/lab/workspaces/other/tree/${path}`);
  await otherMarks('fresh', 'fresh', 'fresh', 'fresh');

  // What is not saved is this browser's alone, and what is saved is everybody's who reads it.
  await type(page, 0, '5');
  await marked(page, 'stale', 'maybe', 'maybe', 'fresh');
  await otherMarks('fresh', 'fresh', 'fresh', 'fresh');
  await page.notebook.save();
  await reread(other);
  await otherMarks('stale', 'maybe', 'maybe', 'fresh');

  // One runs: what the other shows is of a former run, and it says so, until it is read again.
  await other.locator(`${SHOWN} .jp-casa-rerun-main`).click();
  await otherMarks('fresh', 'fresh', 'fresh', 'fresh');
  await marked(page, 'fresh', 'fresh', 'restorable', 'fresh');
  await other.evaluate(async () => {
    await window.jupyterapp.commands.execute('docmanager:save');
  });
  await reread(page);
  await marked(page, 'fresh', 'fresh', 'fresh', 'fresh');
  await expect(page.locator('.jp-OutputArea-output pre')).toHaveText('peak 10010\n');
  await context.close();
});

test('the server is told the kernel, what that has in memory need not be made again', async ({
  page,
  tmpPath
}) => {
  await runStory(page, `${tmpPath}/told.ipynb`);
  const plan = page.waitForRequest(/\/api\/plan\?/);
  await type(page, 0, '5');
  const kernel = await page.evaluate(() => {
    const panel = window.jupyterapp.shell.currentWidget as { sessionContext?: ISessionContext } | null;
    return panel?.sessionContext?.session?.kernel?.id;
  });
  expect(kernel).toBeTruthy();
  expect(((await plan).postDataJSON() as { kernel: unknown }).kernel).toBe(kernel);
});

test('a run stops where a cell fails, and says so', async ({ page, tmpPath }) => {
  await openNotebook(page, `${tmpPath}/fails.ipynb`, 'casa', [
    'a = 1',
    "raise ValueError('no data')",
    'b = 2'
  ]);
  await marked(page, 'stale', 'stale', 'stale');
  await button(page).click();
  await marked(page, 'fresh', 'failed', 'stale');
  await expect(page.getByRole('alert').filter({ hasText: 'cell 2 failed; 1 executed' })).toBeVisible();
  await page.screenshot({ path: 'test-results/failed.png' });
});

test('a run goes to the active cell, and stops when it is told to', async ({ page, tmpPath }) => {
  await openNotebook(page, `${tmpPath}/part.ipynb`, 'casa', [
    'a = 1',
    'import time\ntime.sleep(3)\nb = a',
    'c = b'
  ]);
  await marked(page, 'stale', 'stale', 'stale');
  await page.locator('.jp-CodeCell .cm-line').first().click();
  await page.locator('.jp-casa-rerun-more').click();
  await page.getByRole('menuitem', { name: 'to Here' }).click();
  await marked(page, 'fresh', 'stale', 'stale');
  await expect(button(page)).toHaveText('Re-run stale: 2 cells');
  await button(page).click();
  await marked(page, 'fresh', 'running', 'stale');
  await expect(status(page)).toContainText('CASA: cell 2');
  await expect(button(page)).toHaveText('Stop after this call');
  await button(page).click();
  await expect(status(page)).toContainText('Stopped');
  await expect(badges(page).nth(2)).toHaveText(/stale|maybe/);
});

test('notebooks of other kernels are left alone', async ({ page, tmpPath }) => {
  await openNotebook(page, `${tmpPath}/python.ipynb`, 'python3', ['a = 1']);
  await page.notebook.run();
  await expect(badges(page)).toHaveCount(0);
  await expect(page.locator('.jp-casa-rerun')).toBeHidden();
  await expect(status(page)).toBeHidden();
});

for (const [what, answer, said] of [
  ['no', { status: 404, contentType: 'text/html', body: '<html>' }, /no extension of JupyterLab-CASA/],
  ['another', { status: 200, json: { version: '0.0.1', casatasks: null } }, /the server 0\.0\.1/]
] as const) {
  test(`with ${what} server extension all is quiet`, async ({ page, tmpPath }) => {
    await page.route('**/jupyterlab-casa/api/status*', route => route.fulfill({ ...answer }));
    await page.reload();
    await openNotebook(page, `${tmpPath}/quiet.ipynb`, 'casa', ['print(1)']);
    await expect(button(page)).toHaveText('CASA: not known');
    await expect(button(page)).toHaveAttribute('title', said);
    await expect(badges(page)).toHaveCount(0);
    await page.notebook.run();
    await expect(page.locator('.jp-OutputArea-output pre')).toHaveText('1\n');
  });
}

/** Cells of which each needs the one above. */
const chain = (count: number) =>
  Array.from({ length: count }, (_, n) => (n ? `x${String(n)} = x${String(n - 1)} + 1` : 'x0 = 1'));

test('marks follow within a moment in a notebook of 200 cells', async ({ page, tmpPath }) => {
  test.setTimeout(180_000);
  await openNotebook(page, `${tmpPath}/long.ipynb`, 'casa', chain(200));
  await expect(button(page)).toHaveText('Re-run stale: 200 cells');
  await button(page).click();
  await expect(button(page)).toHaveText('All fresh', { timeout: 80_000 });
  // Of each stroke: until the mark, and until the server has answered; both from the key event on.
  const times: number[] = [];
  const answers: number[] = [];
  await page.locator('.jp-CodeCell .cm-line').first().click();
  await page.keyboard.press('End');
  for (let n = 0; n < 40; n++) {
    await page.evaluate(
      want => {
        performance.clearResourceTimings();
        const node = document.querySelector<HTMLElement>('.jp-CodeCell');
        window.seen = new Promise(resolve => {
          let pressed = 0;
          const onKey = ({ timeStamp }: KeyboardEvent) => (pressed = timeStamp);
          document.addEventListener('keydown', onKey, { capture: true, once: true });
          const observer = new MutationObserver(() => {
            if (pressed && node?.dataset.casaMark === want) {
              observer.disconnect();
              const mark = performance.now() - pressed;
              const asked = performance
                .getEntriesByType('resource')
                .filter(({ name }) => name.includes('/api/plan'));
              resolve({ mark, answer: (asked.at(-1) as PerformanceResourceTiming).responseEnd - pressed });
            }
          });
          observer.observe(node as HTMLElement, { attributes: true });
        });
      },
      n % 2 ? 'fresh' : 'stale'
    );
    await page.keyboard.press(n % 2 ? 'Backspace' : '1');
    const { mark, answer } = await page.evaluate(() => window.seen);
    times.push(mark);
    answers.push(answer);
    await page.waitForTimeout(150 + 17 * (n % 10)); // people do not type in step with the marks
  }
  const told = (values: number[]) => {
    const sorted = values.toSorted((one, other) => one - other);
    return `median ${String(Math.round(sorted[20] ?? 0))} ms, p95 ${String(Math.round(sorted[37] ?? 0))} ms`;
  };
  console.log(`keystroke to mark, 200 cells: ${told(times)}; to the server's answer: ${told(answers)}`);
});

test('a notebook of 2,000 cells is marked', async ({ page, tmpPath }) => {
  await openNotebook(page, `${tmpPath}/longest.ipynb`, 'casa', chain(2000));
  await expect(button(page)).toHaveText('Re-run stale: 2000 cells', { timeout: 60_000 });
  await expect(badges(page).first()).toHaveText('stale');
  await type(page, 0, '5');
  await expect(button(page)).toHaveText('Re-run stale: 2000 cells');
});

test.describe('of a windowed notebook', () => {
  const tracker = '@jupyterlab/notebook-extension:tracker';
  const settings = galata.DEFAULT_SETTINGS[tracker] as Record<string, unknown>;
  test.use({
    mockSettings: { ...galata.DEFAULT_SETTINGS, [tracker]: { ...settings, windowingMode: 'full' } }
  });

  test('500 cells are marked when they come into sight', async ({ page, tmpPath }) => {
    await openNotebook(page, `${tmpPath}/longer.ipynb`, 'casa', chain(500));
    await expect(button(page)).toHaveText('Re-run stale: 500 cells', { timeout: 30_000 });
    for (const index of [500, 250, 1]) {
      await page.evaluate(at => {
        const { content } = window.jupyterapp.shell.currentWidget as unknown as {
          content: { scrollToItem(index: number): Promise<void> };
        };
        return content.scrollToItem(at);
      }, index);
      const badge = page.locator(
        `${SHOWN} [data-windowed-list-index="${String(index)}"] .jp-casa-mark-badge`
      );
      await expect(badge).toHaveText('stale', { timeout: 15_000 });
      await expect(badge).toBeInViewport();
    }
  });
});
