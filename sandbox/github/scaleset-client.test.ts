import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { type Github, ids, startGithub } from './index.ts';

const folder = fileURLToPath(new URL('./scaleset-client/', import.meta.url));

// Without Go this fails: a protocol that its own client has not tried is not known to be right.
test.each([
  { scope: 'tinyland-inc', installation: ids.installations.tinyland, repository: 'tinyland-inc/lab' },
  { scope: 'JessSullivan/cmux', installation: ids.installations.jess, repository: 'JessSullivan/cmux' },
  { scope: 'enterprises/big-enterprise', token: 'olive-operator', repository: 'big-data/lake' },
])(
  'GitHub’s own Go client registers, listens, runs a job and leaves, for $scope',
  async ({ scope, repository, ...by }) => {
    const github = await startGithub({ port: 0, pollSeconds: 1 });
    try {
      const env = {
        ...process.env,
        SCALESET_GITHUB_URL: github.url,
        SCALESET_SCOPE: scope,
        SCALESET_REPOSITORY: repository,
        SCALESET_NAME: 'nix',
        ...credentialsOf(github, by),
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

/** An App's installation, or an owner's classic token where no App may act. */
function credentialsOf(github: Github, by: { installation?: number; token?: string }): Record<string, string> {
  if (by.token !== undefined) {
    const scopes = ['manage_runners:enterprise'];
    return { SCALESET_TOKEN: github.personalToken(by.token, { scopes }) };
  }
  return {
    SCALESET_APP_ID: String(github.app.id),
    SCALESET_INSTALLATION_ID: String(by.installation),
    SCALESET_PRIVATE_KEY: github.app.privateKeyPem,
  };
}
