import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { addCredential, addStack, answerProgram } from '#lib/state/index.ts';
import { actingRoles, type ActingRole } from '#lib/tenant/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';

/*
 * A1, A2, A4: every door that there is, found in the file system and not on a list, by every role, for one's own tenant,
 * another's and one that is not there. No page, layout or middleware stands before them here: each door is called by itself,
 * as a bare request would. What each role gets of its own tenant is written in doors.golden.md, for people to read.
 */

const browser = vi.hoisted(() => ({ session: '', origin: 'http://portal.test' as string | null }));
vi.mock('next/headers', () => ({
  cookies: () =>
    Promise.resolve({
      get: (name: string) => (name.endsWith('session') && browser.session ? { value: browser.session } : undefined),
      getAll: () => [],
      set: () => undefined,
      delete: () => undefined,
    }),
  headers: () => Promise.resolve(new Headers(browser.origin === null ? {} : { origin: browser.origin })),
}));
vi.mock('next/cache', () => ({ revalidatePath: () => undefined }));

const app = fileURLToPath(new URL('.', import.meta.url));
const golden = join(app, 'doors.golden.md');

type Who = ActingRole | 'stranger' | 'signed out';
const everybody: Who[] = ['signed out', 'stranger', ...actingRoles];

let rows: TestRows;
/** A tenant's rows, and what it is told and sends. */
type Rows = TenantRows & { noticeId: string; endpointId: string; messageId: string; apiTokenId: string };
let own: Rows;
let other: Rows;
/** Of the operators’, who see each. */
let rollout: string;
const sessions = new Map<Who, string>();

beforeAll(async () => {
  // Read once, when the first asks for any of it.
  Object.assign(process.env, { PORTAL_URL: 'http://portal.test', FLYWHEEL_OPERATORS: 'forge:operator' });
  rows = await startTestRows();
  own = await addAll('own');
  other = await addAll('other');
  rollout = (await unsafeDb().poolRollout.create({ data: { poolName: 'nix', plans: [], createdBy: 'test' } })).id;
  for (const { tenantId, slug } of [own, other]) await team(tenantId, `${slug}-team`);
  for (const who of everybody) if (who !== 'signed out') sessions.set(who, await signedIn(who));
  await keepState();
}, 60_000);
afterAll(() => rows?.stop());

async function addAll(slug: string): Promise<Rows> {
  const tenant = await addTenant(slug);
  const { tenantId } = tenant;
  const db = unsafeDb();
  const words = { title: slug, body: slug, href: `/t/${slug}`, dedupeKey: slug };
  const told = { tenantId, audience: 'tenant' as const, kind: 'approval-given', ...words };
  const notice = await db.notice.create({ data: told });
  const endpoint = { tenantId, url: 'https://hooks.example/in', kinds: ['approval-given'] };
  const { id: endpointId } = await db.webhookEndpoint.create({
    data: { ...endpoint, sealedSecret: 'sealed', disabledAt: new Date(), disabledBecause: 'test' },
  });
  const messageId = `msg_${slug}-${randomBytes(9).toString('hex')}`;
  const data = { tenant: slug, title: slug, text: slug, url: `http://portal.test/t/${slug}` };
  const body = JSON.stringify({ type: 'approval-given', timestamp: new Date().toISOString(), data });
  await db.webhookMessage.create({
    data: { id: messageId, tenantId, endpointId, kind: 'approval-given', body, state: 'given_up' },
  });
  const ends = new Date(Date.now() + 24 * 3600_000);
  const { id: apiTokenId } = await db.apiToken.create({
    data: {
      userId: tenant.userId,
      reachesId: tenantId,
      name: slug,
      tokenHash: `token of ${slug}`,
      scopes: ['read'],
      expiresAt: ends,
    },
  });
  return { ...tenant, noticeId: notice.id, endpointId, messageId, apiTokenId };
}

const stack = 'a-stack';

/** An operator's stack with one version. */
async function keepState(): Promise<void> {
  const { id: userId } = await unsafeDb().user.findFirstOrThrow({ where: { name: 'operator' } });
  const by = {
    requestId: 'test',
    person: { userId, name: 'operator', imageUrl: null, identities: [], isOperator: true },
  };
  const now = new Date();
  await addStack(by, { name: stack, description: '' });
  const { secret } = await addCredential(by, { stack, name: 'ci', access: 'write', days: 'never' }, now);
  const authorization = `Basic ${Buffer.from(`ci:${secret}`).toString('base64')}`;
  const body = JSON.stringify({ version: 4, serial: 1, lineage: 'l', outputs: {}, resources: [] });
  const request = new Request('http://portal.test/x', { method: 'POST', headers: { authorization }, body });
  await answerProgram(request, { stack, part: 'state', now });
}

async function team(parentId: string, slug: string): Promise<void> {
  const { clusterId, billingAccountId } = await unsafeDb().tenant.findUniqueOrThrow({ where: { id: parentId } });
  const quota = { quotaCpu: '1', quotaMemory: '1Gi', quotaRunners: 1, quotaStorage: '1Gi' };
  const data = { slug, displayName: slug, kind: 'team' as const, state: 'active' as const, ...quota };
  await unsafeDb().tenant.create({ data: { ...data, parentId, clusterId, billingAccountId } });
}

async function signedIn(who: Who): Promise<string> {
  const { id: userId } = await unsafeDb().user.create({ data: { name: who } });
  await unsafeDb().identity.create({ data: { userId, connectionId: 'forge', subject: who, login: who } });
  if (who === 'admin' || who === 'member' || who === 'billing')
    await unsafeDb().membership.create({ data: { tenantId: own.tenantId, userId, role: who, source: 'invitation' } });
  const session = randomBytes(32).toString('base64url');
  const tokenHash = createHash('sha256').update(session).digest('hex');
  await unsafeDb().session.create({ data: { tokenHash, userId, expiresAt: new Date(Date.now() + 3_600_000) } });
  return session;
}

// ------------------------------------------------------------------------------------------------ what there is

type Door = {
  kind: 'page' | 'view' | 'action';
  area: 'tenant' | 'operator' | 'person' | 'open';
  path: string;
  name: string;
};
type Called = (...args: unknown[]) => Promise<unknown>;

function areaOf(path: string): Door['area'] {
  if (path.startsWith('operator/') || path.startsWith('api/views/operator/')) return 'operator';
  if (path.startsWith('(person)/')) return 'person';
  return path.includes('[tenant]') ? 'tenant' : 'open';
}

/** The exports of a file of actions, read and not run: a line `export const name = `. */
function actionNames(path: string): string[] {
  const text = readFileSync(join(app, path), 'utf8');
  return [...text.matchAll(/^export const (\w+) =/gm)].map((match) => match[1] ?? '');
}

const doors: Door[] = globSync('**/{page.tsx,actions.ts,route.ts}', { cwd: app })
  .toSorted()
  .flatMap((path): Door[] => {
    const area = areaOf(path);
    if (path.endsWith('page.tsx')) return [{ kind: 'page', area, path, name: 'default' }];
    if (path.endsWith('route.ts')) return [{ kind: 'view', area, path, name: 'GET' }];
    return actionNames(path).map((name) => ({ kind: 'action', area, path, name }));
  });

const loaded = new Map<string, Promise<Record<string, Called>>>();

async function called({ path, name }: Door): Promise<Called> {
  const known = loaded.get(path) ?? (import(join(app, path)) as Promise<Record<string, Called>>);
  loaded.set(path, known);
  const door = (await known)[name];
  if (!door) throw new Error(`${path} has no ${name}`);
  return door;
}

/** Where a door is about one thing of a tenant, that thing's id. */
function paramsOf(slug: string, of: Rows): Record<string, string> {
  const { enrollmentId: enrollment, requestId: request, endpointId: endpoint, planId: plan, viewId: view } = of;
  const fixed = { period: '2026-03', token: 'none', stack, version: '1', pool: 'nix', rollout, cluster: 'main' };
  return { tenant: slug, enrollment, request, endpoint, plan, view, move: of.moveId, ...fixed };
}

/** What came of a call, in a word. */
type Outcome = 'sees' | '404' | 'sign in' | 'forbidden' | 'reached';

function outcomeOf(error: unknown): Outcome {
  const digest = String((error as { digest?: unknown }).digest ?? error);
  if (digest.includes('404')) return '404';
  if (digest.includes('NEXT_REDIRECT')) return digest.includes('/sign-in') ? 'sign in' : 'sees';
  throw error;
}

function resultOf(result: unknown): Outcome {
  const { ok, error } = result as { ok: boolean; error?: { code: string } };
  if (ok) return 'reached';
  if (error?.code === 'unauthenticated') return 'sign in';
  if (error?.code === 'not_found') return '404';
  return error?.code === 'forbidden' ? 'forbidden' : 'reached';
}

/** `input` is what an action is given. With nothing it is refused behind the door, which is all that is asked here. */
function answeredBy({ status, headers }: Response): Outcome {
  if (status === 401 || headers.get('location')?.includes('/sign-in')) return 'sign in';
  if (status === 404) return '404';
  return status === 200 ? 'sees' : 'reached';
}

async function outcome(door: Door, who: Who, slug: string, of: Rows, input: object = {}): Promise<Outcome> {
  browser.session = sessions.get(who) ?? '';
  const door_ = await called(door);
  try {
    if (door.kind === 'page') {
      const params = Promise.resolve(paramsOf(slug, of));
      await door_({ params, searchParams: Promise.resolve({}) });
      return 'sees';
    }
    if (door.kind === 'view') {
      const answer = (await door_(new Request('http://portal.test/x'), {
        params: Promise.resolve(paramsOf(slug, of)),
      })) as Response;
      return answeredBy(answer);
    }
    const args = door.area === 'tenant' ? [slug, null, input] : [null, input];
    return resultOf(await door_(...args));
  } catch (error) {
    return outcomeOf(error);
  }
}

const label = ({ kind, path, name }: Door) => `${kind} ${path}${kind === 'action' ? ` ${name}` : ''}`;
const ofTenants = doors.filter(({ area }) => area === 'tenant');
const ofPeople = doors.filter(({ area }) => area === 'person');
const ofOperators = doors.filter(({ area }) => area === 'operator');

// ------------------------------------------------------------------------------------------------ the matrix

describe('another’s tenant, and one that is not there', () => {
  test.each(ofTenants.map((door) => [label(door), door] as const))('%s', async (_, door) => {
    for (const who of everybody.filter((each) => each !== 'operator')) {
      const answers = [await outcome(door, who, 'other', other), await outcome(door, who, 'no-such', other)];
      expect({ who, answers }).toEqual({
        who,
        answers: who === 'signed out' ? ['sign in', 'sign in'] : ['404', '404'],
      });
    }
  });
});

describe('a person’s own door, for who is not signed in', () => {
  test.each(ofPeople.map((door) => [label(door), door] as const))('%s', async (_, door) => {
    expect(await outcome(door, 'signed out', 'own', own)).toBe('sign in');
  });
});

describe('an operator’s door, for who operates nothing', () => {
  test.each(ofOperators.map((door) => [label(door), door] as const))('%s', async (_, door) => {
    for (const who of everybody.filter((each) => each !== 'operator')) {
      const answer = await outcome(door, who, 'own', own);
      expect({ who, answer }).toEqual({ who, answer: who === 'signed out' ? 'sign in' : '404' });
    }
  });
});

test('each role’s own tenant: exactly what is written down', async () => {
  const lines = [];
  for (const door of [...ofTenants, ...ofOperators]) {
    const answers: Outcome[] = [];
    for (const who of actingRoles) answers.push(await outcome(door, who, 'own', own));
    lines.push(`| ${door.kind} | ${door.path} | ${door.kind === 'action' ? door.name : ''} | ${answers.join(' | ')} |`);
  }
  const head = [
    '# Who gets through which door',
    '',
    'Of one’s own tenant. `sees`: the page or the data. `reached`: the action is heard, and refuses empty input. Made and held by doors.db.test.ts.',
    '',
    `| door | file | action | ${actingRoles.join(' | ')} |`,
    `| --- | --- | --- | ${actingRoles.map(() => '---').join(' | ')} |`,
  ];
  const text = `${[...head, ...lines].join('\n')}\n`;
  if (process.env['UPDATE_GOLDEN'] === '1' || !existsSync(golden)) writeFileSync(golden, text);
  expect(text).toBe(readFileSync(golden, 'utf8'));
}, 120_000);

describe('a denial', () => {
  test('leaves a record that operators read, with what was asked for', async () => {
    const door = ofTenants.find(({ kind }) => kind === 'page');
    if (!door) throw new Error('no page');
    const before = await unsafeDb().audit.count({ where: { action: 'access:denied' } });
    await outcome(door, 'stranger', 'other', other);
    const told = await unsafeDb().audit.findMany({ where: { action: 'access:denied' }, orderBy: { id: 'desc' } });
    expect(told.length).toBe(before + 1);
    expect(told[0]).toMatchObject({ tenantId: null, target: expect.stringContaining('other') as unknown });
  });
});

// ------------------------------------------------------------------------------------------------ one's own tenant, another's things

const appKey = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString();

/** What each action of a tenant that names a thing is given, with the ids of another tenant's things. */
const namesThings: Record<string, (of: Rows) => object> = {
  'settings/tokens revoke': ({ apiTokenId }) => ({ tokenId: apiTokenId }),
  'enroll choosePools': (of) => ({
    enrollmentId: of.enrollmentId,
    pools: { docker: { chosen: 'on', minRunners: '0', maxRunners: '1' } },
  }),
  'enroll choosePlanes': (of) => ({ enrollmentId: of.enrollmentId, attic: 'private' }),
  'enroll plan': (of) => ({ enrollmentId: of.enrollmentId, kind: 'change' }),
  'enroll planWithdrawal': (of) => ({ enrollmentId: of.enrollmentId }),
  'enrollments/[enrollment]/pools/[pool] changeWarmth': (of) => ({
    enrollmentId: of.enrollmentId,
    pool: 'nix',
    minRunners: '1',
    intent: 'preview',
  }),
  'enrollments/[enrollment]/pools/[pool] followCatalog': (of) => ({ enrollmentId: of.enrollmentId, pool: 'nix' }),
  'enroll approve': (of) => ({ planId: of.planId }),
  'enroll discard': (of) => ({ enrollmentId: of.enrollmentId }),
  'requests answerBack': (of) => ({ requestId: of.requestId, text: 'mine' }),
  'requests withdraw': (of) => ({ requestId: of.requestId }),
  'caches change': (of) => ({ viewId: of.viewId, priority: '40' }),
  'caches remove': (of) => ({ viewId: of.viewId, typed: `${of.slug}+main` }),
  'caches issue': (of) => ({ viewIds: [of.viewId], days: '1', usedIn: 'laptop' }),
  'caches revoke': (of) => ({ tokenId: of.tokenId }),
  'credentials replaceToken': (of) => ({ enrollmentId: of.enrollmentId, token: 'a-token-of-theirs' }),
  'credentials rotate': (of) => ({ enrollmentId: of.enrollmentId, kind: 'bazel-password' }),
  'members setRole': (of) => ({ userId: of.userId, role: 'member' }),
  'members revoke': (of) => ({ invitationId: of.invitationId }),
  'notices openNotice': (of) => ({ noticeId: of.noticeId }),
  'notices readNotice': (of) => ({ noticeId: of.noticeId }),
  'billing/budgets change': (of) => ({ budgetId: of.budgetId, amount: '200' }),
  'billing/budgets lift': (of) => ({ budgetId: of.budgetId }),
  'billing/budgets remove': (of) => ({ budgetId: of.budgetId }),
  'settings/webhooks change': (of) => ({
    endpointId: of.endpointId,
    url: 'https://hooks.example/other',
    kinds: ['approval-given'],
  }),
  'settings/webhooks rotate': (of) => ({ endpointId: of.endpointId }),
  'settings/webhooks disable': (of) => ({ endpointId: of.endpointId }),
  'settings/webhooks enable': (of) => ({ endpointId: of.endpointId }),
  'settings/webhooks test': (of) => ({ endpointId: of.endpointId }),
  'settings/webhooks replay': (of) => ({ messageId: of.messageId }),
  'settings/webhooks remove': (of) => ({ endpointId: of.endpointId, host: 'hooks.example' }),
  'settings/apps replaceKey': (of) => ({ githubAppId: of.githubAppId, privateKey: appKey }),
  'settings/apps replaceSecret': (of) => ({ githubAppId: of.githubAppId }),
  'enrollments/[enrollment]/doctor propose': (of) => ({ findingId: of.findingId, kind: 'look-again' }),
  'enrollments/[enrollment]/doctor apply': (of) => ({ repairId: of.repairId }),
  'enrollments/[enrollment]/doctor look': (of) => ({ enrollmentId: of.enrollmentId }),
  'enrollments/[enrollment]/proof prove': (of) => ({ enrollmentId: of.enrollmentId }),
  'enrollments/[enrollment]/proof showBadge': (of) => ({ enrollmentId: of.enrollmentId, on: 'yes' }),
  'enrollments/[enrollment]/proof setRepository': (of) => ({
    enrollmentId: of.enrollmentId,
    repository: 'own/app',
  }),
  'quota setShare': (of) => ({
    team: `${of.slug}-team`,
    quota: { cpu: '1', memory: '1Gi', runners: '1', storage: '1Gi' },
  }),
};

/** Actions that name nothing but their own tenant. */
const namesNothing = new Set([
  'notices readAllNotices',
  'caches create',
  'settings/webhooks add',
  'settings/tokens make',
  'billing/budgets add',
  'billing/statements tag',
  'billing/statements untag',
  'members invite',
  'settings follow',
  // What they name is looked for in the tenant's own namespace alone.
  'pools adopt',
  'pools choose',
  'settings rename',
  'quota ask',
  'quota move',
  'settings/leave leave',
]);

function shortName({ path, name }: Door): string {
  return `${path.replace(/^t\/\[tenant\]\//, '').replace(/\/actions\.ts$/, '')} ${name}`;
}

/** All of a tenant's rows, as text: what must not move. */
async function rowsOf({ tenantId }: TenantRows): Promise<string> {
  const where = { tenantId };
  const db = unsafeDb();
  return JSON.stringify(
    await Promise.all([
      db.tenant.findMany({ where: { id: tenantId } }),
      db.enrollment.findMany({ where }),
      db.enrollmentPool.findMany({ where }),
      db.plan.findMany({ where }),
      db.credential.findMany({ where }),
      db.approvalRequest.findMany({ where }),
      db.membership.findMany({ where }),
      db.githubApp.findMany({ where }),
      db.cacheView.findMany({ where }),
      db.cacheToken.findMany({ where }),
      db.notice.findMany({ where, include: { reads: true } }),
      db.webhookEndpoint.findMany({ where, include: { messages: true } }),
      db.finding.findMany({ where, include: { repairs: true } }),
      db.proofRun.findMany({ where }),
      db.proofSetting.findMany({ where }),
      db.budget.findMany({ where }),
      db.costTag.findMany({ where }),
      db.invoice.findMany({ where, include: { lines: true } }),
      db.apiToken.findMany({ where: { reachesId: tenantId } }),
      db.audit.findMany({ where }),
    ]),
    (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
  );
}

describe('an admin who names another tenant’s things in their own', () => {
  // First: what the actions below do to one's own is not undone.
  test.each(
    ofTenants
      .filter(({ kind, path }) => kind !== 'action' && /\[(enrollment|request|endpoint|view)\]/.test(path))
      .map((door) => [label(door), door] as const),
  )('%s: 404', async (_, door) => {
    expect(await outcome(door, 'admin', 'own', other)).toBe('404');
    expect(await outcome(door, 'admin', 'own', own)).toBe('sees');
  });

  const actions = ofTenants.filter(({ kind }) => kind === 'action');

  test('every action is held to it', () => {
    const known = new Set([...Object.keys(namesThings), ...namesNothing]);
    expect(actions.map(shortName).filter((name) => !known.has(name))).toEqual([]);
  });

  test.each(actions.filter((door) => shortName(door) in namesThings).map((door) => [shortName(door), door] as const))(
    '%s: 404, and nothing of theirs moves',
    async (name, door) => {
      const before = await rowsOf(other);
      expect(await outcome(door, 'admin', 'own', own, namesThings[name]?.(other))).toBe('404');
      expect(await rowsOf(other)).toBe(before);
      // The same with one's own gets further: else the refusal above would say nothing.
      expect(await outcome(door, 'admin', 'own', own, namesThings[name]?.(own))).not.toBe('404');
    },
  );
});

describe('A4: what is no plain value', () => {
  const odd: unknown[] = [{ not: '' }, { startsWith: '' }, ['x'], null, 7, { toString: 'x' }];
  const actions = ofTenants.filter((door) => door.kind === 'action' && shortName(door) in namesThings);
  test.each(actions.map((door) => [shortName(door), door] as const))(
    '%s is refused by its schema',
    async (name, door) => {
      browser.session = sessions.get('admin') ?? '';
      const input = namesThings[name]?.(own) ?? {};
      for (const key of Object.keys(input))
        for (const value of odd) {
          const result = (await (
            await called(door)
          )('own', null, { ...input, [key]: value })) as { ok: boolean; error?: { code: string } };
          expect({ key, value, code: result.error?.code }).toEqual({ key, value, code: 'invalid' });
        }
    },
  );

  test.each([undefined, { not: '' }, ['own'], 7, '', '../own', 'own\0', 'OWN'])(
    'a slug of %j is nobody’s',
    async (slug) => {
      const door = actions[0];
      if (!door) throw new Error('no action');
      expect(await outcome(door, 'admin', slug as string, own, {})).toBe('404');
    },
  );
});

describe('A15: an action that did not come from the portal’s own page', () => {
  test.each([null, 'null', 'https://evil.example', 'http://portal.test.evil.example', 'https://portal.test'])(
    'origin %s',
    async (origin) => {
      browser.origin = origin;
      try {
        for (const door of doors.filter(({ kind }) => kind === 'action'))
          expect({ door: label(door), answer: await outcome(door, 'admin', 'own', own) }).toEqual({
            door: label(door),
            answer: 'forbidden',
          });
      } finally {
        browser.origin = 'http://portal.test';
      }
    },
  );
});

describe('ASVS 7.5.3: a whole state, with all secrets in it', () => {
  test('wants a fresh sign-in, and leads there and back', async () => {
    const session = sessions.get('operator') ?? '';
    browser.session = session;
    const path = `/operator/state/${stack}/versions/1`;
    const { GET } = await import('./operator/state/[stack]/versions/[version]/route.ts');
    const ask = () =>
      GET(new Request(`http://portal.test${path}`), { params: Promise.resolve({ stack, version: '1' }) });
    expect((await ask()).status).toBe(200);
    const where = { tokenHash: createHash('sha256').update(session).digest('hex') };
    await unsafeDb().session.update({ where, data: { authenticatedAt: new Date(Date.now() - 11 * 60_000) } });
    const stale = await ask();
    expect([stale.status, stale.headers.get('location')]).toEqual([303, `/confirm?next=${encodeURIComponent(path)}`]);
    expect(await stale.text()).toBe('');
  });
});
