import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ScaleSets } from '#sandbox/arc/scale-sets.ts';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import type { AtScope, ForgeConnectionValue } from '../port.ts';
import { githubForge } from './index.ts';
import { missingScopes } from './token.ts';

const slug = 'big-enterprise';
const scopeId = String(ids.enterprises.big);
const both = ['manage_runners:enterprise', 'read:enterprise'];

let github: Github;
let connection: ForgeConnectionValue;
beforeAll(async () => {
  github = await startGithub({ port: 0, pollSeconds: 1 });
  const { clientId, clientSecret, id, slug: app, privateKeyPem: privateKey } = github.app;
  const base = { id: 'github', kind: 'github' as const, baseUrl: github.url, clientId, clientSecret };
  connection = { ...base, app: { id: String(id), slug: app, privateKey }, allowLoopback: true };
});
afterAll(() => github.stop());

const forge = () => githubForge(connection);
const olives = (scopes = both): string => github.personalToken('olive-operator', { scopes });
const at = (token: string, more: Partial<AtScope> = {}): AtScope => ({
  credential: { kind: 'token', token },
  level: 'enterprise',
  scopeId,
  path: slug,
  ...more,
});

async function control(path: string, body: object): Promise<void> {
  const answer = await fetch(`${github.url}/_sandbox${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
}

describe('a token', () => {
  test('is told with its account, scopes and end', async () => {
    const facts = await forge().checkToken({ token: olives(), scopesFor: 'enterprise' });
    expect(facts).toMatchObject({
      subject: String(ids.users.olive),
      login: 'olive-operator',
      scopes: both,
      missingScopes: [],
    });
    const days = ((facts.expiresAt?.getTime() ?? 0) - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(365);
  });

  test.each([
    [null, both],
    [[], both],
    [['repo', 'admin:org'], both],
    [['read:enterprise'], ['manage_runners:enterprise']],
    [both, []],
    [['admin:enterprise'], []],
  ])('with %j lacks %j', (scopes, missing) => expect(missingScopes(scopes)).toEqual(missing));

  test('that is unknown, ended or nonsense is nobody’s', async () => {
    const ended = github.personalToken('olive-operator', { scopes: both, days: -1 });
    for (const token of [ended, 'ghp_guess', ''])
      await expect(forge().checkToken({ token, scopesFor: 'enterprise' })).rejects.toMatchObject({
        code: 'unauthenticated',
      });
  });

  test('serves no organization, repository or person', async () => {
    for (const scopesFor of ['organization', 'repository', 'person'] as const) {
      await expect(forge().checkToken({ token: olives(), scopesFor })).rejects.toMatchObject({ code: 'invalid' });
      expect(() => forge().tokenAdvice(scopesFor, 'x')).toThrow(/scope that an App serves/);
    }
    const asToken = at(olives(), { level: 'organization', path: 'big-apps', scopeId: String(ids.orgs.bigApps) });
    await expect(forge().observeScope(asToken)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('is made at an address that asks for just these scopes', async () => {
    const { createUrl, scopes } = forge().tokenAdvice('enterprise', slug);
    expect(scopes).toEqual(both);
    const shown = await (await fetch(createUrl)).text();
    const checked = [...shown.matchAll(/value="([^"]*)"\s+checked/g)].map(([, scope]) => scope);
    expect(checked).toEqual(both);
  });
});

describe('finding an enterprise', () => {
  const find = (userToken: string, path = slug) => forge().findScope({ userToken, level: 'enterprise', path });

  test('an owner’s token proves it, by GitHub’s own id of it', async () => {
    expect(await find(olives())).toMatchObject({
      level: 'enterprise',
      path: slug,
      scopeId,
      ownerId: scopeId,
      role: 'admin',
      installation: null,
      credential: 'token',
    });
  });

  test('a token that may only read proves nothing', async () => {
    expect(await find(olives(['read:enterprise']))).toMatchObject({ role: 'none' });
  });

  test('a token that may not read the enterprise is refused', async () => {
    await expect(find(olives(['manage_runners:enterprise']))).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('a fine-grained token and an App’s are refused, as GitHub does', async () => {
    const fine = github.personalToken('olive-operator', { fineGrained: true });
    for (const token of [fine, github.userToken('olive-operator')])
      await expect(find(token)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('a stranger’s finds nothing, as for one that does not exist', async () => {
    const strangers = github.personalToken('mallory', { scopes: both });
    await expect(find(strangers)).rejects.toMatchObject({ code: 'not_found' });
    await expect(find(olives(), 'no-enterprise')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('observing an enterprise', () => {
  test('is well, with runner groups and the token’s end', async () => {
    const seen = await forge().observeScope(at(olives()));
    expect(seen).toMatchObject({ exists: true, path: slug, problem: null, installation: null, runnerGroups: true });
    expect(seen.tokenExpiresAt).toBeInstanceOf(Date);
  });

  test('says what is the matter with the token', async () => {
    const fine = github.personalToken('olive-operator', { fineGrained: true });
    const reasonOf = async (token: string) => (await forge().observeScope(at(token))).problem?.reason;
    expect(await reasonOf('ghp_ended')).toBe('TokenEnded');
    expect(await reasonOf(olives(['read:enterprise']))).toBe('TokenScopeMissing');
    expect(await reasonOf(fine)).toBe('TokenScopeMissing');
    expect(await reasonOf(github.personalToken('mallory', { scopes: both }))).toBe('ScopeGone');
  });

  test('finds it by id when it was renamed, and says so when another has its name', async () => {
    const token = olives();
    await control(`/enterprises/${slug}/rename`, { slug: 'bigger' });
    expect(await forge().observeScope(at(token))).toMatchObject({ exists: true, path: 'bigger', problem: null });
    await control('/enterprises', { slug, owners: ['olive-operator'] });
    expect(await forge().observeScope(at(token))).toMatchObject({ path: 'bigger', problem: null });
    await control(`/enterprises/${slug}/rename`, { slug: 'other' });
    await control('/enterprises/bigger/rename', { slug });
    expect((await forge().observeScope(at(token, { scopeId: '1' }))).problem?.reason).toBe('ScopeGone');
  });

  test('says when its owner is one no longer', async () => {
    const token = olives();
    await control(`/enterprises/${slug}/owners`, { owners: ['mallory'] });
    const seen = await forge().observeScope(at(token));
    await control(`/enterprises/${slug}/owners`, { owners: ['olive-operator'] });
    // Still a member of its organizations, and so still shown the enterprise.
    expect(seen).toMatchObject({ exists: true, problem: { reason: 'RoleMissing' }, runnerGroups: false });
  });

  test('a forge that is away is an error and no state of the token', async () => {
    github.fault({ kind: 'status', match: { path: '/api/graphql' }, status: 502 });
    await expect(forge().observeScope(at(olives()))).rejects.toMatchObject({ code: 'unavailable' });
    github.fault({ kind: 'status', match: { path: '/user$' }, status: 502 });
    await expect(forge().observeScope(at(olives()))).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('no App’s installation reaches an enterprise', async () => {
    const credential = { kind: 'installation' as const, installationId: String(ids.installations.tinyland) };
    await expect(forge().observeScope(at('', { credential }))).rejects.toMatchObject({ code: 'invalid' });
  });
});

test('runner groups of an enterprise are made once, kept closed to public repositories, and removed', async () => {
  const token = olives();
  const group = { ...at(token), name: 'flywheel-big', allowsPublicRepositories: false as const };
  const made = await forge().ensureRunnerGroup(group);
  expect(made).toMatchObject({ change: 'created', name: 'flywheel-big' });
  expect(await forge().ensureRunnerGroup(group)).toMatchObject({ change: null });
  expect(await forge().observeRunnerGroup(group)).toMatchObject({ visibility: 'all', allowsPublicRepositories: false });
  const stored = Object.values(github.state.runnerGroups).find(({ name }) => name === 'flywheel-big');
  if (stored) stored.allowsPublic = true;
  expect(await forge().ensureRunnerGroup(group)).toMatchObject({ change: 'updated' });
  const id = 'id' in made ? made.id : '';
  expect(await forge().removeRunnerGroup({ ...at(token), id })).toEqual({ change: 'removed' });
  expect(await forge().removeRunnerGroup({ ...at(token), id })).toEqual({ change: null });
  await expect(forge().removeRunnerGroup({ ...at(token), id: '1' })).rejects.toMatchObject({ code: 'invalid' });
});

test('what ARC does with a github_token: a runner set at the enterprise runs the jobs of its organizations alone', async () => {
  const sets = new ScaleSets(`${github.url}/enterprises/${slug}`, { token: olives() });
  const set = await sets.create('big-nix', await sets.group('Default'), []);
  const session = await sets.openSession(set.id, 'listener');
  const job = github.queueJob({ repository: 'big-apps/web', labels: ['big-nix'] });
  const foreign = github.queueJob({ repository: 'tinyland-inc/lab', labels: ['big-nix'] });
  const message = await sets.message(session, 0, 5, AbortSignal.timeout(10_000));
  expect(message?.jobs).toMatchObject([{ messageType: 'JobAvailable', ownerName: 'big-apps', repositoryName: 'web' }]);
  await sets.acquire(set.id, session, message?.jobs.map(({ runnerRequestId }) => runnerRequestId) ?? []);
  expect(github.state.jobs[job.id]).toMatchObject({ phase: 'assigned', scaleSetId: set.id });
  expect(github.state.jobs[foreign.id]).toMatchObject({ phase: 'queued', scaleSetId: null });
  await sets.closeSession(set.id, session.sessionId);
  await sets.remove(set.id);
  for (const token of [
    github.userToken('olive-operator'),
    olives(['repo']),
    github.personalToken('mallory', { scopes: both }),
  ]) {
    const refused = new ScaleSets(`${github.url}/enterprises/${slug}`, { token }).group('Default');
    await expect(refused).rejects.toThrow(/40[34]/);
  }
});
