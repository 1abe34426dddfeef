import { createHash, randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  changeView,
  ChangeViewInput,
  createView,
  issuePersonToken,
  listTokens,
  NewViewInput,
  reconcileViews,
  revokeToken,
} from '#lib/caching/index.ts';
import { readObject, type KubernetesObject } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import type { Planes } from '#lib/model/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { approve, approvedScope, type EnrolledScope } from '#sandbox/test-support/enrolled.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { startPasses, type Passes } from '#sandbox/test-support/passes.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { bazelKnownMs } from './credentials.ts';
import { enrollmentView, planView, makePlan, rotateCredential, savePlanes } from './index.ts';

/* What runners are given in the cluster, used as they would use it: at an Attic and at each tenant's own bazel-remote. */

let portal: TestPortal;
let passes: Passes;
let admin: ReturnType<typeof clusterClient>;
let ours: EnrolledScope;
let theirs: EnrolledScope;

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const both: Planes = { attic: { public: false }, bazel: { sizeGib: 10 } };

beforeAll(async () => {
  portal = await startTestPortal({ runnersOf: ['cached-ours', 'cached-theirs'] });
  passes = startPasses();
  admin = clusterClient((await testCluster()).kubeconfigPath);
  const group = { forge: 'gitlab' as const, level: 'group' as const };
  ours = await approvedScope(portal, {
    ...group,
    path: 'tinyland',
    by: 'ada-tinyland',
    slug: 'cached-ours',
    pools: ['docker', 'nix'],
    planes: { ...both, untrusted: ['docker'] },
  });
  theirs = await approvedScope(portal, {
    ...group,
    path: 'mallory-labs',
    by: 'mallory',
    slug: 'cached-theirs',
    planes: both,
  });
  for (const scope of [ours, theirs]) await passes.until('ready', scope.id, () => isReady(scope), minuteMs);
}, 240_000);
afterAll(async () => {
  await passes?.stop();
  await portal?.stop();
});

async function isReady({ ctx, id }: EnrolledScope): Promise<boolean> {
  return (await enrollmentView(ctx, id)).ready;
}

async function secret({ ctx }: EnrolledScope, suffix: string): Promise<Record<string, string>> {
  const namespace = `runners-${ctx.tenant.slug}`;
  const [row] = await unsafeDb().enrollment.findMany({ where: { tenantId: ctx.tenant.id } });
  const metadata = { name: `${row?.name}-cache${suffix}`, namespace };
  const found = (await readObject(admin, { apiVersion: 'v1', kind: 'Secret', metadata })) as
    | KubernetesObject
    | undefined;
  const data = Object.entries((found?.['data'] ?? {}) as Record<string, string>);
  return Object.fromEntries(data.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

async function attic(view: string, token: string, method = 'r'): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  if (method === 'r') return (await fetch(`${portal.attic.url}/${view}/nix-cache-info`, { headers })).status;
  const body = JSON.stringify({ cache: view, store_path_hashes: [] });
  return (await fetch(`${portal.attic.url}/_api/v1/get-missing-paths`, { method: 'POST', headers, body })).status;
}

/** At the tenant's cache as runners name it: the service's name is the stand-in's path. */
async function bazel(remote: string, init: { bytes?: Buffer; key?: string } = {}): Promise<number> {
  const { hostname, username, password } = new URL(remote);
  const [, namespace = ''] = hostname.split('.');
  const bytes = init.bytes ?? randomBytes(20);
  const key = init.key ?? createHash('sha256').update(bytes).digest('hex');
  const login: Record<string, string> =
    username === '' ? {} : { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
  const request = init.key === undefined ? { method: 'PUT', body: new Uint8Array(bytes) } : {};
  return (await fetch(`${portal.bazel.urlOf(namespace)}/cas/${key}`, { ...request, headers: login })).status;
}

describe('a runner’s Secret', () => {
  test('holds credentials that work, in the environment and in files alike', async () => {
    const env = await secret(ours, '');
    expect(Object.keys(env).toSorted()).toEqual([
      'ATTIC_CACHE',
      'ATTIC_SERVER',
      'ATTIC_TOKEN',
      'BAZEL_REMOTE_CACHE',
      'FLYWHEEL_BAZELRC',
      'NETRC',
      'NIX_CONFIG',
    ]);
    const {
      ATTIC_CACHE: view = '',
      ATTIC_TOKEN: token = '',
      BAZEL_REMOTE_CACHE: remote = '',
      NIX_CONFIG: nix = '',
    } = env;
    expect([env['ATTIC_SERVER'], view]).toEqual([portal.attic.url, 'cached-ours+main']);
    expect(await attic(view, token)).toBe(200);
    expect(await attic(view, token, 'w')).toBe(200);
    const key = Object.values(portal.attic.state.caches).find(({ name }) => name === view);
    expect(nix).toContain(`extra-substituters = ${portal.attic.url}/${view}`);
    expect(nix).toContain(`extra-trusted-public-keys = ${key?.keyName}:`);
    expect(nix).toContain('netrc-file = /flywheel/cache/netrc');
    expect(await bazel(remote)).toBe(200);

    const files = await secret(ours, '-files');
    expect(files['netrc']).toBe(`machine 127.0.0.1\nlogin flywheel\npassword ${token}\n`);
    expect(files['bazelrc']).toBe(`build --remote_cache=${remote}\nbuild --remote_upload_local_results=true\n`);
  });

  test('A22: what one tenant is given is refused on another’s view and at another’s Bazel cache', async () => {
    const [mine, others] = [await secret(ours, ''), await secret(theirs, '')];
    for (const right of ['r', 'w']) {
      expect(await attic(others['ATTIC_CACHE'] ?? '', mine['ATTIC_TOKEN'] ?? '', right)).toBe(401);
      expect(await attic(mine['ATTIC_CACHE'] ?? '', others['ATTIC_TOKEN'] ?? '', right)).toBe(401);
    }
    const { username, password } = new URL(mine['BAZEL_REMOTE_CACHE'] ?? '');
    const there = new URL(others['BAZEL_REMOTE_CACHE'] ?? '');
    expect(await bazel(there.href)).toBe(200);
    Object.assign(there, { username, password });
    expect(await bazel(there.href)).toBe(401);
  });

  test('A22: of a pool that is not trusted: it reads what trusted jobs made, and pushes where these never read', async () => {
    const env = await secret(ours, '-untrusted');
    const token = env['ATTIC_TOKEN'] ?? '';
    expect(env['ATTIC_CACHE']).toBe('cached-ours+pull-requests');
    expect(await attic('cached-ours+pull-requests', token, 'w')).toBe(200);
    expect(await attic('cached-ours+main', token)).toBe(200);
    expect(await attic('cached-ours+main', token, 'w')).toBe(403);
    const trusted = await secret(ours, '');
    expect(await attic('cached-ours+pull-requests', trusted['ATTIC_TOKEN'] ?? '')).toBe(401);
    expect(trusted['NIX_CONFIG']).not.toContain('pull-requests');
    // Bazel has no login that may only read: none is given, and reading needs none.
    const remote = env['BAZEL_REMOTE_CACHE'] ?? '';
    expect(new URL(remote).username).toBe('');
    const bytes = randomBytes(30);
    expect(await bazel(trusted['BAZEL_REMOTE_CACHE'] ?? '', { bytes })).toBe(200);
    expect(await bazel(remote, { key: createHash('sha256').update(bytes).digest('hex') })).toBe(200);
    expect(await bazel(remote)).toBe(401);
    expect((await secret(ours, '-untrusted-files'))['bazelrc']).toContain('--remote_upload_local_results=false');
  });

  test('names the tenant and the credential to Attic, and is in the list with where it is used', async () => {
    const { ATTIC_TOKEN: token = '' } = await secret(ours, '');
    const { sub, jti, exp = 0, iat } = decodeJwt(token);
    expect(sub).toBe(`${ours.ctx.tenant.id}/${ours.id}`);
    expect(iat).toBeUndefined();
    const listed = (await listTokens(ours.ctx)).find(({ id }) => id === jti);
    expect(listed).toMatchObject({
      kind: 'runner',
      standing: 'works',
      usedIn: expect.stringMatching(/^Secret runners-cached-ours\/.*-cache$/),
    });
    const days = (exp * 1000 - Date.now()) / dayMs;
    expect(days).toBeGreaterThan(6.9);
    expect(days).toBeLessThan(7.1);
  });
});

function pass(tenantId: string) {
  const free = { check: async () => {}, fence: async () => {} };
  const lease: Lease = { key: tenantId, attempts: 1, signal: new AbortController().signal, ...free };
  return reconcileViews(lease);
}

describe('a token of runners', () => {
  const present = async () => (await secret(ours, ''))['ATTIC_TOKEN'] ?? '';

  test('stays for a day, is renewed before a pod could outlive it, and the old one is good until its end', async () => {
    const first = await present();
    await passes.pass(ours.id);
    expect(await present()).toBe(first);
    passes.later(1.1 * dayMs);
    await passes.until('another', ours.id, async () => (await present()) !== first);
    const second = await present();
    expect(await attic('cached-ours+main', first)).toBe(200);
    expect(await attic('cached-ours+main', second, 'w')).toBe(200);
    const standing = new Map((await listTokens(ours.ctx)).map((token) => [token.id, token.standing]));
    expect(standing.get(decodeJwt(first).jti ?? '')).toBe('replaced');
    expect(standing.get(decodeJwt(second).jti ?? '')).toBe('works');
  });

  test('that is revoked is replaced at the next pass', async () => {
    const first = await present();
    await revokeToken(ours.ctx, { tokenId: decodeJwt(first).jti ?? '' });
    await passes.until('another', ours.id, async () => (await present()) !== first);
    expect(await attic('cached-ours+main', await present(), 'w')).toBe(200);
  });

  test('is for a further view as soon as there is one, and runners ask it', async () => {
    await createView(ours.ctx, NewViewInput.parse({ label: 'releases' }));
    await pass(ours.ctx.tenant.id);
    await passes.until(
      'the view in the token',
      ours.id,
      async () => (await attic('cached-ours+releases', await present(), 'w')) === 200,
    );
    expect((await secret(ours, ''))['NIX_CONFIG']).toContain(`${portal.attic.url}/cached-ours+releases`);
    // And theirs is none the wiser.
    expect(await attic('cached-ours+releases', (await secret(theirs, ''))['ATTIC_TOKEN'] ?? '')).toBe(401);
  });

  test('leaves a view of enrollments to their passes, which set it as people ask and as private as they want it', async () => {
    const view = await unsafeDb().cacheView.findFirstOrThrow({ where: { name: 'cached-ours+main' } });
    await changeView(ours.ctx, ChangeViewInput.parse({ viewId: view.id, isPublic: 'yes', priority: '33' }));
    await pass(ours.ctx.tenant.id);
    const there = () => portal.attic.state.caches['cached-ours+main'];
    await passes.until('the setting', ours.id, async () => there()?.priority === 33);
    expect(there()?.isPublic).toBe(false);
  });

  test('of a person is nobody else’s: another tenant’s view is not there to ask for', async () => {
    const [view] = await unsafeDb().cacheView.findMany({ where: { name: 'cached-theirs+main' } });
    const work = issuePersonToken(ours.ctx, { viewIds: [view?.id ?? ''], write: false, days: 1, usedIn: 'laptop' });
    await expect(work).rejects.toMatchObject({ code: 'not_found' });
  });
});

test('rotation of the Bazel login loses no request, at whichever step a runner has which', async () => {
  const failed: string[] = [];
  let asked = 0;
  let isOver = false;
  const remote = async () => (await secret(ours, ''))['BAZEL_REMOTE_CACHE'] ?? '';
  const first = await remote();
  /** A job that goes on with what it began with, and jobs that begin now. */
  const work = async () => {
    while (!isOver) {
      for (const [who, login] of [
        ['began before', first],
        ['begins now', await remote()],
      ] as const) {
        const status = await bazel(login);
        asked += 1;
        if (status !== 200) failed.push(`${who}: ${status}`);
      }
    }
  };
  const jobs = [work(), work()];
  await rotateCredential(ours.ctx, { enrollmentId: ours.id, kind: 'bazel-password' });
  await passes.pass(ours.id);
  // A kubelet takes its time to bring the file to the cache: until it surely has, runners keep the login that is known.
  expect(await remote()).toBe(first);
  passes.later(bazelKnownMs + 1000);
  await passes.until('the runners to have another', ours.id, async () => (await remote()) !== first);
  await expect.poll(() => asked, { timeout: 20_000 }).toBeGreaterThan(20);
  isOver = true;
  await Promise.all(jobs);
  expect(failed).toEqual([]);
  // For an hour, as long as a job may still go on with it; then it is over.
  passes.later(60 * minuteMs + 1000);
  await passes.pass(ours.id);
  expect([await bazel(first), await bazel(await remote())]).toEqual([401, 200]);
}, 60_000);

test('what no pool wants any more goes, as the plan says: the untrusted view first, then every view with Attic', async () => {
  const planned = async (planes: Planes) => {
    await savePlanes(ours.ctx, { enrollmentId: ours.id, planes });
    const plan = await planView(ours.ctx, await makePlan(ours.ctx, { enrollmentId: ours.id, kind: 'change' }));
    const changes = plan.groups.find(({ where }) => where === 'cache')?.changes ?? [];
    return changes.map(({ op, name }) => `${op} ${name}`).toSorted();
  };
  const there = () => Object.keys(portal.attic.state.caches).filter((name) => name.startsWith('cached-ours'));
  expect(await planned(both)).toEqual(['- cached-ours+pull-requests']);
  await approve(ours, 'change');
  await passes.until('the view to go', ours.id, async () => there().length === 2);
  expect(there().toSorted()).toEqual(['cached-ours+main', 'cached-ours+releases']);
  expect(await secret(ours, '-untrusted')).toEqual({});

  expect(await planned({ bazel: { sizeGib: 10 } })).toEqual(['- cached-ours+main', '- cached-ours+releases']);
  await approve(ours, 'change');
  await passes.until('all views to go', ours.id, async () => there().length === 0);
  expect(await unsafeDb().cacheView.count({ where: { tenantId: ours.ctx.tenant.id } })).toBe(0);
  expect(Object.keys(portal.attic.state.caches)).toEqual(['cached-theirs+main']);
}, 90_000);
