const baseConfig = require('@jupyterlab/galata/lib/playwright-config');

const server = `http://127.0.0.1:${process.env.UI_TESTS_PORT ?? 8899}`;

module.exports = {
  ...baseConfig,
  testDir: 'tests',
  workers: 1,
  retries: process.env.CI ? 1 : 0, // a machine shared with others may stall; what passed the second time is told
  timeout: 90_000,
  reporter: 'list',
  use: {
    ...baseConfig.use,
    baseURL: server,
    actionTimeout: 30_000,
    trace: 'off',
    video: 'off',
    launchOptions: {
      // the system's browser: nothing is downloaded
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking']
    }
  },
  webServer: {
    command: 'jlpm start',
    url: `${server}/lab`,
    timeout: 120_000,
    reuseExistingServer: false
  }
};
