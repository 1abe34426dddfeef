import { unsafeDb } from '#lib/db/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { poolSeconds } from '#lib/usage/index.ts';
import { Exact, priceOf, type PriceLine, type RateValue } from './price.ts';

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

/** The instants within (from, to) at which a rate begins or ends: a change never reprices what ran before it. */
async function rateChanges(from: Date, to: Date): Promise<Date[]> {
  const within = { gt: from, lt: to };
  const rows = await unsafeDb().rate.findMany({ where: { OR: [{ validFrom: within }, { validTo: within }] } });
  const instants = rows
    .flatMap((row) => [row.validFrom, row.validTo])
    .filter((at) => at !== null && at > from && at < to);
  return [...new Set(instants.map(Number))].toSorted((a, b) => a - b).map((at) => new Date(at));
}

/** Each stretch of the period under the rates that were in force in it. */
async function pricedLines(tenantId: string, from: Date, to: Date): Promise<PriceLine[]> {
  const bounds = [from, ...(await rateChanges(from, to)), to];
  const stretches = bounds.slice(1).map(async (end, index) => {
    const start = bounds[index] ?? from;
    return priceOf(await poolSeconds(tenantId, start, end), await ratesAt(start));
  });
  return (await Promise.all(stretches)).flat();
}

/** What a tenant's runners have cost since the month began, by pool. */
export async function monthToDate(ctx: Pick<Ctx, 'tenant'>, now = new Date()): Promise<MonthToDate> {
  const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1));
  // What was read this very instant counts.
  const to = new Date(now.getTime() + 1);
  const [uses, lines] = await Promise.all([poolSeconds(ctx.tenant.id, from, to), pricedLines(ctx.tenant.id, from, to)]);
  const costOf = (pool: string) => {
    const costs = lines.flatMap((line) => (line.pool === pool && line.cost !== null ? [line.cost] : []));
    return costs.length === 0 ? null : costs.reduce((sum, cost) => sum.plus(cost), new Exact(0));
  };
  const total = lines.reduce((sum, line) => sum.plus(line.cost ?? 0), new Exact(0));
  return {
    currency: lines.find((line) => line.currency !== null)?.currency ?? 'USD',
    from: from.toISOString(),
    total: total.toFixed(),
    byPool: uses.map(({ pool, runnerSeconds, runners }) => ({
      pool,
      runnerSeconds: runnerSeconds.toFixed(),
      runners,
      cost: costOf(pool)?.toFixed() ?? null,
    })),
  };
}
