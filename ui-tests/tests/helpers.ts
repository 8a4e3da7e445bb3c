import { expect, type IJupyterLabPageFixture, test } from '@jupyterlab/galata';
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ISessionContext } from '@jupyterlab/apputils';

declare global {
  interface Window {
    jupyterapp: JupyterFrontEnd;
    axe: {
      run(
        context: string,
        options: object
      ): Promise<{
        violations: {
          id: string;
          impact: string | null;
          nodes: { html: string; failureSummary?: string }[];
        }[];
      }>;
    };
  }
}

/** Opens a notebook on a kernel; its code cells have the ids c0, c1 ... and there is one text cell on top. */
export async function openNotebook(
  page: IJupyterLabPageFixture,
  path: string,
  kernel: string,
  sources: string[]
) {
  const cells = sources.map((source, index) => ({
    cell_type: 'code',
    id: `c${String(index)}`,
    source,
    metadata: {},
    outputs: [],
    execution_count: null
  }));
  const notebook = {
    cells: [{ cell_type: 'markdown', id: 'm0', source: '# Story', metadata: {} }, ...cells],
    metadata: { kernelspec: { name: kernel, display_name: kernel, language: 'python' } },
    nbformat: 4,
    nbformat_minor: 5
  };
  await page.contents.uploadContent(JSON.stringify(notebook), 'text', path);
  await page.notebook.openByPath(path);
  await page.notebook.activate(path.split('/').pop() ?? '');
}

/** Ends all kernels. One that is just starting is waited for: JupyterLab complains of what it had asked it. */
export async function endKernels(page: IJupyterLabPageFixture) {
  await page.waitForFunction(() => {
    const panel = window.jupyterapp.shell.currentWidget as { sessionContext?: ISessionContext } | null;
    const status = panel?.sessionContext?.session?.kernel?.status ?? 'idle';
    return status === 'idle' || status === 'busy';
  });
  await page.evaluate(() => window.jupyterapp.serviceManager.sessions.shutdownAll());
}

/** Waits until the notebook in front has its kernel. */
export async function kernelStarted(page: IJupyterLabPageFixture) {
  await page.waitForFunction(() => {
    const panel = window.jupyterapp.shell.currentWidget as { sessionContext?: ISessionContext } | null;
    const status = panel?.sessionContext?.session?.kernel?.status;
    return status === 'idle' || status === 'busy';
  });
}

/** Nothing that axe knows of is wrong within an element. */
export async function accessible(page: IJupyterLabPageFixture, selector: string) {
  if (!(await page.evaluate(() => 'axe' in window))) {
    await page.addScriptTag({ path: require.resolve('axe-core/axe.min.js') });
  }
  const found = await page.evaluate(async within => {
    const { violations } = await window.axe.run(within, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']
    });
    return violations.map(({ id, nodes }) => [
      id,
      ...nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary ?? ''}`)
    ]);
  }, selector);
  expect(found).toEqual([]);
}

const THEMES = ['JupyterLab Light', 'JupyterLab Dark', 'JupyterLab Dark High Contrast'];

/** The same in all themes, with pictures. */
export async function accessibleInAllThemes(page: IJupyterLabPageFixture, selector: string, picture: string) {
  for (const theme of THEMES) {
    await page.theme.setTheme(theme);
    await page.mouse.move(0, 0);
    await page.screenshot({
      path: `test-results/${picture}-${theme.split(' ').slice(1).join('-').toLowerCase()}.png`
    });
    await accessible(page, selector);
  }
  await page.theme.setTheme(THEMES[0] as string);
}

/** What browser consoles complain of during a test is a failure of it; more can be added. Kernels are ended after it. */
export function hearComplaints(): string[] {
  const complaints: string[] = [];
  test.beforeEach(({ page }) => {
    complaints.length = 0;
    page.on('console', message => {
      // That there is no such address the browser says by itself; the other one is JupyterLab's, when kernels end.
      const known = /^(Failed to load resource|Could not restore the debugger state)/;
      if (message.type() === 'error' && !known.test(message.text())) {
        complaints.push(message.text());
      }
    });
    page.on('pageerror', error => complaints.push(error.message));
  });
  test.afterEach(async ({ page }) => {
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await endKernels(page);
    expect(complaints).toEqual([]);
  });
  return complaints;
}
