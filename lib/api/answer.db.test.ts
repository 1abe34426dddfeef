import { randomUUID } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { seal, unsafeDb } from '#lib/db/index.ts';
import { connectionPlace } from '#lib/enrollment/index.ts';
import {
  addPersonToken,
  addTenantToken,
  forgetPast,
  listPersonTokens,
  tenantCtx,
  type ApiScope,
  type PersonCtx,
} from '#lib/tenant/index.ts';
import { anyOf, arbitraryOf, type JsonSchema } from '#sandbox/test-support/arbitrary.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { answerApi, apiRoot, type ApiAnswer } from './answer.ts';
import { once } from './idempotency.ts';
import { openApiDocument } from './openapi.ts';
import { operations } from './table.ts';

let rows: TestRows;
let own: TenantRows;
let other: TenantRows;

beforeAll(async () => {
  Object.assign(process.env, {
    PORTAL_URL: 'http://portal.test',
    FLYWHEEL_OPERATORS: 'forge:operator',
    FLYWHEEL_API_REQUESTS_PER_MINUTE: '1000000',
  });
  rows = await startTestRows();
  own = await addTenant('own');
  other = await addTenant('other');
  // What the rows only stand for, as if it had been entered and approved; the forge is one that does not answer.
  const sealedClientSecret = await seal('secret', connectionPlace('forge', 'client_secret'));
  await unsafeDb().forgeConnection.update({ where: { id: 'forge' }, data: { sealedClientSecret } });
  const spec = { pools: [{ pool: 'nix', minRunners: 0, maxRunners: 2 }], planes: {} };
  await unsafeDb().enrollment.updateMany({ data: { spec } });
  await unsafeDb().plan.updateMany({ data: { spec } });
}, 60_000);
afterAll(() => rows?.stop());

const all: ApiScope[] = ['read', 'write', 'apply', 'credentials'];

async function personOf(userId: string, isOperator = false): Promise<PersonCtx> {
  const { name } = await unsafeDb().user.findUniqueOrThrow({ where: { id: userId } });
  return { requestId: 'test', person: { userId, name, imageUrl: null, identities: [], isOperator } };
}

async function tokenOf(tenant: TenantRows, scopes: ApiScope[] = all): Promise<string> {
  const { token } = await addPersonToken(await personOf(tenant.userId), { name: 'ci', scopes, days: 30 }, new Date());
  return token;
}

let operators = 0;
async function operatorToken(scopes: ApiScope[]): Promise<string> {
  const subject = operators === 0 ? 'operator' : null;
  operators += 1;
  const { id } = subject
    ? await unsafeDb().user.create({ data: { name: 'operator' } })
    : await unsafeDb().user.findFirstOrThrow({ where: { name: 'operator' } });
  if (subject)
    await unsafeDb().identity.create({ data: { userId: id, connectionId: 'forge', subject, login: subject } });
  return (await addPersonToken(await personOf(id, true), { name: 'op', scopes, days: 30 }, new Date())).token;
}

type Sent = { body?: unknown; headers?: Record<string, string>; now?: Date };
type Answered = ApiAnswer & { json: Record<string, unknown> };

async function* partsOf(text: string) {
  yield Buffer.from(text);
}

async function ask(token: string | null, method: string, path: string, sent: Sent = {}): Promise<Answered> {
  const headers = new Headers({
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(sent.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...sent.headers,
  });
  const text = typeof sent.body === 'string' ? sent.body : JSON.stringify(sent.body);
  const body = sent.body === undefined ? null : partsOf(text ?? '');
  const answer = await answerApi({ method, url: `${apiRoot}${path}`, headers, body }, sent.now);
  return { ...answer, json: answer.body === null ? {} : (JSON.parse(answer.body) as Record<string, unknown>) };
}

describe('who asks', () => {
  test('no token, a broken one, one of another form and a cookie open nothing', async () => {
    for (const authorization of ['', 'Bearer x', `Basic ${await tokenOf(own)}`, `Bearer fwp_${'x'.repeat(43)}`]) {
      const answer = await ask(null, 'GET', '/me', { headers: { authorization, cookie: 'flywheel.session=x' } });
      expect(answer).toMatchObject({ status: 401, json: { code: 'unauthenticated' } });
      expect(answer.headers['www-authenticate']).toContain('Bearer');
    }
  });

  test('a token opens what its person sees, and is kept as a hash', async () => {
    const token = await tokenOf(own);
    expect(await ask(token, 'GET', '/me')).toMatchObject({ status: 200, json: { token: { scopes: all } } });
    expect(await ask(token, 'GET', '/tenants')).toMatchObject({ json: { items: [{ slug: 'own', role: 'admin' }] } });
    const kept = JSON.stringify(await unsafeDb().apiToken.findMany());
    expect(kept).not.toContain(token);
    expect(kept).not.toContain(token.slice(4));
  });

  test('it ends when it is revoked, when its time is over and when its person is disabled', async () => {
    const revoked = await tokenOf(own);
    const { json } = await ask(revoked, 'GET', '/me');
    expect((await ask(revoked, 'DELETE', `/me/tokens/${(json['token'] as { id: string }).id}`)).status).toBe(204);
    expect((await ask(revoked, 'GET', '/me')).status).toBe(401);

    const token = await tokenOf(own);
    expect((await ask(token, 'GET', '/me', { now: new Date(Date.now() + 31 * 24 * 3600_000) })).status).toBe(401);
    await unsafeDb().user.update({ where: { id: own.userId }, data: { disabledAt: new Date() } });
    expect((await ask(token, 'GET', '/me')).status).toBe(401);
    await unsafeDb().user.update({ where: { id: own.userId }, data: { disabledAt: null } });
    expect((await ask(token, 'GET', '/me')).status).toBe(200);
  });

  test('a role that is lost is lost to the token at once', async () => {
    const token = await tokenOf(own);
    const key = { tenantId_userId: { tenantId: own.tenantId, userId: own.userId } };
    await unsafeDb().membership.update({ where: key, data: { role: 'member' } });
    expect((await ask(token, 'GET', '/tenants/own/audit')).status).toBe(404);
    expect(
      (await ask(token, 'POST', '/tenants/own/quota', { body: { quota: { cpu: '1', memory: '1Gi', runners: 1 } } }))
        .status,
    ).toBe(403);
    await unsafeDb().membership.update({ where: key, data: { role: 'admin' } });
    expect((await ask(token, 'GET', '/tenants/own/audit')).status).toBe(200);
  });

  test('a token of a tenant reaches no other of its person’s', async () => {
    await unsafeDb().membership.create({
      data: { tenantId: other.tenantId, userId: own.userId, role: 'admin', source: 'operator' },
    });
    const ctx = await tenantCtx(await personOf(own.userId), 'own');
    if (!ctx) throw new Error('no ctx');
    const { token } = await addTenantToken(ctx, { name: 'ci', scopes: all, days: 1 }, new Date());
    expect((await ask(token, 'GET', '/tenants/own')).status).toBe(200);
    expect((await ask(token, 'GET', '/tenants/other')).status).toBe(404);
    expect(await ask(token, 'GET', '/tenants')).toMatchObject({ json: { items: [{ slug: 'own' }] } });
    const team = {
      kind: 'team',
      slug: 'a-team',
      displayName: 'A',
      parent: 'own',
      quota: { cpu: '1', memory: '1Gi', runners: 1 },
    };
    expect((await ask(token, 'POST', '/tenants', { body: team })).status).toBe(403);
    expect((await ask(token, 'GET', '/me/tokens')).status).toBe(403);
    expect((await ask(token, 'DELETE', '/me/token')).status).toBe(204);
    expect((await ask(token, 'GET', '/tenants/own')).status).toBe(401);
    await unsafeDb().membership.deleteMany({ where: { tenantId: other.tenantId, userId: own.userId } });
  });

  test('scopes: what a token lacks is said, and an operator’s program acts as one only by the scope', async () => {
    const reads = await tokenOf(own, ['read']);
    const quota = { body: { quota: { cpu: '1', memory: '1Gi', runners: 1 } } };
    expect(await ask(reads, 'POST', '/tenants/own/quota', quota)).toMatchObject({
      status: 403,
      json: { detail: expect.stringContaining('scope write') as string },
    });
    expect((await ask(await tokenOf(own, ['write']), 'GET', '/tenants/own')).status).toBe(403);
    const plain = await operatorToken(['read', 'write', 'apply']);
    const acting = await operatorToken(['read', 'operator']);
    expect((await ask(plain, 'GET', '/operator/tenants')).status).toBe(404);
    expect((await ask(plain, 'GET', '/tenants/own')).status).toBe(404);
    expect(await ask(acting, 'GET', '/operator/tenants')).toMatchObject({
      json: { items: [{ slug: 'other' }, { slug: 'own' }] },
    });
    expect((await ask(acting, 'GET', '/tenants/own')).status).toBe(200);
    const none = '00000000-0000-4000-8000-000000000000';
    for (const [scopes, path, lacks] of [
      [['read', 'operator'], 'reject', 'write'],
      [['read', 'write', 'operator'], 'approve', 'apply'],
      [['write', 'apply', 'operator'], '', 'read'],
    ] as const) {
      const method = path === '' ? 'GET' : 'POST';
      const answer = await ask(
        await operatorToken([...scopes]),
        method,
        `/operator/requests${path && `/${none}/${path}`}`,
      );
      expect(answer).toMatchObject({
        status: 403,
        json: { detail: expect.stringContaining(`scope ${lacks}`) as string },
      });
    }
    await expect(tokenOf(own, ['operator'])).rejects.toMatchObject({ code: 'invalid' });
  });

  test('fifty tokens of a person and of a tenant are the most, also where many are made at once', async () => {
    const by = await personOf((await unsafeDb().user.create({ data: { name: 'busy' } })).id);
    const ctx = await tenantCtx(await personOf(other.userId), 'other');
    if (!ctx) throw new Error('no ctx');
    const input = { name: 'ci', scopes: ['read' as const], days: 1 };
    const now = new Date();
    const expiresAt = new Date(now.getTime() + 3600_000);
    const some = (userId: string, reachesId: string | null) =>
      Array.from({ length: 48 }, () => ({
        userId,
        reachesId,
        name: 'x',
        scopes: ['read'],
        tokenHash: randomUUID(),
        expiresAt,
      }));
    await unsafeDb().apiToken.createMany({
      data: [...some(by.person.userId, null), ...some(other.userId, other.tenantId)],
    });
    for (const make of [() => addPersonToken(by, input, now), () => addTenantToken(ctx, input, now)]) {
      const made = await Promise.allSettled(Array.from({ length: 6 }, make));
      expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    }
  });

  test('who operates, and belongs to no tenant, makes no token of one that would open nothing', async () => {
    const { id } = await unsafeDb().user.create({ data: { name: 'passing operator' } });
    const ctx = await tenantCtx(await personOf(id, true), 'own');
    if (!ctx) throw new Error('no ctx');
    const made = addTenantToken(ctx, { name: 'ci', scopes: ['read'], days: 1 }, new Date());
    await expect(made).rejects.toMatchObject({ code: 'conflict' });
  });

  test('one that works is on the page, however many have ended since', async () => {
    const by = await personOf((await unsafeDb().user.create({ data: { name: 'ephemeral' } })).id);
    const now = new Date();
    const { id } = await addPersonToken(by, { name: 'old', scopes: ['read'], days: 365 }, now);
    const later = new Date(now.getTime() + 60_000);
    const ended = {
      userId: by.person.userId,
      name: 'gone',
      scopes: ['read'],
      revokedAt: later,
      revokedBy: 'ephemeral',
    };
    const expiresAt = new Date(now.getTime() + 90 * 24 * 3600_000);
    const data = Array.from({ length: 250 }, () => ({
      ...ended,
      createdAt: later,
      expiresAt,
      tokenHash: randomUUID(),
    }));
    await unsafeDb().apiToken.createMany({ data });
    const listed = await listPersonTokens(by, later);
    expect(listed.filter(({ standing }) => standing === 'works')).toMatchObject([{ id }]);
    expect(listed.length).toBeGreaterThan(100);
    const afterwards = await listPersonTokens(by, new Date(later.getTime() + 31 * 24 * 3600_000));
    expect(afterwards.map((each) => each.id)).toEqual([id]);
  });

  test('what a program did names its token in the audit', async () => {
    const token = await tokenOf(own);
    const { status } = await ask(token, 'POST', '/tenants/own/budgets', { body: { name: 'By CI', amount: '12' } });
    expect(status).toBe(201);
    const record = await unsafeDb().audit.findFirstOrThrow({
      where: { action: 'budget:add' },
      orderBy: { id: 'desc' },
    });
    expect(record.actor).toContain('by the token ci');
  });
});

describe('a stranger’s tenant', () => {
  const ids = (of: TenantRows): Record<string, string> => ({
    tenant: of.slug,
    enrollment: of.enrollmentId,
    plan: of.planId,
    request: of.requestId,
    budget: of.budgetId,
    view: of.viewId,
    token: of.tokenId,
    stack: 'none',
  });
  const fill = (path: string, values: Record<string, string>) =>
    path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? 'x');

  test('answers as one that is not there, by every operation (A1)', async () => {
    const token = await tokenOf(own);
    const before = await unsafeDb().audit.count({ where: { action: 'access:denied' } });
    const tenants = operations.filter(({ path }) => path.startsWith('/tenants/{tenant}'));
    for (const { method, path, id } of tenants) {
      const sent = method === 'GET' || method === 'DELETE' ? {} : { body: {} };
      const theirs = await ask(token, method, fill(path, ids(other)), sent);
      const none = await ask(token, method, fill(path, { ...ids(other), tenant: 'nobody' }), sent);
      expect({ id, ...theirs.json, requestId: '' }).toEqual({ id, ...none.json, requestId: '' });
      expect([id, theirs.status]).toEqual([id, 404]);
    }
    expect(await unsafeDb().audit.count({ where: { action: 'access:denied' } })).toBeGreaterThan(before + 10);
  });

  test('another’s id within one’s own tenant is as absent', async () => {
    const token = await tokenOf(own);
    const mixed = { ...ids(other), tenant: 'own' };
    const inner = operations.filter(({ path, body }) => /^\/tenants\/\{tenant\}\/.*\{/.test(path) && !body);
    expect(inner.length).toBeGreaterThan(6);
    for (const { method, path, id } of inner)
      expect([id, (await ask(token, method, fill(path, mixed))).status]).toEqual([id, 404]);
    const body = { spec: { pools: [{ pool: 'nix', maxRunners: 1 }] } };
    expect((await ask(token, 'POST', `/tenants/own/enrollments/${other.enrollmentId}/plans`, { body })).status).toBe(
      404,
    );
    expect((await ask(token, 'POST', `/tenants/own/plans/${other.planId}/apply`, { body: {} })).status).toBe(404);
    expect(
      (await ask(token, 'PATCH', `/tenants/own/budgets/${other.budgetId}`, { body: { amount: '1' } })).status,
    ).toBe(404);
  });
});

test('an operator’s program suspends a tenant and resumes it', async () => {
  const token = await operatorToken(['read', 'write', 'operator']);
  const state = async () => (await ask(token, 'GET', '/operator/tenants/other')).json['state'];
  const path = '/operator/tenants/other/suspend';
  expect((await ask(await tokenOf(other), 'POST', path, { body: { reason: 'x' } })).status).toBe(404);
  expect((await ask(token, 'POST', path, { body: { reason: 'Restored from a backup.' } })).status).toBe(204);
  expect(await state()).toBe('suspended');
  expect((await ask(token, 'POST', path, { body: { reason: 'Again.' } })).status).toBe(409);
  expect((await ask(token, 'POST', '/operator/tenants/other/resume')).status).toBe(204);
  expect(await state()).toBe('active');
});

test('everything of one’s own is read well', async () => {
  const [admin, operator] = [await tokenOf(own), await operatorToken(['read', 'operator'])];
  const ids: Record<string, string> = {
    tenant: own.slug,
    enrollment: own.enrollmentId,
    plan: own.planId,
    request: own.requestId,
    view: own.viewId,
  };
  const reads = operations.filter(({ method, path }) => method === 'GET' && !path.includes('{stack}'));
  for (const { id, path } of reads) {
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? '');
    const answer = await ask(path.startsWith('/operator') ? operator : admin, 'GET', filled);
    expect([id, answer.status]).toEqual([id, 200]);
  }
});

describe('a request', () => {
  test('that cannot be read, fits no schema, or comes another way is refused in words', async () => {
    const token = await tokenOf(own);
    const budgets = '/tenants/own/budgets';
    const bad = async (sent: Sent) => (await ask(token, 'POST', budgets, sent)).status;
    expect(await bad({ body: '{' })).toBe(400);
    expect(await bad({ body: 'x'.repeat(1024 * 1024 + 1) })).toBe(413);
    expect(await bad({ body: {}, headers: { 'content-type': 'text/plain' } })).toBe(415);
    expect(await bad({ body: { name: 'x', amount: '1', extra: 1 } })).toBe(422);
    expect(await ask(token, 'POST', budgets, { body: { name: '', amount: 'x' } })).toMatchObject({
      status: 422,
      headers: { 'content-type': 'application/problem+json' },
      json: { changed: 'Nothing was changed.', errors: { amount: expect.any(String) as string } },
    });
    expect(await ask(token, 'PUT', budgets, { body: {} })).toMatchObject({
      status: 405,
      headers: { allow: 'GET, POST' },
    });
    expect((await ask(token, 'GET', `${budgets}?limit=0`)).status).toBe(422);
    expect((await ask(token, 'GET', `${budgets}?limit=1&limit=2`)).status).toBe(422);
    expect((await ask(token, 'GET', `${budgets}?nothing=1`)).status).toBe(422);
    expect((await ask(token, 'GET', '/tenants/own?x=1')).status).toBe(422);
    expect((await ask(token, 'GET', '/nothing')).status).toBe(404);
  });

  test('is counted: headers say what is left, and who asks too often waits', async () => {
    const token = await tokenOf(own);
    const now = new Date();
    const first = await ask(token, 'GET', '/me', { now });
    expect(first.headers['ratelimit']).toBe('"token";r=999999;t=60');
    const { id } = first.json['token'] as { id: string };
    await unsafeDb().apiCount.update({ where: { tokenId: id }, data: { requests: 999_999 } });
    expect((await ask(token, 'GET', '/me', { now })).headers['ratelimit']).toBe('"token";r=0;t=60');
    const over = await ask(token, 'GET', '/me', { now: new Date(now.getTime() + 1000) });
    expect(over).toMatchObject({ status: 429, headers: { 'retry-after': '59' } });
    expect((await ask(token, 'GET', '/me', { now: new Date(now.getTime() + 60_000) })).status).toBe(200);
  });

  test('If-None-Match is 304 until something changes; If-Match keeps from overwriting', async () => {
    const token = await tokenOf(own);
    const path = `/tenants/own/caches/${own.viewId}`;
    const { headers } = await ask(token, 'GET', path);
    const etag = headers['etag'] ?? '';
    expect(await ask(token, 'GET', path, { headers: { 'if-none-match': etag } })).toMatchObject({
      status: 304,
      body: null,
    });
    const settings = { isPublic: true, priority: 50, upstreamKeys: [] };
    const put = (tag: string) => ask(token, 'PUT', path, { body: settings, headers: { 'if-match': tag } });
    expect((await put('"another"')).status).toBe(412);
    expect((await ask(token, 'GET', path)).headers['etag']).toBe(etag);
    expect((await put(etag)).status).toBe(204);
    expect((await put(etag)).status).toBe(412);
    expect((await ask(token, 'GET', path, { headers: { 'if-none-match': etag } })).status).toBe(200);
  });

  test('lists are walked to their end, each item once', async () => {
    const token = await tokenOf(own);
    await unsafeDb().budget.deleteMany({ where: { tenantId: own.tenantId } });
    for (let number = 0; number < 7; number += 1)
      await unsafeDb().budget.create({
        data: { tenantId: own.tenantId, name: `b${number}`, amount: '1', thresholds: [50] },
      });
    const seen: string[] = [];
    let path: string | undefined = '/tenants/own/budgets?limit=3';
    let pages = 0;
    while (path !== undefined) {
      const answer: Answered = await ask(token, 'GET', path);
      seen.push(...(answer.json['items'] as { name: string }[]).map(({ name }) => name));
      path = /^<\/api\/v1(.*)>; rel="next"$/.exec(answer.headers['link'] ?? '')?.[1];
      pages += 1;
    }
    expect(pages).toBe(3);
    expect(seen.toSorted()).toEqual(['b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6']);
    const ofNul = Buffer.from(JSON.stringify(['2026-01-01T00:00:00Z', '\0', 'x'])).toString('base64url');
    for (const [list, cursor] of [
      ['budgets', 'bm9uZQ'],
      ['jobs', 'bm9uZQ'],
      ['jobs', ofNul],
    ])
      expect((await ask(token, 'GET', `/tenants/own/${list}?cursor=${cursor}`)).status).toBe(422);
  });
});

describe('an idempotency key', () => {
  let token: string;
  beforeEach(async () => {
    token = await tokenOf(own);
    await unsafeDb().budget.deleteMany({ where: { tenantId: own.tenantId } });
  });
  const add = (key: string, name: string, now?: Date) =>
    ask(token, 'POST', '/tenants/own/budgets', {
      body: { name, amount: '5' },
      headers: { 'idempotency-key': key },
      ...(now ? { now } : {}),
    });
  const count = () => unsafeDb().budget.count({ where: { tenantId: own.tenantId } });

  test('makes the same change once, whoever asks at the same time, and answers the same', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => add('k1', 'Once')));
    const done = answers.filter(({ status }) => status === 201);
    expect(done.length).toBeGreaterThan(0);
    expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true);
    expect(await count()).toBe(1);
    const again = await add('k1', 'Once');
    expect(again).toMatchObject({ status: 201, headers: { 'idempotency-replayed': 'true' }, json: done[0]?.json });
    expect(await count()).toBe(1);
  });

  test('tells nobody again who has lost the role meanwhile', async () => {
    const key = { tenantId_userId: { tenantId: own.tenantId, userId: own.userId } };
    expect((await add('k0', 'Mine')).status).toBe(201);
    await unsafeDb().membership.update({ where: key, data: { role: 'member' } });
    expect((await add('k0', 'Mine')).status).toBe(403);
    await unsafeDb().membership.update({ where: key, data: { role: 'admin' } });
    expect((await add('k0', 'Mine')).headers['idempotency-replayed']).toBe('true');
  });

  test('is refused for another change, and may be used anew after a day', async () => {
    await add('k2', 'One');
    expect((await add('k2', 'Two')).status).toBe(422);
    expect((await add('k2', 'Two', new Date(Date.now() + 25 * 3600_000))).status).toBe(201);
    expect(await count()).toBe(2);
  });

  test('of a change that was refused is free again; what is kept is sealed', async () => {
    expect((await add('k3', '')).status).toBe(422);
    expect((await add('k3', 'Now right')).status).toBe(201);
    const kept = await unsafeDb().apiAnswer.findMany({ where: { key: 'k3' } });
    expect(kept).toHaveLength(1);
    expect(kept[0]?.sealedBody).toMatch(/^eyJ/);
    expect((await add('k 4', 'x')).status).toBe(400);
  });

  test('left by a process that died is taken over after a minute', async () => {
    const { json } = await ask(token, 'GET', '/me');
    const { id: tokenId } = json['token'] as { id: string };
    await unsafeDb().apiAnswer.create({ data: { tokenId, key: 'k5', requestHash: 'x' } });
    expect((await add('k5', 'Late')).status).not.toBe(201);
    expect((await add('k5', 'Late', new Date(Date.now() + 61_000))).status).toBe(201);
  });

  /** A change that is under way until it is told to end. */
  function slow(tokenId: string, key: string, now = new Date()) {
    let end: (body: unknown) => void = () => undefined;
    const body = new Promise((resolve) => (end = resolve));
    const run = vi.fn(async () => ({ status: 201, body: await body }));
    const answer = once({ tokenId, key, method: 'POST', path: '/x', body: '' }, now, run);
    return { answer, run, end: (said: string) => end(said) };
  }
  const shownTokenId = async () => ((await ask(token, 'GET', '/me')).json['token'] as { id: string }).id;

  test('of a change that takes longer than a minute stays its own', async () => {
    const tokenId = await shownTokenId();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
    try {
      const began = new Date();
      const first = slow(tokenId, 'k6', began);
      await vi.waitFor(() => expect(first.run).toHaveBeenCalled());
      vi.advanceTimersByTime(20_000);
      await vi.waitFor(async () => {
        const { createdAt } = await unsafeDb().apiAnswer.findFirstOrThrow({ where: { tokenId, key: 'k6' } });
        expect(createdAt.getTime()).toBeGreaterThan(began.getTime() + 10_000);
      });
      const second = slow(tokenId, 'k6', new Date(began.getTime() + 61_000));
      await expect(second.answer).rejects.toMatchObject({ code: 'conflict' });
      expect(second.run).not.toHaveBeenCalled();
      first.end('first');
      expect(await first.answer).toMatchObject({ body: 'first', isReplay: false });
    } finally {
      vi.useRealTimers();
    }
  });

  test('that was taken over is not answered for by who had it before', async () => {
    const tokenId = await shownTokenId();
    const silent = slow(tokenId, 'k7', new Date(Date.now() - 61_000));
    await vi.waitFor(() => expect(silent.run).toHaveBeenCalled());
    const taker = slow(tokenId, 'k7');
    await vi.waitFor(() => expect(taker.run).toHaveBeenCalled());
    silent.end('silent');
    expect(await silent.answer).toMatchObject({ body: 'silent' });
    await expect(slow(tokenId, 'k7').answer).rejects.toMatchObject({ code: 'conflict' });
    taker.end('taker');
    expect(await taker.answer).toMatchObject({ body: 'taker' });
    expect(await slow(tokenId, 'k7').answer).toMatchObject({ body: 'taker', isReplay: true });
  });

  test('keeps its answer for a day and no longer, whether the token asks again or not', async () => {
    await add('k9', 'Kept');
    await forgetPast(new Date(Date.now() + 23 * 3600_000));
    expect(await unsafeDb().apiAnswer.count({ where: { key: 'k9' } })).toBe(1);
    await forgetPast(new Date(Date.now() + 25 * 3600_000));
    expect(await unsafeDb().apiAnswer.count({ where: { key: 'k9' } })).toBe(0);
  });

  test('of what changes nothing keeps nothing', async () => {
    const path = `/tenants/own/enrollments/${own.enrollmentId}/preview`;
    const spec = { pools: [{ pool: 'nix', minRunners: 0, maxRunners: 2 }], planes: {} };
    const before = await unsafeDb().apiAnswer.count();
    const created = vi.spyOn(unsafeDb().apiAnswer, 'create');
    await ask(token, 'POST', path, { body: { spec }, headers: { 'idempotency-key': 'k10' } });
    expect(created).not.toHaveBeenCalled();
    expect(await unsafeDb().apiAnswer.count()).toBe(before);
  });
});

// ------------------------------------------------------------------------------------------------ everything, asked for anything

type Described = {
  operationId: string;
  parameters: { name: string; in: string; schema: JsonSchema }[];
  requestBody?: { content: { 'application/json': { schema: JsonSchema } } };
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: object }> }>;
};

describe('whatever is asked', () => {
  const document = openApiDocument() as {
    paths: Record<string, Record<string, Described>>;
    components: { responses: Record<string, Described['responses'][string]>; schemas: { Problem: object } };
  };
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const problem = ajv.compile(document.components.schemas.Problem);

  const known = (name: string): string[] => {
    const both = (of: (rows: TenantRows) => string) => [of(own), of(other)];
    const values: Record<string, string[]> = {
      tenant: [own.slug, own.slug, own.slug, other.slug, 'none'],
      enrollment: both(({ enrollmentId }) => enrollmentId),
      plan: both(({ planId }) => planId),
      request: both(({ requestId }) => requestId),
      budget: both(({ budgetId }) => budgetId),
      view: both(({ viewId }) => viewId),
      token: both(({ tokenId }) => tokenId),
    };
    return values[name] ?? ['x'];
  };

  const requestsOf = (operation: Described) => {
    const inPath = operation.parameters.filter((each) => each.in === 'path');
    const inQuery = operation.parameters.filter((each) => each.in === 'query');
    const anything = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
    const valueOf = (name: string) =>
      fc.oneof({ arbitrary: fc.constantFrom(...known(name)), weight: 6 }, { arbitrary: anything, weight: 1 });
    const filterOf = (schema: JsonSchema) =>
      fc.oneof({ arbitrary: arbitraryOf(schema), weight: 3 }, { arbitrary: fc.string(), weight: 1 });
    const body = operation.requestBody?.content['application/json'].schema;
    return fc.record({
      params: fc.record(Object.fromEntries(inPath.map(({ name }) => [name, valueOf(name)]))),
      query: fc.record(Object.fromEntries(inQuery.map(({ name, schema }) => [name, filterOf(schema)])), {
        requiredKeys: [],
      }),
      body: body ? anyOf(body) : fc.constant(undefined),
    });
  };

  /** What of an answer is not as described; null where nothing is. No forge and no cluster is at hand: that one is away is an answer. */
  function troubleOf(operation: Described, { status, json, body }: Answered): string | null {
    const said = `${operation.operationId} answers ${status} ${body}`;
    const response = operation.responses[String(status)];
    if (status === 500 || response === undefined) return said;
    if (status >= 400) return problem(json) ? null : `${said}: ${JSON.stringify(problem.errors)}`;
    const schema = response.content?.['application/json']?.schema;
    if (!schema) return body === null ? null : said;
    const validate = ajv.compile(schema);
    return validate(json) ? null : `${said}: ${JSON.stringify(validate.errors)}`;
  }

  test('is answered by a status and a body that the description has, and never by a failure', async () => {
    const tokens = [await tokenOf(own), await operatorToken(['read', 'write', 'apply', 'credentials', 'operator'])];
    for (const { path, method, operation } of described)
      await fc.assert(
        fc.asyncProperty(requestsOf(operation), fc.constantFrom(...tokens), async ({ params, query, body }, token) => {
          const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params[name])));
          const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
          const sent = body === undefined ? {} : { body: JSON.stringify(body) };
          const answer = await ask(token, method, `${filled}?${search.toString()}`, sent);
          expect(troubleOf(operation, answer)).toBeNull();
        }),
        { numRuns: 10 },
      );
  }, 120_000);
});
