import { expect, type IJupyterLabPageFixture, test } from '@jupyterlab/galata';
import { accessible, hearComplaints, openNotebook } from './helpers';

// Galata's mock of the kernels API answers a restart with another status than the server does.
test.use({ kernels: null, viewport: { width: 1400, height: 900 } });

/** Galata's own way to wait expects the launcher; its types hide the option. */
interface IReloads {
  reload(options: { waitForIsReady: boolean }): Promise<unknown>;
}

declare global {
  interface Window {
    /** Milliseconds between frames; they are counted until there is a `stopFrames`. */
    frameTimes: number[];
    stopFrames: boolean;
  }
}

hearComplaints();

const panel = (page: IJupyterLabPageFixture) => page.locator('.jp-casa-logs');
const grid = (page: IJupyterLabPageFixture) => panel(page).getByRole('treegrid');
const lines = (page: IJupyterLabPageFixture) =>
  panel(page).locator('.jp-casa-logs-body > .jp-casa-logs-row:not(.jp-casa-logs-heading)');
const headings = (page: IJupyterLabPageFixture) =>
  panel(page).locator('.jp-casa-logs-body > .jp-casa-logs-heading');
const active = (page: IJupyterLabPageFixture) => panel(page).locator('.jp-casa-logs-body > .jp-mod-active');
const total = (page: IJupyterLabPageFixture) => panel(page).locator('.jp-casa-logs-total');
const empty = (page: IJupyterLabPageFixture) => panel(page).locator('.jp-casa-logs-empty');
const search = (page: IJupyterLabPageFixture) => panel(page).getByRole('searchbox');
const button = (page: IJupyterLabPageFixture, name: string | RegExp) =>
  panel(page).getByRole('button', { name });
const shot = (page: IJupyterLabPageFixture, name: string) =>
  page.screenshot({ path: `test-results/logs-${name}.png` });

const execute = (page: IJupyterLabPageFixture, command: string, args = {}) =>
  page.evaluate(
    async ([command, args]) => {
      await window.jupyterapp.commands.execute(command, args);
    },
    [command, args] as const
  );

/** Opens the panel, and makes it higher. */
async function openLog(page: IJupyterLabPageFixture) {
  await execute(page, 'jupyterlab-casa:show-log');
  const box = await panel(page).boundingBox();
  if (box) {
    await page.mouse.move(700, box.y - 28);
    await page.mouse.down();
    await page.mouse.move(700, 400, { steps: 5 });
    await page.mouse.up();
  }
}

/** Opens a notebook, and waits until it is there. */
async function open(page: IJupyterLabPageFixture, path: string, kernel: string, sources: string[]) {
  await openNotebook(page, path, kernel, sources);
  const cells = page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell');
  await expect(cells.first()).toBeVisible({ timeout: 30_000 });
  await page.evaluate(async () => {
    const { sessionContext } = window.jupyterapp.shell.currentWidget as unknown as {
      sessionContext: { ready: Promise<void>; session?: { kernel?: { info: Promise<unknown> } } };
    };
    await sessionContext.ready;
    await sessionContext.session?.kernel?.info;
  });
}

/** Begins to run one code cell, which has not run yet; a kernel that is just connecting may overhear it. */
async function run(page: IJupyterLabPageFixture, index: number) {
  const cell = page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell').nth(index);
  await expect(async () => {
    await page.evaluate(index => {
      const { content } = window.jupyterapp.shell.currentWidget as unknown as {
        content: { activeCellIndex: number };
      };
      content.activeCellIndex = index + 1;
      void window.jupyterapp.commands.execute('notebook:run-cell');
    }, index);
    await expect(cell.locator('.jp-InputPrompt')).not.toHaveText('[ ]:', { timeout: 10_000 });
  }).toPass({ timeout: 60_000 });
}

const STORY = [
  "import casadata\nimportuvfits(f'{casadata.datapath}/demo/NGC5921.fits', 'ngc.ms')",
  "listobs('ngc.ms')",
  "gaincal('ngc.ms', 'a.gcal', field='none of these')"
];

test('the log is live, grouped by cell and call, and leads to cells and back', async ({ page, tmpPath }) => {
  test.setTimeout(240_000);
  await open(page, `${tmpPath}/nb.ipynb`, 'casa', STORY);
  await openLog(page);
  await expect(empty(page)).toHaveText(/CASA has not logged anything/);
  await shot(page, 'empty');
  await run(page, 0);
  await expect(headings(page).first()).toHaveText(/cell 1.*importuvfits.*ran in/i, { timeout: 60_000 });
  await expect(lines(page).last()).toContainText('####');
  await run(page, 1);
  await expect(
    panel(page).locator('.jp-casa-logs-heading').filter({ hasText: 'listobs' }).first()
  ).toBeVisible({
    timeout: 60_000
  });
  await run(page, 2);
  const link = page.getByRole('button', { name: 'Show the error in the CASA log' });
  await expect(link).toBeVisible({ timeout: 60_000 });
  await shot(page, 'live');

  // From the failing cell to its error, from the error to the cell.
  await link.click();
  await expect(active(page)).toHaveAttribute('data-level', 'severe');
  await expect(active(page)).toContainText('SEVERE');
  await expect(grid(page)).toBeFocused();
  await shot(page, 'error');
  await page.evaluate(() => {
    const { content } = window.jupyterapp.shell.currentWidget as unknown as {
      content: { activeCellIndex: number };
    };
    content.activeCellIndex = 0;
  });
  await grid(page).focus();
  await page.keyboard.press('Enter');
  await expect(page.locator('.jp-Notebook-cell.jp-mod-active')).toContainText('gaincal');

  // The log follows the active cell.
  await button(page, 'Follow cell').click();
  await page.locator('.jp-CodeCell .cm-line').first().click();
  await expect(active(page)).toHaveText(/cell 1.*importuvfits/i);
  await button(page, 'Only cell 1').click();
  await expect(headings(page)).toHaveCount(1);
  await page.locator('.jp-CodeCell .cm-line').nth(2).click();
  await expect(headings(page)).toHaveText([/cell 2.*listobs/i]);
  await button(page, 'Only cell 2').click();
  await expect(button(page, 'Only cell 2')).toHaveAttribute('aria-pressed', 'false');
  await button(page, 'Follow cell').click();

  // Only errors; copied as they stand in the file.
  await button(page, /^Errors/).click({ modifiers: ['Shift'] });
  await expect(headings(page)).toHaveText([/gaincal/]);
  await expect(lines(page).first()).toContainText('SEVERE');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await grid(page).focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Control+c');
  await expect(panel(page).getByText(/^Copied: \d+ lines?$/)).toBeVisible();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\tSEVERE\t[^\t]*\t.+\n/);
  await button(page, /^Errors/).click({ modifiers: ['Shift'] });

  // All of it as a file.
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Download').click()]);
  expect(download.suggestedFilename()).toMatch(/^casa-[0-9a-f]+\.log$/);

  await accessible(page, '.jp-casa-logs');
  for (const theme of ['JupyterLab Dark', 'JupyterLab Dark High Contrast']) {
    await execute(page, 'apputils:change-theme', { theme });
    await expect(page.locator(`body[data-jp-theme-name="${theme}"]`)).toBeAttached();
    await accessible(page, '.jp-casa-logs');
    await shot(page, theme.replace('JupyterLab ', '').replaceAll(' ', '-').toLowerCase());
  }
});

test('a restarted kernel has a new log, and the former one is there still', async ({ page, tmpPath }) => {
  await open(page, `${tmpPath}/restart.ipynb`, 'casa', [STORY[0] ?? '']);
  await openLog(page);
  await run(page, 0);
  await expect(headings(page).first()).toHaveText(/importuvfits.*ran in/, { timeout: 60_000 });
  const restart = execute(page, 'kernelmenu:restart');
  await page.locator('.jp-Dialog button.jp-mod-accept').click();
  await restart;
  await expect(empty(page)).toHaveText('CASA has not logged anything in this session yet.', {
    timeout: 30_000
  });
  const sessions = panel(page).getByRole('combobox');
  await expect(sessions.locator('option')).toHaveText([
    /^restart.ipynb, running$/,
    /^restart.ipynb, ended/,
    'Tools of all kernels' // what CASA says when a kernel starts it
  ]);
  await sessions.selectOption({ index: 1 });
  await expect(headings(page).first()).toHaveText(/importuvfits/);
});

/** Writes a log of a million lines, of 400 calls in 20 cells, of a session that has ended. */
const MILLION = `
from pathlib import Path
from casa_recompute.casalog.spans import SpanWriter
home = Path('.casa-recompute/log')
home.mkdir(parents=True, exist_ok=True)
log = home / 'casa-abcdef01.log'
spans = SpanWriter(log)
for call in range(400):
    spans.expect()
    spans.begin('tclean', f'c{call % 20}', 'million.ipynb')
    told = []
    for n in range(2500 * call + 1, 2500 * call + 2501):
        level = 'SEVERE' if n % 99991 == 0 else 'WARN' if n % 1999 == 0 else 'INFO'
        told.append(f'2026-11-22 {n // 41667:02}:{n // 695 % 60:02}:{n // 12 % 60:02}\\t{level}\\t'
                    f'SIImageStore::printStats\\tline {n}: <b>peak</b> {n * 7919 % 1000003} Jy/beam\\n')
    with log.open('a') as file:
        file.writelines(told)
    spans.end('tclean', f'c{call % 20}', 'million.ipynb', 'ran')
print('written')
`;

test('a million lines scroll without a stutter', async ({ page, tmpPath }) => {
  test.setTimeout(420_000);
  await open(page, `${tmpPath}/maker.ipynb`, 'python3', [MILLION]);
  await run(page, 0);
  await expect(page.locator('.jp-OutputArea-output pre')).toHaveText('written\n', { timeout: 180_000 });
  const cells = Array.from({ length: 20 }, (_, n) => `x${String(n)} = ${String(n)}`);
  await open(page, `${tmpPath}/million.ipynb`, 'casa', cells);
  await openLog(page);
  const sessions = panel(page).getByRole('combobox');
  await expect(sessions.locator('option')).toHaveCount(2, { timeout: 30_000 });
  await sessions.selectOption('abcdef01');
  await expect(total(page)).toHaveText('1\u202f000\u202f000 lines', { timeout: 60_000 });
  await expect(lines(page).last()).toContainText('line 1000000: <b>peak</b>');
  await expect(grid(page)).toHaveAttribute('aria-rowcount', '1000401');

  const measure = async (what: string, act: () => Promise<unknown>) => {
    await page.evaluate(() => {
      window.frameTimes = [];
      window.stopFrames = false;
      let last = 0;
      const tick = (now: number) => {
        if (last) {
          window.frameTimes.push(now - last);
        }
        last = now;
        if (!window.stopFrames) {
          requestAnimationFrame(tick);
        }
      };
      requestAnimationFrame(tick);
    });
    await act();
    const frames = await page.evaluate(() => {
      window.stopFrames = true;
      return [...window.frameTimes];
    });
    frames.sort((a, b) => a - b);
    const at = (share: number) => frames[Math.floor(share * (frames.length - 1))]?.toFixed(1) ?? '?';
    console.log(
      `scrolling a million lines, ${what}: frame time median ${at(0.5)} ms, p95 ${at(0.95)} ms, of ${String(frames.length)}`
    );
  };
  await measure('nobody scrolls', () => page.waitForTimeout(1500));
  const box = await grid(page).boundingBox();
  await page.mouse.move((box?.x ?? 0) + 400, (box?.y ?? 0) + 200);
  await measure('by the wheel', async () => {
    for (let n = 0; n < 150; n++) {
      await page.mouse.wheel(0, n % 50 < 40 ? -600 : 300);
      await page.waitForTimeout(16);
    }
  });
  await measure('by the thumb', () =>
    grid(page).evaluate(
      node =>
        new Promise<void>(resolve => {
          let n = 0;
          const tick = () => {
            node.scrollTop = node.scrollHeight * (0.5 + 0.45 * Math.sin(n / 25));
            if (++n < 200) {
              requestAnimationFrame(tick);
            } else {
              resolve();
            }
          };
          tick();
        })
    )
  );
  await grid(page).evaluate(node => {
    node.scrollTop = node.scrollHeight / 2;
  });
  await expect(lines(page).nth(3)).toContainText(/line (499|500)\d{3}: <b>peak<\/b>/);
  await expect(panel(page).locator('.jp-casa-logs-message b')).toHaveCount(0);
  await shot(page, 'million');
  expect(await panel(page).locator('.jp-casa-logs-row').count()).toBeLessThan(60);

  // Keys go anywhere; there is no place that cannot be reached.
  await grid(page).focus();
  await page.keyboard.press('Home');
  await expect(headings(page).first()).toHaveText(/cell 1.*tclean/i);
  await page.keyboard.press('ArrowDown');
  await expect(active(page)).toContainText('line 1: ');
  await page.keyboard.press('End');
  await expect(active(page)).toContainText('line 1000000: ');

  // Filters, text and expressions.
  await button(page, /^Info/).click();
  await expect(total(page)).toHaveText('510 of 1\u202f000\u202f000', { timeout: 30_000 });
  await expect(lines(page).last()).toContainText('line 999910: ');
  await shot(page, 'alerts');
  await button(page, /^Info/).click();
  await search(page).fill('LINE 123456:');
  await expect(total(page)).toHaveText('1 of 1\u202f000\u202f000', { timeout: 30_000 });
  await expect(lines(page).locator('mark')).toHaveText('line 123456:');
  await button(page, 'Regular expression').click();
  await search(page).fill('line (77|78)\\d: ');
  await expect(total(page)).toHaveText('20 of 1\u202f000\u202f000', { timeout: 30_000 });
  await expect(lines(page).locator('mark')).toHaveText(
    Array.from({ length: 20 }, (_, n) => `line ${String(770 + n)}: `)
  );
  await shot(page, 'regex');
  await search(page).fill('(77');
  await expect(empty(page)).toHaveText(/regular expression cannot be used/);
  await shot(page, 'bad-regex');
  await search(page).fill('line 77\\d: ');
  await button(page, 'Only matches').click();
  await expect(total(page)).toHaveText('1\u202f000\u202f000 lines');
  await search(page).press('Shift+Enter');
  await expect(active(page)).toContainText('line 779: ', { timeout: 30_000 });
  await search(page).press('Enter');
  await expect(active(page)).toContainText('line 770: ', { timeout: 30_000 });
  await expect(lines(page).filter({ has: page.locator('mark') })).toHaveCount(10);
  await shot(page, 'marked');
});

test('it is there again after a reload, while the server is away, and without the notebook', async ({
  page,
  tmpPath
}) => {
  test.setTimeout(240_000);
  await open(page, `${tmpPath}/kept.ipynb`, 'casa', STORY.slice(0, 2));
  await openLog(page);
  await run(page, 0);
  await expect(headings(page).first()).toHaveText(/cell 1.*importuvfits.*ran in/i, { timeout: 60_000 });
  await page.notebook.save();
  await page.waitForTimeout(1500); // the layout is saved in a moment
  // Nobody may write it from now on.
  await page.route('**/api/contents/**kept.ipynb?*', async route => {
    const answer = await route.fetch();
    await route.fulfill({
      response: answer,
      json: { ...((await answer.json()) as object), writable: false }
    });
  });
  await (page as unknown as IReloads).reload({ waitForIsReady: false });
  await expect(headings(page).first()).toHaveText(/cell 1.*importuvfits.*ran in/i, { timeout: 60_000 });
  await expect(grid(page)).toBeVisible();
  await expect(lines(page).last()).toContainText('####');
  await headings(page).first().getByText('Cell 1').click();
  await expect(page.locator('.jp-Notebook-cell.jp-mod-active')).toContainText('importuvfits');
  await shot(page, 'again');

  // What is shown stays; what has come meanwhile is there when the server is.
  const said = panel(page).locator('.jp-casa-logs-said');
  await page.route('**/jupyterlab-casa/api/logs**', route => route.abort());
  await page.route('**/jupyterlab-casa/api/logs/**', route => route.abort());
  await run(page, 1);
  await expect(said).toContainText('The server cannot be reached: what is shown may be old.', {
    timeout: 30_000
  });
  await expect(lines(page).first()).toBeVisible();
  await accessible(page, '.jp-casa-logs');
  await shot(page, 'away');
  await page.unroute('**/jupyterlab-casa/api/logs**');
  await page.unroute('**/jupyterlab-casa/api/logs/**');
  const pinned = panel(page).locator('.jp-casa-logs-layer > .jp-casa-logs-heading');
  await expect(pinned).toHaveText(/cell 2.*listobs.*ran in/i, { timeout: 60_000 });
  await expect(said).toBeHidden();

  // Without the notebook there is nothing to tell of; with it, it is all there again.
  const tab = page.getByRole('main').getByRole('tab', { name: 'kept.ipynb' });
  await tab.click();
  await execute(page, 'application:close');
  await page.locator('.jp-Dialog button.jp-mod-warn').click(); // it cannot be saved
  await expect(empty(page)).toHaveText('Open a CASA notebook: its log is shown here.');
  await shot(page, 'closed');
  await execute(page, 'docmanager:open', { path: `${tmpPath}/kept.ipynb` });
  await expect(pinned).toHaveText(/cell 2.*listobs.*ran in/i, { timeout: 60_000 });
});

test('it says quietly why there is no log', async ({ page, tmpPath }) => {
  await openLog(page);
  await expect(empty(page)).toHaveText('Open a CASA notebook: its log is shown here.');
  await accessible(page, '.jp-casa-logs');
  await open(page, `${tmpPath}/python.ipynb`, 'python3', ['a = 1']);
  await expect(empty(page)).toHaveText(/python.ipynb runs on another kernel than CASA/);
  await open(page, `${tmpPath}/casa.ipynb`, 'casa', ['a = 1']);
  await expect(empty(page)).toHaveText(/CASA has not logged anything/);
  await page.route('**/jupyterlab-casa/api/logs*', route => route.abort());
  const tab = (name: string) => page.getByRole('main').getByRole('tab', { name });
  await tab('python.ipynb').click();
  await expect(empty(page)).toHaveText(/python.ipynb runs on another kernel than CASA/);
  await tab('casa.ipynb').click();
  await expect(empty(page)).toHaveText(/The server cannot be reached/);
  await page.unroute('**/jupyterlab-casa/api/logs*');
  await expect(empty(page)).toHaveText(/CASA has not logged anything/, { timeout: 20_000 });
});

for (const [what, answer, said] of [
  ['no', { status: 404, contentType: 'text/html', body: '<html>' }, /no extension of JupyterLab-CASA/],
  ['another', { status: 200, json: { version: '0.0.1', casatasks: null } }, /the server 0\.0\.1/]
] as const) {
  test(`with ${what} server extension there is a sentence`, async ({ page, tmpPath }) => {
    await page.route('**/jupyterlab-casa/api/status*', route => route.fulfill({ ...answer }));
    await page.reload();
    await open(page, `${tmpPath}/quiet.ipynb`, 'casa', ['print(1)']);
    await openLog(page);
    await expect(empty(page)).toHaveText(said);
  });
}
