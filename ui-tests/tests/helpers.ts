import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ISessionContext } from '@jupyterlab/apputils';

declare global {
  interface Window {
    jupyterapp: JupyterFrontEnd;
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
