import { z } from 'zod';
import type { Clock } from '#lib/clock.ts';
import { readObject, type ClusterView } from '#lib/cluster/index.ts';
import {
  approvedPools,
  cacheStillThere,
  classOf,
  forgeStillThere,
  listEnrollments,
  lockLine,
  poolsByName,
  withdrawAll,
  type Evidence,
} from '#lib/enrollment/index.ts';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields } from '#lib/errors.ts';
import { hasDaemon, namespacesOf } from '#lib/model/index.ts';
import { appendAudit, appendSystemAudit, type Ctx } from '#lib/tenant/index.ts';
import { wake, type Lease, type Outcome } from '#lib/work/index.ts';
import { refuseParents } from './family.ts';
import { tellOfDeparture } from './tell.ts';

/* Leaving: what a tenant has is listed, withdrawn in the order that does not wedge, and looked for when it should be gone. */

export type Leaving = {
  enrollments: { id: string; name: string; scope: string; state: string; headline: string; labels: string[] }[];
  views: string[];
  namespaces: string[];
  /** GitHub Apps of its own: their keys are forgotten here; the Apps are its owners' to delete at GitHub. */
  apps: { slug: string; account: string }[];
  below: { slug: string; displayName: string }[];
  openRequests: number;
};

/** What would go, and what stands in the way. */
export async function leaving(ctx: Ctx): Promise<Leaving> {
  const db = unsafeDb();
  const tenantId = ctx.tenant.id;
  const [enrollments, views, apps, below, openRequests] = await Promise.all([
    listEnrollments(ctx),
    ctx.db.cacheView.findMany({ orderBy: { name: 'asc' } }),
    db.githubApp.findMany({ where: { tenantId }, select: { slug: true, accountLogin: true } }),
    db.tenant.findMany({
      where: { parentId: tenantId, state: { not: 'left' } },
      select: { slug: true, displayName: true },
    }),
    ctx.db.approvalRequest.count({ where: { state: { in: ['open', 'asked_back'] } } }),
  ]);
  const { runners, bazel, dind } = namespacesOf(ctx.tenant.slug);
  const live = enrollments.filter(({ state }) => state !== 'withdrawn');
  return {
    enrollments: live.map(({ id, name, scope, state, headline, labels }) => ({
      id,
      name,
      scope: scope.path || scope.forge,
      state,
      headline,
      labels,
    })),
    views: views.map(({ name }) => name),
    namespaces: live.length > 0 ? [runners, bazel, ...((await hasDaemons(ctx)) ? [dind] : [])] : [],
    apps: apps.map(({ slug, accountLogin }) => ({ slug, account: accountLogin })),
    below,
    openRequests,
  };
}

/** Whether anything of the tenant was ever let into the namespace of pools with a daemon. */
async function hasDaemons(ctx: Ctx): Promise<boolean> {
  const pools = await ctx.db.enrollmentPool.findMany({ select: { poolName: true, definition: true } });
  const approved = approvedPools({ pools }, await poolsByName());
  return pools.some(({ poolName }) => hasDaemon(classOf(approved, poolName)));
}

export const LeaveInput = z.strictObject({ typed: z.string().max(100) });

/** From here there is no way back: what runs is withdrawn, and the tenant's slug is never given out again. */
export async function beginLeaving(ctx: Ctx, { typed }: z.infer<typeof LeaveInput>): Promise<void> {
  const { id, slug } = ctx.tenant;
  if (typed !== slug) throw invalidFields({ typed: `is not ${slug}` });
  await unsafeTransaction(async (tx) => {
    await refuseParents(tx, id);
    await refuseMoving(tx, id);
    const moved = await tx.tenant.updateMany({
      where: { id, state: { in: ['draft', 'active', 'suspended'] } },
      data: { state: 'leaving', suspendedAt: null, suspendReason: null },
    });
    if (moved.count !== 1)
      throw new AppError('conflict', {
        log: 'leaves already',
        screen: { happened: 'This tenant is leaving already.' },
      });
    await withdrawAll(tx, ctx);
    await tx.approvalRequest.updateMany({
      where: { tenantId: id, state: { in: ['open', 'asked_back'] } },
      data: { state: 'withdrawn', decidedBy: 'portal', decidedAt: new Date() },
    });
    await appendAudit(tx, ctx, id, { action: 'tenant:leave', target: `tenant/${slug}` });
    await wake(tx, 'tenant', id);
  });
}

async function refuseMoving(tx: UnsafeTx, id: string): Promise<void> {
  await lockLine(tx, id);
  const { moving } = await tx.tenant.findUniqueOrThrow({ where: { id }, select: { moving: true } });
  if (moving !== 'preparing' && moving !== 'closing') return;
  throw new AppError('conflict', {
    log: `leaves while it is ${moving}`,
    screen: {
      happened: 'This tenant is being moved to another cluster.',
      todo: 'Wait until it runs there, or ask an operator to call the move off.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ the worker's part

export const Departure = z.object({
  at: z.string(),
  evidence: z.array(
    z.object({ where: z.enum(['forge', 'cluster', 'cache']), what: z.string(), gone: z.boolean(), how: z.string() }),
  ),
  /** What is kept, and for whom. */
  kept: z.array(z.string()),
  /** What only the tenant's own people can do. */
  todo: z.array(z.string()),
});
export type Departure = z.infer<typeof Departure>;

/** The report of a tenant that has left; null before. */
export async function departureOf(ctx: Ctx): Promise<Departure | null> {
  const row = await unsafeDb().tenant.findUniqueOrThrow({ where: { id: ctx.tenant.id }, select: { departure: true } });
  return row.departure === null ? null : Departure.parse(row.departure);
}

export type TenantDeps = { clock: Clock; view: (clusterId: string) => ClusterView };

const waitMs = 5_000;
/** Each look asks forge and cache too: what hangs on a finalizer must not make that a habit. */
const stillThereMs = 30_000;

/** One look at a tenant that leaves: when its enrollments are withdrawn, what is left is looked for, and then it has left. */
export async function reconcileTenant(deps: TenantDeps, lease: Lease): Promise<Outcome> {
  const tenant = await unsafeDb().tenant.findUnique({ where: { id: lease.key } });
  if (!tenant || tenant.state !== 'leaving') return { kind: 'gone' };
  const enrollments = await unsafeDb().enrollment.findMany({ where: { tenantId: tenant.id } });
  const waiting = enrollments.filter(({ state }) => state !== 'withdrawn');
  // What is left on a cluster that it came from is its move's to take away.
  if (waiting.length > 0 || tenant.moving !== null) return { kind: 'wait', againMs: waitMs, waitingFor: 'portal' };
  const evidence = await evidenceOf(deps, tenant, enrollments);
  const left = evidence.find(({ gone }) => !gone);
  if (left) return { kind: 'wait', againMs: stillThereMs, waitingFor: left.where };
  await finishLeaving(deps, lease, tenant, evidence);
  return { kind: 'gone' };
}

type TenantRow = { id: string; slug: string; clusterId: string };

/** A draft that was never applied had nothing outside. */
async function evidenceOf(deps: TenantDeps, tenant: TenantRow, enrollments: { id: string }[]): Promise<Evidence[]> {
  if (enrollments.length === 0) return [];
  const { client } = deps.view(tenant.clusterId);
  const evidence: Evidence[] = [];
  for (const name of Object.values(namespacesOf(tenant.slug))) {
    const found = await readObject(client, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    const how = found ? 'Asked anew: it is there.' : 'Asked anew: the API server knows no such namespace.';
    evidence.push({ where: 'cluster', what: `Namespace ${name}`, gone: found === undefined, how });
  }
  for (const { id } of enrollments) evidence.push(await forgeStillThere(id));
  const cache = await cacheStillThere(tenant.id);
  return cache ? [...evidence, cache] : evidence;
}

async function finishLeaving(
  { clock }: TenantDeps,
  lease: Lease,
  { id, slug }: TenantRow,
  evidence: Evidence[],
): Promise<void> {
  const apps = await unsafeDb().githubApp.findMany({ where: { tenantId: id } });
  const departure: Departure = {
    at: clock.now().toISOString(),
    evidence,
    kept: ['Readings, jobs and bills, for who pays.', 'The audit record.'],
    todo: apps.map((app) => `Delete the GitHub App ${app.slug} of ${app.accountLogin} at GitHub: only its owners may.`),
  };
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.enrollment.updateMany({ where: { tenantId: id }, data: { githubAppId: null } });
    await tx.githubApp.deleteMany({ where: { tenantId: id } });
    await tx.tenant.update({ where: { id }, data: { state: 'left', leftAt: clock.now(), departure } });
    await appendSystemAudit(tx, id, { action: 'tenant:left', target: `tenant/${slug}`, after: departure });
    await tellOfDeparture(tx, { id, slug });
  });
}
