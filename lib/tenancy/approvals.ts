import {
  catalog,
  planView,
  poolsByName,
  presentAllocation,
  quotaOf,
  type CatalogPool,
  type PlanView,
} from '#lib/enrollment/index.ts';
import { candidates, choosePlace, hasRoom, takesTenants, type Candidate } from '#lib/fleet/index.ts';
import { unsafeDb, type Prisma } from '#lib/db/index.ts';
import {
  amountsOf,
  EnrollmentSpec,
  formatAmounts,
  isReady,
  mostRunners,
  noAmounts,
  type PoolChoice,
  type Quota,
  type QuotaPart,
  type TenantKind,
} from '#lib/model/index.ts';
import { operatorCtx, type PersonCtx } from '#lib/tenant/index.ts';
import { beyondHeld, clusterFit, type ClusterFit } from './capacity.ts';
import { anyRequest, requestView, rowOf, type RequestRow, type RequestView } from './requests.ts';

/* The operator's queue: who asks for what, whether it fits, and what it costs. */

export type ApprovalRow = RequestRow & { tenant: { slug: string; displayName: string; kind: TenantKind } };

const shownMost = 200;

/** What waits for an operator, the oldest first; then what waits for an answer, and what was decided lately. */
export async function approvals(): Promise<{ open: ApprovalRow[]; asked: ApprovalRow[]; decided: ApprovalRow[] }> {
  const of = async (
    states: ('open' | 'asked_back' | 'approved' | 'rejected' | 'withdrawn')[],
    orderBy: Prisma.ApprovalRequestOrderByWithRelationInput,
    take: number,
  ) => {
    const rows = await unsafeDb().approvalRequest.findMany({
      where: { state: { in: states } },
      orderBy,
      take,
      include: { tenant: { select: { slug: true, displayName: true, kind: true } } },
    });
    return rows.map((row) => ({ ...rowOf(row), tenant: row.tenant }));
  };
  const [open, asked, decided] = await Promise.all([
    of(['open'], { createdAt: 'asc' }, shownMost),
    of(['asked_back'], { createdAt: 'asc' }, shownMost),
    of(['approved', 'rejected', 'withdrawn'], { decidedAt: { sort: 'desc', nulls: 'last' } }, 20),
  ]);
  return { open, asked, decided };
}

export type ApprovalView = {
  request: RequestView;
  tenant: { slug: string; displayName: string; kind: TenantKind; state: string; quota: Quota };
  /** The plan that waits, with its changes; null for what is no plan. */
  plan: (PlanView & { pools: PoolChoice[] }) | null;
  /** Of the cluster, as people write it; null capacity is not known. */
  cluster: {
    id: string;
    capacity: { cpu: string; memory: string } | null;
    given: Record<QuotaPart, string>;
    promised: Record<QuotaPart, string>;
    used: Record<QuotaPart, string>;
    /** Whether what is asked for fits beside what was given; null where nobody knows. */
    fits: boolean | null;
  };
  /** Where a tenant that begins could be placed, its present place among them; empty where that is not asked. */
  places: { id: string; words: string; isBest: boolean }[];
  /** What the tenant has left of its own quota now. */
  left: Record<QuotaPart, string>;
  /** Money a month from what always runs to all that may; null where no rate is known. */
  cost: { least: number; most: number; currency: string } | null;
};

export async function approvalView(by: PersonCtx, id: string): Promise<ApprovalView> {
  const row = await anyRequest(id);
  const ctx = await operatorCtx(by, row.tenant.slug);
  const request = await requestView(ctx, id);
  const plan = request.planId === null ? null : await waitingPlan(request.planId, ctx);
  const pools = await catalog(row.tenantId);
  const { left } = await presentAllocation(row.tenantId, await poolsByName());
  const { slug, displayName, kind, state, clusterId } = row.tenant;
  const quota = quotaOf(row.tenant);
  return {
    request,
    tenant: { slug, displayName, kind, state, quota },
    plan,
    cluster: clusterWords(await clusterFit(clusterId), request, quota),
    places: request.kind === 'tenant' && row.tenant.parentId === null ? await placesFor(request.wanted.quota) : [],
    left: formatAmounts(left),
    cost: plan ? planCost(plan.pools, pools) : quotaCost(request.wanted.quota, pools),
  };
}

async function placesFor(quota: Quota | undefined): Promise<ApprovalView['places']> {
  const amounts = quota ? amountsOf(quota) : noAmounts;
  const all = await candidates(unsafeDb());
  const best = choosePlace(all, { pools: [], amounts });
  return all
    .filter(takesTenants)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map((each) => ({ id: each.id, words: roomWords(each), isBest: each.id === best }));
}

function roomWords({ answers, capacity, given }: Candidate): string {
  if (!answers) return 'does not answer';
  if (!capacity) return 'its capacity is not known';
  const less = (whole: bigint, taken: bigint) => (whole > taken ? whole - taken : 0n);
  const left = { cpu: less(capacity.cpu, given.cpu), memory: less(capacity.memory, given.memory) };
  const { cpu, memory } = formatAmounts({ ...noAmounts, ...left });
  return `${cpu} CPU and ${memory} memory left`;
}

async function waitingPlan(planId: string, ctx: Awaited<ReturnType<typeof operatorCtx>>) {
  const stored = await ctx.db.plan.findFirst({ where: { id: planId } });
  if (!stored) return null;
  return { ...(await planView(ctx, planId)), pools: EnrollmentSpec.parse(stored.spec).pools };
}

function clusterWords(fit: ClusterFit, { kind, wanted }: RequestView, has: Quota): ApprovalView['cluster'] {
  const { cpu, memory } = fit.capacity ?? {};
  const words =
    cpu === undefined || memory === undefined ? null : formatAmounts({ cpu, memory, storage: 0n, runners: 0n });
  return {
    id: fit.clusterId,
    capacity: words && { cpu: words.cpu, memory: words.memory },
    given: formatAmounts(fit.given),
    promised: formatAmounts(fit.promised),
    used: formatAmounts(fit.used),
    fits: wanted.quota ? hasRoom(fit, beyondHeld(kind, wanted.quota, has)) : true,
  };
}

const hoursPerMonth = 730;

function planCost(choices: readonly PoolChoice[], pools: readonly CatalogPool[]): ApprovalView['cost'] {
  const byName = new Map(pools.map((pool) => [pool.name, pool]));
  const month = (which: 'minRunners' | 'maxRunners') =>
    choices.reduce((sum, choice) => sum + choice[which] * hourly(byName.get(choice.pool)), 0) * hoursPerMonth;
  return costWith(pools, month('minRunners'), month('maxRunners'));
}

/** At most, if the quota were filled with runners of the pool that makes the most of it. */
function quotaCost(quota: Quota | undefined, pools: readonly CatalogPool[]): ApprovalView['cost'] {
  if (!quota) return null;
  const filled = pools.map((pool) => (isReady(pool) ? mostRunners(pool, quota) * hourly(pool) : 0));
  return costWith(pools, 0, Math.max(0, ...filled) * hoursPerMonth);
}

function hourly(pool: CatalogPool | undefined): number {
  return Number(pool?.pricePerRunnerHour ?? 0);
}

function costWith(pools: readonly CatalogPool[], least: number, most: number): ApprovalView['cost'] {
  const currency = pools.find((pool) => pool.currency !== null)?.currency;
  return currency === undefined || currency === null ? null : { least, most, currency };
}
