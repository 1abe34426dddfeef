import { z } from 'zod';
import { Prisma, unsafeDb } from '#lib/db/index.ts';

/* How a tenant's jobs waited and ran, over time: from the ledger, in one statement a question. */

export const seriesWindows = ['hour', 'day', 'month'] as const;
export type SeriesWindow = (typeof seriesWindows)[number];

export const SeriesQuery = z.object({
  window: z.enum(seriesWindows).catch('day').default('day'),
  /** A pool's label; empty for all. */
  pool: z.string().trim().max(100).catch('').default(''),
});
export type SeriesQuery = z.infer<typeof SeriesQuery>;

const minuteS = 60;
const steps: Record<SeriesWindow, { stepS: number; count: number }> = {
  hour: { stepS: 2 * minuteS, count: 30 },
  day: { stepS: 60 * minuteS, count: 24 },
  month: { stepS: 24 * 60 * minuteS, count: 30 },
};

/** Seconds of waiting for a runner, of jobs that began within; null where none did. */
export type Waits = { began: number; p50: number | null; p90: number | null; p99: number | null };
export type Ends = { succeeded: number; failed: number; other: number };

/** One step: what began and ended in it, and how many runners had a job, on average over it. */
export type SeriesStep = Waits & Ends & { at: string; busy: number };

export type JobSeries = {
  from: string;
  to: string;
  stepSeconds: number;
  steps: SeriesStep[];
  total: Waits & Ends & { busySeconds: number };
  /** The same a pool, by label. */
  byPool: (Waits & Ends & { label: string })[];
};

type Range = { from: Date; to: Date; stepS: number; count: number };

/** Whole steps, of which the last is under way. */
function rangeOf(window: SeriesWindow, now: Date): Range {
  const { stepS, count } = steps[window];
  const to = new Date(Math.floor(now.getTime() / 1000 / stepS + 1) * stepS * 1000);
  return { from: new Date(to.getTime() - count * stepS * 1000), to, stepS, count };
}

/** A job that runs longer than this has ended long ago: no older one matters to a window. */
const oldestMs = 6 * 24 * 3600_000;

export async function jobSeries(tenantId: string, { window, pool }: SeriesQuery, now: Date): Promise<JobSeries> {
  const range = rangeOf(window, now);
  const own = ownJobs(tenantId, pool, range);
  const [waits, ends, busy] = await Promise.all([waitsOf(own, range), endsOf(own, range), busyOf(own, range, now)]);
  return seriesOf(range, waits, ends, busy);
}

/** Only jobs of the window, by the index of when they were queued. */
function ownJobs(tenantId: string, pool: string, { from, to }: Range): Prisma.Sql {
  const ofPool = pool === '' ? Prisma.empty : Prisma.sql`and scale_set_name = ${pool}`;
  return Prisma.sql`tenant_id = ${tenantId}::uuid and queued_at >= ${new Date(from.getTime() - oldestMs)} and queued_at < ${to} ${ofPool}`;
}

type WaitRow = Waits & { step: number | null; label: string | null };

const wait = Prisma.sql`extract(epoch from greatest(started_at - queued_at, interval '0'))`;
const stepAt = (column: Prisma.Sql, { from, stepS }: Range) =>
  Prisma.sql`floor(extract(epoch from ${column} - ${from}::timestamptz) / ${stepS}::int)::int`;

/** Where only the cluster told of a job, when it was queued is not known, nor how long it waited. */
async function waitsOf(own: Prisma.Sql, range: Range): Promise<WaitRow[]> {
  return unsafeDb().$queryRaw<WaitRow[]>`
    select step, label, count(*)::int as began, percentile_cont(0.5) within group (order by wait) as p50,
      percentile_cont(0.9) within group (order by wait) as p90, percentile_cont(0.99) within group (order by wait) as p99
    from (
      select ${stepAt(Prisma.sql`started_at`, range)} as step, scale_set_name as label, ${wait}::float8 as wait from job
      where ${own} and started_at >= ${range.from} and started_at < ${range.to} and external_id not like 'runner:%'
    ) as begun
    group by grouping sets ((step), (label), ())`;
}

type EndRow = Ends & { step: number | null; label: string | null };

async function endsOf(own: Prisma.Sql, range: Range): Promise<EndRow[]> {
  return unsafeDb().$queryRaw<EndRow[]>`
    select step, label, count(*) filter (where conclusion = 'success')::int as succeeded,
      count(*) filter (where conclusion in ('failure', 'timed_out', 'startup_failure'))::int as failed,
      count(*) filter (where conclusion is null or conclusion not in ('success', 'failure', 'timed_out', 'startup_failure'))::int as other
    from (
      select ${stepAt(Prisma.sql`completed_at`, range)} as step, scale_set_name as label, conclusion from job
      where ${own} and completed_at >= ${range.from} and completed_at < ${range.to}
    ) as ended
    group by grouping sets ((step), (label), ())`;
}

type BusyRow = { step: number; seconds: number };

/** Seconds that jobs ran within each step; one that still runs, until now. */
async function busyOf(own: Prisma.Sql, { from, stepS, count }: Range, now: Date): Promise<BusyRow[]> {
  return unsafeDb().$queryRaw<BusyRow[]>`
    select step, sum(extract(epoch from least(ended, step_to) - greatest(started_at, step_from)))::float8 as seconds
    from (select started_at, coalesce(completed_at, ${now}::timestamptz) as ended from job where ${own} and started_at is not null) as ran
    join (
      select step, ${from}::timestamptz + step * ${stepS}::int * interval '1 second' as step_from,
        ${from}::timestamptz + (step + 1) * ${stepS}::int * interval '1 second' as step_to
      from generate_series(0, ${count}::int - 1) as step
    ) as steps on started_at < step_to and ended > step_from
    group by step`;
}

const noWaits: Waits = { began: 0, p50: null, p90: null, p99: null };
const noEnds: Ends = { succeeded: 0, failed: 0, other: 0 };

function seriesOf({ from, to, stepS, count }: Range, waits: WaitRow[], ends: EndRow[], busy: BusyRow[]): JobSeries {
  const wordsOf = ({ began, p50, p90, p99 }: Waits): Waits => ({ began, p50, p90, p99 });
  const endsIn = ({ succeeded, failed, other }: Ends): Ends => ({ succeeded, failed, other });
  const isTotal = (row: { step: number | null; label: string | null }) => row.step === null && row.label === null;
  const labels = [...new Set([...waits, ...ends].flatMap(({ label }) => label ?? []))].toSorted();
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    stepSeconds: stepS,
    steps: Array.from({ length: count }, (_, step) => ({
      at: new Date(from.getTime() + step * stepS * 1000).toISOString(),
      ...wordsOf(waits.find((row) => row.step === step) ?? noWaits),
      ...endsIn(ends.find((row) => row.step === step) ?? noEnds),
      busy: (busy.find((row) => row.step === step)?.seconds ?? 0) / stepS,
    })),
    total: {
      ...wordsOf(waits.find(isTotal) ?? noWaits),
      ...endsIn(ends.find(isTotal) ?? noEnds),
      busySeconds: busy.reduce((sum, { seconds }) => sum + seconds, 0),
    },
    byPool: labels.map((label) => ({
      label,
      ...wordsOf(waits.find((row) => row.label === label) ?? noWaits),
      ...endsIn(ends.find((row) => row.label === label) ?? noEnds),
    })),
  };
}
