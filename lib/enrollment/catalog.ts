import { unsafeDb } from '#lib/db/index.ts';
import { Pool } from '#lib/model/index.ts';

/** A pool of the catalog, with its price where a rate is in force: money for an hour of one runner. */
export type CatalogPool = Pool & { pricePerRunnerHour: string | null; currency: string | null };

/** The pools that an operator defined, in their order. */
export async function catalog(at = new Date()): Promise<CatalogPool[]> {
  const rows = await unsafeDb().pool.findMany({
    orderBy: { position: 'asc' },
    include: {
      rates: {
        where: { meter: 'runnerSeconds', validFrom: { lte: at }, OR: [{ validTo: null }, { validTo: { gt: at } }] },
        orderBy: { validFrom: 'desc' },
        take: 1,
      },
    },
  });
  return rows.map(({ rates: [rate], position: _, placement, ...pool }) => ({
    ...Pool.parse({ ...pool, placement: placement ?? undefined }),
    pricePerRunnerHour: rate ? rate.unitPrice.mul(3600).toString() : null,
    currency: rate?.currency ?? null,
  }));
}

let kept: { pools: Promise<Map<string, Pool>>; untilMs: number } | undefined;
const keptMs = 1_000;

/** The catalog by name, at most a second old: a burst of passes reads it once. */
export async function poolsByName(): Promise<Map<string, Pool>> {
  if (!kept || performance.now() > kept.untilMs) {
    const pools = readPools();
    kept = { pools, untilMs: performance.now() + keptMs };
    // A failure is not kept: the next to ask tries again.
    pools.catch(() => (kept = undefined));
  }
  return kept.pools;
}

async function readPools(): Promise<Map<string, Pool>> {
  const pools = await catalog();
  return new Map(pools.map(({ pricePerRunnerHour: _, currency: __, ...pool }) => [pool.name, pool]));
}
