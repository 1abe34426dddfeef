import type { Decimal } from 'decimal.js';
import { Prisma } from '#lib/db/index.ts';
import type { Meter } from './meters.ts';

/* Use as it is reckoned from hours and jobs: SQL alone, for whoever reads it and for whoever keeps it. */

/** Why something was used: by a job, by a runner that had none, by one whose job nobody told of, by a plane. */
export type UseKind = 'job' | 'idle' | 'unattributed' | 'plane';

export type UseLine = {
  /** Null where it belongs to nobody that we know. */
  tenantId: string | null;
  kind: UseKind;
  /** The beginning of its day, or hour. */
  at: Date;
  pool: string | null;
  meter: Meter;
  repository: string | null;
  workflow: string | null;
  /** Its job, by `<connection>/<id>`, where jobs were asked for. */
  job: string | null;
  hasFailed: boolean;
  quantity: Decimal;
};

export type UseQuery = {
  /** Null is all tenants, and what belongs to none. */
  tenantIds: readonly string[] | null;
  from: Date;
  to: Date;
  bucket: 'hour' | 'day' | 'month';
  /** How fine the lines are: by pool alone, by repository and workflow, by job. */
  detail: 'pool' | 'workflow' | 'job';
};

/**
 * What each source used of each meter in each hour: the highest of the hour less the highest before it, and `total`, the
 * highest so far. `usedBetween`, as one statement over the roll-up. Hours before `from` are there too where a runner of the
 * window had begun before it. Windows begin and end at whole hours.
 */
export function hourUse(whose: Prisma.Sql, from: Date, to: Date): Prisma.Sql {
  return Prisma.sql`
    inside as materialized (
      select h.source_id, h.meter, h.hour, h.highest from usage_hour h where ${whose} and h.hour >= ${from} and h.hour < ${to}
    ), begun as (
      select s.id, s.kind from usage_source s
      where s.started_at < ${from} and s.id in (select source_id from inside)
    ), within as (
      select source_id, meter, hour, highest from inside
      union all
      select h.source_id, h.meter, h.hour, h.highest from begun join usage_hour h on h.source_id = begun.id
      where begun.kind = 'runner' and h.hour < ${from}
      union all
      select h.source_id, h.meter, max(h.hour), max(h.highest) from begun join usage_hour h on h.source_id = begun.id
      where begun.kind <> 'runner' and h.hour < ${from} group by 1, 2
    ), risen as (
      select *, max(highest) over (partition by source_id, meter order by hour) as total from within
    ), hour_use as materialized (
      select source_id, meter, hour, total,
        total - coalesce(lag(total) over (partition by source_id, meter order by hour), 0) as used
      from risen
    )`;
}

export const none = Prisma.sql`null::text`;

/**
 * Reckons use from hours and jobs, as common table expressions of which the last is `lines`. A runner's time is its jobs' for
 * as long as they ran, as the forge told, and never more than what was read of it: where it is read late, the jobs that ran
 * meanwhile still have theirs. The rest is idle, or, where it ended as after a job and nobody told of one, attributed to
 * nothing. What is said of an hour depends on that hour and on earlier ones alone, so that windows can be put together.
 */
export function reckoned(whose: Prisma.Sql, { from, to, bucket, detail }: Omit<UseQuery, 'tenantIds'>): Prisma.Sql {
  const byWorkflow = detail !== 'pool';
  return Prisma.sql`${hourUse(whose, from, to)}, ours as (
      select * from usage_source where kind = 'runner' and id in (select source_id from inside)
    ), by_name as (
      select s.id as source_id, j.* from ours s join job j on j.tenant_id = s.tenant_id and j.enrollment_id = s.enrollment_id
        and j.runner_name = s.name
      where s.forge_job_id is null
        and (s.serves_one or (j.started_at >= s.started_at and j.started_at < coalesce(s.ended_at, 'infinity')))
    ), by_id as (
      select s.id as source_id, j.* from ours s join enrollment e on e.id = s.enrollment_id
        join job j on j.connection_id = e.connection_id and j.enrollment_id = e.id and j.external_id in
          (s.forge_job_id, s.enrollment_id || ':' || s.forge_job_id, 'runner:' || s.enrollment_id || '/' || s.forge_job_id)
      where s.forge_job_id is not null
    ), jobs as (
      select source_id, j.connection_id, j.external_id, j.started_at, j.completed_at, j.repository, j.workflow,
        j.conclusion in ('failure', 'failed', 'timed_out', 'cancelled', 'canceled') as failed,
        sum(coalesce(extract(epoch from j.completed_at - j.started_at), 1e9)) over (partition by source_id
          order by j.started_at, j.connection_id, j.external_id) as until
      from (select * from by_name union all select * from by_id) as j where j.started_at is not null
    ), named as (
      select distinct source_id from jobs
    ), told as (
      select u.source_id, u.hour, u.total, sum(greatest(0, extract(epoch from
        least(coalesce(j.completed_at, u.hour + interval '1 hour'), u.hour + interval '1 hour') - j.started_at))) as seconds
      from hour_use u join jobs j using (source_id) where u.meter = 'runnerSeconds' group by 1, 2, 3
    ), reached as (
      select source_id, hour, total + least(0, min(seconds - total) over (partition by source_id order by hour)) as until from told
    ), steps as (
      select source_id, hour, until, coalesce(lag(until) over (partition by source_id order by hour), 0) as since from reached
    ), busy as (
      select t.source_id, t.hour, j.repository, j.workflow, j.connection_id || '/' || j.external_id as job, j.failed,
        least(t.until, j.until) - greatest(t.since, coalesce(lag(j.until) over (partition by t.source_id, t.hour
          order by j.started_at, j.connection_id, j.external_id), 0)) as share
      from steps t join jobs j using (source_id) where t.until > t.since
    ), rest as (
      select u.source_id, u.meter, u.hour, u.used - coalesce(t.until - t.since, 0) as share
      from hour_use u left join steps t on u.meter = 'runnerSeconds' and t.source_id = u.source_id and t.hour = u.hour
    ), parts as (
      select source_id, 'runnerSeconds' as meter, hour, 'job' as kind, share, repository, workflow, job,
        coalesce(failed, false) as failed from busy where share > 0 and hour >= ${from}
      union all
      select r.source_id, r.meter, r.hour, case when s.kind <> 'runner' then 'plane' when s.tenant_id is null then 'unattributed'
        when s.ended_itself and n.source_id is null then 'unattributed' else 'idle' end,
        r.share, null, null, null, false
      from rest r join usage_source s on s.id = r.source_id left join named n on n.source_id = r.source_id
      where r.share > 0 and r.hour >= ${from}
    ), lines as (
      select s.tenant_id, p.kind, date_trunc(${bucket}, p.hour, 'UTC') as at, s.pool_name, p.meter,
        ${byWorkflow ? Prisma.sql`p.repository` : none} as repository, ${byWorkflow ? Prisma.sql`p.workflow` : none} as workflow,
        ${detail === 'job' ? Prisma.sql`p.job` : none} as job, ${byWorkflow ? Prisma.sql`p.failed` : Prisma.sql`false`} as has_failed,
        sum(p.share) as quantity, sum(p.share * s.cpu_cores) as cores, sum(p.share * s.memory_gib) as gib,
        sum(p.share * s.gpu_count) as gpus
      from parts p join usage_source s on s.id = p.source_id group by 1, 2, 3, 4, 5, 6, 7, 8, 9
    )`;
}

/** Of all tenants, and what belongs to none, with null. */
export function belongsTo(tenantIds: readonly string[] | null): Prisma.Sql {
  return tenantIds === null ? Prisma.sql`true` : Prisma.sql`h.tenant_id = any(${tenantIds}::uuid[])`;
}
