import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import { codeOf, holdContract } from './contract-suite.ts';
import { startWire } from './contract-wire.ts';
import {
  type LevelWorld,
  type MadeWorld,
  noProblems,
  type Person,
  type TokenWorld,
  type World,
} from './contract-world.ts';
import { type Forge, forgeOf } from './index.ts';

const logins = { owner: 'ada-tinyland', member: 'sam-tinyland', stranger: 'mallory' };
const subjects = { owner: ids.users.ada, member: ids.users.sam, stranger: ids.users.mallory };
const app = String(ids.installations.tinyland);
const byApp = { kind: 'installation' as const, installationId: app };
const nobodys = { kind: 'token' as const, token: 'ghp_nobodys' };
const enterpriseScopes = ['manage_runners:enterprise', 'read:enterprise'];

type GithubWorld = World & { github: Github; control: Control };
type Control = (path: string, body?: object, method?: string) => Promise<unknown>;

async function githubWorld(): Promise<GithubWorld> {
  const wire = await startWire();
  const github = await startGithub({ port: 0, webhookUrl: wire.heardAt });
  wire.to(github.url);
  const control: Control = async (path, body = {}, method = 'POST') => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${github.url}/_sandbox${path}`, { method, headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.status === 204 ? undefined : answer.json();
  };
  const { app: platform } = github;
  return {
    wire,
    github,
    control,
    connection: {
      id: 'github',
      kind: 'github',
      baseUrl: wire.url,
      clientId: platform.clientId,
      clientSecret: platform.clientSecret,
      webhookSecret: platform.webhookSecret,
      app: { id: String(platform.id), slug: platform.slug, privateKey: platform.privateKeyPem },
      allowLoopback: true,
    },
    levels: [repositoryLevel(github, control), organizationLevel(github, control), enterpriseLevel(github, control)],
    outer: {
      path: 'tinyland-inc',
      userToken: () => github.userToken(logins.owner),
      add(count, name) {
        for (let i = 0; i < count; i += 1)
          github.addRepo({ owner: 'tinyland-inc', name: `${name}${i}`, private: true });
      },
    },
    lastCursor: '1000',
    limits: {
      named: (seconds) => limit('You have exceeded a secondary rate limit.', { 'retry-after': String(seconds) }),
      until: (at) =>
        limit('API rate limit exceeded.', {
          'x-ratelimit-remaining': '0',
          'x-ratelimit-reset': String(Math.ceil(at.getTime() / 1000)),
        }),
      unnamed: () => limit('You have exceeded a secondary rate limit.', {}),
    },
    team: {
      organization: 'tinyland-inc',
      id: `${ids.orgs.tinyland}/${ids.teams.compilers}`,
      path: 'tinyland-inc/compilers',
      admin: () => github.userToken(logins.member),
      async member() {
        await control('/orgs/tinyland-inc/members/JessSullivan', { role: 'member' }, 'PUT');
        await control('/orgs/tinyland-inc/teams/compilers/members/JessSullivan', { role: 'member' }, 'PUT');
        return github.userToken('JessSullivan');
      },
      outsider: () => github.userToken(logins.stranger),
    },
    personTokens: null,
    async tell() {
      github.queueJob({ repository: 'tinyland-inc/lab', labels: ['nix'], durationSeconds: 1 });
      await github.settled();
      return {
        repository: { id: String(ids.repos.lab), path: 'tinyland-inc/lab' },
        job: { labels: ['nix'], state: 'queued' },
        proof: 'x-hub-signature-256',
        ids: ['x-github-delivery'],
      };
    },
    keepsToken: true,
    async stop() {
      await github.stop();
      await wire.stop();
    },
  };
}

function limit(message: string, headers: Record<string, string>) {
  return { status: 403, headers, body: { message } };
}

// ------------------------------------------------------------------------------------------------ the three levels

/** The last one that had no runner scale sets. */
function tooOld(github: Github): Pick<LevelWorld['problems'], 'ServerTooOld'> {
  return {
    async ServerTooOld(at) {
      github.state.serverVersion = '3.8.17';
      return at;
    },
  };
}

/** What can happen to an installation, whatever it was enrolled for. */
function installationProblems(control: Control): Partial<LevelWorld['problems']> {
  return {
    async AppMissing(at) {
      await control(`/installations/${app}/uninstall`);
      return at;
    },
    async AppSuspended(at) {
      await control(`/installations/${app}/suspend`);
      return at;
    },
    async PermissionMissing(at) {
      await control(`/installations/${app}/permissions`, { permissions: { metadata: 'read' } });
      return at;
    },
  };
}

function byAppLevel(github: Github) {
  return {
    userToken: (person: Person) => github.userToken(logins[person]),
    subject: (person: Person) => String(subjects[person]),
    standings: { owner: 'admin', member: 'member', stranger: 'none' } as const,
    transfer: null,
    listed: true,
    credential: () => byApp,
    wrongCredential: nobodys,
    tokens: null,
    runners: null,
    hooks: null,
  };
}

function repositoryLevel(github: Github, control: Control): LevelWorld {
  return {
    ...byAppLevel(github),
    level: 'repository',
    scope: { id: String(ids.repos.lab), path: 'tinyland-inc/lab', ownerId: String(ids.orgs.tinyland) },
    foreign: { id: String(ids.repos.toolbox), path: 'mallory-labs/toolbox' },
    roles: { owner: 'admin', member: 'member', stranger: 'not_found' },
    async transfer() {
      const [lab, owner] = [github.state.repos[ids.repos.lab], ids.orgs.malloryLabs];
      if (lab) Object.assign(lab, { private: false, ownerId: owner });
      return String(owner);
    },
    async rename() {
      await control('/repos/tinyland-inc/lab/rename', { name: 'laboratory' });
      return 'tinyland-inc/laboratory';
    },
    takeName: async () => String(github.addRepo({ owner: 'tinyland-inc', name: 'lab', private: true }).id),
    demote: async () => void (await control('/orgs/tinyland-inc/members/ada-tinyland', { role: 'member' }, 'PUT')),
    problems: {
      ...noProblems,
      ...tooOld(github),
      ...installationProblems(control),
      async ScopeGone(at) {
        delete github.state.repos[ids.repos.lab];
        return at;
      },
      // Of a private one nothing is seen: only a public one is there and left out.
      async RepositoryNotSelected(at) {
        const chosen = { selection: 'selected', repositories: ['tinyland-inc/lab'] };
        await control(`/installations/${app}/repositories`, chosen);
        return { ...at, scopeId: String(ids.repos.site), path: 'tinyland-inc/site' };
      },
    },
    groups: null,
  };
}

function organizationLevel(github: Github, control: Control): LevelWorld {
  return {
    ...byAppLevel(github),
    level: 'organization',
    scope: { id: String(ids.orgs.tinyland), path: 'tinyland-inc', ownerId: String(ids.orgs.tinyland) },
    foreign: { id: String(ids.orgs.malloryLabs), path: 'mallory-labs' },
    roles: { owner: 'admin', member: 'member', stranger: 'none' },
    async rename() {
      await control('/orgs/tinyland-inc/rename', { login: 'tinyland-new' });
      return 'tinyland-new';
    },
    takeName: async (login) => String(github.addOrg({ login, admins: ['mallory'] }).id),
    demote: async () => void (await control('/orgs/tinyland-inc/members/ada-tinyland', { role: 'member' }, 'PUT')),
    problems: { ...noProblems, ...tooOld(github), ...installationProblems(control) },
    groups: groupsOf(github),
  };
}

function enterpriseLevel(github: Github, control: Control): LevelWorld {
  const people = { owner: 'olive-operator', member: 'sam-tinyland', stranger: 'mallory' };
  github.state.orgs[ids.orgs.bigApps]?.members.push({ userId: ids.users.sam, role: 'member', public: false });
  const token = (login: string, scopes = enterpriseScopes) => github.personalToken(login, { scopes });
  const tokens: TokenWorld = {
    good: () => token(people.owner),
    lacking: () => ({ token: token(people.owner, ['read:enterprise']), missing: ['manage_runners:enterprise'] }),
    ended: () => github.personalToken(people.owner, { scopes: enterpriseScopes, days: -1 }),
    ofStranger: () => ({ token: token(people.stranger), subject: String(ids.users.mallory) }),
    tells: true,
  };
  const by = (given: string) => ({ kind: 'token' as const, token: given });
  return {
    level: 'enterprise',
    scope: { id: String(ids.enterprises.big), path: 'big-enterprise', ownerId: String(ids.enterprises.big) },
    foreign: { id: '29999', path: 'mallory-holding' },
    userToken: (person) => token(people[person]),
    subject: (person) => String({ ...subjects, owner: ids.users.olive }[person]),
    roles: { owner: 'admin', member: 'none', stranger: 'not_found' },
    standings: null,
    listed: false,
    credential: () => by(tokens.good()),
    wrongCredential: byApp,
    transfer: null,
    async rename() {
      await control('/enterprises/big-enterprise/rename', { slug: 'bigger' });
      return 'bigger';
    },
    // The same person may own both: then only the id keeps the two apart.
    async takeName(slug) {
      const made = (await control('/enterprises', { slug, owners: ['mallory', 'olive-operator'] })) as { id: number };
      return String(made.id);
    },
    demote: async () => void (await control('/enterprises/big-enterprise/owners', { owners: ['jesssullivan'] })),
    problems: {
      ...noProblems,
      ...tooOld(github),
      TokenEnded: async (at) => ({ ...at, credential: by(tokens.ended()) }),
      TokenScopeMissing: async (at) => ({ ...at, credential: by(tokens.lacking().token) }),
      async ScopeGone(at) {
        delete github.state.enterprises[ids.enterprises.big];
        return at;
      },
      RoleMissing: async (at) => ({ ...at, credential: by(token(people.member)) }),
    },
    tokens,
    groups: groupsOf(github),
    runners: null,
    hooks: null,
  };
}

function groupsOf(github: Github): MadeWorld {
  const all = () => Object.entries(github.state.runnerGroups);
  const one = (id: string) => {
    const found = all().find(([, group]) => String(group.id) === id);
    if (!found) throw new Error(`no group ${id}`);
    return found;
  };
  return {
    idsNamed: (name) => all().flatMap(([, group]) => (group.name === name ? [String(group.id)] : [])),
    named: (name) => all().filter(([, group]) => group.name === name).length,
    namedAt: (id, name) => all().filter(([, group]) => group.name === name && String(group.orgId) === id).length,
    rename: (id, name) => void (one(id)[1].name = name),
    multiply(id, count, prefix) {
      const [, like] = one(id);
      for (let i = 0; i < count; i += 1) {
        const number = like.id + 1 + i;
        github.state.runnerGroups[`${like.orgId}:${number}`] = { ...like, id: number, name: `${prefix}${i}` };
      }
      github.state.nextId += count + 1;
    },
    spoil: (id) => void (one(id)[1].allowsPublic = true),
    drop: (id) => void delete github.state.runnerGroups[one(id)[0]],
    occupy: null,
    move: null,
    works: null,
  };
}

holdContract('github', githubWorld);

// ------------------------------------------------------------------------------------------------ Apps

/** What no other forge has: installations, which are suspended, removed, given again, and only of some repositories. */
describe('an App’s installation', () => {
  let world: GithubWorld;
  let forge: Forge;
  beforeEach(async () => {
    world = await githubWorld();
    forge = forgeOf(world.connection);
  });
  afterEach(() => world.stop());

  const organization = { level: 'organization' as const, scopeId: String(ids.orgs.tinyland), path: 'tinyland-inc' };
  const seen = { ...organization, credential: byApp };
  const group = { ...seen, name: 'flywheel-acme', allowsPublicRepositories: false as const };
  const cmux = { level: 'repository' as const, scopeId: String(ids.repos.cmux), path: 'JessSullivan/cmux' };
  const byAuthors = { kind: 'installation' as const, installationId: String(ids.installations.jess) };

  test('is told with what it covers and lacks', async () => {
    expect(await forge.observeScope(seen)).toMatchObject({
      installation: { id: app, accountId: organization.scopeId, accountLogin: 'tinyland-inc', suspendedAt: null },
    });
    const find = () => forge.findScope({ userToken: world.github.userToken('ada-tinyland'), ...organization });
    expect((await find()).installation).toMatchObject({ id: app, suspended: false, permissionsMissing: [] });
    // Without `members` GitHub would not tell the App who the owner is.
    const permissions = { metadata: 'read', members: 'read' };
    await world.control(`/installations/${app}/permissions`, { permissions });
    const permissionsMissing = ['organization_self_hosted_runners: write'];
    expect((await find()).installation).toMatchObject({ permissionsMissing });
  });

  test('leaves repositories out that were not selected, and a list says which', async () => {
    const userToken = world.github.userToken('JessSullivan');
    const { scopes } = await forge.listScopes({ userToken });
    const listed = (path: string) => scopes.find((scope) => scope.path === path);
    expect(listed(cmux.path)?.installation).toMatchObject({
      id: byAuthors.installationId,
      repositorySelection: 'selected',
    });
    const without = { installation: null, installUrl: expect.stringContaining('install') };
    expect(listed('JessSullivan/dotfiles')).toMatchObject(without);
    const dotfiles = { ...cmux, scopeId: String(ids.repos.dotfiles), path: 'JessSullivan/dotfiles' };
    expect(await forge.findScope({ userToken, ...dotfiles })).toMatchObject({ role: 'admin', ...without });
    const { problem } = await forge.observeScope({ ...dotfiles, credential: byAuthors });
    expect(problem).toMatchObject({ reason: 'RepositoryNotSelected' });
  });

  test('A13: one that was named and is of another account is no power over this scope', async () => {
    const made = (await world.control('/installations', { account: 'mallory-labs' })) as { id: number };
    const credential = { kind: 'installation' as const, installationId: String(made.id) };
    const observed = await forge.observeScope({ ...organization, credential });
    expect(observed).toMatchObject({ exists: false, installation: null, problem: { reason: 'AppMissing' } });
    expect(await codeOf(forge.ensureRunnerGroup({ ...group, credential }))).not.toBe('no error');
    expect(Object.values(world.github.state.runnerGroups).filter(({ name }) => name === group.name)).toEqual([]);
  });

  test('F20: is suspended until it is resumed', async () => {
    await world.control(`/installations/${app}/suspend`);
    const suspended = await forge.observeScope(seen);
    expect(suspended).toMatchObject({ exists: true, problem: { reason: 'AppSuspended' } });
    expect(suspended.installation?.suspendedAt).toBeInstanceOf(Date);
    expect(await codeOf(forge.ensureRunnerGroup(group))).toBe('forbidden');
    await world.control(`/installations/${app}/unsuspend`);
    expect(await forge.observeScope(seen)).toMatchObject({ problem: null, installation: { suspendedAt: null } });
  });

  test('F20: that was removed and given again is found, under its new number', async () => {
    await forge.observeScope(seen);
    await world.control(`/installations/${app}/uninstall`);
    expect(await forge.observeScope(seen)).toMatchObject({ exists: false, installation: null });
    expect(await codeOf(forge.observeRunnerGroup(group))).toBe('not_found');
    const again = (await world.control('/installations', { account: 'tinyland-inc' })) as { id: number };
    expect(await forge.observeScope(seen)).toMatchObject({ exists: true, installation: { id: String(again.id) } });
  });

  test('F20: has tokens that may end in mid-work, and each is replaced once', async () => {
    await forge.observeRunnerGroup(group);
    for (const [key, token] of Object.entries(world.github.state.tokens)) {
      if (token.kind === 'installation') delete world.github.state.tokens[key];
    }
    world.wire.listen();
    expect(await forge.observeRunnerGroup(group)).toBeNull();
    // The old token, a new one, and the question again.
    expect(world.wire.sent).toHaveLength(3);
    world.wire.listen(({ path }) =>
      /runner-groups/.test(path) ? { status: 401, body: { message: 'Bad credentials' } } : 'pass',
    );
    expect(await codeOf(forge.observeRunnerGroup(group))).toBe('forbidden');
    expect(world.wire.sent).toHaveLength(3);
  });

  test('has no runner groups where the plan has none, which is no error', async () => {
    const made = (await world.control('/installations', { account: 'org-free' })) as { id: number };
    const credential = { kind: 'installation' as const, installationId: String(made.id) };
    const free = { ...group, credential, scopeId: String(ids.orgs.free), path: 'org-free' };
    expect(await forge.ensureRunnerGroup(free)).toEqual({ unsupported: true });
  });

  test('a repository that moved is found by its former path', async () => {
    const userToken = world.github.userToken('JessSullivan');
    await world.control('/repos/JessSullivan/cmux/rename', { name: 'cmux-new' });
    const found = await forge.findScope({ userToken, ...cmux });
    expect(found).toMatchObject({ path: 'JessSullivan/cmux-new', scopeId: cmux.scopeId });
  });
});
