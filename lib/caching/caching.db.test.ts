import { createHash, randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ensureAtticView } from '#lib/cache/index.ts';
import { seal, tenantDb, unsafeDb } from '#lib/db/index.ts';
import { appendAudit, type ActingRole, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { prepareAtticDatabase, writeAtticDatabase } from '#sandbox/attic/database.ts';
import { type Attic, startAttic } from '#sandbox/attic/index.ts';
import { type BazelRemotes, startBazelRemotes } from '#sandbox/bazel-remote/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  atticServerOf,
  bazelView,
  cacheServerPlace,
  cacheServers,
  CacheTokenInput,
  cacheViews,
  changeBazelWay,
  changeCacheServer,
  changeView,
  ChangeViewInput,
  checkCacheServer,
  createView,
  issuePersonToken,
  issueRunnerToken,
  isRunnerTokenGood,
  listTokens,
  NewViewInput,
  personTokensMost,
  readCaches,
  reconcileViews,
  removeView,
  retentionEffect,
  revokeToken,
  viewDays,
  statisticsPlace,
} from './index.ts';

/* Views, tokens, figures and the checklist, against a database, an Attic with its tables, and a bazel-remote. */

let rows: TestRows;
let attic: Attic;
let bazel: BazelRemotes;
let acme: TenantRows;
let bolt: TenantRows;
let statistics: { ownerUrl: string; readerUrl: string };
const secretBase64 = randomBytes(32).toString('base64');
const dayMs = 24 * 3600_000;

beforeAll(async () => {
  // Read once, when the first asks for any of it.
  Object.assign(process.env, { FLYWHEEL_SANDBOX: '1' });
  rows = await startTestRows();
  attic = await startAttic({ port: 0, hs256SecretBase64: secretBase64 });
  const htpasswd = `runner:{SHA}${createHash('sha1').update('password').digest('base64')}\n`;
  const instance = { htpasswd, allowUnauthenticatedReads: true, maxBytes: 1000 };
  bazel = await startBazelRemotes({ port: 0, instanceOf: (name) => (name === 'bazel-acme' ? instance : undefined) });
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
  statistics = await prepareAtticDatabase(rows.database.adminUrl, `attic_${randomBytes(4).toString('hex')}`);
  await unsafeDb().cacheServer.update({
    where: { id: 'attic' },
    data: { url: attic.url, sealedSigningSecret: await seal(secretBase64, cacheServerPlace('attic')) },
  });
  // As their enrollments have made them.
  for (const tenant of [acme, bolt]) await made(tenant);
});
afterAll(async () => {
  await attic?.stop();
  await bazel?.stop();
  await rows?.stop();
});
beforeEach(() => unsafeDb().task.deleteMany());

async function made({ viewId, slug }: TenantRows): Promise<void> {
  const server = await atticServerOf({ clusterId: 'main' });
  if (!server) throw new Error('no server');
  const { publicKey, substituterUrl } = await ensureAtticView({ server, name: `${slug}+main`, isPublic: false });
  const data = { publicKey, substituterUrl, observedAt: new Date(), changedAt: new Date(0) };
  await unsafeDb().cacheView.update({ where: { id: viewId }, data });
}

function ctxOf(of: TenantRows, role: ActingRole = 'admin', userId = of.userId): Ctx {
  const person = {
    userId,
    name: `Somebody of ${of.slug}`,
    imageUrl: null,
    identities: [],
    isOperator: role === 'operator',
  };
  const by: PersonCtx = { person, requestId: 'test' };
  const tenant = {
    id: of.tenantId,
    slug: of.slug,
    displayName: of.slug,
    kind: 'organization' as const,
    isDefault: false,
    state: 'active' as const,
    suspendReason: null,
    clusterId: 'main',
    quota: { cpu: '1', memory: '1Gi', runners: 1, storage: '1Gi' },
  };
  return {
    ...by,
    tenant,
    role,
    db: tenantDb(of.tenantId),
    audit: (tx, entry) => appendAudit(tx, by, of.tenantId, entry),
  };
}

const operator = () => ctxOf(acme, 'operator');

function pass(tenantId: string, now = new Date(), fence = async () => {}) {
  const free = { check: async () => {}, fence };
  const lease: Lease = { key: tenantId, attempts: 1, signal: new AbortController().signal, ...free };
  return reconcileViews(lease, now);
}

const newView = (label: string, more: object = {}) => NewViewInput.parse({ label, ...more });
const viewOf = async (of: TenantRows, label: string) => {
  const view = (await cacheViews(ctxOf(of))).find((each) => each.label === label);
  if (!view) throw new Error(`no view ${label}`);
  return view;
};
const tasks = async () => (await unsafeDb().task.findMany()).map(({ kind, key }) => `${kind} ${key}`);

async function read(view: string, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${attic.url}/${encodeURIComponent(view)}/nix-cache-info`, { headers })).status;
}

describe('views by name', () => {
  test('are made at the server as asked, changed, and removed; runners are given tokens anew', async () => {
    await createView(ctxOf(acme), newView('releases', { isPublic: 'yes', priority: '30', retentionDays: '90' }));
    expect(await tasks()).toEqual([`cache-view ${acme.tenantId}`]);
    expect(await viewOf(acme, 'releases')).toMatchObject({ isSettled: false, isEnrolled: false, publicKey: null });
    await pass(acme.tenantId);
    expect(attic.state.caches['acme+releases']).toMatchObject({
      isPublic: true,
      priority: 30,
      upstreamCacheKeyNames: [],
      retentionPeriodSeconds: 90 * 86_400,
    });
    const view = await viewOf(acme, 'releases');
    expect(view).toMatchObject({
      isSettled: true,
      trouble: null,
      publicKey: expect.stringMatching(/^acme\+releases:/),
    });
    expect(await tasks()).toContain(`enrollment ${acme.enrollmentId}`);

    const change = ChangeViewInput.parse({
      viewId: view.id,
      priority: '20',
      upstreamKeys: 'cache.nixos.org-1 mine-1',
      retentionDays: '',
    });
    await changeView(ctxOf(acme), change);
    await pass(acme.tenantId);
    expect(attic.state.caches['acme+releases']).toMatchObject({
      isPublic: false,
      priority: 20,
      upstreamCacheKeyNames: ['cache.nixos.org-1', 'mine-1'],
      retentionPeriodSeconds: null,
    });

    await expect(removeView(ctxOf(acme), { viewId: view.id, typed: 'acme+main' })).rejects.toMatchObject({
      code: 'invalid',
    });
    await removeView(ctxOf(acme), { viewId: view.id, typed: 'acme+releases' });
    await unsafeDb().task.deleteMany();
    await pass(acme.tenantId);
    expect(attic.state.caches['acme+releases']).toBeUndefined();
    expect(await unsafeDb().cacheView.count({ where: { name: 'acme+releases' } })).toBe(0);
    expect(await tasks()).toContain(`enrollment ${acme.enrollmentId}`);
  });

  test('a name that is taken, or an enrollment’s, or not a name, is refused; another tenant has its own names', async () => {
    await createView(ctxOf(acme), newView('same'));
    await expect(createView(ctxOf(acme), newView('same'))).rejects.toMatchObject({
      screen: { fields: { label: expect.stringContaining('is taken') as string } },
    });
    await createView(ctxOf(bolt), newView('same'));
    for (const label of ['main', 'pull-requests', 'a+b', 'A', '-a', 'a'.repeat(20), '../x', ''])
      expect(NewViewInput.safeParse({ label }).success).toBe(false);
  });

  test('ten are enough, and without Attic there is none', async () => {
    for (let count = 0; count < 8; count += 1) await createView(ctxOf(bolt), newView(`v${count}`));
    await expect(createView(ctxOf(bolt), newView('one-more'))).rejects.toMatchObject({ code: 'invalid' });
    const bare = await addTenant('bare');
    await unsafeDb().cacheView.deleteMany({ where: { tenantId: bare.tenantId } });
    await expect(createView(ctxOf(bare), newView('x'))).rejects.toMatchObject({ code: 'conflict' });
  });

  test('those of enrollments are set, and neither removed nor made public here', async () => {
    const main = await viewOf(acme, 'main');
    await changeView(ctxOf(acme), ChangeViewInput.parse({ viewId: main.id, isPublic: 'yes', priority: '35' }));
    expect(await viewOf(acme, 'main')).toMatchObject({ isPublic: false, priority: 35, isSettled: false });
    // It is for the enrollments' passes, and for nobody else.
    const before = { ...attic.state.caches['acme+main'] };
    await pass(acme.tenantId);
    expect(attic.state.caches['acme+main']).toEqual(before);
    const woken = await unsafeDb().task.findMany({ where: { kind: 'enrollment' }, select: { key: true } });
    expect(woken).toEqual([{ key: acme.enrollmentId }]);
    const work = removeView(ctxOf(acme), { viewId: main.id, typed: 'acme+main' });
    await expect(work).rejects.toMatchObject({ code: 'conflict' });
  });

  test('one that is made while the tenant’s last enrollment takes all views away does not stay', async () => {
    await createView(ctxOf(acme), newView('too-late'));
    const leave = async () => void (await unsafeDb().cacheView.deleteMany({ where: { name: 'acme+too-late' } }));
    await pass(acme.tenantId, new Date(), leave);
    expect(Object.keys(attic.state.caches)).not.toContain('acme+too-late');
  });

  test('another’s is not there', async () => {
    const { id } = await viewOf(bolt, 'same');
    const change = ChangeViewInput.parse({ viewId: id, priority: '1' });
    await expect(changeView(ctxOf(acme), change)).rejects.toMatchObject({ code: 'not_found' });
    const removal = removeView(ctxOf(acme), { viewId: id, typed: 'bolt+same' });
    await expect(removal).rejects.toMatchObject({ code: 'not_found' });
  });

  test('Attic away: it is said, nothing is lost, and the next pass makes it so', async () => {
    await createView(ctxOf(acme), newView('later'));
    const { url } = attic;
    await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { url: 'http://127.0.0.1:40998' } });
    await expect(pass(acme.tenantId)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await viewOf(acme, 'later')).toMatchObject({ isSettled: false, trouble: expect.any(String) });
    await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { url } });
    await pass(acme.tenantId);
    expect(await viewOf(acme, 'later')).toMatchObject({ isSettled: true, trouble: null });
  });
});

const wish = (of: TenantRows, viewIds: string[], more: object = {}) =>
  CacheTokenInput.parse({ viewIds, days: '7', usedIn: 'laptop', ...more });

describe('tokens', () => {
  test('A22: a person’s opens the views that it names, and no other tenant’s; it is written down and its value is not', async () => {
    const main = await viewOf(acme, 'main');
    const made = await issuePersonToken(ctxOf(acme), wish(acme, [main.id]));
    expect(await read('acme+main', made.token)).toBe(200);
    expect(await read('bolt+main', made.token)).toBe(401);
    expect(await read('acme+same', made.token)).toBe(401);
    expect(decodeJwt(made.token)).toMatchObject({
      sub: `${acme.tenantId}/person/${acme.userId}`,
      jti: made.tokenId,
      'https://jwt.attic.rs/v1': { caches: { 'acme+main': { r: 1 } } },
    });
    expect(made.netrc).toBe(`machine 127.0.0.1\nlogin flywheel\npassword ${made.token}\n`);
    const kept = await unsafeDb().cacheToken.findUniqueOrThrow({ where: { id: made.tokenId } });
    const audit = await unsafeDb().audit.findMany({ where: { target: `cache-token/${made.tokenId}` } });
    expect(audit.map(({ action }) => action)).toEqual(['cache-token:issue']);
    const text = JSON.stringify([kept, audit], (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    expect(text).not.toContain(made.token.split('.')[2]);
    expect(await listTokens(ctxOf(bolt))).not.toContainEqual(expect.objectContaining({ id: made.tokenId }));
  });

  test('are so many of one person at once and no more, however they are asked for', async () => {
    await unsafeDb().cacheToken.deleteMany({ where: { tenantId: bolt.tenantId, kind: 'person' } });
    const main = await viewOf(bolt, 'main');
    const issue = () => issuePersonToken(ctxOf(bolt), wish(bolt, [main.id]));
    const all = await Promise.allSettled(Array.from({ length: personTokensMost + 4 }, issue));
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(personTokensMost);
    await expect(issue()).rejects.toMatchObject({ screen: { fields: { usedIn: expect.stringContaining('Wait') } } });
    await unsafeDb().cacheToken.deleteMany({ where: { tenantId: bolt.tenantId, kind: 'person' } });
  });

  test('pushing is for admins, another’s view is not there, and a month is the most', async () => {
    const main = await viewOf(acme, 'main');
    const member = ctxOf(acme, 'member');
    await expect(issuePersonToken(member, wish(acme, [main.id], { write: 'yes' }))).rejects.toMatchObject({
      code: 'invalid',
    });
    const theirs = await viewOf(bolt, 'main');
    await expect(issuePersonToken(member, wish(acme, [main.id, theirs.id]))).rejects.toMatchObject({
      code: 'not_found',
    });
    for (const days of ['0', '31', '-1', '1.5', 'x', ''])
      expect(CacheTokenInput.safeParse({ viewIds: [main.id], days, usedIn: 'x' }).success).toBe(false);
  });

  test('a runner’s is good for a day, is given anew in time, for another scope and after another key', async () => {
    const server = await atticServerOf({ clusterId: 'main' });
    if (!server) throw new Error('no server');
    const { tenantId, enrollmentId } = acme;
    const scope = { 'acme+main': 'rw' as const };
    const usedIn = 'Secret runners-acme/acme-cache';
    const now = new Date();
    const issue = (at: Date) =>
      issueRunnerToken(unsafeDb(), server, { tenantId, enrollmentId, enrollment: 'acme', usedIn, scope }, at);
    const first = await issue(now);
    const isGood = (at: Date, change: object = {}) =>
      isRunnerTokenGood({ tokenId: first.tokenId, server, scope, now: at, ...change });
    expect(await isGood(now)).toBe(true);
    expect(await isGood(new Date(now.getTime() + 0.99 * dayMs))).toBe(true);
    // With more than five days left, which is how long a pod may live that takes it now.
    expect(await isGood(new Date(now.getTime() + 1.01 * dayMs))).toBe(false);
    expect(await isGood(now, { scope: { ...scope, 'acme+later': 'rw' } })).toBe(false);
    expect(await isGood(now, { tokenId: null })).toBe(false);
    const other = { ...server, key: { ...server.key, secretBase64: randomBytes(32).toString('base64') } };
    expect(await isGood(now, { server: other })).toBe(false);

    const second = await issue(new Date(now.getTime() + dayMs));
    const listed = await listTokens(ctxOf(acme), new Date(now.getTime() + dayMs));
    const standing = (id: string) => listed.find((token) => token.id === id);
    expect(standing(first.tokenId)).toMatchObject({ standing: 'replaced', isAccepted: true });
    expect(standing(second.tokenId)).toMatchObject({ standing: 'works', usedIn, kind: 'runner' });
    expect(await read('acme+main', first.token)).toBe(200);
  });

  test('revoking says until when the server takes it, gives runners another, and is once', async () => {
    const server = await atticServerOf({ clusterId: 'main' });
    if (!server) throw new Error('no server');
    const own = { tenantId: acme.tenantId, enrollmentId: acme.enrollmentId };
    const wished = { ...own, enrollment: 'acme', usedIn: 'Secret x', scope: { 'acme+main': 'rw' as const } };
    const { token, tokenId, expiresAt } = await issueRunnerToken(unsafeDb(), server, wished, new Date());
    await unsafeDb().credential.create({
      data: { ...own, kind: 'attic-token', sealedValue: 'sealed', externalId: tokenId, expiresAt },
    });
    await expect(revokeToken(ctxOf(bolt), { tokenId })).rejects.toMatchObject({ code: 'not_found' });
    await expect(revokeToken(ctxOf(acme, 'member'), { tokenId })).rejects.toMatchObject({ code: 'not_found' });
    const now = new Date();
    expect(await revokeToken(ctxOf(acme), { tokenId }, now)).toEqual({
      acceptedUntil: expiresAt.toISOString(),
      isReplaced: true,
    });
    const due = await unsafeDb().credential.findFirst({ where: { externalId: tokenId } });
    expect(due?.expiresAt).toEqual(now);
    expect(await tasks()).toContain(`enrollment ${acme.enrollmentId}`);
    // As honest as the page: it is accepted still.
    expect(await read('acme+main', token)).toBe(200);
    expect((await listTokens(ctxOf(acme))).find(({ id }) => id === tokenId)).toMatchObject({
      standing: 'revoked',
      isAccepted: true,
    });
    const scope = { 'acme+main': 'rw' as const };
    expect(await isRunnerTokenGood({ tokenId, server, scope, now })).toBe(false);
    await expect(revokeToken(ctxOf(acme), { tokenId })).rejects.toMatchObject({ code: 'conflict' });
    await unsafeDb().credential.deleteMany({ where: { externalId: tokenId } });
  });

  test('people revoke their own', async () => {
    const main = await viewOf(acme, 'main');
    const { tokenId } = await issuePersonToken(ctxOf(acme, 'member'), wish(acme, [main.id]));
    expect(await revokeToken(ctxOf(acme, 'member'), { tokenId })).toMatchObject({ isReplaced: false });
  });
});

async function push(view: string, bytes: Buffer): Promise<string> {
  const hash = [...randomBytes(32)].map((byte) => '0123456789abcdfghijklmnpqrsvwxyz'[byte % 32]).join('');
  const narHash = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const kept = (attic.state.nars[narHash] ??= { size: bytes.length, chunks: [narHash] });
  for (const chunk of kept.chunks ?? []) attic.state.chunks[chunk] ??= bytes.length;
  const at = { createdAt: new Date().toISOString(), createdBy: null };
  const path = { cache: view, storePathHash: hash, storePath: `/nix/store/${hash}-x`, references: [], deriver: null };
  attic.state.paths[`${view}/${hash}`] = { ...path, narHash, narSize: bytes.length, ...at };
  return `${view}/${hash}`;
}

describe('figures', () => {
  test('Attic’s are not known without its database, and then are sizes, last use and what a retention frees', async () => {
    const main = await viewOf(acme, 'main');
    await readCaches(new Date());
    expect((await viewOf(acme, 'main')).size).toBeNull();
    expect(await retentionEffect(ctxOf(acme), { viewId: main.id, days: 30 })).toBeNull();

    const [shared, own, old] = [randomBytes(1000), randomBytes(300), randomBytes(50)];
    await push('acme+main', shared);
    await push('bolt+main', shared);
    await push('acme+main', own);
    const aged = attic.state.paths[await push('acme+main', old)];
    if (aged) aged.createdAt = new Date(Date.now() - 40 * dayMs).toISOString();
    // Old, and held by another view as well: nothing of it is freed.
    const agedShared = attic.state.paths[await push('acme+main', shared)];
    if (agedShared) agedShared.createdAt = new Date(Date.now() - 40 * dayMs).toISOString();
    // Old, and read yesterday: it stays.
    const readLately = attic.state.paths[await push('acme+main', randomBytes(70))];
    if (readLately) {
      readLately.createdAt = new Date(Date.now() - 40 * dayMs).toISOString();
      readLately.lastAccessedAt = new Date(Date.now() - dayMs).toISOString();
    }
    await writeAtticDatabase(statistics.ownerUrl, attic.state);
    const sealedStatisticsUrl = await seal(statistics.readerUrl, statisticsPlace('attic'));
    await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { sealedStatisticsUrl } });
    await readCaches(new Date());
    expect((await viewOf(acme, 'main')).size?.value).toMatchObject({
      objects: 5,
      logicalBytes: 1000 + 300 + 50 + 1000 + 70,
      storedBytes: 1000 + 300 + 50 + 70,
    });
    expect((await viewOf(bolt, 'main')).size?.value).toMatchObject({ objects: 1, storedBytes: 1000 });
    expect(await retentionEffect(ctxOf(acme), { viewId: main.id, days: 30 })).toEqual({
      objects: 2,
      logicalBytes: 1050,
      storedBytes: 50,
    });
    expect(await retentionEffect(ctxOf(acme), { viewId: main.id, days: 50 })).toMatchObject({ objects: 0 });
    await expect(retentionEffect(ctxOf(bolt), { viewId: main.id, days: 30 })).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  test('Attic’s reads are told as what was read at least, each path once a look', async () => {
    const view = await viewOf(acme, 'main');
    const [path] = Object.values(attic.state.paths).filter(({ cache }) => cache === 'acme+main');
    if (!path) throw new Error('nothing was pushed');
    const looked = async () => {
      path.lastAccessedAt = new Date().toISOString();
      await writeAtticDatabase(statistics.ownerUrl, attic.state);
      await readCaches(new Date());
    };
    await looked();
    const readOf = async () => (await viewDays(ctxOf(acme), view))?.reduce((sum, { hits }) => sum + hits, 0) ?? null;
    const before = (await readOf()) ?? 0;
    await looked();
    await looked();
    expect(await readOf()).toBe(before + 2);
    // Nobody read anything since.
    await readCaches(new Date());
    expect(await readOf()).toBe(before + 2);
    expect(await viewDays(ctxOf(bolt), { name: 'acme+main' })).toBeNull();
  });

  test('a database that does not answer leaves what was read, and a page that says so', async () => {
    const away = await seal('postgres://nobody:secret@127.0.0.1:40998/x', statisticsPlace('attic'));
    const before = await unsafeDb().cacheServer.findUniqueOrThrow({ where: { id: 'attic' } });
    await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { sealedStatisticsUrl: away } });
    await readCaches(new Date(Date.now() + 1000));
    expect((await viewOf(acme, 'main')).size?.value.objects).toBe(5);
    const main = await viewOf(acme, 'main');
    expect(await retentionEffect(ctxOf(acme), { viewId: main.id, days: 30 })).toBeNull();
    const { sealedStatisticsUrl } = before;
    await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { sealedStatisticsUrl } });
  });

  test('Bazel’s are not known without a way, and then are hits, misses and bytes by day', async () => {
    await unsafeDb().cacheReading.deleteMany({ where: { source: 'bazel' } });
    const now = new Date();
    expect(await bazelView(ctxOf(acme), now)).toMatchObject({
      state: null,
      days: null,
      hitRate: null,
      outsideUrl: null,
    });
    await changeBazelWay(operator(), { clusterId: 'main', bazelUrl: bazel.url, bazelReaders: null });
    await readCaches(new Date(now.getTime() - 3600_000));
    const url = bazel.urlOf('bazel-acme');
    const bytes = randomBytes(100);
    const key = createHash('sha256').update(bytes).digest('hex');
    const headers = { authorization: `Basic ${Buffer.from('runner:password').toString('base64')}` };
    for (const kind of ['cas', 'ac'])
      await fetch(`${url}/${kind}/${key}`, { method: 'PUT', body: new Uint8Array(bytes), headers });
    for (const path of [`ac/${key}`, `ac/${key}`, `ac/${key}`, `ac/${'0'.repeat(64)}`, `cas/${key}`])
      await fetch(`${url}/${path}`);
    await readCaches(now);
    const view = await bazelView(ctxOf(acme), now);
    expect(view).toMatchObject({ hitRate: 0.75, state: { value: { storedBytes: 200, limitBytes: 1000, objects: 2 } } });
    expect(view?.days?.length).toBe(14);
    const summed = view?.days?.reduce((sum, day) => sum + day.servedBytes, 0);
    expect(summed).toBe(100);
    expect(view?.advice).toMatchObject({ tone: 'good' });
    // Bolt's does not answer: no reading, and nobody else's is lost for it.
    expect(await bazelView(ctxOf(bolt), now)).toMatchObject({ state: null });
    expect(await unsafeDb().cacheReading.count({ where: { tenantId: bolt.tenantId, source: 'bazel' } })).toBe(0);
  });

  test('what is older than the pages show is let go', async () => {
    const observedAt = new Date(Date.now() - 40 * dayMs);
    await unsafeDb().cacheReading.create({ data: { tenantId: acme.tenantId, source: 'bazel', observedAt } });
    await readCaches(new Date());
    expect(await unsafeDb().cacheReading.count({ where: { observedAt } })).toBe(0);
  });
});

describe('an operator', () => {
  const entered = { serverId: 'attic', algorithm: 'HS256' as const, signingSecret: null, statisticsUrl: null };
  const found = async () => {
    const list = await checkCacheServer(operator(), { serverId: 'attic' });
    return Object.fromEntries(list.map(({ name, state }) => [name, state]));
  };

  test('goes through what keeps tenants apart, and nothing of the question stays', async () => {
    const good = { 'Signing key': 'good', Silence: 'good', 'Proof of possession': 'good', Statistics: 'good' };
    expect(await found()).toEqual(good);
    attic.configure({ requireProofOfPossession: false });
    expect(await found()).toEqual({ ...good, 'Proof of possession': 'bad' });
    attic.configure({ requireProofOfPossession: true });
    const writes = await seal(statistics.ownerUrl, statisticsPlace('attic'));
    const { sealedStatisticsUrl } = await unsafeDb().cacheServer.findUniqueOrThrow({ where: { id: 'attic' } });
    await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { sealedStatisticsUrl: writes } });
    expect(await found()).toEqual({ ...good, Statistics: 'bad' });
    await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { sealedStatisticsUrl } });
    expect(Object.keys(attic.state.caches).filter((name) => name.startsWith('flywheel'))).toEqual([]);
    expect((await cacheServers(operator()))[0]).toMatchObject({ id: 'attic', checkedAt: expect.any(String) as string });
  });

  test('enters a key only where the server takes it, and a connection only where it may not write', async () => {
    const wrong = randomBytes(32).toString('base64');
    const field = (name: string) => ({ code: 'invalid', screen: { fields: { [name]: expect.any(String) as string } } });
    await expect(changeCacheServer(operator(), { ...entered, signingSecret: wrong })).rejects.toMatchObject(
      field('signingSecret'),
    );
    for (const [algorithm, signingSecret] of [
      ['RS256', secretBase64],
      ['HS256', '!!'],
    ] as const)
      await expect(changeCacheServer(operator(), { ...entered, algorithm, signingSecret })).rejects.toMatchObject(
        field('signingSecret'),
      );
    for (const statisticsUrl of ['https://x', statistics.ownerUrl, 'postgres://nobody:x@127.0.0.1:40998/x'])
      await expect(changeCacheServer(operator(), { ...entered, statisticsUrl })).rejects.toMatchObject(
        field('statisticsUrl'),
      );
    await changeCacheServer(operator(), { ...entered, statisticsUrl: statistics.readerUrl });
    expect(await tasks()).toEqual([]);
    const stranger = ctxOf(acme);
    await expect(changeCacheServer(stranger, entered)).rejects.toMatchObject({ code: 'not_found' });
    await expect(checkCacheServer(stranger, { serverId: 'attic' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(cacheServers(stranger)).rejects.toMatchObject({ code: 'not_found' });
    const way = { clusterId: 'main', bazelUrl: null, bazelReaders: null };
    await expect(changeBazelWay(stranger, way)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('another key ends every token, which the list says, and wakes those that hold one', async () => {
    const main = await viewOf(acme, 'main');
    const { token, tokenId } = await issuePersonToken(ctxOf(acme), wish(acme, [main.id]));
    const next = randomBytes(32).toString('base64');
    attic.rekey(next);
    await changeCacheServer(operator(), { ...entered, signingSecret: next });
    expect(await read('acme+main', token)).toBe(401);
    expect((await listTokens(ctxOf(acme))).find(({ id }) => id === tokenId)).toMatchObject({
      standing: 'key-changed',
      isAccepted: false,
    });
    expect(await tasks()).toContain(`enrollment ${acme.enrollmentId}`);
    const again = await issuePersonToken(ctxOf(acme), wish(acme, [main.id]));
    expect(await read('acme+main', again.token)).toBe(200);
  });
});
