/* oxlint-disable vitest/no-conditional-expect, vitest/valid-title -- what a world declares as null is held to be absent, in
   the same test that holds what it has: each of its branches expects something. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppError } from '../errors.ts';
import { type ForgeKind, levelsOf, type ScopeLevel, scopeLevels } from '../model/index.ts';
import type { Fate, Meddle, Reply, Sent } from './contract-wire.ts';
import type { HookWorld, LevelWorld, MadeWorld, Person, Reason, TokenWorld, World } from './contract-world.ts';
import { type AtScope, type Forge, forgeOf, type ForgeRunner, type Unsupported, webhookOf } from './index.ts';

/**
 * The contract on `Forge`, held over one forge's stand-in at each of its three levels. Loaded by tests alone: each forge's
 * own file brings the world, so that the three run beside each other.
 */
export function holdContract(kind: ForgeKind, startWorld: () => Promise<World>): void {
  describe(`the contract at ${kind}`, () => {
    const bench = {} as Bench;
    beforeEach(async () => {
      bench.world = await startWorld();
      bench.forge = forgeOf(bench.world.connection);
    });
    afterEach(async () => {
      vi.useRealTimers();
      await bench.world.stop();
    });

    wholeForge(kind, bench);
    describe.each(levelsOf[kind])('%s', (level) => {
      // Read anew by each test, whose world is its own.
      const at: Level = {
        get world() {
          return bench.world;
        },
        get forge() {
          return bench.forge;
        },
        anew() {
          bench.forge = fresh(bench.world);
        },
        get level() {
          return levelOf(bench, level);
        },
      };
      people(at);
      identity(at);
      problems(kind, at);
      tokens(at);
      runnerGroups(at);
      runners(at);
      webhooksAt(at);
      weather(at);
    });
  });
}

/** What a test has before it, anew each time. */
type Bench = { world: World; forge: Forge };
type Level = {
  readonly world: World;
  readonly forge: Forge;
  readonly level: LevelWorld;
  /** From here on the forge is one that has heard of no limit yet. */
  anew(): void;
};

let forges = 0;

function fresh({ connection }: World): Forge {
  forges += 1;
  return forgeOf({ ...connection, id: `${connection.id}-${forges}` });
}

export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work);
    return 'no error';
  } catch (error) {
    return error instanceof AppError ? error.code : `not an AppError: ${String(error)}`;
  }
}

function levelOf({ world }: Bench, level: ScopeLevel): LevelWorld {
  const found = world.levels.find((each) => each.level === level);
  if (!found) throw new Error(`this world has no ${level}`);
  return found;
}

/** The enrolled scope, by a credential with just what the portal asks for. */
function enrolled({ level }: Pick<Level, 'level'>): AtScope {
  const { id: scopeId, path } = level.scope;
  return { level: level.level, scopeId, path, credential: level.credential() };
}

function find({ forge, level }: Level, person: Person, path = level.scope.path) {
  return forge.findScope({ userToken: level.userToken(person), level: level.level, path });
}

/** Whether the forge was only asked, and nothing there could have changed. GraphQL asks by POST. */
function isQuestion({ method, path }: Sent): boolean {
  return method === 'GET' || path.endsWith('/graphql');
}

/** Everything that a person lists, page by page. */
async function listed(forge: Forge, userToken: string, query?: string): Promise<{ paths: string[]; pages: number }> {
  const paths: string[] = [];
  let cursor: string | undefined;
  for (let pages = 1; ; pages += 1) {
    const page = await forge.listScopes({ userToken, query, cursor });
    paths.push(...page.scopes.map((scope) => `${scope.level} ${scope.path}`));
    if (page.nextCursor === null) return { paths, pages };
    cursor = page.nextCursor;
  }
}

const name = 'flywheel-acme';
const labels = ['acme-nix'];

// ------------------------------------------------------------------------------------------------ the forge as a whole

function wholeForge(kind: ForgeKind, bench: Bench): void {
  test('has its three levels and no other', async () => {
    const { world, forge } = bench;
    expect(forge.kind).toBe(kind);
    expect(world.levels.map(({ level }) => level)).toEqual(levelsOf[kind]);
    const first = levelOf(bench, levelsOf[kind][0]);
    for (const level of scopeLevels.filter((each) => !world.levels.some((own) => own.level === each))) {
      const at = { level, scopeId: first.scope.id, path: first.scope.path, credential: first.credential() };
      expect(await codeOf(forge.observeScope(at))).toBe('invalid');
      expect(await codeOf(forge.findScope({ ...at, userToken: first.userToken('owner') }))).toBe('invalid');
      expect(await codeOf(() => forge.tokenAdvice(level, first.scope.path))).toBe('invalid');
    }
  });

  test('every reason that the adapter can give is brought about at one of the levels', () => {
    const reasons = bench.world.levels.flatMap(({ problems: causes }) =>
      Object.entries(causes).flatMap(([reason, cause]) => (cause ? [reason] : [])),
    );
    const folder = join(import.meta.dirname, kind);
    const text = globSync('*.ts', { cwd: folder })
      .filter((file) => !file.endsWith('.test.ts'))
      .map((file) => readFileSync(join(folder, file), 'utf8'));
    const said = [...text.join('\n').matchAll(/reason: '(\w+)'/g)].map(([, reason]) => reason);
    expect(new Set(said)).toEqual(new Set(reasons));
  });

  test('F25: over two hundred repositories come once each, page by page, and a search reads on', async () => {
    const { outer } = bench.world;
    outer.add(250, 'many-');
    const userToken = outer.userToken();
    const { paths, pages } = await listed(bench.forge, userToken);
    expect(pages).toBeGreaterThan(1);
    expect(paths.filter((path) => path.includes('/many-'))).toHaveLength(250);
    expect(new Set(paths).size).toBe(paths.length);
    const found = await listed(bench.forge, userToken, ' MANY-249 ');
    expect(found.paths).toEqual([expect.stringContaining(`${outer.path}/many-249`)]);
  });

  test('F25: repositories without end are left after a few pages, and at last for good', async () => {
    const { world, forge } = bench;
    world.outer.add(1, 'one');
    const userToken = world.outer.userToken();
    await forge.listScopes({ userToken });
    world.wire.listen(({ path }) => (/\/(user\/repos|projects)\?/.test(path) ? 'endless' : 'pass'));
    const { nextCursor } = await forge.listScopes({ userToken, query: 'nothing is called so' });
    expect(nextCursor).not.toBeNull();
    expect(world.wire.sent.length).toBeLessThan(30);
    expect((await forge.listScopes({ userToken, cursor: world.lastCursor })).nextCursor).toBeNull();
  });

  test('F25: groups or organizations without end are an error and no endless work', async () => {
    const { world, forge } = bench;
    const userToken = world.outer.userToken();
    world.wire.listen(({ path }) => (/\/(memberships\/orgs|groups|teams)\?/.test(path) ? 'endless' : 'pass'));
    expect(await codeOf(forge.listMembershipScopes({ userToken }))).toBe('unavailable');
    // 10,000 of them, in pages of a hundred or of fifty.
    expect(world.wire.sent.length).toBeLessThan(205);
  });

  test('a cursor of nobody’s begins at the beginning', async () => {
    const userToken = bench.world.outer.userToken();
    const first = await bench.forge.listScopes({ userToken });
    for (const cursor of ['', '-1', 'x:y', '1e9', 'projects:0']) {
      expect(await bench.forge.listScopes({ userToken, cursor })).toEqual(first);
    }
  });

  test('any number of calls at once are each answered as themselves', async () => {
    const { world, forge } = bench;
    const scopes = world.levels.flatMap(({ level }) => {
      const at = enrolled({ level: levelOf(bench, level) });
      return [at, at, at, at];
    });
    const seen = await Promise.all(scopes.map((at) => forge.observeScope(at)));
    expect(seen.map(({ path, problem }) => ({ path, problem }))).toEqual(
      scopes.map(({ path }) => ({ path, problem: null })),
    );
  });

  describe('teams', () => {
    test('are listed with the organization, and tell who sees to them and who is in them', async () => {
      const { world, forge } = bench;
      const { organization, id, path } = world.team;
      const teams = await forge.listTeams({ userToken: world.outer.userToken(), path: organization });
      expect(teams).toContainEqual({ id, name: expect.any(String), path });
      const roleOf = async (userToken: string) =>
        (await forge.listMembershipScopes({ userToken, teamIds: [id, '1/1', '9'] })).filter(({ of }) => of === 'team');
      const as = (role: string) => [{ of: 'team', ownerId: id, login: expect.any(String), role }];
      expect(await roleOf(world.team.admin())).toEqual(as('admin'));
      expect(await roleOf(await world.team.member())).toEqual(as('member'));
      expect(await roleOf(world.team.outsider())).toEqual([]);
    });

    test('nothing is asked about those that nobody follows', async () => {
      const { world, forge } = bench;
      const userToken = world.team.admin();
      world.wire.listen();
      const scopes = await forge.listMembershipScopes({ userToken });
      expect(scopes.filter(({ of }) => of === 'team')).toEqual([]);
      expect(world.wire.sent.filter(({ path }) => /\/teams?\/|min_access_level=40/.test(path))).toEqual([]);
    });

    test('of an organization that is not there are no list', async () => {
      const userToken = bench.world.outer.userToken();
      expect(await codeOf(bench.forge.listTeams({ userToken, path: 'no-such-place' }))).toBe('not_found');
    });
  });

  describe('an account by its login', () => {
    test('is found with the id that it signs in by, in whatever case; an absent one is null', async () => {
      const { world, forge } = bench;
      const { login, subject, name } = await forge.signIn.fetchProfile(world.team.outsider());
      const userToken = world.outer.userToken();
      expect(await forge.findAccount({ userToken, login: login.toUpperCase() })).toEqual({ subject, login, name });
      expect(await forge.findAccount({ userToken, login: 'nobody-at-all' })).toBeNull();
      expect(await forge.findAccount({ userToken, login: world.team.organization })).toBeNull();
    });
  });

  describe('signing in', () => {
    const grant = { code: 'ended', codeVerifier: 'a'.repeat(43), redirectUri: 'http://127.0.0.1/x' };
    const both = (forge: Forge) => [() => forge.signIn.exchange(grant), () => forge.signIn.refresh('ended')];

    test('is by PKCE, and says whether its token is kept', () => {
      const { signIn } = bench.forge;
      expect(signIn).toMatchObject({ pkce: true, keepsToken: bench.world.keepsToken });
      expect(new URL(signIn.authorizationUrl).origin).toBe(bench.world.wire.url);
    });

    test('has to be done again where a code or a token has ended', async () => {
      for (const work of both(bench.forge)) expect(await codeOf(work)).toBe('unauthenticated');
    });

    test('F12: nobody is told so where the forge is away, whatever it says in words', async () => {
      for (const error of ['server_error', 'temporarily_unavailable', 'invalid_grant']) {
        bench.world.wire.listen(() => ({ status: 503, body: { error } }));
        for (const work of both(bench.forge)) expect(await codeOf(work)).toBe('unavailable');
      }
      bench.world.wire.listen(() => ({ status: 200, body: '<html>' }));
      for (const work of both(bench.forge)) expect(await codeOf(work)).toBe('unavailable');
    });

    test('F14: nor where it limits', async () => {
      bench.world.wire.listen(() => bench.world.limits.named(7));
      for (const work of both(bench.forge)) {
        await expect(work()).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 7000 });
      }
    });
  });

  describe('a person’s own access token', () => {
    test('is checked where people give one, and is none of this forge’s elsewhere', async () => {
      const { personTokens } = bench.world;
      if (personTokens) return holdTokens(bench.forge, personTokens, 'person');
      expect(await codeOf(bench.forge.checkToken({ token: 'x', scopesFor: 'person' }))).toBe('invalid');
      expect(await codeOf(() => bench.forge.tokenAdvice('person', ''))).toBe('invalid');
    });
  });

  describe('webhooks', () => {
    async function told() {
      const { world } = bench;
      const { wire } = world;
      const about = await world.tell(world.connection);
      const [heard] = wire.heard;
      if (!heard) throw new Error('nothing was sent');
      const input = (change: { headers?: Record<string, string | null>; body?: string } = {}) => {
        const headers = new Map(Object.entries({ ...heard.headers, ...change.headers }));
        const get = (header: string) => headers.get(header) ?? null;
        return { headers: { get }, rawBody: Buffer.from(change.body ?? heard.body) };
      };
      return { about, heard, input };
    }

    test('A8: are believed as they came and in no other way', async () => {
      const { about, heard, input } = await told();
      const { world, forge } = bench;
      expect(forge.verifyWebhook(input()).payload).toEqual(JSON.parse(heard.body));
      const refused = (given: ReturnType<typeof input>, by = forge) => codeOf(() => by.verifyWebhook(given));
      const changed = heard.body.replace(/\d/, (digit) => (digit === '1' ? '2' : '1'));
      expect(await refused(input({ body: changed }))).toBe('unauthenticated');
      expect(await refused(input({ body: `${heard.body} ` }))).toBe('unauthenticated');
      for (const proof of ['', 'x', 'v1,', 'sha256=', (heard.headers[about.proof] ?? '').slice(0, -1)]) {
        expect(await refused(input({ headers: { [about.proof]: proof } }))).toBe('unauthenticated');
      }
      for (const webhookSecret of ['another', '', undefined]) {
        expect(await refused(input(), forgeOf({ ...world.connection, webhookSecret }))).toBe('unauthenticated');
        const reader = webhookOf(kind);
        expect(await codeOf(() => reader.verifyWebhook(webhookSecret ?? '', input()))).toBe('unauthenticated');
      }
    });

    test('F16: without an id a repeat cannot be told, so they are refused', async () => {
      const { about, input, heard } = await told();
      expect(bench.forge.verifyWebhook(input()).deliveryId).toBe(heard.headers[about.ids[0] ?? '']);
      const headers = Object.fromEntries(about.ids.map((id) => [id, null]));
      const without = codeOf(() => bench.forge.verifyWebhook(input({ headers })));
      expect(['invalid', 'unauthenticated']).toContain(await without);
    });

    test('tell what they are about, and a job where the forge tells of jobs', async () => {
      const { about, input } = await told();
      const { about: kindOf, payload } = bench.forge.verifyWebhook(input());
      const reader = webhookOf(kind);
      expect(reader.readRepository(payload)).toEqual(about.repository);
      expect(reader.readInstallation(payload)).toBeNull();
      const job = bench.forge.readWorkflowJob(payload);
      expect(reader.readWorkflowJob(payload)).toEqual(job);
      expect(kindOf).toBe(about.job ? 'job' : 'scope');
      const { id: repositoryId, path: repository } = about.repository;
      expect(job).toEqual(about.job && expect.objectContaining({ ...about.job, repositoryId, repository }));
      for (const nonsense of [null, 7, 'x', [], {}, { workflow_job: 1, repository: 2 }]) {
        expect(reader.readWorkflowJob(nonsense)).toBeNull();
        expect(reader.readRepository(nonsense)).toBeNull();
        expect(reader.readAccountId(nonsense)).toBeNull();
        expect(reader.readInstallation(nonsense)).toBeNull();
      }
    });
  });
}

// ------------------------------------------------------------------------------------------------ people

function people(at: Level): void {
  describe('A13: who has a say', () => {
    test.each(['owner', 'member', 'stranger'] as const)('the %s is told their own role', async (person) => {
      const { level, forge } = at;
      const role = level.roles[person];
      const profile = await forge.signIn.fetchProfile(level.userToken(person));
      expect(profile.subject).toBe(level.subject(person));
      if (role === 'not_found') return void expect(await codeOf(find(at, person))).toBe('not_found');
      const found = await find(at, person);
      const { scope } = level;
      expect(found).toMatchObject({
        level: level.level,
        scopeId: scope.id,
        path: scope.path,
        ownerId: scope.ownerId,
        role,
      });
      expect(found.credential).toBe(level.credential().kind);
      const isTold = person === 'owner' && level.credential().kind === 'installation';
      expect(found.installation === null).toBe(!isTold);
    });

    test('nobody but an owner is an admin', () => {
      expect(at.level.roles.owner).toBe('admin');
      expect([at.level.roles.member, at.level.roles.stranger]).not.toContain('admin');
    });

    test('of whoever is no admin, nothing is asked but with their own token', async () => {
      const { wire } = at.world;
      for (const person of ['member', 'stranger'] as const) {
        await find(at, person).catch(() => null);
        const userToken = at.level.userToken(person);
        wire.listen();
        await at.forge
          .findScope({ userToken, level: at.level.level, path: at.level.scope.path })
          .catch((error: unknown) => expect(error).toBeInstanceOf(AppError));
        expect(wire.sent.length).toBeGreaterThan(0);
        expect(wire.sent.map(({ authorization }) => authorization.split(' ')[1])).toEqual(
          wire.sent.map(() => userToken),
        );
      }
    });

    test('A14: an owner who is one no more is no admin at the next question', async () => {
      const { level } = at;
      // Nobody takes an account from its person.
      if (!level.demote) return void expect(level.scope.ownerId).toBe(level.subject('owner'));
      const userToken = level.userToken('owner');
      expect((await at.forge.findScope({ userToken, level: level.level, path: level.scope.path })).role).toBe('admin');
      await level.demote();
      const after = await at.forge.findScope({ userToken, level: level.level, path: level.scope.path });
      expect(after.role).not.toBe('admin');
      const { paths } = await listed(at.forge, userToken);
      expect(paths).not.toContain(`${level.level} ${level.scope.path}`);
    });

    test('it is listed to those who administer it and to nobody else', async () => {
      const { level, forge } = at;
      const path = `${level.level} ${level.scope.path}`;
      for (const person of ['owner', 'member', 'stranger'] as const) {
        const { paths } = await listed(forge, level.userToken(person));
        expect(paths.includes(path)).toBe(level.listed && person === 'owner');
      }
    });

    test('accounts come with the role that a person has in them, their own among them', async () => {
      const { level, forge } = at;
      for (const person of ['owner', 'member', 'stranger'] as const) {
        const userToken = level.userToken(person);
        const { login } = await forge.signIn.fetchProfile(userToken);
        const accounts = await forge.listMembershipScopes({ userToken });
        expect(accounts[0]).toEqual({ of: 'account', ownerId: expect.any(String), login, role: 'admin' });
        const owned = accounts.some(({ ownerId, role }) => ownerId === level.scope.ownerId && role === 'admin');
        expect(owned).toBe(level.listed && person === 'owner');
        const belongs = accounts.some(({ ownerId }) => ownerId === level.scope.ownerId);
        if (person === 'stranger') expect(belongs).toBe(false);
      }
    });

    test('A14: the scope’s own credential tells who still is what they were, or nothing at all', async () => {
      const { level, forge } = at;
      for (const person of ['owner', 'member', 'stranger'] as const) {
        const ask = () => {
          const who = { subject: level.subject(person), login: 'whatever-it-was' };
          return forge.standingAt({ ...enrolled(at), ownerId: level.scope.ownerId, person: who });
        };
        const isOwn = level.scope.ownerId === level.subject(person);
        expect(await ask()).toBe(level.standings?.[person] ?? (isOwn ? 'admin' : null));
      }
      if (!level.standings || !level.demote) return;
      await level.demote();
      const person = { subject: level.subject('owner'), login: '' };
      expect(await forge.standingAt({ ...enrolled(at), ownerId: level.scope.ownerId, person })).not.toBe('admin');
    });

    test('who has ended their sign-in is told to sign in again', async () => {
      const userToken = 'ended';
      const { forge, level } = at;
      expect(await codeOf(forge.signIn.fetchProfile(userToken))).toBe('unauthenticated');
      expect(await codeOf(forge.listScopes({ userToken }))).toBe('unauthenticated');
      expect(await codeOf(forge.listMembershipScopes({ userToken }))).toBe('unauthenticated');
      const path = level.scope.path;
      expect(await codeOf(forge.findScope({ userToken, level: level.level, path }))).toBe('unauthenticated');
    });
  });
}

// ------------------------------------------------------------------------------------------------ identity

function identity(at: Level): void {
  describe('identity', () => {
    test('a scope that is well is seen as it is', async () => {
      const { level, forge } = at;
      const seen = await forge.observeScope(enrolled(at));
      expect(seen).toMatchObject({ exists: true, path: level.scope.path, problem: null });
      expect(seen.runnerGroups).toBe(level.groups !== null);
      expect(seen.installation === null).toBe(level.credential().kind === 'token');
      const tells = level.tokens?.tells ?? false;
      expect(seen.tokenExpiresAt).toEqual(tells ? expect.any(Date) : null);
    });

    test('what is renamed is found by its id, and by its new name', async () => {
      const { level, forge } = at;
      if (!level.rename) return void expect(level.scope.path).toBe('');
      const scope = enrolled(at);
      const path = await level.rename();
      expect(path).not.toBe(level.scope.path);
      expect(await forge.observeScope(scope)).toMatchObject({ exists: true, path, problem: null });
      expect(await find(at, 'owner', path)).toMatchObject({ scopeId: level.scope.id, path });
    });

    test('another that took the old name is not it, and nothing is made there', async () => {
      const { level, forge } = at;
      if (!level.rename) return void expect(level.foreign).toBeNull();
      const scope = enrolled(at);
      const path = await level.rename();
      const impostor = await level.takeName(level.scope.path);
      expect(impostor).not.toBe(level.scope.id);
      expect(await forge.observeScope(scope)).toMatchObject({ exists: true, path, problem: null });
      const userToken = level.userToken('owner');
      const found = forge.findScope({ userToken, level: level.level, path: level.scope.path });
      const foundId = await found.then(({ scopeId }) => scopeId, codeOf.bind(null, found));
      expect([impostor, 'not_found']).toContain(foundId);
      // Whoever acts by the name that it had makes it at the right place or not at all.
      await makeOne(at, scope).catch((error: unknown) => expect(error).toBeInstanceOf(AppError));
      expect((level.groups ?? level.runners)?.namedAt(impostor, name) ?? 0).toBe(0);
      if (!level.groups && !level.runners) return;
      await makeOne(at, { ...scope, path });
      expect((level.groups ?? level.runners)?.namedAt(level.scope.id, name)).toBe(1);
    });

    test('a scope of another’s is never taken for it, whatever it is called', async () => {
      const { level, forge } = at;
      if (!level.foreign) return void expect(level.rename).toBeNull();
      const foreign = { ...enrolled(at), scopeId: level.foreign.id };
      expect((await forge.observeScope(foreign)).problem).not.toBeNull();
      expect((await forge.observeScope({ ...foreign, path: level.foreign.path })).problem).not.toBeNull();
      for (const path of [level.scope.path, level.foreign.path]) {
        await makeOne(at, { ...foreign, path }).catch((error: unknown) => expect(error).toBeInstanceOf(AppError));
        expect((level.groups ?? level.runners)?.namedAt(level.foreign.id, name) ?? 0).toBe(0);
      }
    });

    test('what is transferred is found by its id, and told to be another’s', async () => {
      const { level, forge } = at;
      const scope = enrolled(at);
      expect(await forge.observeScope(scope)).toMatchObject({ ownerId: level.scope.ownerId });
      if (!level.transfer) return void expect(level.scope.ownerId).toBe(level.scope.id);
      const ownerId = await level.transfer();
      expect(ownerId).not.toBe(level.scope.ownerId);
      expect(await forge.observeScope(scope)).toMatchObject({ ownerId });
    });

    test('what is not there is not found', async () => {
      const { level } = at;
      const path = level.scope.path.replace(/[^/]*$/, 'no-such-thing');
      expect(await codeOf(find(at, 'owner', path))).toBe('not_found');
      // Nor is what would climb out of the question.
      for (const odd of ['..', '../..', 'a/..', '%2e%2e', '?', '#']) {
        expect(await codeOf(find(at, 'owner', odd))).toBe('not_found');
      }
    });

    test('a credential of the kind that does not reach it is refused before anything is asked', async () => {
      const { wire } = at.world;
      const wrong = { ...enrolled(at), credential: at.level.wrongCredential };
      wire.listen();
      expect(await codeOf(at.forge.observeScope(wrong))).toBe('invalid');
      if (at.forge.runners) expect(await codeOf(at.forge.runners.list(wrong))).toBe('invalid');
      expect(wire.sent).toEqual([]);
    });
  });
}

async function makeOne({ forge, level }: Level, scope: AtScope): Promise<unknown> {
  if (forge.runners) return forge.runners.ensure({ ...scope, name, labels, known: null });
  return level.groups && forge.ensureRunnerGroup({ ...scope, name, allowsPublicRepositories: false });
}

// ------------------------------------------------------------------------------------------------ problems

const nothingSeen: Reason[] = ['AppMissing', 'ScopeGone'];

function problems(kind: ForgeKind, at: Level): void {
  describe('what an observation says is wrong', () => {
    const reasons: Reason[] = [
      'AppMissing',
      'AppSuspended',
      'ScopeGone',
      'RepositoryNotSelected',
      'PermissionMissing',
      'TokenEnded',
      'TokenScopeMissing',
      'RoleMissing',
      'ServerTooOld',
      'RegistrationDisabled',
    ];
    test.each(reasons)('%s', async (reason) => {
      const { level, forge } = at;
      const cause = level.problems[reason];
      // That this forge never says it at all is held above, for all its levels.
      if (!cause) return void expect(await forge.observeScope(enrolled(at))).toMatchObject({ problem: null });
      const scope = await cause(enrolled(at));
      const seen = await forge.observeScope(scope);
      expect(seen.problem).toMatchObject({ reason, message: expect.stringMatching(/.{20,}\.$/) });
      if (nothingSeen.includes(reason)) expect(seen.exists).toBe(false);
      expect(seen.runnerGroups).toBe(false);
      // Looking again says the same: nothing that was seen before is remembered.
      expect((await forge.observeScope(scope)).problem?.reason).toBe(reason);
    });

    test('a server that is too old is found out before anybody is asked to enrol there', async () => {
      const cause = at.level.problems.ServerTooOld;
      if (!cause || kind !== 'github') return void expect(kind).not.toBe('github');
      await cause(enrolled(at));
      await expect(find(at, 'owner')).rejects.toMatchObject({
        code: 'forbidden',
        screen: { happened: expect.stringContaining('3.9') },
      });
    });

    test.each(['TokenEnded', 'AppSuspended', 'PermissionMissing', 'TokenScopeMissing', 'RoleMissing'] as const)(
      'where it is %s, what needs the scope is refused and not asked for a sign-in',
      async (reason) => {
        const { level } = at;
        const cause = level.problems[reason];
        const made = level.groups ?? level.runners;
        if (!cause || !made) return void expect(cause === null || kind === 'github').toBe(true);
        const scope = await cause(enrolled(at));
        expect(await codeOf(makeOne(at, scope))).toBe('forbidden');
        expect(made.named(name)).toBe(0);
      },
    );
  });
}

// ------------------------------------------------------------------------------------------------ access tokens

async function holdTokens(forge: Forge, tokens: TokenWorld, scopesFor: 'person' | ScopeLevel): Promise<void> {
  const check = (token: string) => forge.checkToken({ token, scopesFor });
  expect((await check(tokens.good())).missingScopes).toEqual([]);
  const lacking = tokens.lacking();
  expect((await check(lacking.token)).missingScopes).toEqual(lacking.missing);
  expect(await codeOf(check(tokens.ended()))).toBe('unauthenticated');
  expect(await codeOf(check('nobody’s'.replace('’', '')))).toBe('unauthenticated');
  const foreign = tokens.ofStranger();
  expect((await check(foreign.token)).subject).toBe(foreign.subject);
  expect((await check(tokens.good())).subject).not.toBe(foreign.subject);
  const facts = await check(tokens.good());
  expect(facts.login).not.toBe('');
  expect(facts.expiresAt).toEqual(tokens.tells ? expect.any(Date) : null);
  expect(facts.scopes).toEqual(tokens.tells ? expect.arrayContaining([expect.any(String)]) : null);
  const advice = forge.tokenAdvice(scopesFor, 'tinyland');
  expect(advice.scopes).toEqual(expect.arrayContaining(lacking.missing));
  expect(URL.canParse(advice.createUrl)).toBe(true);
}

function tokens(at: Level): void {
  test('access tokens are known for what they are, or are none of this level’s', async () => {
    const { level, forge, world } = at;
    if (level.tokens) {
      await holdTokens(forge, level.tokens, level.level);
      const token = level.tokens.good();
      const { expiresAt } = await forge.checkToken({ token, scopesFor: level.level });
      const scope = { ...enrolled(at), credential: { kind: 'token' as const, token } };
      return expect((await forge.observeScope(scope)).tokenExpiresAt).toEqual(expiresAt);
    }
    expect(level.credential().kind).toBe('installation');
    world.wire.listen();
    expect(await codeOf(forge.checkToken({ token: 'x', scopesFor: level.level }))).toBe('invalid');
    expect(await codeOf(() => forge.tokenAdvice(level.level, level.scope.path))).toBe('invalid');
    expect(world.wire.sent).toEqual([]);
  });
}

// ------------------------------------------------------------------------------------------------ runner groups

type Group = { change: 'created' | 'updated' | null; id: string; name: string };

function runnerGroups(at: Level): void {
  const ensure = (scope = enrolled(at), given = name) =>
    at.forge.ensureRunnerGroup({ ...scope, name: given, allowsPublicRepositories: false });
  const made = async (scope?: AtScope): Promise<Group> => {
    const group = await ensure(scope);
    if ('unsupported' in group) throw new Error('this level has groups');
    return group;
  };
  const world = (): MadeWorld => {
    if (!at.level.groups) throw new Error('this level has groups');
    return at.level.groups;
  };
  /** At a level that has none, every one of these tests is that it has none. */
  const held = (what: string, hold: () => Promise<void>) =>
    test(what, async () => {
      if (at.level.groups) return hold();
      at.world.wire.listen();
      expect(await ensure()).toEqual({ unsupported: true } satisfies Unsupported);
      expect(await at.forge.observeRunnerGroup({ ...enrolled(at), name })).toBeNull();
      expect(await at.forge.removeRunnerGroup({ ...enrolled(at), id: '1' })).toEqual({ change: null });
      expect(at.world.wire.sent).toEqual([]);
    });

  describe('runner groups', () => {
    held('are made once, seen, mended when changed, and removed', async () => {
      const { wire } = at.world;
      const scope = enrolled(at);
      const first = await made(scope);
      expect(first).toMatchObject({ change: 'created', name });
      wire.listen();
      expect(await made(scope)).toEqual({ ...first, change: null });
      expect(wire.sent.filter((sent) => !isQuestion(sent))).toEqual([]);
      const well = { id: first.id, name, visibility: 'all', allowsPublicRepositories: false };
      expect(await at.forge.observeRunnerGroup({ ...scope, name })).toEqual(well);
      world().spoil?.(first.id);
      expect(await at.forge.observeRunnerGroup({ ...scope, name })).not.toEqual(well);
      expect(await made(scope)).toEqual({ ...first, change: 'updated' });
      expect(await at.forge.observeRunnerGroup({ ...scope, name })).toEqual(well);
      expect(await at.forge.removeRunnerGroup({ ...scope, id: first.id })).toEqual({ change: 'removed' });
      wire.listen();
      expect(await at.forge.removeRunnerGroup({ ...scope, id: first.id })).toEqual({ change: null });
      expect(wire.sent.every(isQuestion)).toBe(true);
      expect(await at.forge.observeRunnerGroup({ ...scope, name })).toBeNull();
    });

    held('F15: a lost answer at any point is made good by asking again, with one group in the end', () =>
      lostAnswers(at, world(), () => ensure()),
    );

    held('two at once end in one', async () => {
      await Promise.allSettled([ensure(), ensure(), ensure()]);
      expect(world().named(name)).toBe(1);
      expect((await made()).change).toBeNull();
    });

    held('of others are left alone', async () => {
      const scope = enrolled(at);
      const { id } = await made(scope);
      world().rename(id, 'somebody’s');
      expect(await codeOf(at.forge.removeRunnerGroup({ ...scope, id }))).toBe('invalid');
      for (const given of ['somebody’s', 'Default', 'flywheel-', ''])
        expect(await codeOf(ensure(scope, given))).toBe('invalid');
      expect(world().named('somebody’s')).toBe(1);
    });

    held('F25: one among hundreds is found', async () => {
      const scope = enrolled(at);
      const { id } = await made(scope);
      world().multiply(id, 250, `${name}-`);
      const last = `${name}-249`;
      expect(await at.forge.observeRunnerGroup({ ...scope, name: last })).toMatchObject({ name: last });
      expect(await ensure(scope, last)).toMatchObject({ change: null });
    });
  });
}

/** The answer to each request in turn is lost: it is an error that says so, and the next try ends in exactly one. */
async function lostAnswers({ world }: Level, made: MadeWorld, ensure: () => Promise<unknown>): Promise<void> {
  const { wire } = world;
  wire.listen();
  await ensure();
  const requests = wire.sent.length;
  for (let nth = 1; nth <= requests + 1; nth += 1) {
    wire.listen((_, at) => (at === nth ? 'lost' : 'pass'));
    const error = await ensure().then(
      () => null,
      (each: unknown) => each,
    );
    expect(summary(error).code).toBe(wire.sent.length >= nth ? 'unavailable' : 'no error');
    wire.listen();
    await ensure();
    expect(made.named(name)).toBe(1);
  }
  // The same from nothing, where the request that makes it is among those that are lost.
  for (let nth = 1; nth <= requests; nth += 1) {
    wire.listen((_, at) => (at === nth ? 'lost' : 'pass'));
    dropAll(made);
    const code = await codeOf(ensure());
    expect(code).toBe(wire.sent.length >= nth ? 'unavailable' : 'no error');
    expect(made.named(name)).toBeLessThanOrEqual(1);
    wire.listen();
    await ensure();
    expect(made.named(name)).toBe(1);
  }
}

function dropAll(made: MadeWorld): void {
  for (const id of made.idsNamed(name)) made.drop(id);
}

// ------------------------------------------------------------------------------------------------ runners

function runners(at: Level): void {
  type Runners = NonNullable<Forge['runners']>;
  type Hold = (runners: Runners, world: MadeWorld) => Promise<void>;
  const held = (what: string, hold: Hold) =>
    test(what, async () => {
      const { forge, level } = at;
      if (forge.runners && level.runners) return hold(forge.runners, level.runners);
      // A controller in the cluster registers them.
      expect({ port: forge.runners, world: level.runners }).toEqual({ port: null, world: null });
    });
  const wanted = { name, labels, known: null };

  describe('runners', () => {
    held('one is made, kept while its secret is known, and removed once', async (port, world) => {
      const { wire } = at.world;
      const scope = enrolled(at);
      const first = await port.ensure({ ...scope, ...wanted });
      expect(first).toMatchObject({ change: 'created', runner: { name, status: 'never_contacted' } });
      expect(first.secret?.token).toMatch(/.{16,}/);
      expect(first.secret && (await world.works?.(first.secret))).toBe(true);
      const known = first.runner.id;
      wire.listen();
      const again = await port.ensure({ ...scope, ...wanted, known });
      expect(again).toMatchObject({ change: null, secret: null, runner: { id: known, status: 'online' } });
      expect(wire.sent.filter((sent) => !isQuestion(sent))).toEqual([]);
      expect(await port.list(scope)).toEqual([
        expect.objectContaining({ id: known, name } satisfies Partial<ForgeRunner>),
      ]);
      expect(await port.remove({ ...scope, id: known })).toEqual({ change: 'removed' });
      wire.listen();
      expect(await port.remove({ ...scope, id: known })).toEqual({ change: null });
      expect(wire.sent.every(isQuestion)).toBe(true);
      expect(await port.list(scope)).toEqual([]);
    });

    held('one that was removed by hand is made again, and one that was changed is mended', async (port, world) => {
      const scope = enrolled(at);
      const { runner } = await port.ensure({ ...scope, ...wanted });
      const known = runner.id;
      if (world.spoil) {
        world.spoil(known);
        const ensured = await port.ensure({ ...scope, ...wanted, known });
        expect(ensured).toMatchObject({ change: 'updated', secret: null, runner: { id: known } });
        expect((await port.ensure({ ...scope, ...wanted, known })).change).toBeNull();
      }
      world.drop(known);
      expect(await port.ensure({ ...scope, ...wanted, known })).toMatchObject({ change: 'created' });
      expect(world.named(name)).toBe(1);
    });

    held('a successor works beside the one before it, which lets nobody in once it is retired', async (port, world) => {
      const scope = enrolled(at);
      const works = async (each: { token: string; uuid: string | null } | null) => each && world.works?.(each);
      const first = await port.ensure({ ...scope, ...wanted });
      const next = await port.ensure({ ...scope, ...wanted, name: `${name}.next` });
      expect([await works(first.secret), await works(next.secret)]).toEqual([true, true]);
      // A successor serves as the one before it did, and is forgotten after its job where that one was.
      expect(next).toMatchObject({ change: 'created', ephemeral: first.ephemeral });
      expect((await port.list(scope)).map(({ status }) => status)).toEqual(['online', 'online']);
      const { id } = first.runner;
      expect(await port.retire({ ...scope, id })).toEqual({ change: 'removed' });
      expect([await works(first.secret), await works(next.secret)]).toEqual([false, true]);
      expect(await port.retire({ ...scope, id })).toEqual({ change: null });
      const known = next.runner.id;
      expect((await port.ensure({ ...scope, ...wanted, name: `${name}.next`, known })).change).toBeNull();
    });

    held('F22: one that runs a job is not retired under it', async (port, world) => {
      const scope = enrolled(at);
      const { runner, secret } = await port.ensure({ ...scope, ...wanted });
      if (secret) await world.works?.(secret);
      const end = world.occupy?.(runner.id);
      for (let again = 1; again <= 2; again += 1) {
        expect(await port.retire({ ...scope, id: runner.id })).toEqual({ busy: true });
        expect([world.named(name), secret && (await world.works?.(secret))]).toEqual([1, true]);
      }
      const [listed] = await port.list(scope);
      expect([true, null]).toContain(listed?.busy);
      end?.();
      expect(await port.retire({ ...scope, id: runner.id })).toEqual({ change: 'removed' });
      expect(world.named(name)).toBe(0);
    });

    held('F15: one whose secret was lost is given a new one, and there is never a second', async (port, world) => {
      const scope = enrolled(at);
      const first = await port.ensure({ ...scope, ...wanted });
      for (const known of [null, '424242']) {
        const next = await port.ensure({ ...scope, ...wanted, known });
        expect(next.change).toBe('replaced');
        expect(next.secret && (await world.works?.(next.secret))).toBe(true);
        expect(world.named(name)).toBe(1);
      }
      expect(first.secret && (await world.works?.(first.secret))).toBe(false);
    });

    held('F15: a lost answer at any point is made good by asking again, with one runner in the end', (port, world) => {
      const scope = enrolled(at);
      return lostAnswers(at, world, () => port.ensure({ ...scope, ...wanted }));
    });

    held('several of one name become one', async (port, world) => {
      const scope = enrolled(at);
      const { runner } = await port.ensure({ ...scope, ...wanted });
      world.multiply(runner.id, 3, 'twin-');
      for (const id of ['twin-0', 'twin-1', 'twin-2'].flatMap((twin) => world.idsNamed(twin))) world.rename(id, name);
      expect(world.named(name)).toBe(4);
      await port.ensure({ ...scope, ...wanted });
      expect(world.named(name)).toBe(1);
    });

    held('two at once end in one', async (port, world) => {
      const scope = enrolled(at);
      const all = await Promise.allSettled([1, 2, 3].map(() => port.ensure({ ...scope, ...wanted })));
      expect(world.named(name)).toBe(1);
      for (const one of all) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'conflict' });
      expect(await port.ensure({ ...scope, ...wanted })).toMatchObject({ secret: expect.anything() });
      expect(world.named(name)).toBe(1);
    });

    held('of others are neither listed nor touched', async (port, world) => {
      const scope = enrolled(at);
      const { runner } = await port.ensure({ ...scope, ...wanted });
      world.rename(runner.id, 'somebody’s');
      const { id } = runner;
      expect(await port.list(scope)).toEqual([]);
      expect(await codeOf(port.remove({ ...scope, id }))).toBe('invalid');
      expect(await codeOf(port.retire({ ...scope, id }))).toBe('invalid');
      for (const given of ['somebody’s', 'flywheel-', '', 'Flywheel-x']) {
        expect(await codeOf(port.ensure({ ...scope, ...wanted, name: given }))).toBe('invalid');
      }
      // Nor is one taken for ours because its number is.
      expect((await port.ensure({ ...scope, ...wanted, known: id })).runner.id).not.toBe(id);
      expect([world.named('somebody’s'), world.named(name)]).toEqual([1, 1]);
    });

    held('of our own at another scope are neither listed nor touched', async (port, world) => {
      const scope = enrolled(at);
      const { runner } = await port.ensure({ ...scope, ...wanted });
      const { id } = runner;
      world.move?.(id);
      expect(world.namedAt(scope.scopeId, name)).toBe(0);
      expect(await port.list(scope)).toEqual([]);
      for (const end of [port.retire, port.remove]) {
        const ended = await end({ ...scope, id }).catch((error: unknown) => error);
        expect(ended).not.toEqual({ change: 'removed' });
      }
      expect(world.named(name)).toBe(1);
      await port.ensure({ ...scope, ...wanted });
      expect([world.namedAt(scope.scopeId, name), world.named(name)]).toEqual([1, 2]);
    });

    held('F25: of many none is missed', async (port, world) => {
      const scope = enrolled(at);
      const { runner } = await port.ensure({ ...scope, ...wanted });
      world.multiply(runner.id, 120, `${name}-`);
      const names = (await port.list(scope)).map((each) => each.name);
      expect(names).toHaveLength(121);
      expect(new Set(names).size).toBe(121);
    });

    held('without end are an error and no endless work', async (port) => {
      const scope = enrolled(at);
      await port.ensure({ ...scope, ...wanted, name: 'flywheel-other' });
      at.world.wire.listen(({ path }) => (/runners(\/all)?\?/.test(path) ? 'endless' : 'pass'));
      expect(await codeOf(port.ensure({ ...scope, ...wanted }))).toBe('unavailable');
      expect(at.world.wire.sent.length).toBeLessThan(210);
    });
  });
}

// ------------------------------------------------------------------------------------------------ webhooks of a scope

function webhooksAt(at: Level): void {
  const url = 'http://127.0.0.1:9/flywheel';
  const others = 'http://127.0.0.1:9/somebodys';
  const held = (what: string, hold: (world: HookWorld) => Promise<void>) =>
    test(what, async () => {
      if (at.level.hooks) return hold(at.level.hooks);
      at.world.wire.listen();
      expect(await at.forge.ensureWebhook({ ...enrolled(at), url })).toEqual({ unsupported: true });
      expect(await at.forge.removeWebhook({ ...enrolled(at), url })).toEqual({ unsupported: true });
      expect(at.world.wire.sent.every(isQuestion)).toBe(true);
    });
  const hooked = (world: HookWorld) => ({ ...enrolled(at), credential: world.credential() });

  describe('the webhook of a scope', () => {
    held('is made once, mended when changed, and removed, and others’ are left', async (world) => {
      const { wire } = at.world;
      const scope = hooked(world);
      expect(await at.forge.ensureWebhook({ ...scope, url: others })).toEqual({ change: 'created' });
      expect(await at.forge.ensureWebhook({ ...scope, url })).toEqual({ change: 'created' });
      wire.listen();
      expect(await at.forge.ensureWebhook({ ...scope, url })).toEqual({ change: null });
      expect(wire.sent.every(isQuestion)).toBe(true);
      world.spoil(url);
      expect(await at.forge.ensureWebhook({ ...scope, url })).toEqual({ change: 'updated' });
      expect(await at.forge.ensureWebhook({ ...scope, url })).toEqual({ change: null });
      expect(await at.forge.removeWebhook({ ...scope, url })).toEqual({ change: 'removed' });
      wire.listen();
      expect(await at.forge.removeWebhook({ ...scope, url })).toEqual({ change: null });
      expect(wire.sent.every(isQuestion)).toBe(true);
      expect([world.to(url), world.to(others)]).toEqual([0, 1]);
    });

    held('is given a new secret when ours is another, and stays one', async (world) => {
      const { connection, wire } = at.world;
      const scope = hooked(world);
      const later = forgeOf({ ...connection, webhookSecret: 'another-secret-of-the-hooks' });
      await at.forge.ensureWebhook({ ...scope, url });
      expect(world.provesBy(url, connection.webhookSecret ?? '')).toBe(true);
      expect(await later.ensureWebhook({ ...scope, url })).toEqual({ change: 'updated' });
      expect([world.to(url), world.provesBy(url, 'another-secret-of-the-hooks')]).toEqual([1, true]);
      wire.listen();
      expect(await later.ensureWebhook({ ...scope, url })).toEqual({ change: null });
      expect(wire.sent.every(isQuestion)).toBe(true);
      // Whoever takes it away need not know by which secret it was made.
      expect(await at.forge.removeWebhook({ ...scope, url })).toEqual({ change: 'removed' });
      expect(world.to(url)).toBe(0);
    });

    held('F15: after a lost answer is found again and not made twice', async (world) => {
      const scope = hooked(world);
      at.world.wire.listen(({ method }) => (method === 'POST' ? 'lost' : 'pass'));
      expect(await codeOf(at.forge.ensureWebhook({ ...scope, url }))).toBe('unavailable');
      at.world.wire.listen();
      expect(await at.forge.ensureWebhook({ ...scope, url })).toEqual({ change: null });
      expect(world.to(url)).toBe(1);
    });

    held('is unsupported where there can be none, and without a secret to sign with', async (world) => {
      const scope = hooked(world);
      const unsigned = forgeOf({ ...at.world.connection, webhookSecret: undefined });
      expect(await unsigned.ensureWebhook({ ...scope, url })).toEqual({ unsupported: true });
      expect(world.to(url)).toBe(0);
      expect(await at.forge.ensureWebhook({ ...world.refuse(scope), url })).toEqual({ unsupported: true });
      expect(world.to(url)).toBe(0);
      at.world.wire.listen();
      await at.forge.ensureWebhook({ ...scope, url });
      expect(await at.forge.removeWebhook({ ...world.refuse(scope), url })).toEqual({ unsupported: true });
    });
  });
}

// ------------------------------------------------------------------------------------------------ a forge that is not well

type Call = { what: string; isPersons: boolean; run(signal?: AbortSignal): Promise<unknown> };

/** Every call that this level has. What changes something is prepared so that it has something to change. */
async function callsOf(at: Level, round: number): Promise<Call[]> {
  const { level } = at;
  const userToken = level.userToken('owner');
  const scope = enrolled(at);
  const ask = { userToken, level: level.level, path: level.scope.path };
  // Whichever forge it is when a call is made.
  const forge = () => at.forge;
  const calls: Call[] = [];
  const add = (what: string, run: Call['run'], isPersons = false) => calls.push({ what, isPersons, run });
  add('fetchProfile', (signal) => forge().signIn.fetchProfile(userToken, { signal }), true);
  add('listScopes', (signal) => forge().listScopes({ userToken, signal }), true);
  add('listMembershipScopes', (signal) => forge().listMembershipScopes({ userToken, signal }), true);
  add('findScope', (signal) => forge().findScope({ ...ask, signal }), true);
  add('observeScope', (signal) => forge().observeScope({ ...scope, signal }));
  const { tokens: tokenWorld, hooks } = level;
  if (tokenWorld) {
    const token = tokenWorld.good();
    add('checkToken', (signal) => forge().checkToken({ token, scopesFor: level.level, signal }), true);
  }
  const port = () => forge().runners as NonNullable<Forge['runners']>;
  if (forge().runners) {
    const made = (what: string) => port().ensure({ ...scope, name: `flywheel-${what}-${round}`, labels, known: null });
    const [retired, removed] = [(await made('retired')).runner, (await made('removed')).runner];
    const fresh = { ...scope, name: `flywheel-fresh-${round}`, labels, known: null };
    add('runners.list', (signal) => port().list({ ...scope, signal }));
    add('runners.ensure', (signal) => port().ensure({ ...fresh, signal }));
    add('runners.retire', (signal) => port().retire({ ...scope, id: retired.id, signal }));
    add('runners.remove', (signal) => port().remove({ ...scope, id: removed.id, signal }));
  }
  if (level.groups) {
    const group = { ...scope, allowsPublicRepositories: false as const };
    const removed = await forge().ensureRunnerGroup({ ...group, name: `flywheel-removed-${round}` });
    const id = 'id' in removed ? removed.id : '';
    add('observeRunnerGroup', (signal) => forge().observeRunnerGroup({ ...scope, name, signal }));
    add('ensureRunnerGroup', (signal) =>
      forge().ensureRunnerGroup({ ...group, name: `flywheel-fresh-${round}`, signal }),
    );
    add('removeRunnerGroup', (signal) => forge().removeRunnerGroup({ ...scope, id, signal }));
  }
  if (hooks) {
    const hooked = { ...scope, credential: hooks.credential() };
    await forge().ensureWebhook({ ...hooked, url: `http://127.0.0.1:9/removed-${round}` });
    add('ensureWebhook', (signal) => forge().ensureWebhook({ ...hooked, url: `http://127.0.0.1:9/${round}`, signal }));
    const url = `http://127.0.0.1:9/removed-${round}`;
    add('removeWebhook', (signal) => forge().removeWebhook({ ...hooked, url, signal }));
  }
  return calls;
}

/** Each call meets this fate at its first request, then at its second, and so on until it has no more. */
async function atEachRequest(
  at: Level,
  fate: Fate,
  hold: (error: unknown, what: string, call: Call) => void,
): Promise<void> {
  const { wire } = at.world;
  const finished = new Set<string>();
  let met = 0;
  for (let nth = 1; nth < 30; nth += 1) {
    wire.listen();
    at.anew();
    const calls = await callsOf(at, nth);
    const open = calls.filter(({ what }) => !finished.has(what));
    for (const call of open) {
      const meddle: Meddle = (_, count) => (count === nth ? fate : 'pass');
      at.anew();
      wire.listen(meddle);
      const error = await call.run().then(
        () => 'no error',
        (each: unknown) => each,
      );
      if (wire.sent.length < nth) finished.add(call.what);
      else {
        met += 1;
        hold(error, `${call.what}, request ${nth}`, call);
      }
    }
    if (open.length === 0) break;
  }
  expect(met).toBeGreaterThan(8);
}

/** Their last request says that they are limited (at GitHub an installation's comes after the App's own): as whom it was made. */
async function beLimited({ world }: Level, call: Call, limit: Reply): Promise<string | undefined> {
  const { wire } = world;
  // Once for the tokens that are kept, and once to count.
  await call.run();
  wire.listen();
  await call.run();
  const requests = wire.sent.length;
  wire.listen((_, nth) => (nth === requests ? limit : 'pass'));
  expect(await codeOf(call.run())).toBe('rate_limited');
  return wire.sent.at(-1)?.authorization;
}

function summary(error: unknown): { code: string; retryAfterMs?: number | undefined } {
  if (error === null) return { code: 'no error' };
  if (!(error instanceof AppError)) return { code: `not an AppError: ${String(error)}` };
  return { code: error.code, retryAfterMs: error.retryAfterMs };
}

function weather(at: Level): void {
  describe('a forge that is not well', () => {
    test('F12: a failure or a broken connection at any request is "unavailable", and the next call is answered', async () => {
      for (const fate of [{ status: 502, body: { message: 'Bad Gateway' } }, { status: 500 }, 'reset'] as const) {
        await atEachRequest(at, fate, (error, what) =>
          expect({ what, ...summary(error) }).toMatchObject({ what, code: 'unavailable' }),
        );
      }
      at.world.wire.listen();
      expect((await at.forge.observeScope(enrolled(at))).problem).toBeNull();
    });

    test('F14: a limit at any request is a limit, and never "not there" or "unsupported"', async () => {
      await atEachRequest(at, at.world.limits.named(7), (error, what) =>
        expect({ what, ...summary(error) }).toEqual({ what, code: 'rate_limited', retryAfterMs: 7000 }),
      );
    });

    test('F13: a limit says when it ends; where it does not, it is a minute', async () => {
      const { limits, wire } = at.world;
      const scope = enrolled(at);
      wire.listen(() => limits.until(new Date(Date.now() + 2_400_000)));
      const { code, retryAfterMs } = summary(await at.forge.observeScope(scope).catch((error: unknown) => error));
      expect(code).toBe('rate_limited');
      expect(retryAfterMs).toBeGreaterThan(2_390_000);
      expect(retryAfterMs).toBeLessThan(2_410_000);
      at.anew();
      wire.listen(() => limits.unnamed());
      await expect(at.forge.observeScope(scope)).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 60_000 });
    });

    test('nothing is sent again by itself', async () => {
      const { limits, wire } = at.world;
      for (const fate of [{ status: 500 }, limits.named(1), limits.unnamed(), 'reset'] as Fate[]) {
        for (const call of await callsOf(at, 1)) {
          at.anew();
          wire.listen(() => fate);
          await call.run().catch(() => null);
          expect({ what: call.what, sent: wire.sent.length }).toEqual({ what: call.what, sent: 1 });
        }
        at.anew();
        wire.listen();
      }
    });

    test('F13: until a limit is over nothing is sent for whoever it is of, whatever is asked, and others are served', async () => {
      const { limits, wire } = at.world;
      // A webhook may want a token of more power, and a token that is checked is another's.
      const calls = (await callsOf(at, 1)).filter(({ what }) => !/Webhook|checkToken/.test(what));
      // The forge's own clock goes on as it did.
      const ends = limits.until(new Date(Date.now() + 2_400_000));
      const stranger = at.level.userToken('stranger');
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
      for (const isPersons of [true, false]) {
        const theirs = calls.filter((call) => call.isPersons === isPersons);
        const [first] = theirs;
        if (!first) throw new Error('each has calls');
        const limited = await beLimited(at, first, ends);
        for (const call of theirs) {
          wire.listen();
          const { code, retryAfterMs = 0 } = summary(await call.run().catch((error: unknown) => error));
          const sent = wire.sent.filter(({ authorization }) => authorization === limited);
          expect({ what: call.what, code, sent }).toEqual({ what: call.what, code: 'rate_limited', sent: [] });
          expect(Math.abs(retryAfterMs - 2_400_000)).toBeLessThan(10_000);
        }
        expect((await at.forge.signIn.fetchProfile(stranger)).subject).toBe(at.level.subject('stranger'));
        vi.setSystemTime(Date.now() + 2_401_000);
        for (const call of theirs) {
          wire.listen();
          await call.run();
          expect(wire.sent.length).toBeGreaterThan(0);
        }
      }
    });

    test('nonsense is "unavailable", and no redirect is followed', async () => {
      const { wire } = at.world;
      const elsewhere = { location: `${wire.url}/trap` };
      const answers: Fate[] = [
        { status: 200, body: '<html><title>Sign in</title></html>' },
        { status: 200, body: '"text"' },
        { status: 200, body: '{"id":{},"login":7}' },
        { status: 200, body: '' },
        { status: 302, headers: elsewhere },
        { status: 307, headers: elsewhere, body: { url: elsewhere.location } },
      ];
      const calls = await callsOf(at, 1);
      for (const answer of answers) {
        for (const call of calls) {
          wire.listen(() => answer);
          const code = await codeOf(call.run());
          expect({ what: call.what, answer, code }).toEqual({ what: call.what, answer, code: 'unavailable' });
          expect(wire.sent.filter(({ path }) => path === '/trap')).toEqual([]);
        }
      }
    });

    test('a person’s token that has ended and a scope’s are told apart, and a refusal is no absence', async () => {
      const { wire } = at.world;
      const calls = await callsOf(at, 1);
      for (const call of calls.filter(({ what }) => what !== 'observeScope')) {
        // GitHub's App is asked where it is installed from once, and never again.
        wire.listen();
        if (call.isPersons) await call.run();
        wire.listen(() => ({ status: 401, body: { message: 'Bad credentials', error: 'invalid_token' } }));
        const ended = call.isPersons ? 'unauthenticated' : 'forbidden';
        expect({ what: call.what, code: await codeOf(call.run()) }).toEqual({ what: call.what, code: ended });
      }
      for (const call of calls.filter(({ what }) => what === 'fetchProfile')) {
        wire.listen(() => ({ status: 403, body: { message: 'Forbidden' } }));
        expect(await codeOf(call.run())).toBe('forbidden');
        wire.listen(() => ({ status: 404, body: { message: 'Not Found' } }));
        expect(await codeOf(call.run())).toBe('not_found');
      }
    });

    test('a caller that gives up gets its own reason, before a request and in the middle of one', async () => {
      const { wire } = at.world;
      const reason = new Error('the lease was lost');
      const calls = await callsOf(at, 1);
      for (const call of calls) {
        const refused = await call.run(AbortSignal.abort(reason)).catch((error: unknown) => error);
        expect({ what: call.what, refused }).toEqual({ what: call.what, refused: reason });
        expect(refused).toBe(reason);
        wire.listen(() => 'hang');
        const giveUp = new AbortController();
        const waiting = call.run(giveUp.signal).catch((error: unknown) => error);
        await expect.poll(() => wire.sent.length, { interval: 2 }).toBe(1);
        giveUp.abort(reason);
        expect(await waiting).toBe(reason);
      }
    });

    test('A23: no secret is in an error, though the forge should say it again', async () => {
      const { wire, connection } = at.world;
      const calls = await callsOf(at, 1);
      const secrets = [connection.clientSecret, connection.webhookSecret ?? '', 'PRIVATE KEY'];
      for (const status of [200, 400, 401, 403, 404, 409, 422, 429, 500]) {
        for (const call of calls) {
          wire.listen(({ authorization }) => ({
            status,
            body: { message: `no: ${authorization}`, error: authorization },
          }));
          const error = await call.run().catch((each: unknown) => each);
          const said = wire.sent.flatMap(({ authorization }) => authorization.split(' ').slice(1));
          const text = textOf(error);
          for (const secret of [...secrets, ...said].filter(Boolean))
            expect(`${call.what}: ${text}`).not.toContain(secret);
        }
      }
    });
  });
}

/** All that a log or a page could be made of. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const own = JSON.stringify(error, Object.getOwnPropertyNames(error));
  return `${own} ${String(error.stack)} ${textOf(error.cause)}`;
}
