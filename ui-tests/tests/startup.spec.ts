/** What the extension adds to JupyterLab's start-up, by the browser's own timings. */
import { expect, test } from '@jupyterlab/galata';
import { gzipSync } from 'zlib';

declare global {
  interface Window {
    /** Milliseconds from the navigation to the moment in which JupyterLab is restored. */
    restored: Promise<number>;
  }
}

const NAME = 'jupyterlab-casa';
const PAIRS = 7;
const LIMIT_KB = 150;

interface IPageConfig {
  federated_extensions: { name: string }[];
}

const median = (numbers: number[]) => {
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
};

test.use({ autoGoto: false });

test('it adds little to the start-up', async ({ page, baseURL }) => {
  test.setTimeout(300_000);
  let isThere = true;
  await page.route(/\/lab(\/tree.*)?(\?.*)?$/, async route => {
    const response = await route.fetch();
    const body = (await response.text()).replace(
      /(<script id="jupyter-config-data" type="application\/json">)(.*?)(<\/script>)/s,
      (_, before: string, text: string, after: string) => {
        const config = JSON.parse(text) as IPageConfig;
        const others = config.federated_extensions.filter(({ name }) => name !== NAME);
        expect(others).toHaveLength(config.federated_extensions.length - 1);
        return (
          before + JSON.stringify(isThere ? config : { ...config, federated_extensions: others }) + after
        );
      }
    );
    await route.fulfill({ response, body });
  });
  await page.addInitScript(() => {
    window.restored = new Promise(resolve => {
      const timer = setInterval(() => {
        if ('jupyterapp' in window) {
          clearInterval(timer);
          void window.jupyterapp.restored.then(() => {
            resolve(performance.now());
          });
        }
      }, 2);
    });
  });

  const load = async () => {
    await page.goto(`${baseURL ?? ''}/lab`, { waitForIsReady: false } as never);
    return page.evaluate(() => window.restored);
  };
  await load(); // fills the server's caches
  const files = await page.evaluate(
    name =>
      performance
        .getEntriesByType('resource')
        .map(entry => entry.name)
        .filter(address => address.includes(`/lab/extensions/${name}/`)),
    NAME
  );
  let size = 0;
  for (const file of files) {
    size += gzipSync(await (await page.request.get(file)).body(), { level: 6 }).length;
  }
  const took: Record<'with' | 'without', number[]> = { with: [], without: [] };
  for (let pair = 0; pair < PAIRS; pair++) {
    for (const which of ['with', 'without'] as const) {
      isThere = which === 'with';
      took[which].push(await load());
    }
  }
  const [longer, shorter] = [median(took.with), median(took.without)];
  console.log(
    `start-up: ${String(files.length)} files, ${(size / 1000).toFixed(0)} kB gzip (target <= ${String(LIMIT_KB)})`
  );
  console.log(
    `JupyterLab is restored after ${longer.toFixed(0)} ms, without the extension after ${shorter.toFixed(0)} ms: ` +
      `+${(longer - shorter).toFixed(0)} ms (target <= 100), medians of ${String(PAIRS)}`
  );
  expect(files.length).toBeGreaterThan(0);
  expect(size / 1000).toBeLessThanOrEqual(LIMIT_KB);
});
