import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '#lib/errors.ts';
import { forgeOf, type AtScope, type Forge, type ForgeConnectionValue } from '#lib/forge/index.ts';
import { type Gitlab, ids, type NewAccessToken, startGitlab } from '#sandbox/gitlab/index.ts';
import { ids as githubIds, startGithub, type Github } from '#sandbox/github/index.ts';
import type { PhaseResult } from './conditions.ts';
import { resultOf } from './failure.ts';

/* Whom a phase waits for whose call to a forge failed. All that is asked of a forge is asked in one of these. */
const phases = ['ForgeReady', 'PoolsReady', 'RunnersReady', 'ForgeGone'];

async function resultsOf(doing: () => Promise<unknown>): Promise<PhaseResult[]> {
  const results: PhaseResult[] = [];
  for (const type of phases) {
    const error: unknown = await doing().catch((thrown: unknown) => thrown);
    if (!(error instanceof AppError)) throw new Error(`not refused: ${String(error)}`);
    results.push(resultOf({ type }, error));
  }
  return results;
}

/** The same in each phase. */
async function failing(doing: () => Promise<unknown>): Promise<PhaseResult | undefined> {
  const [first, ...others] = await resultsOf(doing);
  for (const other of others) expect(other).toEqual(first);
  return first;
}

describe('GitLab, where the portal registers the runners', () => {
  let gitlab: Gitlab;
  let forge: Forge;
  beforeEach(async () => {
    gitlab = await startGitlab({ port: 0 });
    const { clientId, clientSecret } = gitlab.application;
    const connection = { id: 'c', kind: 'gitlab' as const, baseUrl: gitlab.url, clientId, clientSecret };
    forge = forgeOf({ ...connection, allowLoopback: true });
  });
  afterEach(() => gitlab.stop());

  const place = { level: 'group', scopeId: String(ids.groups.lab), path: 'tinyland/lab' } as const;

  function at(change: Partial<NewAccessToken> = {}): AtScope & { credential: { token: string } } {
    const scopes: NewAccessToken['scopes'] = ['create_runner', 'manage_runner', 'read_api'];
    const token = gitlab.accessToken({ scopes, path: place.path, ...change });
    return { ...place, credential: { kind: 'token', token } };
  }

  const register = (scope: AtScope) => () =>
    forge.runners!.ensure({ ...scope, name: 'flywheel-acme-nix', labels: ['acme-nix'], known: null });
  const list = (scope: AtScope) => () => forge.runners!.list(scope);

  test('one that is away or limits is waited for itself', async () => {
    gitlab.fault({ kind: 'status', status: 502, match: { path: 'runners' }, times: 100 });
    expect(await failing(register(at()))).toMatchObject({ reason: 'Away', waitingFor: 'forge' });
    expect(await failing(list(at()))).toMatchObject({ reason: 'Away', waitingFor: 'forge' });
    await fetch(`${gitlab.url}/_sandbox/faults`, { method: 'DELETE' });
    gitlab.fault({ kind: 'secondary-limit', match: { path: 'runners' }, retryAfterSeconds: 60 });
    // What is not sent while a limit lasts says the same.
    expect(await failing(list(at()))).toMatchObject({ reason: 'RateLimited', waitingFor: 'forge' });
  });

  test('one that cannot be reached is waited for itself', async () => {
    const scope = at();
    await gitlab.stop();
    expect(await failing(list(scope))).toMatchObject({ reason: 'Away', waitingFor: 'forge' });
  });

  test('a token that was revoked is the admin’s to replace', async () => {
    const scope = at();
    gitlab.revoke(scope.credential.token);
    expect(await failing(register(scope))).toMatchObject({ reason: 'TokenEnded', waitingFor: 'admin' });
    expect(await failing(list(scope))).toMatchObject({ reason: 'TokenEnded', waitingFor: 'admin' });
  });

  test('a token that lacks the scope to register by is the admin’s to replace', async () => {
    const scope = at({ scopes: ['manage_runner', 'read_api'] });
    expect(await failing(register(scope))).toMatchObject({ reason: 'TokenScopeMissing', waitingFor: 'admin' });
  });

  test('a group that lets no runner be registered is the admin’s to see to', async () => {
    const above = gitlab.state.groups[ids.groups.tinyland];
    if (above) above.runnerRegistration = false;
    expect(await failing(register(at()))).toMatchObject({
      reason: 'RegistrationDisabled',
      waitingFor: 'admin',
      message: expect.stringContaining('Settings, CI/CD, Runners'),
    });
  });

  test('a group that is gone is the admin’s to see to', async () => {
    const scope = at({ path: 'tinyland' });
    gitlab.remove('tinyland/lab');
    expect(await failing(list(scope))).toMatchObject({ reason: 'ScopeGone', waitingFor: 'admin' });
  });

  test('two that registered at once wait for the forge, and the next look finds the one that stays', async () => {
    const scope = at();
    const both = await Promise.allSettled([register(scope)(), register(scope)(), register(scope)()]);
    const lost = both.find((each) => each.status === 'rejected');
    expect(await failing(() => Promise.reject(lost?.reason as Error))).toMatchObject({
      reason: 'ChangedMeanwhile',
      waitingFor: 'forge',
    });
  });
});

describe('GitHub, by an App', () => {
  let github: Github;
  beforeEach(async () => {
    github = await startGithub({ port: 0 });
  });
  afterEach(() => github.stop());

  const { privateKey: strange } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });

  function observed(privateKey: string, isOwn: boolean): () => Promise<unknown> {
    const app = { id: String(github.app.id), slug: 'acme-runners', privateKey, isOwn };
    const connection: ForgeConnectionValue = {
      id: 'c',
      kind: 'github',
      baseUrl: github.url,
      clientId: 'i',
      clientSecret: 's',
      app,
      allowLoopback: true,
    };
    const credential = { kind: 'installation', installationId: '1' } as const;
    const at = { credential, level: 'organization', scopeId: String(githubIds.orgs.tinyland), path: 'x' } as const;
    return () => forgeOf(connection).observeScope(at);
  }

  test.each([
    ['a key that was revoked', strange, 'Refused'],
    ['a key that is no key', 'no key', 'Failed'],
  ])(
    '%s: the operator’s App is the operator’s to see to, an organization’s own its admin’s',
    async (_, key, reason) => {
      expect(await failing(observed(key, false))).toMatchObject({
        reason,
        waitingFor: 'operator',
        message: expect.stringContaining('The operator must check the App’s id and private key.'),
      });
      const own = await failing(observed(key, true));
      expect(own).toMatchObject({ reason, waitingFor: 'admin' });
      expect(own?.message).toMatch(/admin of the tenant .* acme-runners .* Settings, GitHub Apps/);
      expect(own?.message).not.toContain('operator');
    },
  );
});

test('what another side failed at is waited for as ever', () => {
  const screen = { happened: 'No.' };
  const away = new AppError('unavailable', { log: '', screen });
  expect(resultOf({ type: 'PoolsReady' }, away)).toMatchObject({ reason: 'Away', waitingFor: 'cluster' });
  expect(resultOf({ type: 'CacheReady' }, away)).toMatchObject({ reason: 'Away', waitingFor: 'cache' });
  const refused = new AppError('forbidden', { log: '', screen });
  expect(resultOf({ type: 'NamespaceReady' }, refused)).toMatchObject({ reason: 'Refused', waitingFor: 'operator' });
});
