import { Prisma, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { refusalOf, type GivenReading } from './meter.ts';
import { mostPerSecond, readMeterNames } from './meters.ts';

/** What is measured, as whoever measures it knows it. `tenantId` is null where it belongs to nobody that we know. */
export type GivenSource = {
  id: string;
  clusterId: string;
  tenantId: string | null;
  enrollmentId: string | null;
  kind: 'runner' | 'attic' | 'bazel';
  poolName: string | null;
  /** By which the forge knows it. */
  name: string;
  /** Of the one job that it is made for, where it is known beforehand. */
  forgeJobId?: string | null;
  /** Else it serves one job after another. */
  servesOne?: boolean;
  /** Cores and GiB, as decimals in words. */
  cpuCores: string;
  memoryGib: string;
  gpuCount: number;
  startedAt: Date;
  endedAt: Date | null;
  endedItself: boolean | null;
};

export type Kept = { kept: number; refused: number };

/** A clock on a node may be this far from ours. */
const skewSeconds = 600;
/** A worker's may not: what it reads too high stays the highest. */
const aheadSecondsMost = 60;

/**
 * Sources that are new, and the ends of those that ended. Whose a source is was said when it was first seen and stays so; an
 * enrollment of another tenant makes it nobody's.
 */
export async function keepSources(sources: readonly GivenSource[]): Promise<void> {
  if (sources.length === 0) return;
  const rows = JSON.stringify(sources.toSorted((a, b) => (a.id < b.id ? -1 : 1)));
  await unsafeDb().$executeRaw`
    insert into usage_source (id, cluster_id, tenant_id, enrollment_id, kind, pool_name, name, forge_job_id, serves_one, cpu_cores,
      memory_gib, gpu_count, started_at, ended_at, ended_itself)
    select distinct on (g.id) g.id, "clusterId", case when "enrollmentId" is null or e.tenant_id = "tenantId" then "tenantId" end,
      e.id, g.kind, "poolName", g.name, "forgeJobId", coalesce("servesOne", true), "cpuCores", "memoryGib", "gpuCount", "startedAt", "endedAt", "endedItself"
    from jsonb_to_recordset(${rows}::jsonb) as g(id text, "clusterId" text, "tenantId" uuid, "enrollmentId" uuid, kind text,
      "poolName" text, name text, "forgeJobId" text, "servesOne" boolean, "cpuCores" numeric, "memoryGib" numeric, "gpuCount" int, "startedAt" timestamptz,
      "endedAt" timestamptz, "endedItself" boolean)
    left join enrollment e on e.id = "enrollmentId" and e.tenant_id = "tenantId"
    order by g.id, "endedAt" nulls last
    on conflict (id) do update set ended_at = excluded.ended_at, ended_itself = excluded.ended_itself
      where usage_source.ended_at is null and excluded.ended_at is not null`;
}

/** The months whose partitions this process knows to be there. */
const readyMonths = new Set<string>();

async function ensurePartitions(readings: readonly GivenReading[]): Promise<void> {
  const months = new Map(readings.map(({ observedAt }) => [observedAt.toISOString().slice(0, 7), observedAt]));
  for (const [month, at] of months) {
    if (readyMonths.has(month)) continue;
    await unsafeDb().$executeRaw`select usage_partition_ensure(${at})`;
    readyMonths.add(month);
  }
}

/** For tests, whose databases come and go. */
export function forgetPartitions(): void {
  readyMonths.clear();
}

/** As many as one statement takes well. */
const batchMost = 10_000;

/**
 * Appends readings: each is judged, those that are good are kept once, and the highest of each hour is kept by the same
 * statement. What is not taken changes no sum and is kept with its reason. Answers how many were new, and how many refused.
 */
export async function keepReadings(given: readonly GivenReading[], now: Date): Promise<Kept> {
  const refusals: Refusal[] = [];
  const good = new Map<string, GivenReading>();
  for (const reading of given) {
    const reason = refusalOf(reading, now);
    if (reason !== null) {
      refusals.push({ ...reading, reason });
      continue;
    }
    const key = `${reading.sourceId} ${reading.meter} ${reading.observedAt.getTime()}`;
    const other = good.get(key);
    if (other && other.quantity !== reading.quantity) refusals.push({ ...reading, reason: doubled });
    else good.set(key, reading);
  }
  await ensurePartitions([...good.values()]);
  const all = [...good.values()].toSorted(byKey);
  const result = { kept: 0, refused: refusals.length };
  for (let start = 0; start < all.length; start += batchMost) {
    const { kept, refused } = await keepBatch(all.slice(start, start + batchMost));
    result.kept += kept;
    result.refused += refused;
  }
  await keepRefusals(unsafeDb(), refusals);
  return result;
}

/** In one order, or two who write at once could wait for each other. */
function byKey(a: GivenReading, b: GivenReading): number {
  if (a.sourceId !== b.sourceId) return a.sourceId < b.sourceId ? -1 : 1;
  if (a.meter !== b.meter) return a.meter < b.meter ? -1 : 1;
  return a.observedAt.getTime() - b.observedAt.getTime();
}

const doubled = 'read before with another quantity';

type Refusal = GivenReading & { reason: string };
type Judged = {
  kept: bigint;
  refused: { sourceId: string; meter: string; at: string; quantity: string; reason: string }[];
};

async function keepBatch(batch: readonly GivenReading[]): Promise<Kept> {
  const column = <T>(of: (reading: GivenReading) => T) => batch.map(of);
  const bounds = Prisma.join(readMeterNames.map((meter) => Prisma.sql`(${meter}, ${mostPerSecond(meter)}::numeric)`));
  return unsafeTransaction(async (tx) => {
    const [row] = await tx.$queryRaw<Judged[]>`
      with given as materialized (
        select * from unnest(${column((each) => each.sourceId)}::text[], ${column((each) => each.meter)}::text[],
          ${column((each) => each.observedAt.toISOString())}::timestamptz[], ${column((each) => each.quantity)}::numeric[])
          as g(source_id, meter, observed_at, quantity)
      ), judged as materialized (
        select g.*, s.tenant_id, case
          when s.id is null then 'of an unknown source'
          when m.most is null then 'of an unknown meter'
          when g.observed_at > clock_timestamp() + make_interval(secs => ${aheadSecondsMost}) then 'by a clock that is ahead'
          when g.observed_at < s.started_at - make_interval(secs => ${skewSeconds}) then 'before its source began'
          when g.quantity > m.most * (extract(epoch from g.observed_at - s.started_at) + ${skewSeconds}) then 'more than can be'
        end as reason
        from given g left join usage_source s on s.id = g.source_id left join (values ${bounds}) as m(meter, most) on m.meter = g.meter
      ), kept as (
        insert into usage_reading (source_id, meter, observed_at, quantity)
        select source_id, meter, observed_at, quantity from judged where reason is null order by source_id, meter, observed_at
        on conflict do nothing returning source_id, meter, observed_at, quantity
      ), highest as (
        select source_id, meter, date_trunc('hour', observed_at, 'UTC') as hour, max(quantity) as quantity from kept group by 1, 2, 3
      ), rolled as (
        insert into usage_hour (source_id, meter, hour, tenant_id, highest)
        select h.source_id, h.meter, h.hour, s.tenant_id, h.quantity from highest h join usage_source s on s.id = h.source_id
        order by 1, 2, 3
        on conflict (source_id, meter, hour) do update set highest = excluded.highest where usage_hour.highest < excluded.highest
      ), refused as (
        select source_id, meter, observed_at, quantity, reason from judged where reason is not null
        union all
        select j.source_id, j.meter, j.observed_at, j.quantity, ${doubled} from judged j
        join usage_reading r using (source_id, meter, observed_at) where j.reason is null and r.quantity <> j.quantity
          -- Asked only where something was there before.
          and (select count(*) from kept) < (select count(*) from judged where reason is null)
      )
      select (select count(*) from kept) as kept, coalesce((select jsonb_agg(jsonb_build_object('sourceId', source_id, 'meter', meter,
        'at', observed_at, 'quantity', quantity::text, 'reason', reason)) from refused), '[]') as refused`;
    const refused = (row?.refused ?? []).map(({ at, ...each }) => ({ ...each, observedAt: new Date(at) }) as Refusal);
    await keepRefusals(tx, refused);
    return { kept: Number(row?.kept ?? 0), refused: refused.length };
  });
}

const refusalsMost = 1000;

/** One that comes again is no news; a flood keeps its first. */
async function keepRefusals(tx: UnsafeTx, refusals: readonly Refusal[]): Promise<void> {
  if (refusals.length === 0) return;
  await tx.usageRefusal.createMany({
    data: refusals.slice(0, refusalsMost).map(({ sourceId, meter, observedAt, quantity, reason }) => ({
      sourceId: sourceId.slice(0, 200),
      meter: meter.slice(0, 50),
      observedAt: Number.isNaN(observedAt.getTime()) ? '' : observedAt.toISOString(),
      quantity: quantity.slice(0, 100),
      reason,
    })),
    skipDuplicates: true,
  });
}
