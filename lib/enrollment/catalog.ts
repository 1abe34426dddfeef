import { unsafeDb } from '#lib/db/index.ts';
import { Pool, PoolDefinition } from '#lib/model/index.ts';
import type { EnrollmentRow } from './rows.ts';

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
  return rows.map(({ rates: [rate], position: _, changedAt: __, placement, ...pool }) => ({
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

/** After an operator's change: whoever asks next reads anew. Other processes know of it a second later. */
export function forgetPools(): void {
  kept = undefined;
}

/**
 * The catalog with what was approved of this enrollment's pools in the place of what they are now: an operator's change reaches
 * runners by a plan, and by nothing else.
 */
export function approvedPools(row: Pick<EnrollmentRow, 'pools'>, pools: ReadonlyMap<string, Pool>): Map<string, Pool> {
  const approved = row.pools.flatMap(({ poolName, definition }) => {
    const pool = pools.get(poolName);
    if (!pool || definition === null) return [];
    return [[poolName, { ...pool, placement: undefined, ...PoolDefinition.parse(definition) }] as const];
  });
  return new Map([...pools, ...approved]);
}
