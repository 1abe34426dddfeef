import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { ClusterClient, clusterConnection, ClusterView, readObject } from '#lib/cluster/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import type { Planes } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import type { Lease, Outcome } from '#lib/work/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  approvePlan,
  makePlan,
  reconcileEnrollment,
  savePlanes,
  savePools,
  startEnrollment,
  withdrawAll,
} from './index.ts';

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

async function pass(id: string): Promise<Outcome | null> {
  const lease: Lease = { key: id, attempts: 1, signal: stop.signal, check: async () => {}, fence: async () => {} };
  return reconcileEnrollment({ clock: systemClock, view: () => view, seen }, lease);
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
  const tenant = isThere ? { slug } : { new: { slug, displayName: slug, kind: 'organization' as const } };
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

/** Holds what the query locks until so many wait for a lock, so that they come to the same place at the same time. */
async function held<T>(query: string, value: string, waiting: number, doing: () => Promise<T>): Promise<T> {
  const holder = new pg.Client({ connectionString: portal.database.adminUrl });
  await holder.connect();
  try {
    await holder.query('begin');
    await holder.query(query, [value]);
    const done = doing();
    const waits = `select 1 from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()`;
    await eventually('all to wait', async () => (await holder.query(waits)).rowCount === waiting, 60_000);
    await holder.query('commit');
    return await done;
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
  await held('select 1 from tenant where slug = $1 for update', slug, 2, () =>
    Promise.all([settle(a.enrollmentId), settle(b.enrollmentId)]),
  );
  const rows = await unsafeDb().enrollment.findMany({ where: { tenant: { slug } }, select: { state: true } });
  expect(rows).toEqual([{ state: 'withdrawn' }, { state: 'withdrawn' }]);
  expect(await namespaceOf(`runners-${slug}`)).toBeUndefined();
  expect(await unsafeDb().cacheView.count({ where: { tenantId: a.ctx.tenant.id } })).toBe(0);
  expect(Object.keys(portal.attic.state.caches)).not.toContain(`${slug}+main`);
}, 120_000);
