import { Decimal } from 'decimal.js';
import { ratesOf, runnerCost, type RunnerSize } from '#lib/billing/index.ts';
import { unsafeDb, type Prisma } from '#lib/db/index.ts';
import { cpuMillicores, memoryBytes, Pool, PoolDefinition } from '#lib/model/index.ts';
import type { EnrollmentRow } from './rows.ts';

/** A pool of the catalog, with its price where any is in force: money for an hour of one runner, by all that it takes. */
export type CatalogPool = Pool & { pricePerRunnerHour: string | null; currency: string | null };

export type PoolRow = Prisma.PoolGetPayload<object>;

export function poolOfRow({ position: _, changedAt: __, placement, ...row }: PoolRow): Pool {
  return Pool.parse({ ...row, ...(placement === null ? {} : { placement }) });
}

async function readPools(): Promise<Pool[]> {
  const rows = await unsafeDb().pool.findMany({ orderBy: { position: 'asc' } });
  return rows.map(poolOfRow);
}

/** The pools that an operator defined, in their order; priced for a tenant, or in general. */
export async function catalog(tenantId: string | null = null, at = new Date()): Promise<CatalogPool[]> {
  const [pools, { currency, rates }] = await Promise.all([readPools(), ratesOf(tenantId)]);
  return pools.map((pool) => {
    const price = runnerCost(rates, sizeOf(pool), new Decimal(3600), at);
    return { ...pool, pricePerRunnerHour: price?.toString() ?? null, currency: price && currency };
  });
}

/** By what a runner of this pool is charged. */
export function sizeOf({ name, cpu, memory, devices }: Pool): RunnerSize {
  const gpus = Object.entries(devices).filter(([device]) => device.endsWith('/gpu'));
  return {
    pool: name,
    cores: new Decimal(cpu === null ? 0 : cpuMillicores(cpu).toString()).div(1000),
    gib: new Decimal(memory === null ? 0 : memoryBytes(memory).toString()).div(1024 ** 3),
    gpus: gpus.reduce((sum, [, count]) => sum + count, 0),
  };
}

let kept: { pools: Promise<Map<string, Pool>>; untilMs: number } | undefined;
const keptMs = 1_000;

/** The catalog by name, at most a second old: a burst of passes reads it once. */
export async function poolsByName(): Promise<Map<string, Pool>> {
  if (!kept || performance.now() > kept.untilMs) {
    const pools = readPools().then((all) => new Map(all.map((pool) => [pool.name, pool])));
    kept = { pools, untilMs: performance.now() + keptMs };
    // A failure is not kept: the next to ask tries again.
    pools.catch(() => (kept = undefined));
  }
  return kept.pools;
}

/** After an operator's change: whoever asks next reads anew. Other processes know of it a second later. */
export function forgetPools(): void {
  kept = undefined;
}

/**
 * The catalog with what was approved of this enrollment's pools in the place of what they are now: an operator's change reaches
 * runners by a plan, and by nothing else.
 */
export function approvedPools(
  row: { pools: Pick<EnrollmentRow['pools'][number], 'poolName' | 'definition'>[] },
  pools: ReadonlyMap<string, Pool>,
): Map<string, Pool> {
  const approved = row.pools.flatMap(({ poolName, definition }) => {
    const pool = pools.get(poolName);
    if (!pool || definition === null) return [];
    return [[poolName, { ...pool, placement: undefined, ...PoolDefinition.parse(definition) }] as const];
  });
  return new Map([...pools, ...approved]);
}
