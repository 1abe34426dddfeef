import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ids, startGithub } from './index.ts';

const folder = fileURLToPath(new URL('./scaleset-client/', import.meta.url));

// Without Go this fails: a protocol that its own client has not tried is not known to be right.
test.each([
  { scope: 'tinyland-inc', installation: ids.installations.tinyland, repository: 'tinyland-inc/lab' },
  { scope: 'JessSullivan/cmux', installation: ids.installations.jess, repository: 'JessSullivan/cmux' },
])(
  'GitHub’s own Go client registers, listens, runs a job and leaves, for $scope',
  async ({ scope, installation, repository }) => {
    const github = await startGithub({ port: 0, pollSeconds: 1 });
    try {
      const env = {
        ...process.env,
        SCALESET_GITHUB_URL: github.url,
        SCALESET_SCOPE: scope,
        SCALESET_REPOSITORY: repository,
        SCALESET_APP_ID: String(github.app.id),
        SCALESET_INSTALLATION_ID: String(installation),
        SCALESET_PRIVATE_KEY: github.app.privateKeyPem,
        SCALESET_NAME: 'nix',
      };
      const { stdout } = await promisify(execFile)('go', ['test', '-count=1', './...'], { cwd: folder, env }).catch(
        (error: Error & { stdout?: string }) => {
          throw new Error(`${error.message}\n${error.stdout ?? ''}`);
        },
      );
      expect(stdout).toContain('ok');
      expect(Object.values(github.state.scaleSets)).toEqual([]);
    } finally {
      await github.stop();
    }
  },
  300_000,
);
