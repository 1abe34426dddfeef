import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clock } from '#lib/clock.ts';
import {
  appliedHash,
  ClusterClient,
  clusterConnection,
  ClusterView,
  listObjects,
  readObject,
  viewKinds,
} from '#lib/cluster/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { namespacesOf, type Planes } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import type { Lease, Outcome } from '#lib/work/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  approvePlan,
  makePlan,
  planView,
  reconcileEnrollment,
  rotateCredential,
  savePlanes,
  savePools,
  startEnrollment,
  withdrawAll,
} from './index.ts';
import { bazelKnownMs } from './credentials.ts';

/* What the enrollments of one tenant share: its namespaces, its Attic view and its Bazel cache. Passes are made by hand, so that what is at once is at once. */

let portal: TestPortal;
let view: ClusterView;
const stop = new AbortController();

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
  view = new ClusterView(new ClusterClient(clusterConnection('main')));
  view.start(stop.signal);
}, 180_000);
afterAll(async () => {
  stop.abort();
  await view?.stopped();
  await portal?.stop();
});

const seen = new Map<string, number>();
/** How far the portal's clock is ahead. */
let aheadMs = 0;
const clock: Clock = { now: () => new Date(Date.now() + aheadMs), monotonicMs: () => performance.now() };

async function pass(id: string): Promise<Outcome | null> {
  const lease: Lease = { key: id, attempts: 1, signal: stop.signal, check: async () => {}, fence: async () => {} };
  return reconcileEnrollment({ clock, view: () => view, seen }, lease);
}

/** Passes of all of these, always at once, until none has more to do. */
async function settle(...ids: string[]): Promise<void> {
  const until = performance.now() + 60_000;
  for (let left = ids; left.length > 0;) {
    if (performance.now() > until) throw new Error(`never settled: ${JSON.stringify(await conditionsOf(left))}`);
    const outcomes = await Promise.all(left.map(pass));
    left = left.filter((_, index) => outcomes[index]?.kind === 'wait');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function conditionsOf(ids: string[]): Promise<unknown[]> {
  const rows = await unsafeDb().enrollment.findMany({ where: { id: { in: ids } }, select: { conditions: true } });
  return rows.map(({ conditions }) => conditions);
}

type Started = { ctx: Ctx; enrollmentId: string; slug: string };

/** A draft with one pool; the tenant is made with its first. */
async function draft(slug: string, pool: 'docker' | 'nix', planes: Planes): Promise<Started> {
  const path = `${slug}-${pool}`;
  await portal.organization(path);
  const ada = await portal.person('ada-tinyland');
  const isThere = await unsafeDb().tenant.findUnique({ where: { slug } });
  // Each pool's enrollment is of another organization here.
  const fresh = { slug, displayName: slug, kind: 'organization' as const, sharing: 'shared' as const };
  const tenant = isThere ? { slug } : { new: fresh };
  const scope = { connectionId: 'github', level: 'organization' as const, path };
  const { enrollmentId } = await startEnrollment(ada, { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId, pools: [{ pool, minRunners: 0, maxRunners: 1 }] });
  await savePlanes(ctx, { enrollmentId, planes });
  return { ctx, enrollmentId, slug };
}

async function approve({ ctx, enrollmentId }: Started, kind: 'enroll' | 'change' | 'withdraw'): Promise<void> {
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind }));
}

async function enrolled(slug: string, pool: 'docker' | 'nix', planes: Planes): Promise<Started> {
  const started = await draft(slug, pool, planes);
  await approve(started, 'enroll');
  await settle(started.enrollmentId);
  return started;
}

async function namespaceOf(name: string) {
  return readObject(view.client, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
}

/** Settles these, each for itself, and holds what `lockLine` asks for until all wait for it: they come to the end at the same time. */
async function settleAtOnce(slug: string, ids: string[]): Promise<void> {
  const holder = new pg.Client({ connectionString: portal.database.adminUrl });
  await holder.connect();
  try {
    await holder.query('begin');
    await holder.query('select 1 from tenant where slug = $1 for no key update', [slug]);
    const done = Promise.all(ids.map((id) => settle(id)));
    const waits = `select 1 from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()`;
    const areWaiting = async () => (await holder.query(waits)).rows.length >= ids.length;
    const allWait = eventually('all to wait', areWaiting, 50_000, () => conditionsOf(ids));
    await Promise.race([allWait, done]).catch(async (error: unknown) => {
      await holder.query('rollback');
      await done.catch(() => undefined);
      throw error;
    });
    await holder.query('commit');
    await done;
  } finally {
    await holder.end();
  }
}

test('two that are withdrawn at once leave neither namespace nor view (I2)', async () => {
  const slug = 'at-once';
  const a = await enrolled(slug, 'docker', { attic: { public: false } });
  const b = await enrolled(slug, 'nix', { attic: { public: false } });
  await unsafeTransaction((tx) => withdrawAll(tx, a.ctx));
  // Both have left the namespace to the other when they come to the end.
  await settleAtOnce(slug, [a.enrollmentId, b.enrollmentId]);
  const rows = await unsafeDb().enrollment.findMany({ where: { tenant: { slug } }, select: { state: true } });
  expect(rows).toEqual([{ state: 'withdrawn' }, { state: 'withdrawn' }]);
  expect(await namespaceOf(`runners-${slug}`)).toBeUndefined();
  expect(await unsafeDb().cacheView.count({ where: { tenantId: a.ctx.tenant.id } })).toBe(0);
  expect(Object.keys(portal.attic.state.caches)).not.toContain(`${slug}+main`);
}, 120_000);

/** All that is applied for a tenant, as plans write it. */
async function world(slug: string): Promise<string[]> {
  const found: string[] = Object.keys(portal.attic.state.caches).flatMap((name) =>
    name === `${slug}+main` ? [`AtticView /${name}`] : [],
  );
  for (const namespace of [namespacesOf(slug).runners, namespacesOf(slug).bazel]) {
    if (!(await namespaceOf(namespace))) continue;
    found.push(`Namespace /${namespace}`);
    for (const { kind, apiVersion } of viewKinds.filter((each) => each.kind !== 'Namespace' && each.kind !== 'Pod')) {
      const all = await listObjects(view.client, kind, apiVersion, namespace, `flywheel.dev/tenant=${slug}`);
      for (const each of all)
        if (appliedHash(each) !== undefined) found.push(`${kind} ${namespace}/${each.metadata.name}`);
    }
  }
  return found.toSorted();
}

async function planned({ ctx, enrollmentId }: Started, kind: 'change' | 'withdraw') {
  const plan = await planView(ctx, await makePlan(ctx, { enrollmentId, kind }));
  const changes = plan.groups.filter(({ where }) => where !== 'forge').flatMap((group) => group.changes);
  const of = (wanted: string) =>
    changes.flatMap(({ op, kind: what, name, namespace }) =>
      op === wanted ? [`${what} ${namespace ?? ''}/${name}`] : [],
    );
  return { id: plan.id, removed: of('-').toSorted(), added: of('+'), changed: of('~') };
}

/** Applies what was read, and holds what then is gone against it. */
async function agrees(started: Started, kind: 'change' | 'withdraw', others: string[] = []) {
  const before = await world(started.slug);
  const plan = await planned(started, kind);
  await approvePlan(started.ctx, plan.id);
  await settle(started.enrollmentId, ...others);
  const after = await world(started.slug);
  expect(before.filter((each) => !after.includes(each))).toEqual(plan.removed);
  expect(after.filter((each) => !before.includes(each))).toEqual(plan.added);
  return plan;
}

const planesOf = ({ ctx, enrollmentId }: Started, planes: Planes) => savePlanes(ctx, { enrollmentId, planes });
const kindsKept = async ({ ctx }: Started) =>
  (await unsafeDb().credential.findMany({ where: { tenantId: ctx.tenant.id } })).map(({ kind }) => kind).toSorted();

describe('what no enrollment wants any more', () => {
  test('goes as the plan says when a plane is turned off, and the next plan is empty', async () => {
    const slug = 'planes-off';
    const started = await enrolled(slug, 'docker', { attic: { public: false }, bazel: { sizeGib: 20 } });
    expect(await kindsKept(started)).toEqual(['attic-token', 'bazel-password']);
    await planesOf(started, {});
    const { removed, changed } = await agrees(started, 'change');
    expect(removed).toEqual([
      `AtticView /${slug}+main`,
      `Deployment bazel-${slug}/bazel-remote`,
      `Namespace /bazel-${slug}`,
      `NetworkPolicy bazel-${slug}/allow-runners`,
      `NetworkPolicy bazel-${slug}/default-deny`,
      `NetworkPolicy runners-${slug}/allow-bazel`,
      `PersistentVolumeClaim bazel-${slug}/bazel-remote`,
      `ResourceQuota bazel-${slug}/flywheel`,
      `Secret bazel-${slug}/bazel-remote-htpasswd`,
      `Secret runners-${slug}/${slug}-docker-cache`,
      `Secret runners-${slug}/${slug}-docker-cache-files`,
      `Service bazel-${slug}/bazel-remote`,
    ]);
    expect(changed).toContain(`ResourceQuota runners-${slug}/flywheel`);
    expect(await kindsKept(started)).toEqual([]);
    expect(await planned(started, 'change')).toMatchObject({ removed: [], added: [], changed: [] });
  }, 120_000);

  test('stays for the other, and goes with the last that wanted it', async () => {
    const slug = 'planes-two';
    const a = await enrolled(slug, 'docker', { attic: { public: false }, bazel: { sizeGib: 20 } });
    const b = await enrolled(slug, 'nix', { bazel: { sizeGib: 20 } });
    const password = await bazelOf(b);
    await planesOf(a, {});
    const first = await agrees(a, 'change', [b.enrollmentId]);
    expect(first.removed).toEqual([
      `AtticView /${slug}+main`,
      `Secret runners-${slug}/${slug}-docker-cache`,
      `Secret runners-${slug}/${slug}-docker-cache-files`,
    ]);
    expect(await bazelOf(b)).toEqual(password);
    const second = await agrees(b, 'withdraw', [a.enrollmentId]);
    expect(second.removed).toContain(`NetworkPolicy runners-${slug}/allow-bazel`);
    expect(second.removed).toContain(`PersistentVolumeClaim bazel-${slug}/bazel-remote`);
    expect(second.removed).not.toContain(`Namespace /runners-${slug}`);
    expect(second.changed).toEqual([`ResourceQuota runners-${slug}/flywheel`]);
    expect(await kindsKept(a)).toEqual([]);
    expect(await planned(a, 'change')).toMatchObject({ removed: [], added: [], changed: [] });
    const last = await agrees(a, 'withdraw');
    expect(last.removed).toContain(`Namespace /runners-${slug}`);
    expect(await world(slug)).toEqual([]);
  }, 180_000);

  test('is nobody else’s: a namespace of that name that we did not make is not in the plan', async () => {
    const slug = 'planes-foreign';
    const started = await draft(slug, 'docker', {});
    const admin = clusterClient((await testCluster()).kubeconfigPath);
    const labels = { 'app.kubernetes.io/managed-by': 'flywheel', 'flywheel.dev/tenant': 'somebody-else' };
    const metadata = { name: `runners-${slug}`, labels, annotations: { 'flywheel.dev/applied': 'by another portal' } };
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata };
    await admin.call({ method: 'POST', path: '/api/v1/namespaces', body }, 'a namespace');
    const spec = { pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }], planes: {} };
    await unsafeDb().enrollment.update({
      where: { id: started.enrollmentId },
      data: { state: 'active', generation: 1, spec },
    });
    expect(await planned(started, 'withdraw')).toMatchObject({ removed: [], added: [], changed: [] });
    await approve(started, 'withdraw');
    await settle(started.enrollmentId);
    expect(await namespaceOf(`runners-${slug}`)).toMatchObject({ metadata: { labels } });
    expect((await namespaceOf(`runners-${slug}`))?.metadata.deletionTimestamp).toBeUndefined();
  }, 60_000);
});

/** The Bazel cache's address with its password as the runners get it, and what the cache itself lets in. */
async function bazelOf({ slug, enrollmentId }: Started): Promise<{ runners: string; cache: string }> {
  const { name } = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: enrollmentId } });
  const secret = async (of: string, namespace: string) =>
    (await readObject(view.client, { apiVersion: 'v1', kind: 'Secret', metadata: { name: of, namespace } }))?.['data'];
  const { runners, bazel } = namespacesOf(slug);
  const env = (await secret(`${name}-cache`, runners)) as Record<string, string> | undefined;
  const cache = (await secret('bazel-remote-htpasswd', bazel)) as Record<string, string> | undefined;
  return { runners: env?.['BAZEL_REMOTE_CACHE'] ?? '', cache: cache?.['htpasswd'] ?? '' };
}

async function fieldsRefused(doing: Promise<unknown>): Promise<Record<string, string>> {
  const error = await doing.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return error.screen.fields ?? {};
  throw new Error(`not refused: ${String(error)}`);
}

describe('two enrollments of one tenant', () => {
  test('have one cache with one password, and one view that is private as long as one asks so (I1, I13)', async () => {
    const slug = 'one-cache';
    const a = await enrolled(slug, 'docker', { attic: { public: false }, bazel: { sizeGib: 20 } });
    const b = await enrolled(slug, 'nix', { attic: { public: true }, bazel: { sizeGib: 20 } });
    const isPublic = () => portal.attic.state.caches[`${slug}+main`]?.isPublic;
    await settle(a.enrollmentId, b.enrollmentId);
    const at = await bazelOf(a);
    expect(await bazelOf(b)).toEqual(at);
    expect(isPublic()).toBe(false);
    const before = { ...view.client.sent };
    for (const { enrollmentId } of [a, b, a, b]) await pass(enrollmentId);
    expect({ ...view.client.sent, GET: 0 }).toEqual({ ...before, GET: 0 });
    expect(await bazelOf(a)).toEqual(at);
    expect(isPublic()).toBe(false);

    await rotateCredential(a.ctx, { enrollmentId: a.enrollmentId, kind: 'bazel-password' });
    await Promise.all([pass(a.enrollmentId), pass(b.enrollmentId)]);
    await settle(a.enrollmentId, b.enrollmentId);
    // The cache takes both logins before any runner is given the other.
    const between = await bazelOf(a);
    expect(between.runners).toBe(at.runners);
    expect(between.cache).not.toBe(at.cache);
    expect(await bazelOf(b)).toEqual(between);
    aheadMs = bazelKnownMs + 1000;
    await Promise.all([pass(a.enrollmentId), pass(b.enrollmentId)]);
    await settle(a.enrollmentId, b.enrollmentId);
    const renewed = await bazelOf(a);
    expect(renewed.runners).not.toBe(at.runners);
    expect(renewed.cache).not.toBe(at.cache);
    expect(await bazelOf(b)).toEqual(renewed);

    expect(await fieldsRefused(planesOf(b, { bazel: { sizeGib: 10 } }))).toHaveProperty('bazelSizeGib');
    await planesOf(b, { attic: { public: true }, bazel: { sizeGib: 30 } });
    expect(await fieldsRefused(makePlan(b.ctx, { enrollmentId: b.enrollmentId, kind: 'change' }))).toEqual({
      bazelSizeGib: expect.stringContaining('does not grow') as string,
    });

    // The password is kept with the first; it stays the tenant's when that one goes, and the view is what the other asks for.
    await approve(a, 'withdraw');
    await settle(a.enrollmentId, b.enrollmentId);
    expect(await bazelOf(b)).toEqual(renewed);
    expect(isPublic()).toBe(true);
  }, 180_000);
});
