import { Decimal } from 'decimal.js';
import { unsafeDb } from '#lib/db/index.ts';

export type PoolSeconds = { pool: string; runnerSeconds: Decimal; runners: number };

type Row = { pool: string; runnerSeconds: { toString(): string }; runners: bigint };

/** Runner-seconds a pool within [from, to) of a tenant: `secondsBetween` for every pod, as one statement. */
export async function poolSeconds(tenantId: string, from: Date, to: Date): Promise<PoolSeconds[]> {
  const rows = await unsafeDb().$queryRaw<Row[]>`
    select pool_name as pool, sum(seconds) as "runnerSeconds", count(*) filter (where seconds > 0) as runners
    from (
      select pod_uid, pool_name,
             max(runner_seconds) - coalesce(max(runner_seconds) filter (where observed_at < ${from}), 0) as seconds
      from runner_reading
      where tenant_id = ${tenantId}::uuid and observed_at < ${to}
      group by pod_uid, pool_name
    ) as pod
    group by pool_name order by pool_name`;
  return rows.map((row) => ({
    pool: row.pool,
    runnerSeconds: new Decimal(row.runnerSeconds.toString()),
    runners: Number(row.runners),
  }));
}
