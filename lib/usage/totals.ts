import { Decimal } from 'decimal.js';
import { Prisma, unsafeDb } from '#lib/db/index.ts';
import { areKept, keepMissingDays, keptDaysUntil } from './days.ts';
import type { Meter } from './meters.ts';
import { belongsTo, hourUse, none, reckoned, type UseLine, type UseQuery } from './reckon.ts';

export type PoolSeconds = { pool: string; runnerSeconds: Decimal; runners: number };

/** Runner-seconds a pool of a tenant within [from, to), of whole hours, and how many runners they were of. */
export async function poolSeconds(tenantId: string, from: Date, to: Date): Promise<PoolSeconds[]> {
  const rows = await unsafeDb().$queryRaw<{ pool: string | null; seconds: string; runners: bigint }[]>`
    with ${hourUse(belongsTo([tenantId]), from, to)}
    select s.pool_name as pool, sum(u.used)::text as seconds, count(distinct s.id) filter (where u.used > 0) as runners
    from hour_use u join usage_source s on s.id = u.source_id
    where u.meter = 'runnerSeconds' and u.hour >= ${from} group by 1 order by 1`;
  return rows.map((row) => ({
    pool: row.pool ?? '',
    runnerSeconds: new Decimal(row.seconds),
    runners: Number(row.runners),
  }));
}

/** A line as it is read, with what runners asked for. Decimals are text. */
type Row = Omit<UseLine, 'quantity'> & Record<'quantity' | 'cores' | 'gib' | 'gpus', string>;

const columns = Prisma.sql`tenant_id as "tenantId", kind, at, pool_name as pool, meter, repository, workflow, job,
  has_failed as "hasFailed", quantity::text, cores::text, gib::text, gpus::text`;
const inOrder = Prisma.sql`order by 1, 2, 3, 4, 5, 6, 7, 8, 9`;

/** Use as lines that add up to all of it: what is long over as it was kept, by the day, and the rest as it is reckoned now. */
export async function useLines(query: UseQuery): Promise<UseLine[]> {
  const until = keptDaysUntil(query);
  const kept = until && (await readKept(query, until));
  if (kept) return kept.flatMap(linesOf);
  // What was missing may be there now; what is written meanwhile may have let go of it again.
  const { tenantIds, from } = query;
  const again = until && (await keepMissingDays(tenantIds, from, until)) ? await readKept(query, until) : null;
  return (again ?? (await readReckoned(query))).flatMap(linesOf);
}

async function readReckoned(query: UseQuery): Promise<Row[]> {
  return unsafeDb().$queryRaw<Row[]>`
    with ${reckoned(belongsTo(query.tenantIds), query)} select ${columns} from lines ${inOrder}`;
}

/** By one statement, so that it is of one moment; null where some day of some tenant is not kept. */
async function readKept(query: UseQuery, until: Date): Promise<Row[] | null> {
  const { tenantIds, from, to } = query;
  const since = Prisma.sql`select * from lines union all ${keptLines(query, until)}`;
  const lines =
    until < to
      ? Prisma.sql`${reckoned(belongsTo(tenantIds), { ...query, from: until })}, both_lines as (${since})`
      : Prisma.sql`both_lines as (${keptLines(query, until)})`;
  const [first, ...more] = await unsafeDb().$queryRaw<(Row & { isWhole: boolean })[]>`
    with whole as (select ${areKept(tenantIds, from, until)} as is_whole), ${lines}
    select ${columns}, is_whole as "isWhole" from whole left join both_lines on is_whole ${inOrder}`;
  if (!first?.isWhole) return null;
  const rows = first.kind === null ? more : [first, ...more];
  // No day is kept of what belongs to nobody.
  return tenantIds === null ? [...rows, ...(await nobodys({ ...query, to: until }))] : rows;
}

function keptLines({ tenantIds, from, bucket, detail }: UseQuery, until: Date): Prisma.Sql {
  const byWorkflow = detail !== 'pool';
  const whose = tenantIds === null ? Prisma.sql`true` : Prisma.sql`tenant_id = any(${tenantIds}::uuid[])`;
  return Prisma.sql`
    select tenant_id, kind, date_trunc(${bucket}, day, 'UTC') as at, pool_name, meter, ${byWorkflow ? Prisma.sql`repository` : none} as repository,
      ${byWorkflow ? Prisma.sql`workflow` : none} as workflow, ${none} as job, ${byWorkflow ? Prisma.sql`has_failed` : Prisma.sql`false`} as has_failed,
      sum(quantity) as quantity, sum(cores) as cores, sum(gib) as gib, sum(gpus) as gpus
    from use_day_line where ${whose} and day >= ${from} and day < ${until} group by 1, 2, 3, 4, 5, 6, 7, 8, 9`;
}

async function nobodys(query: UseQuery): Promise<Row[]> {
  return unsafeDb().$queryRaw<Row[]>`
    with ${reckoned(Prisma.sql`h.tenant_id is null`, query)} select ${columns} from lines ${inOrder}`;
}

/** What a runner asked for goes with its time. */
function linesOf({ quantity, cores, gib, gpus, ...row }: Row): UseLine[] {
  const own = { ...row, quantity: new Decimal(quantity) };
  if (row.meter !== 'runnerSeconds') return [own];
  const asked: [Meter, string][] = [
    ['cpuCoreSeconds', cores],
    ['memoryGibSeconds', gib],
    ['gpuSeconds', gpus],
  ];
  return [
    own,
    ...asked.flatMap(([meter, text]) => {
      const sum = new Decimal(text);
      return sum.isZero() ? [] : [{ ...row, meter, quantity: sum }];
    }),
  ];
}

/** Readings that were not taken since an instant, and why: how many of each reason. */
export async function refusalsSince(since: Date): Promise<{ reason: string; count: number; example: string }[]> {
  const rows = await unsafeDb().$queryRaw<{ reason: string; count: bigint; example: string }[]>`
    select reason, count(*) as count, min(source_id) as example from usage_refusal where at >= ${since} group by 1 order by 2 desc`;
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}

/** Drops months of raw readings that ended before, and old refusals; what was rolled up of them stays. */
export async function pruneReadings(before: Date): Promise<number> {
  const [row] = await unsafeDb().$queryRaw<{ dropped: number }[]>`select usage_partition_drop(${before}) as dropped`;
  await unsafeDb().usageRefusal.deleteMany({ where: { at: { lt: before } } });
  return row?.dropped ?? 0;
}
