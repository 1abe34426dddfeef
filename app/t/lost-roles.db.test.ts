import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { closeDb, seal, unsafeDb } from '#lib/db/index.ts';
import { acceptDelivery } from '#lib/delivery/index.ts';
import { keepCredential } from '#lib/enrollment/credentials.ts';
import { followForges, githubAppPlace, standingsBy } from '#lib/enrollment/index.ts';
import { startWire, type Wire } from '#lib/forge/contract-wire.ts';
import { tokenHash } from '#lib/tenant/session.ts';
import { syncMemberships } from '#lib/tenant/standings.ts';
import { type Forgejo, ids as forgejoIds, startForgejo } from '#sandbox/forgejo/index.ts';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { seed } from '../../prisma/seed.ts';
import { GET as access } from '../api/views/access/[tenant]/route.ts';
import { change } from '../operator/forges/actions.ts';
import { disable } from '../operator/people/actions.ts';
import { replaceToken, rotate } from './[tenant]/credentials/actions.ts';
import { approve } from './[tenant]/enroll/actions.ts';
import { invite, setRole } from './[tenant]/members/actions.ts';
import { replaceKey, replaceSecret } from './[tenant]/settings/apps/actions.ts';
import { leave } from './[tenant]/settings/leave/actions.ts';
import { remove as removeEndpoint, rotate as rotateEndpoint } from './[tenant]/settings/webhooks/actions.ts';

/*
 * The doors with a browser before them and the forges' stand-ins behind: a role that is lost on a forge is lost here (A14), and
 * what replaces or takes away wants a fresh sign-in (ASVS 7.5.3). The clock is the test's; everything else is real.
 */

const portal = 'http://portal.test';
const browser = vi.hoisted(() => ({ session: '' }));
vi.mock('next/headers', () => ({
  cookies: () =>
    Promise.resolve({
      get: (name: string) => (name.endsWith('session') && browser.session ? { value: browser.session } : undefined),
    }),
  headers: () => Promise.resolve(new Headers({ origin: 'http://portal.test' })),
}));
vi.mock('next/cache', () => ({ revalidatePath: () => undefined }));

let database: TestDatabase;
let wire: Wire;
let github: Github;
let forgejo: Forgejo;
let hooks: Server;

beforeAll(async () => {
  database = await testDatabase();
  Object.assign(process.env, {
    DATABASE_URL: database.appUrl,
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    FLYWHEEL_SANDBOX: '1',
    FLYWHEEL_OPERATORS: `github:${ids.users.olive}`,
    PORTAL_URL: portal,
    LOG_LEVEL: 'silent',
  });
  const hear = async (request: IncomingMessage, response: ServerResponse) => {
    const headers = new Headers(request.headers as Record<string, string>);
    const rawBody = await buffer(request);
    const accepted = await acceptDelivery({ connectionId: 'github', headers, rawBody }).catch(() => ({ status: 500 }));
    response.writeHead(accepted.status).end();
  };
  hooks = createServer((request, response) => void hear(request, response));
  await new Promise<void>((listening) => hooks.listen(0, '127.0.0.1', listening));
  [wire, github, forgejo] = await Promise.all([startWire(), startGithub({ port: 0 }), startForgejo({ port: 0 })]);
  wire.to(github.url);
  await seed({
    github: { url: wire.url, app: github.app },
    forgejo: { url: forgejo.url, ...forgejo.app, webhookSecret: 'a-secret-of-the-hooks-here' },
    attic: { url: 'https://attic.example', hs256SecretBase64: 'eA==' },
  });
  followForges();
});
afterAll(async () => {
  hooks.close();
  await Promise.all([github.stop(), forgejo.stop(), wire.stop()]);
  await closeDb();
  await database.drop();
});

let world: Awaited<ReturnType<typeof newWorld>>;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  wire.listen();
  github.app.webhookUrl = '';
  world = await newWorld();
});
afterEach(() => {
  vi.useRealTimers();
  browser.session = '';
});

let worlds = 0;

/** An organization, its enrollment, and a tenant of nobody yet. */
async function newWorld() {
  worlds += 1;
  const login = `org-${worlds}`;
  const slug = `tenant-${worlds}`;
  const org = github.addOrg({ login, admins: ['ada-tinyland'], members: ['sam-tinyland'] });
  const installation = (await control('/installations', { account: login })) as { id: number };
  const tenant = await unsafeDb().tenant.create({
    data: {
      slug,
      kind: 'organization',
      displayName: slug,
      state: 'active',
      quotaCpu: '16',
      quotaMemory: '32Gi',
      quotaRunners: 8,
      cluster: { connect: { id: 'main' } },
      billingAccount: { create: { name: slug } },
    },
  });
  const scope = { connectionId: 'github', level: 'organization' as const, path: login, scopeId: String(org.id) };
  const enrollment = await unsafeDb().enrollment.create({
    data: {
      tenantId: tenant.id,
      name: login,
      state: 'active',
      ownerId: scope.scopeId,
      installationId: String(installation.id),
      ...scope,
    },
  });
  return { slug, login, org, tenant, enrollment, installation: String(installation.id) };
}

async function control(path: string, body: object = {}, method = 'POST'): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${github.url}/_sandbox${path}`, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
}

type Signed = { userId: string; session: string; token: string };

/** In this browser, as after a sign-in: with the forge's token kept, and what it tells taken in. */
async function signIn(login: string): Promise<Signed> {
  const account = Object.values(github.state.users).find((user) => user.login === login);
  const own = { connectionId: 'github', subject: String(account?.id) };
  const found = await unsafeDb().identity.findUnique({ where: { connectionId_subject: own } });
  const userId = found?.userId ?? (await unsafeDb().user.create({ data: { name: login } })).id;
  const { id } = found ?? (await unsafeDb().identity.create({ data: { userId, login, ...own } }));
  const token = github.userToken(login);
  const sealedToken = await seal(
    JSON.stringify({ accessToken: token, refreshToken: null, expiresAt: null }),
    `identity/${id}/token`,
  );
  await unsafeDb().identity.update({ where: { id }, data: { sealedToken } });
  await told(userId, token);
  return { userId, token, session: await openSession(userId) };
}

async function told(userId: string, token: string): Promise<void> {
  const whose = { userId, connectionId: 'github' };
  await syncMemberships({ ...whose, ...(await standingsBy({ ...whose, userToken: token })), now: new Date() });
}

async function openSession(userId: string): Promise<string> {
  const session = randomBytes(16).toString('hex');
  const [createdAt, expiresAt] = [new Date(), new Date(Date.now() + 7 * 24 * 3_600_000)];
  const times = { createdAt, lastSeenAt: createdAt, authenticatedAt: createdAt, expiresAt };
  await unsafeDb().session.create({ data: { tokenHash: tokenHash(session), userId, ...times } });
  browser.session = session;
  return session;
}

function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

/** What the open page's poll is answered. */
async function see(slug = world.slug): Promise<number> {
  const context = { params: Promise.resolve({ tenant: slug }) };
  return (await access(new Request(`${portal}/api/views/access/${slug}`), context)).status;
}

const form = (values: Record<string, string>) => {
  const data = new FormData();
  for (const [name, value] of Object.entries(values)) data.set(name, value);
  return data;
};

/** How a press of a button ended: its error's code, `done`, or what Next makes of an absent page. */
async function ended(work: Promise<{ ok: true } | { ok: false; error: { code: string } }>): Promise<string> {
  return work.then(
    (result) => (result.ok ? 'done' : result.error.code),
    (error: Error & { digest?: string }) => error.digest ?? String(error),
  );
}

const press = {
  approve: (slug = world.slug) => approve(slug, null, form({ planId: randomUUID() })),
  rotate: () => rotate(world.slug, null, form({ enrollmentId: world.enrollment.id, kind: 'bazel-password' })),
};

const absent = 'NEXT_HTTP_ERROR_FALLBACK;404';
const roleOf = async (userId: string) =>
  (await unsafeDb().membership.findFirst({ where: { userId, tenantId: world.tenant.id } }))?.role ?? null;
const asked = () => wire.sent.filter(({ path }) => path.includes('/user/memberships/orgs')).length;
const secondMs = 1_000;
const minuteMs = 60_000;
const hourMs = 3_600_000;

describe('A14: what is lost on the forge', () => {
  test('is lost at once for what changes something, whatever page is open', async () => {
    const { userId } = await signIn('ada-tinyland');
    expect(await ended(press.approve())).toBe('not_found');
    await control(`/orgs/${world.login}/members/ada-tinyland`, { role: 'member' }, 'PUT');
    const refusedBy = [
      press.approve(),
      press.rotate(),
      invite(world.slug, null, form({})),
      setRole(world.slug, null, form({})),
    ];
    for (const each of refusedBy) expect(await ended(each)).toBe('forbidden');
    expect(await roleOf(userId)).toBe('member');
    await control(`/orgs/${world.login}/members/ada-tinyland`, {}, 'DELETE');
    expect(await ended(press.approve())).toBe(absent);
    expect(await roleOf(userId)).toBeNull();
  });

  test('is not lost by who administers a repository alone, and enrolled it, until they no longer do', async () => {
    const repo = (await control('/repos', { owner: world.login, name: 'lab' })) as { id: number };
    const at = `/repos/${world.login}/lab/collaborators/sam-tinyland`;
    await control(at, { level: 'admin' }, 'PUT');
    const position = { level: 'repository' as const, path: `${world.login}/lab`, scopeId: String(repo.id) };
    await unsafeDb().enrollment.update({ where: { id: world.enrollment.id }, data: position });
    const { userId, token } = await signIn('sam-tinyland');
    // As the wizard makes it for whoever enrols.
    const where = { tenantId_userId: { tenantId: world.tenant.id, userId } };
    const data = { role: 'admin' as const, forgeRoles: { github: 'admin' } };
    const first = { tenantId: world.tenant.id, userId, source: 'forge' as const };
    await unsafeDb().membership.upsert({ where, create: { ...first, ...data }, update: data });
    await told(userId, token);
    expect(await roleOf(userId)).toBe('admin');
    expect(await ended(press.approve())).toBe('not_found');
    await control(at, { level: 'read' }, 'PUT');
    expect(await ended(press.approve())).toBe('forbidden');
    expect(await roleOf(userId)).toBe('member');
  });

  test('is seen for a minute at most, and comes back as fast', async () => {
    await signIn('sam-tinyland');
    await control(`/orgs/${world.login}/members/sam-tinyland`, {}, 'DELETE');
    pass(44 * secondMs);
    expect(await see()).toBe(200);
    pass(2 * secondMs);
    expect(await see()).toBe(404);
  });

  test('is gone at the next look where the forge told of it by a webhook', async () => {
    github.app.webhookUrl = `http://127.0.0.1:${(hooks.address() as AddressInfo).port}/`;
    const { userId } = await signIn('sam-tinyland');
    const ada = await signIn('ada-tinyland');
    wire.listen();
    expect(await see()).toBe(200);
    expect(asked()).toBe(0);
    pass(secondMs);
    await control(`/orgs/${world.login}/members/sam-tinyland`, {}, 'DELETE');
    await github.settled();
    pass(secondMs);
    // It was about Sam and about nobody else.
    expect(await see()).toBe(200);
    expect(asked()).toBe(0);
    browser.session = await openSession(userId);
    expect(await see()).toBe(404);
    expect(await roleOf(ada.userId)).toBe('admin');
  });

  test('a thousand views of a page make one look a minute', async () => {
    await signIn('sam-tinyland');
    pass(46 * secondMs);
    wire.listen();
    for (let batch = 0; batch < 20; batch += 1) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => see()));
      expect(new Set(answers)).toEqual(new Set([200]));
      pass(secondMs);
    }
    expect(asked()).toBe(1);
  }, 60_000);
});

describe('a forge that cannot be asked', () => {
  test('F12: keeps nobody out for two hours, and lets nobody change anything', async () => {
    await signIn('ada-tinyland');
    wire.listen(() => ({ status: 502, body: { message: 'Bad gateway' } }));
    pass(10 * minuteMs);
    expect(await see()).toBe(200);
    const sent = wire.sent.length;
    expect(await see()).toBe(200);
    // A look that failed is not begun again by the next view.
    expect(wire.sent).toHaveLength(sent);
    for (const each of [press.approve(), press.rotate()]) expect(await ended(each)).toBe('unavailable');
    pass(2 * hourMs);
    expect(await see()).toBe(503);
    wire.listen();
    pass(minuteMs);
    expect(await see()).toBe(200);
    expect(await ended(press.approve())).toBe('not_found');
  });

  test('one that hangs holds a page up for seconds', async () => {
    await signIn('sam-tinyland');
    wire.listen(() => 'hang');
    pass(minuteMs);
    const began = performance.now();
    const answers = await Promise.all([see(), see(), see()]);
    expect(answers).toEqual([200, 200, 200]);
    expect(performance.now() - began).toBeLessThan(6_000);
  });

  test('while one process looks, another goes on with what is known', async () => {
    await signIn('sam-tinyland');
    wire.listen(() => 'hang');
    pass(minuteMs);
    const first = see();
    await vi.waitFor(() => expect(wire.sent.length).toBeGreaterThan(0));
    // What only this process knows of the look that is under way.
    Object.assign(globalThis, { flywheelChecks: undefined });
    const sent = wire.sent.length;
    expect(await see()).toBe(200);
    expect(wire.sent).toHaveLength(sent);
    expect(await first).toBe(200);
  });

  test('A14: nobody keeps a role by ending the token that it was told by', async () => {
    const { token } = await signIn('sam-tinyland');
    await control('/tokens/end', { token });
    pass(minuteMs);
    // The App still tells that they belong there, and then that they do not.
    expect(await see()).toBe(200);
    await control(`/orgs/${world.login}/members/sam-tinyland`, {}, 'DELETE');
    pass(minuteMs);
    expect(await see()).toBe(404);
  });

  test('A14: and where not even the App can tell, they sign in again', async () => {
    const { token } = await signIn('ada-tinyland');
    await control('/tokens/end', { token });
    await control(`/installations/${world.installation}/suspend`);
    pass(30 * secondMs);
    expect(await see()).toBe(200);
    pass(minuteMs);
    expect(await see()).toBe(401);
    expect(await ended(press.approve())).toBe('reauthenticate');
    await signIn('ada-tinyland');
    expect(await see()).not.toBe(401);
  });
});

describe('what only one organization’s App, or one repository, tells', () => {
  /** A tenant whose organization has an App of its own, which the shared one knows nothing of. */
  async function ownTenant(userId: string): Promise<string> {
    const { tenant, enrollment, slug } = await newWorld();
    const accountId = String(900_000 + worlds);
    const app = {
      appId: String(424_242 + worlds),
      slug: `app-${slug}`,
      accountId,
      accountLogin: slug,
      createdById: userId,
    };
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const id = randomUUID();
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const row = { id, tenantId: tenant.id, connectionId: 'github' };
    await unsafeDb().githubApp.create({
      data: {
        ...row,
        ...app,
        sealedPrivateKey: await seal(pem, githubAppPlace(row, 'private_key')),
        sealedWebhookSecret: await seal('x', githubAppPlace(row, 'webhook_secret')),
      },
    });
    const data = { ownerId: accountId, scopeId: accountId, githubAppId: id };
    await unsafeDb().enrollment.update({ where: { id: enrollment.id }, data });
    const role = { role: 'admin' as const, source: 'forge' as const, forgeRoles: { github: 'admin' } };
    await unsafeDb().membership.create({ data: { tenantId: tenant.id, userId, ...role } });
    // Postgres' clock goes on.
    pass(5 * secondMs);
    return slug;
  }

  const faulty = (path: string, fault: object) =>
    control('/faults', { match: { method: 'GET', path }, times: 99, ...fault });
  afterEach(() => control('/faults', {}, 'DELETE'));

  test.each([401, 403, 404])(
    'A14: an App that GitHub answers %i is mended by its admins, and keeps no other tenant',
    async (status) => {
      const { userId } = await signIn('ada-tinyland');
      const own = await ownTenant(userId);
      await faulty('/app$', { kind: 'status', status });
      expect(await ended(press.approve())).toBe('not_found');
      expect(await ended(press.approve(own))).toBe('not_found');
      expect(await ended(replaceKey(own, null, form({})))).toBe('invalid');
      pass(7 * hourMs);
      expect([await see(), await see(own)]).toEqual([200, 200]);
      pass(6 * hourMs);
      // Whoever broke it to keep a role that they lost, keeps it no longer than this, however often they sign in.
      await signIn('ada-tinyland');
      expect([await see(), await see(own)]).toEqual([200, 401]);
    },
  );

  test('A14: an App that is limited proves nothing of its own, and says nothing of other tenants', async () => {
    const { userId } = await signIn('ada-tinyland');
    const own = await ownTenant(userId);
    await faulty('/app$', { kind: 'primary-limit' });
    expect(await ended(press.approve())).toBe('not_found');
    expect(await ended(press.approve(own))).toBe('unavailable');
    pass(3 * hourMs);
    expect([await see(), await see(own)]).toEqual([200, 503]);
  });

  test('A14: so does a repository that GitHub refuses', async () => {
    const repo = (await control('/repos', { owner: world.login, name: 'lab' })) as { id: number };
    await control(`/repos/${world.login}/lab/collaborators/mallory`, { level: 'admin' }, 'PUT');
    const position = { level: 'repository' as const, path: `${world.login}/lab`, scopeId: String(repo.id) };
    await unsafeDb().enrollment.update({ where: { id: world.enrollment.id }, data: { ...position, ownerId: null } });
    const other = await newWorld();
    await control(`/orgs/${other.login}/members/mallory`, { role: 'member' }, 'PUT');
    const { userId } = await signIn('mallory');
    const role = { role: 'admin' as const, source: 'forge' as const, forgeRoles: { github: 'admin' } };
    await unsafeDb().membership.create({ data: { tenantId: world.tenant.id, userId, ...role } });
    expect(await ended(press.approve())).toBe('not_found');
    pass(secondMs);
    await faulty('/repos/', { kind: 'status', status: 403 });
    expect(await ended(press.approve())).toBe('unavailable');
    // A member there, who may not approve: that is known, and said.
    expect(await ended(press.approve(other.slug))).toBe('forbidden');
  });
});

describe('a forge that leaves no token (Forgejo)', () => {
  async function member(credential: string | null) {
    const { tinyland } = forgejoIds.orgs;
    await unsafeDb().enrollment.deleteMany({ where: { connectionId: 'forgejo' } });
    const scope = {
      connectionId: 'forgejo',
      level: 'organization' as const,
      path: 'tinyland',
      scopeId: String(tinyland),
    };
    const enrollment = await unsafeDb().enrollment.create({
      data: { tenantId: world.tenant.id, name: `f-${worlds}`, state: 'active', ownerId: scope.scopeId, ...scope },
    });
    if (credential !== null) await keepCredential(enrollment, 'forge-token', credential);
    const own = { connectionId: 'forgejo', subject: String(forgejoIds.users.ada), login: 'ada-tinyland' };
    await unsafeDb().identity.deleteMany({ where: { connectionId: 'forgejo' } });
    const { id: userId } = await unsafeDb().user.create({ data: { name: 'Ada', identities: { create: own } } });
    const standings = [{ of: 'account' as const, ownerId: scope.scopeId, login: 'tinyland', role: 'admin' as const }];
    await syncMemberships({ userId, connectionId: 'forgejo', standings, now: new Date() });
    await openSession(userId);
    return userId;
  }
  const move = (role: string) =>
    fetch(`${forgejo.url}/_sandbox/orgs/tinyland/members/ada-tinyland`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ role }),
    });

  test('A14: is asked by the enrollment’s own access token', async () => {
    const userId = await member(forgejo.token('ada-tinyland', ['read:user', 'write:organization']));
    pass(minuteMs);
    expect(await see()).toBe(200);
    await move('member');
    expect(await ended(press.approve())).toBe('forbidden');
    expect(await roleOf(userId)).toBe('member');
    await move('owner');
  });

  test('A14: where there is none either, a sign-in is the only look: of ten minutes for a change, of twelve hours for seeing', async () => {
    await member(null);
    expect(await ended(press.approve())).toBe('not_found');
    pass(11 * minuteMs);
    expect(await see()).toBe(200);
    expect(await ended(press.approve())).toBe('reauthenticate');
    pass(12 * hourMs - 12 * minuteMs);
    await openSession((await unsafeDb().identity.findFirstOrThrow({ where: { connectionId: 'forgejo' } })).userId);
    expect(await see()).toBe(200);
    pass(2 * minuteMs);
    expect(await see()).toBe(401);
  });
});

describe('ASVS 7.5.3: a fresh sign-in', () => {
  async function withdrawal() {
    const { id: enrollmentId } = world.enrollment;
    const plan = { kind: 'withdraw' as const, baseGeneration: 0, spec: { pools: [], planes: {} }, observedHash: '' };
    const data = { tenantId: world.tenant.id, enrollmentId, changes: [], clusterChecked: false, ...plan };
    return (await unsafeDb().plan.create({ data })).id;
  }

  test('is wanted by everything that replaces a credential or takes something away', async () => {
    const { userId } = await signIn('ada-tinyland');
    const sam = await signIn('sam-tinyland');
    const planId = await withdrawal();
    browser.session = await openSession(userId);
    const { slug } = world;
    const wrong = [
      () => press.rotate(),
      () => replaceKey(slug, null, form({ githubAppId: randomUUID(), privateKey: pem })),
      () => replaceSecret(slug, null, form({ githubAppId: randomUUID() })),
      () => approve(slug, null, form({ planId, typed: 'wrong' })),
      () => replaceToken(slug, null, form({ enrollmentId: randomUUID(), token: 'x'.repeat(20) })),
      () => leave(slug, null, form({ typed: 'wrong' })),
      () => rotateEndpoint(slug, null, form({ endpointId: randomUUID() })),
      () => removeEndpoint(slug, null, form({ endpointId: randomUUID(), host: 'wrong' })),
    ];
    const right = [
      () => setRole(slug, null, form({ userId: sam.userId, role: 'none' })),
      () => setRole(slug, null, form({ userId: sam.userId, role: 'admin' })),
      () => invite(slug, null, form({ connectionId: 'github', login: 'mallory', role: 'admin' })),
    ];
    // Fresh: each goes on to what it is for, and says what is wrong with it there.
    for (const each of wrong) expect(['not_found', 'invalid']).toContain(await ended(each()));
    pass(10 * minuteMs + secondMs);
    for (const each of [...wrong, ...right]) expect(await ended(each())).toBe('reauthenticate');
    expect(await roleOf(sam.userId)).toBe('member');
    expect(await unsafeDb().invitation.count({ where: { tenantId: world.tenant.id } })).toBe(0);
    // What only adds, or narrows within, is done without.
    const narrow = form({ userId: sam.userId, role: 'billing' });
    expect(await ended(setRole(slug, null, narrow))).toBe('done');
    const member = form({ connectionId: 'github', login: 'mallory', role: 'member' });
    expect(await ended(invite(slug, null, member))).toBe('done');
  });

  test('is wanted of operators too', async () => {
    const sam = await signIn('sam-tinyland');
    await signIn('olive-operator');
    pass(10 * minuteMs + secondMs);
    expect(await ended(disable(null, form({ userId: sam.userId })))).toBe('reauthenticate');
    const secrets: Record<string, string>[] = [{ clientSecret: 'another' }, { newWebhookSecret: 'yes' }];
    for (const secret of secrets)
      expect(await ended(change(null, form({ connectionId: 'github', caBundle: '', ...secret })))).toBe(
        'reauthenticate',
      );
    expect(await unsafeDb().user.findUniqueOrThrow({ where: { id: sam.userId } })).toMatchObject({ disabledAt: null });
  });
});

const pem = '-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----';

// Last: what a forge has limited stays so for this process, and the clock of a test that follows begins anew.
describe('a forge that limits', () => {
  test('F13: a limit is kept, with nothing sent in its window, and the App tells meanwhile', async () => {
    const { userId } = await signIn('ada-tinyland');
    const limit = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.ceil(Date.now() / 1000) + 2400) };
    const body = { message: 'API rate limit exceeded.' };
    const isPersons = (authorization: string) => /ghu_/.test(authorization);
    wire.listen(({ authorization }) => (isPersons(authorization) ? { status: 403, headers: limit, body } : 'pass'));
    pass(minuteMs);
    expect(await see()).toBe(200);
    await control(`/orgs/${world.login}/members/ada-tinyland`, { role: 'member' }, 'PUT');
    expect(await ended(press.approve())).toBe('forbidden');
    expect(await roleOf(userId)).toBe('member');
    // Once it was told of its limit, nothing more was sent as that person.
    expect(wire.sent.filter(({ authorization }) => isPersons(authorization))).toHaveLength(1);
    // Limited as a whole: nothing tells, and nothing is sent.
    wire.listen(() => ({ status: 403, headers: limit, body }));
    pass(minuteMs);
    expect(await see()).toBe(200);
    wire.listen();
    pass(30 * minuteMs);
    expect(await see()).toBe(200);
    expect(await ended(press.approve())).toBe('unavailable');
    expect(wire.sent).toEqual([]);
    pass(15 * minuteMs);
    expect(await see()).toBe(200);
    expect(asked()).toBe(1);
  });

  test('F14: a secondary limit locks nobody out either', async () => {
    await signIn('sam-tinyland');
    wire.listen(() => ({ status: 429, headers: { 'retry-after': '120' }, body: { message: 'secondary rate limit' } }));
    pass(minuteMs);
    expect(await see()).toBe(200);
    const sent = wire.sent.length;
    pass(100 * secondMs);
    expect(await see()).toBe(200);
    expect(wire.sent).toHaveLength(sent);
  });
});
