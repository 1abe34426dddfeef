import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Gitlab, ids, type NewAccessToken, startGitlab } from '#sandbox/gitlab/index.ts';
import type { AtScope, Forge } from '../port.ts';
import { gitlabForge } from './index.ts';

let gitlab: Gitlab;
let forge: Forge;

beforeEach(async () => {
  gitlab = await startGitlab({ port: 0 });
  const { clientId, clientSecret } = gitlab.application;
  const connection = { id: 'c', kind: 'gitlab' as const, baseUrl: gitlab.url, clientId, clientSecret };
  forge = gitlabForge({ ...connection, allowLoopback: true });
});
afterEach(() => gitlab.stop());

const scopes: NewAccessToken['scopes'] = ['create_runner', 'manage_runner', 'read_api'];
const group = { level: 'group', scopeId: String(ids.groups.lab), path: 'tinyland/lab' } as const;
const project = { level: 'project', scopeId: String(ids.projects.kernels), path: 'tinyland/lab/kernels' } as const;
const instance = { level: 'instance', scopeId: 'instance', path: '' } as const;
type Place = typeof group | typeof project | typeof instance;

function at(place: Place, change: Partial<NewAccessToken> = {}): AtScope {
  const holder = 'login' in change || place.level === 'instance' ? {} : { path: place.path };
  return { ...place, credential: { kind: 'token', token: gitlab.accessToken({ scopes, ...holder, ...change }) } };
}

async function reason(scope: AtScope): Promise<string | undefined> {
  return (await forge.observeScope(scope)).problem?.reason;
}

describe('what the reconciler sees', () => {
  test('scopes that are well, and when their token ends', async () => {
    const day = new Date(Date.now() + 5 * 86_400_000).toISOString().slice(0, 10);
    const well = { exists: true, problem: null, installation: null, runnerGroups: false };
    expect(await forge.observeScope(at(group, { days: 5 }))).toEqual({
      ...well,
      ownerId: group.scopeId,
      webhooks: false,
      path: 'tinyland/lab',
      tokenExpiresAt: new Date(`${day}T00:00:00Z`),
    });
    expect(await forge.observeScope(at(project, { level: 40 }))).toMatchObject({ ...well, path: project.path });
    expect(await forge.observeScope(at(instance, { login: 'olive-operator' }))).toMatchObject({ ...well, path: '' });
    expect(await reason(at(project, { login: 'ada-tinyland', scopes: ['api'] }))).toBeUndefined();
  });

  test('a renamed group and its projects are found by id', async () => {
    gitlab.rename('tinyland', 'tinyworld');
    gitlab.rename('tinyworld/lab/kernels', 'linux');
    const byAda = { login: 'ada-tinyland' };
    expect(await forge.observeScope(at(group, byAda))).toMatchObject({ exists: true, path: 'tinyworld/lab' });
    expect(await forge.observeScope(at(project, byAda))).toMatchObject({ path: 'tinyworld/lab/linux', problem: null });
  });

  test('another project under the old path is not the scope', async () => {
    const scope = at(project, { login: 'ada-tinyland' });
    gitlab.remove('tinyland/lab/kernels');
    gitlab.addProject({ path: 'tinyland/lab/kernels' });
    expect(await forge.observeScope(scope)).toMatchObject({ exists: false, problem: { reason: 'ScopeGone' } });
    expect(await reason({ ...scope, scopeId: project.path })).toBe('ScopeGone');
  });

  test('TokenEnded: revoked, over, unknown, or no access token at all', async () => {
    const revoked = at(group);
    if (revoked.credential.kind === 'token') gitlab.revoke(revoked.credential.token);
    expect(await forge.observeScope(revoked)).toMatchObject({ exists: false, problem: { reason: 'TokenEnded' } });
    expect(await reason(at(group, { days: 0 }))).toBe('TokenEnded');
    expect(await reason({ ...group, credential: { kind: 'token', token: 'glpat-none' } })).toBe('TokenEnded');
  });

  test('TokenScopeMissing names what lacks, and what can still be seen is', async () => {
    const blind = await forge.observeScope(at(group, { scopes: ['create_runner'] }));
    expect(blind).toMatchObject({ exists: false, problem: { reason: 'TokenScopeMissing' } });
    expect(blind.problem?.message).toContain('manage_runner and read_api');
    const reading = await forge.observeScope(at(group, { scopes: ['read_api', 'create_runner'] }));
    expect(reading).toMatchObject({ exists: true, path: 'tinyland/lab', problem: { reason: 'TokenScopeMissing' } });
    expect(reading.problem?.message).toContain('lacks manage_runner.');
  });

  test('RoleMissing: below Owner of a group, below Maintainer of a project, below administrator', async () => {
    expect(await reason(at(group, { level: 40 }))).toBe('RoleMissing');
    expect(await reason(at(project, { level: 30 }))).toBe('RoleMissing');
    expect(await reason(at(instance, { login: 'ada-tinyland' }))).toBe('RoleMissing');
    expect(await reason(at(group, { login: 'olive-operator' }))).toBeUndefined();
    const scope = at(group, { login: 'ada-tinyland' });
    expect(await reason(scope)).toBeUndefined();
    gitlab.setMember('tinyland', 'ada-tinyland', 40);
    expect(await reason(scope)).toBe('RoleMissing');
  });

  test('ScopeGone: removed, or no more shown to the token', async () => {
    const scope = at(group, { login: 'ada-tinyland' });
    gitlab.setMember('tinyland', 'ada-tinyland', null);
    expect(await forge.observeScope(scope)).toMatchObject({ exists: false, problem: { reason: 'ScopeGone' } });
  });

  test('ServerTooOld: before 16.0', async () => {
    gitlab.state.settings.version = '15.11.13-ee';
    expect(await reason(at(group))).toBe('ServerTooOld');
    gitlab.state.settings.version = '16.0.0';
    expect(await reason(at(group))).toBeUndefined();
    gitlab.fault({ kind: 'status', status: 404, match: { path: 'personal_access_tokens/self' } });
    expect(await reason(at(group))).toBe('ServerTooOld');
  });

  test('RegistrationDisabled: CI/CD is switched off in the project', async () => {
    const known = gitlab.state.projects[ids.projects.kernels];
    if (known) known.ciEnabled = false;
    expect(await reason(at(project))).toBe('RegistrationDisabled');
  });

  test.each([
    ['primary-limit', 'rate_limited'],
    ['secondary-limit', 'rate_limited'],
    ['status', 'unavailable'],
    ['reset-before', 'unavailable'],
    ['huge', 'unavailable'],
  ] as const)('%s is %s wherever it strikes, and no problem of the scope', async (kind, code) => {
    for (const path of ['self', 'metadata', 'groups/\\d+$', 'members']) {
      gitlab.fault({ kind, match: { path } });
      // Each with a token of its own: whose is limited is not asked for again.
      await expect(forge.observeScope(at(group, { level: 50 }))).rejects.toMatchObject({ code });
    }
    expect(await reason(at(group, { level: 50 }))).toBeUndefined();
  });

  test('an endless list of runners is cut', async () => {
    const scope = at(group);
    gitlab.fault({ kind: 'endless', match: { path: 'groups/\\d+/runners' }, times: 200 });
    await expect(forge.runners?.list(scope)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('an installation is nothing to act by', async () => {
    const credential = { kind: 'installation', installationId: '1' } as const;
    await expect(forge.observeScope({ ...group, credential })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('what an access token is', () => {
  const check = (token: string, scopesFor: 'person' | 'group' = 'group') => forge.checkToken({ token, scopesFor });

  test('a person’s, and a group’s own', async () => {
    const token = gitlab.accessToken({ login: 'ada-tinyland', scopes, days: 3 });
    expect(await check(token)).toMatchObject({
      subject: String(ids.users.ada),
      login: 'ada-tinyland',
      scopes,
      missingScopes: [],
      expiresAt: expect.any(Date),
    });
    const bot = await check(gitlab.accessToken({ path: 'tinyland', scopes: ['api'] }));
    expect(bot).toMatchObject({ login: expect.stringMatching(/^group_\d+_bot_/), missingScopes: [] });
  });

  test('what lacks is told, also of one that may read nothing', async () => {
    const token = gitlab.accessToken({ login: 'ada-tinyland', scopes: ['create_runner'] });
    expect(await check(token)).toMatchObject({
      login: `user ${ids.users.ada}`,
      missingScopes: ['manage_runner', 'read_api'],
    });
    expect((await check(token, 'person')).missingScopes).toEqual(['read_api']);
  });

  test('an unknown or ended one is refused as such', async () => {
    await expect(check('glpat-none')).rejects.toMatchObject({ code: 'unauthenticated' });
    const ended = gitlab.accessToken({ login: 'ada-tinyland', scopes, days: 0 });
    await expect(check(ended)).rejects.toMatchObject({
      code: 'unauthenticated',
      screen: { happened: expect.stringContaining('access token') },
    });
  });

  test('is made where it says, with what it names', async () => {
    expect(forge.tokenAdvice('group', 'tinyland/lab')).toEqual({
      createUrl: `${gitlab.url}/groups/tinyland/lab/-/settings/access_tokens`,
      scopes,
      role: 'Owner',
    });
    expect(forge.tokenAdvice('project', 'tinyland/site')).toMatchObject({ role: 'Maintainer' });
    const { createUrl, role } = forge.tokenAdvice('instance', '');
    expect(role).toBe('Administrator');
    const page = await (await fetch(createUrl)).text();
    expect(page).toMatch(/value="create_runner"\s+checked/);
    expect(page).not.toMatch(/value="api"\s+checked/);
    expect(() => forge.tokenAdvice('organization', 'x')).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});
