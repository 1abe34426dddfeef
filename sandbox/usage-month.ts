// A stretch of usage as if it had been measured: for walks and measurements, which cannot wait a month. Everything follows
// from the counts, so that two runs make the same rows.
import type pg from 'pg';

export type UsageMonth = {
  /** Whose it is; each has the same, but for what its place in the list changes. */
  tenants: { id: string; slug: string; clusterId: string }[];
  connectionId: string;
  from: Date;
  days: number;
  /** A tenant's runners a day. */
  runners: number;
  /** Readings of each, a quarter of a minute apart. */
  readings: number;
  /** Before the names of all that is made. */
  tag: string;
};

/** Inserts it as the role flywheel_system, which the connection must have taken. Answers how many readings there are. */
export async function makeUsage(client: pg.Client, given: UsageMonth): Promise<number> {
  const { tenants, connectionId, from, days, runners, readings, tag } = given;
  for (let day = 0; day <= days; day += 1)
    await client.query('select usage_partition_ensure($1)', [new Date(from.getTime() + day * 86_400_000)]);
  const list = JSON.stringify(tenants.map((tenant, index) => ({ ...tenant, index })));
  // Pools in turn, each with what its runners ask for.
  const made = `
    select t.id as tenant_id, t.slug, t.index, t."clusterId" as cluster_id, d.day, r.runner,
      $4 || '-' || t.slug || '-' || d.day || '-' || r.runner as id,
      (array['docker', 'nix', 'nix-heavy'])[1 + (r.runner + t.index) % 3] as pool, (array[2, 4, 8])[1 + (r.runner + t.index) % 3] as cores,
      $2::timestamptz + make_interval(days => d.day, secs => floor(r.runner * 86000.0 / $5)) as started
    from jsonb_to_recordset($1::jsonb) as t(id uuid, slug text, "clusterId" text, index int)
    cross join generate_series(0, $3::int - 1) as d(day) cross join generate_series(0, $5::int - 1) as r(runner)`;
  const values = [list, from, days, tag, runners];
  await client.query(
    `insert into usage_source (id, cluster_id, tenant_id, enrollment_id, kind, pool_name, name, cpu_cores, memory_gib, started_at, ended_at, ended_itself)
     select id, cluster_id, tenant_id, tenant_id, 'runner', pool, id, cores, cores * 2, started, started + make_interval(secs => $6 * 15), true
     from (${made}) as m`,
    [...values, readings],
  );
  // Every seventh runner was kept warm and had no job; every ninth job failed.
  await client.query(
    `insert into job (connection_id, external_id, tenant_id, enrollment_id, scale_set_name, repository, workflow, name, state, conclusion,
       runner_name, queued_at, started_at, completed_at)
     select $7, id, tenant_id, tenant_id, pool, slug || '/' || (array['app', 'site', 'infra', 'docs'])[1 + runner % 4],
       (array['test', 'release'])[1 + day % 2], 'build ' || runner, 'completed', case when runner % 9 = 0 then 'failure' else 'success' end,
       id, started, started + interval '5 seconds', started + make_interval(secs => $6 * 15 - 5)
     from (${made}) as m where runner % 7 <> 6`,
    [...values, readings, connectionId],
  );
  const { rowCount } = await client.query(
    `insert into usage_reading (source_id, meter, observed_at, quantity)
     select id, 'runnerSeconds', started + make_interval(secs => k * 15), k * 15 from (${made}) as m cross join generate_series(1, $6::int) as k`,
    [...values, readings],
  );
  await client.query(
    `insert into usage_hour (source_id, meter, hour, tenant_id, highest)
     select r.source_id, r.meter, date_trunc('hour', r.observed_at, 'UTC'), s.tenant_id, max(r.quantity)
     from usage_reading r join usage_source s on s.id = r.source_id where s.id like $1 || '-%' group by 1, 2, 3, 4`,
    [tag],
  );
  return rowCount ?? 0;
}
