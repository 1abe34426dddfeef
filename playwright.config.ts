import { join } from 'node:path';
import { defineConfig } from '@playwright/test';
import { launchOptions } from '#sandbox/chromium.ts';

// `npm test` chooses a free port; by hand, a fixed one beside that of `npm start`.
const port = process.env['FLYWHEEL_E2E_PORT'] ?? '3100';
const json = process.env['FLYWHEEL_E2E_JSON'];
const dataDir = join(import.meta.dirname, '.sandbox', 'e2e');

// Read by the tests, which run in other processes: where the sandbox keeps what they ask it for.
process.env['SANDBOX_DATA_DIR'] = dataDir;
// A budget's limit is walked to its last step, and no walk waits three hours for it.
process.env['FLYWHEEL_BUDGET_NOTICE_MINUTES'] = '0';

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  reporter: json ? [['list'], ['json', { outputFile: json }]] : 'list',
  forbidOnly: Boolean(process.env['CI']),
  // One sandbox is one world: tests that change it take turns.
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  use: {
    baseURL: `http://localhost:${port}`,
    actionTimeout: 15_000,
    navigationTimeout: 30_000,
    launchOptions: launchOptions(),
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
  },
  webServer: {
    command: `node sandbox/up.ts --fresh --wait-for-cluster --gitea --port ${port} --data-dir ${dataDir}`,
    url: `http://localhost:${port}`,
    // The control plane and Gitea may have to be built first.
    timeout: 25 * 60_000,
    reuseExistingServer: false,
    stdout: 'pipe',
    gracefulShutdown: { signal: 'SIGTERM', timeout: 30_000 },
  },
});
