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
        where: { validFrom: { lte: at }, OR: [{ validTo: null }, { validTo: { gt: at } }] },
        orderBy: { validFrom: 'desc' },
        take: 1,
      },
    },
  });
  return rows.map(({ rates: [rate], position: _, ...pool }) => ({
    ...Pool.parse(pool),
    pricePerRunnerHour: rate ? rate.pricePerRunnerSecond.mul(3600).toString() : null,
    currency: rate?.currency ?? null,
  }));
}

export async function poolsByName(): Promise<Map<string, Pool>> {
  const pools = await catalog();
  return new Map(pools.map(({ pricePerRunnerHour: _, currency: __, ...pool }) => [pool.name, pool]));
}
