import { defineConfig } from 'vitest/config';

const ELSEWHERE = ['**/node_modules/**', '.next/**', '.sandbox/**', 'e2e/**'];
const INTEGRATION = ['**/*.db.test.ts', '**/*.cluster.test.ts', '**/*.gitea.test.ts'];

export default defineConfig({
  // The portal's own tsconfig is for type checking; there are no aliases to resolve, `#lib/…` is package.json's.
  oxc: { jsx: { runtime: 'automatic' } },
  test: {
    // Nothing here is slow, but a busy machine of two cores can be.
    testTimeout: 30_000,
    restoreMocks: true,
    unstubEnvs: true,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['**/*.test.{ts,tsx}'], exclude: [...ELSEWHERE, ...INTEGRATION] },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: INTEGRATION,
          exclude: ELSEWHERE,
          globalSetup: ['sandbox/test-support/global-setup.ts'],
          // The first test that asks for the cluster waits for it to start.
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
