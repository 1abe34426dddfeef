import { unsafeDb } from '#lib/db/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { poolSeconds } from '#lib/usage/index.ts';
import { Exact, priceOf, type RateValue } from './price.ts';

export type MonthToDate = {
  currency: string;
  /** Since when, as an ISO instant: months begin at midnight UTC. */
  from: string;
  total: string;
  byPool: { pool: string; runnerSeconds: string; runners: number; cost: string | null }[];
};

/** One rate a pool: the newest in force at the instant. */
async function ratesAt(at: Date): Promise<RateValue[]> {
  const rows = await unsafeDb().rate.findMany({
    where: { validFrom: { lte: at }, OR: [{ validTo: null }, { validTo: { gt: at } }] },
    orderBy: { validFrom: 'asc' },
  });
  const newest = new Map(rows.map((row) => [row.poolName, row]));
  return [...newest.values()].map((row) => ({
    pool: row.poolName,
    pricePerRunnerSecond: new Exact(row.pricePerRunnerSecond.toString()),
    currency: row.currency,
  }));
}

/** What a tenant's runners have cost since the month began, by pool. */
export async function monthToDate(ctx: Pick<Ctx, 'tenant'>, now = new Date()): Promise<MonthToDate> {
  const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1));
  const [uses, rates] = await Promise.all([
    poolSeconds(ctx.tenant.id, from, new Date(now.getTime() + 1)),
    ratesAt(now),
  ]);
  const lines = priceOf(uses, rates);
  const total = lines.reduce((sum, line) => sum.plus(line.cost ?? 0), new Exact(0));
  const runners = new Map(uses.map((use) => [use.pool, use.runners]));
  return {
    currency: rates[0]?.currency ?? 'USD',
    from: from.toISOString(),
    total: total.toFixed(),
    byPool: lines.map((line) => ({
      pool: line.pool,
      runnerSeconds: line.runnerSeconds.toFixed(),
      runners: runners.get(line.pool) ?? 0,
      cost: line.cost?.toFixed() ?? null,
    })),
  };
}
