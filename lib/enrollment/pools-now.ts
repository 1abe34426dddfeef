import { restrained, restraintOf } from '#lib/billing/index.ts';
import { cpuMillicores, formatCpu, formatMemory, isReady, memoryBytes, type Pool } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { usageAfter, type LivePool, type LiveRunner } from '#lib/usage/index.ts';
import { approvedPools, poolsByName } from './catalog.ts';

/* What runs now, against what may run: the pages that move. */

export type QuotaPart = { used: string; promised: string; quota: string; usedShare: number };
/** used: what runners hold now. promised: what all pools hold at their maximum. Shares are 0..1. */
export type QuotaNow = { cpu: QuotaPart; memory: QuotaPart; runners: QuotaPart };

/** cpu in millicores, memory in bytes. */
type Sum = { cpu: bigint; memory: bigint; runners: number };
export type Sums = { used: Sum; promised: Sum };

function plus(sum: Sum, pool: { cpu: string; memory: string }, runners: number): Sum {
  return {
    cpu: sum.cpu + cpuMillicores(pool.cpu) * BigInt(runners),
    memory: sum.memory + memoryBytes(pool.memory) * BigInt(runners),
    runners: sum.runners + runners,
  };
}

/** A place that is held for a job is as large as its runner. */
const runnersOf = ({ pending, running, idle, places }: LivePool) => pending + running + idle + places;

/** What was approved of each pool of a tenant, which its runners are made from, and how far a budget holds them back. */
export type ApprovedPools = { of: (live: LivePool) => Pool | undefined; restraint: number };

export async function approvedOf(ctx: Pick<Ctx, 'tenant' | 'db'>): Promise<ApprovedPools> {
  const [known, rows, restraint] = await Promise.all([
    poolsByName(),
    ctx.db.enrollmentPool.findMany({ select: { enrollmentId: true, poolName: true, definition: true } }),
    restraintOf(ctx.tenant.id),
  ]);
  const byEnrollment = new Map(
    [...Map.groupBy(rows, ({ enrollmentId }) => enrollmentId)].map(([id, pools]) => [
      id,
      approvedPools({ pools }, known),
    ]),
  );
  return { of: ({ enrollmentId, pool }) => (byEnrollment.get(enrollmentId) ?? known).get(pool), restraint };
}

const mostOf = (live: LivePool, { restraint }: ApprovedPools) => restrained(live, restraint).maxRunners;

export function sumsOf(pools: readonly LivePool[], approved: ApprovedPools): Sums {
  let used: Sum = { cpu: 0n, memory: 0n, runners: 0 };
  let promised = used;
  for (const live of pools) {
    const pool = approved.of(live);
    if (!pool || !isReady(pool)) continue;
    used = plus(used, pool, runnersOf(live));
    promised = plus(promised, pool, mostOf(live, approved));
  }
  return { used, promised };
}

type Quota = Ctx['tenant']['quota'];

export function quotaNow(quota: Quota, { used, promised }: Sums): QuotaNow {
  return {
    cpu: {
      used: formatCpu(used.cpu),
      promised: formatCpu(promised.cpu),
      quota: quota.cpu,
      usedShare: Number(used.cpu) / Number(cpuMillicores(quota.cpu)),
    },
    memory: {
      used: formatMemory(used.memory),
      promised: formatMemory(promised.memory),
      quota: quota.memory,
      usedShare: Number(used.memory) / Number(memoryBytes(quota.memory)),
    },
    runners: {
      used: String(used.runners),
      promised: String(promised.runners),
      quota: String(quota.runners),
      usedShare: quota.runners === 0 ? 0 : used.runners / quota.runners,
    },
  };
}

/** How many more runners of a pool may start now: its own maximum, and what the quota has left of each. */
function roomOf(live: LivePool, approved: ApprovedPools, quota: Quota, used: Sum): number {
  const own = Math.max(0, mostOf(live, approved) - runnersOf(live));
  const pool = approved.of(live);
  if (!pool || !isReady(pool)) return 0;
  const cpu = (cpuMillicores(quota.cpu) - used.cpu) / cpuMillicores(pool.cpu);
  const memory = (memoryBytes(quota.memory) - used.memory) / memoryBytes(pool.memory);
  return Math.max(0, Math.min(own, Number(cpu), Number(memory), quota.runners - used.runners));
}

/** `room`: how many more runners may start now. */
export type PoolNow = LivePool & { room: number };
export type PoolsNow = { pools: PoolNow[]; runners: LiveRunner[]; quota: QuotaNow; tag: string };

/** What the page of pools shows: at once, or for who has it under the tag `since` as soon as it is another. */
export async function poolsNow(ctx: Ctx, since: string | null = null): Promise<PoolsNow> {
  const { pools, runners, tag } = await usageAfter(ctx.tenant.id, ctx, since);
  const approved = await approvedOf(ctx);
  const sums = sumsOf(pools, approved);
  const { quota } = ctx.tenant;
  return {
    tag,
    runners,
    quota: quotaNow(quota, sums),
    pools: pools.map((live) => ({ ...live, room: roomOf(live, approved, quota, sums.used) })),
  };
}
