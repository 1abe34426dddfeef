import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import { AppError } from '../errors.ts';
import type { ForgeKind } from '../model/index.ts';
import { type Forge, type ForgeConnectionValue, forgeOf } from './index.ts';
import { installedKinds } from './registry.ts';

/**
 * What every forge must do, over the stand-in of each. A world has two organizations, an owner of the first, a member of
 * it and a stranger who owns the second; the App is installed on the first.
 */
type World = {
  connection: ForgeConnectionValue;
  tokenOf(person: 'owner' | 'member' | 'stranger' | 'author'): string;
  org: { id: string; path: string; installationId: string };
  foreignOrg: { id: string; path: string };
  /** In the organization. */
  repository: { id: string; path: string };
  /** A person's own, in an installation of selected repositories; `uncovered` is the same person's and not selected. */
  selected: { id: string; path: string; installationId: string };
  uncovered: { id: string; path: string };
  orgWithoutGroups: { path: string };
  addRepositories(owner: string, count: number): void;
  rename(path: string, to: string): Promise<void>;
  suspend(installationId: string, suspended: boolean): Promise<void>;
  uninstall(installationId: string): Promise<void>;
  install(account: string): Promise<string>;
  permit(installationId: string, permissions: Record<string, 'read' | 'write'>): Promise<void>;
  demote(path: string, person: 'owner'): Promise<void>;
  endTokens(): void;
  fault(kind: Parameters<Github['fault']>[0]): void;
  groupsNamed(name: string): number;
  stop(): Promise<void>;
};

async function githubWorld(): Promise<World> {
  const github = await startGithub({ port: 0, slowMs: 50 });
  const logins = { owner: 'ada-tinyland', member: 'sam-tinyland', stranger: 'mallory', author: 'JessSullivan' };
  async function control(path: string, body: object = {}, method = 'POST'): Promise<unknown> {
    const answer = await fetch(`${github.url}/_sandbox${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.status === 204 ? undefined : answer.json();
  }
  return {
    connection: {
      id: 'github',
      kind: 'github',
      baseUrl: github.url,
      clientId: github.app.clientId,
      clientSecret: github.app.clientSecret,
      app: {
        id: String(github.app.id),
        slug: github.app.slug,
        privateKey: github.app.privateKeyPem,
      },
      webhookSecret: github.app.webhookSecret,
      allowLoopback: true,
    },
    tokenOf: (person) => github.userToken(logins[person]),
    org: { id: String(ids.orgs.tinyland), path: 'tinyland-inc', installationId: String(ids.installations.tinyland) },
    foreignOrg: { id: String(ids.orgs.malloryLabs), path: 'mallory-labs' },
    repository: { id: String(ids.repos.lab), path: 'tinyland-inc/lab' },
    selected: {
      id: String(ids.repos.cmux),
      path: 'JessSullivan/cmux',
      installationId: String(ids.installations.jess),
    },
    uncovered: { id: String(ids.repos.dotfiles), path: 'JessSullivan/dotfiles' },
    orgWithoutGroups: { path: 'org-free' },
    addRepositories(owner, count) {
      for (let i = 0; i < count; i += 1) github.addRepo({ owner, name: `many-${i}`, private: true });
    },
    rename: async (path, to) => {
      const repository = path.includes('/');
      await control(
        repository ? `/repos/${path}/rename` : `/orgs/${path}/rename`,
        repository ? { name: to } : { login: to },
      );
    },
    suspend: async (id, suspended) =>
      void (await control(`/installations/${id}/${suspended ? 'suspend' : 'unsuspend'}`)),
    uninstall: async (id) => void (await control(`/installations/${id}/uninstall`)),
    install: async (account) => String(((await control('/installations', { account })) as { id: number }).id),
    permit: async (id, permissions) => void (await control(`/installations/${id}/permissions`, { permissions })),
    demote: async (path, person) =>
      void (await control(`/orgs/${path}/members/${logins[person]}`, { role: 'member' }, 'PUT')),
    endTokens() {
      for (const [key, token] of Object.entries(github.state.tokens)) {
        if (token.kind === 'installation') delete github.state.tokens[key];
      }
    },
    fault: (given) => github.fault(given),
    groupsNamed: (name) => Object.values(github.state.runnerGroups).filter((group) => group.name === name).length,
    stop: () => github.stop(),
  };
}

const worlds: Partial<Record<ForgeKind, () => Promise<World>>> = { github: githubWorld };

test('every installed forge has a world here', () => {
  expect(Object.keys(worlds)).toEqual(installedKinds);
});

test('a forge of a kind that is not installed is refused in words', () => {
  const connection = {
    id: 'x',
    kind: 'gitlab' as const,
    baseUrl: 'https://gitlab.com',
    clientId: '',
    clientSecret: '',
  };
  expect(() => forgeOf({ ...connection, allowLoopback: false })).toThrow(AppError);
});

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? error.code : `not an AppError: ${String(error)}`),
  );
}

describe.each(Object.entries(worlds) as [ForgeKind, () => Promise<World>][])('%s', (_, makeWorld) => {
  let world: World;
  let forge: Forge;

  beforeAll(async () => {
    world = await makeWorld();
    forge = forgeOf(world.connection);
  });
  afterAll(() => world.stop());

  async function fresh(): Promise<void> {
    await world.stop();
    world = await makeWorld();
    forge = forgeOf(world.connection);
  }

  const installed = (installationId: string) => ({ credential: { kind: 'installation' as const, installationId } });
  const seen = () => ({
    ...installed(world.org.installationId),
    level: 'organization' as const,
    scopeId: world.org.id,
    path: world.org.path,
  });
  const seenRepository = () => ({
    ...installed(world.selected.installationId),
    level: 'repository' as const,
    scopeId: world.selected.id,
    path: world.selected.path,
  });
  const group = () => ({ ...seen(), name: 'flywheel-acme' });

  describe('a person', () => {
    test('has a profile whose subject is an id', async () => {
      const profile = await forge.signIn.fetchProfile(world.tokenOf('owner'));
      expect(profile.subject).toMatch(/^\d+$/);
      expect(profile.login).not.toBe('');
    });

    test('is told to sign in again when the token has ended', async () => {
      expect(await codeOf(forge.signIn.fetchProfile('ended'))).toBe('unauthenticated');
      expect(await codeOf(forge.listScopes({ userToken: 'ended' }))).toBe('unauthenticated');
      expect(await codeOf(forge.signIn.refresh('ended'))).toBe('unauthenticated');
      const grant = { code: 'ended', codeVerifier: 'a'.repeat(43), redirectUri: 'http://127.0.0.1/x' };
      expect(await codeOf(forge.signIn.exchange(grant))).toBe('unauthenticated');
    });

    test('belongs to accounts with a role, their own among them', async () => {
      const owner = await forge.listMembershipScopes({ userToken: world.tokenOf('owner') });
      const member = await forge.listMembershipScopes({ userToken: world.tokenOf('member') });
      expect(owner).toContainEqual({ ownerId: world.org.id, login: world.org.path, role: 'admin' });
      expect(member).toContainEqual({ ownerId: world.org.id, login: world.org.path, role: 'member' });
      expect(member.filter((scope) => scope.role === 'admin')).toHaveLength(1);
    });

    test('lists what they administer and nothing else', async () => {
      const paths = async (person: 'owner' | 'member' | 'author') =>
        (await forge.listScopes({ userToken: world.tokenOf(person) })).scopes.map((scope) => scope.path);
      expect(await paths('owner')).toEqual(expect.arrayContaining([world.org.path, world.repository.path]));
      expect(await paths('member')).toEqual([]);
      expect(await paths('author')).toContain(world.selected.path);
    });

    test('sees which of their repositories the installation leaves out', async () => {
      const { scopes } = await forge.listScopes({ userToken: world.tokenOf('author') });
      const at = (path: string) => scopes.find((scope) => scope.path === path);
      expect(at(world.selected.path)?.installation?.repositorySelection).toBe('selected');
      expect(at(world.uncovered.path)).toMatchObject({
        installation: null,
        installUrl: expect.stringContaining('install'),
      });
    });
  });

  describe('A13: claiming a scope', () => {
    const find = (person: 'owner' | 'member' | 'stranger' | 'author', path: string) =>
      forge.findScope({
        userToken: world.tokenOf(person),
        level: path.includes('/') ? 'repository' : 'organization',
        path,
      });

    test('an owner is its admin, by their own token', async () => {
      const org = await find('owner', world.org.path);
      expect(org).toMatchObject({ role: 'admin', scopeId: world.org.id, ownerId: world.org.id });
      expect(org.installation).toMatchObject({
        id: world.org.installationId,
        suspended: false,
        permissionsMissing: [],
      });
      expect(await find('owner', world.repository.path)).toMatchObject({ role: 'admin', scopeId: world.repository.id });
    });

    test('a member and a stranger are not, and are told of no installation', async () => {
      expect(await find('member', world.org.path)).toMatchObject({ role: 'member', installation: null });
      expect(await find('stranger', world.org.path)).toMatchObject({ role: 'none', installation: null });
      expect(await codeOf(find('stranger', world.repository.path))).toBe('not_found');
      expect(await find('stranger', 'tinyland-inc/site')).toMatchObject({ role: 'none', installation: null });
    });

    test('what is not there is not found, at any level', async () => {
      expect(await codeOf(find('owner', 'no-such-org'))).toBe('not_found');
      expect(await codeOf(find('owner', 'tinyland-inc/no-such'))).toBe('not_found');
      const enterprise = { userToken: world.tokenOf('owner'), level: 'enterprise' as const, path: 'big' };
      expect(await codeOf(forge.findScope(enterprise))).toBe('invalid');
    });

    test('a repository that the installation leaves out has none', async () => {
      expect(await find('author', world.uncovered.path)).toMatchObject({ role: 'admin', installation: null });
      expect((await find('author', world.selected.path)).installation?.id).toBe(world.selected.installationId);
    });

    test('A14: who was demoted is no admin at the next question', async () => {
      const token = world.tokenOf('owner');
      await world.demote(world.org.path, 'owner');
      const again = await forge.findScope({ userToken: token, level: 'organization', path: world.org.path });
      expect(again.role).toBe('member');
      await fresh();
    });
  });

  describe('paging (F25)', () => {
    test('over a hundred repositories come once each, page by page, and a search reads on', async () => {
      world.addRepositories(world.org.path, 250);
      const userToken = world.tokenOf('owner');
      const paths: string[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const page = await forge.listScopes({ userToken, cursor });
        paths.push(...page.scopes.map((scope) => scope.path));
        cursor = page.nextCursor ?? undefined;
        pages += 1;
      } while (cursor);
      expect(pages).toBeGreaterThan(1);
      expect(paths.filter((path) => path.includes('/many-'))).toHaveLength(250);
      expect(new Set(paths).size).toBe(paths.length);
      const last = await forge.listScopes({ userToken, query: 'MANY-249' });
      expect(last.scopes.map((scope) => scope.path)).toEqual([`${world.org.path}/many-249`]);
    });
  });

  describe('what the reconciler sees', () => {
    afterEach(fresh);

    test('a scope that is well', async () => {
      expect(await forge.observeScope(seen())).toMatchObject({
        exists: true,
        problem: null,
        path: world.org.path,
        installation: { id: world.org.installationId, accountId: world.org.id, suspendedAt: null },
        runnerGroups: true,
      });
      expect(await forge.observeScope(seenRepository())).toMatchObject({
        exists: true,
        problem: null,
        runnerGroups: false,
      });
    });

    test('a renamed organization and repository are found by id', async () => {
      await world.rename(world.org.path, 'tinyland-new');
      expect(await forge.observeScope(seen())).toMatchObject({ exists: true, path: 'tinyland-new' });
      await world.rename(world.selected.path, 'cmux-new');
      expect(await forge.observeScope(seenRepository())).toMatchObject({
        exists: true,
        problem: null,
        path: 'JessSullivan/cmux-new',
      });
      const found = await forge.findScope({
        userToken: world.tokenOf('author'),
        level: 'repository',
        path: world.selected.path,
      });
      expect(found).toMatchObject({ path: 'JessSullivan/cmux-new', scopeId: world.selected.id });
    });

    test('another organization under the old name is not the scope', async () => {
      const foreign = { ...seen(), ...installed(await world.install(world.foreignOrg.path)) };
      expect(await forge.observeScope(foreign)).toMatchObject({
        exists: false,
        installation: null,
        problem: { reason: 'AppMissing' },
      });
    });

    test('F20: a suspended installation is said to be so, and what needs it is forbidden', async () => {
      await world.suspend(world.org.installationId, true);
      const suspended = await forge.observeScope(seen());
      expect(suspended).toMatchObject({ exists: true, problem: { reason: 'AppSuspended' } });
      expect(suspended.installation?.suspendedAt).toBeInstanceOf(Date);
      expect(await codeOf(forge.ensureRunnerGroup({ ...group(), allowsPublicRepositories: false }))).toBe('forbidden');
      await world.suspend(world.org.installationId, false);
      const resumed = await forge.observeScope(seen());
      expect(resumed).toMatchObject({ problem: null, installation: { suspendedAt: null } });
    });

    test('F20: an App that was removed is seen, and one that was installed again is found', async () => {
      await forge.observeScope(seen());
      await world.uninstall(world.org.installationId);
      expect(await forge.observeScope(seen())).toMatchObject({ exists: false, installation: null });
      expect(await codeOf(forge.observeRunnerGroup(group()))).toBe('not_found');
      const again = await world.install(world.org.path);
      expect(await forge.observeScope(seen())).toMatchObject({ exists: true, installation: { id: again } });
    });

    test('F20: a token that ended in mid-work is replaced once', async () => {
      await forge.observeRunnerGroup(group());
      world.endTokens();
      expect(await forge.observeRunnerGroup(group())).toBeNull();
    });

    test('a missing permission is named', async () => {
      await world.permit(world.org.installationId, { metadata: 'read', organization_self_hosted_runners: 'read' });
      const { problem } = await forge.observeScope(seen());
      expect(problem).toMatchObject({
        reason: 'PermissionMissing',
        message: expect.stringContaining('organization_self_hosted_runners: write'),
      });
      expect(await codeOf(forge.ensureRunnerGroup({ ...group(), allowsPublicRepositories: false }))).toBe('forbidden');
    });

    test('a repository outside the selection exists and is not covered', async () => {
      const uncovered = { ...seenRepository(), scopeId: world.uncovered.id, path: world.uncovered.path };
      expect(await forge.observeScope(uncovered)).toMatchObject({ problem: { reason: 'RepositoryNotSelected' } });
    });
  });

  describe('runner groups', () => {
    afterEach(fresh);
    const ensure = () => forge.ensureRunnerGroup({ ...group(), allowsPublicRepositories: false });

    test('are made once, mended when changed, and removed', async () => {
      const made = await ensure();
      expect(made).toMatchObject({ change: 'created', name: 'flywheel-acme' });
      expect(await ensure()).toEqual({ ...made, change: null });
      const id = 'id' in made ? made.id : '';
      expect(await forge.observeRunnerGroup(group())).toEqual({
        id,
        name: 'flywheel-acme',
        visibility: 'all',
        allowsPublicRepositories: false,
      });
      expect(await forge.removeRunnerGroup({ ...group(), id })).toEqual({ change: 'removed' });
      expect(await forge.removeRunnerGroup({ ...group(), id })).toEqual({ change: null });
    });

    test('F15: after a lost answer the group is found again and not made twice', async () => {
      world.fault({ kind: 'reset-after', match: { method: 'POST', path: 'runner-groups' } });
      expect(await codeOf(ensure())).toBe('unavailable');
      expect(world.groupsNamed('flywheel-acme')).toBe(1);
      expect(await ensure()).toMatchObject({ change: null });
      expect(world.groupsNamed('flywheel-acme')).toBe(1);
    });

    test('two at once end in one group', async () => {
      await Promise.allSettled([ensure(), ensure(), ensure()]);
      expect(world.groupsNamed('flywheel-acme')).toBe(1);
      expect(await ensure()).toMatchObject({ change: null });
    });

    test('of others are left alone', async () => {
      const foreign = { ...group(), name: 'Default', allowsPublicRepositories: false as const };
      expect(await codeOf(forge.ensureRunnerGroup(foreign))).toBe('invalid');
      expect(await codeOf(forge.removeRunnerGroup({ ...group(), id: '1' }))).toBe('invalid');
    });

    test('that the plan does not have are unsupported and not an error', async () => {
      const installationId = await world.install(world.orgWithoutGroups.path);
      const input = {
        ...group(),
        ...installed(installationId),
        path: world.orgWithoutGroups.path,
        allowsPublicRepositories: false as const,
      };
      expect(await forge.ensureRunnerGroup(input)).toEqual({ unsupported: true });
    });
  });

  describe('a forge that is not well', () => {
    test('F12: 500 and a reset connection are "unavailable", and the next call is answered', async () => {
      for (const kind of ['status', 'reset-before'] as const) {
        world.fault({ kind, status: 502 });
        expect(await codeOf(forge.observeScope(seen()))).toBe('unavailable');
        expect((await forge.observeScope(seen())).exists).toBe(true);
      }
    });

    test('F13: a primary limit says when it ends', async () => {
      world.fault({ kind: 'primary-limit', retryAfterSeconds: 2400 });
      const error = await forge.observeScope(seen()).catch((each: unknown) => each);
      expect(error).toMatchObject({ code: 'rate_limited' });
      expect((error as AppError).retryAfterMs).toBeGreaterThan(2390_000);
      expect((error as AppError).retryAfterMs).toBeLessThan(2410_000);
    });

    test('F14: a secondary limit says how long to wait, a minute where the forge does not', async () => {
      world.fault({ kind: 'secondary-limit', retryAfterSeconds: 7 });
      await expect(forge.observeScope(seen())).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 7000 });
      world.fault({ kind: 'secondary-limit' });
      await expect(forge.observeScope(seen())).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 60_000 });
    });

    test('F14: a limit is never taken for "not there" or "not in the plan"', async () => {
      const ask = { userToken: world.tokenOf('owner'), level: 'organization' as const, path: world.org.path };
      world.fault({ kind: 'primary-limit', match: { path: 'memberships' } });
      expect(await codeOf(forge.findScope(ask))).toBe('rate_limited');
      world.fault({ kind: 'secondary-limit', match: { method: 'POST', path: 'runner-groups' } });
      expect(await codeOf(forge.ensureRunnerGroup({ ...group(), allowsPublicRepositories: false }))).toBe(
        'rate_limited',
      );
      world.fault({ kind: 'secondary-limit', match: { path: 'runner-groups' } });
      expect(await codeOf(forge.observeScope(seen()))).toBe('rate_limited');
    });

    test('a caller that gives up gets its own reason', async () => {
      const reason = new Error('the lease was lost');
      world.fault({ kind: 'delay', delayMs: 500 });
      const waiting = forge
        .observeScope({ ...seen(), signal: AbortSignal.timeout(50) })
        .catch((error: unknown) => error);
      expect(await waiting).toMatchObject({ name: 'TimeoutError' });
      await expect(forge.observeScope({ ...seen(), signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    });

    test('A23: no secret is in an error', async () => {
      const secret = world.tokenOf('owner');
      world.fault({ kind: 'status', status: 500, times: 2 });
      for (const work of [forge.signIn.fetchProfile(secret), forge.observeScope(seen())]) {
        const error = await work.catch((each: unknown) => each);
        const text = JSON.stringify(error, Object.getOwnPropertyNames(error)) + String((error as Error).stack);
        expect(text).not.toContain(secret);
        expect(text).not.toContain('PRIVATE KEY');
        expect(text).not.toMatch(/ghs_|eyJ/);
      }
    });
  });
});
