import type { UnsafeTx } from '../db/index.ts';
import { type JobReading, mergeJob } from './job-state.ts';

/** Whose job it is. */
export type Pool = { tenantId: string; enrollmentId: string; scaleSetName: string };

/* Written by hand: a query is compiled anew for each number of rows, and that takes longer than the statement itself. */

export async function insertJobs(
  tx: UnsafeTx,
  connectionId: string,
  jobs: readonly [string, Pool & JobReading][],
): Promise<Set<string>> {
  const told = JSON.stringify(jobs.map(([externalId, row]) => ({ externalId, ...row })));
  const rows = await tx.$queryRaw<{ id: string }[]>`
    insert into job (connection_id, external_id, tenant_id, enrollment_id, scale_set_name, state, repository, run_id, workflow, name,
      conclusion, runner_name, queued_at, started_at, completed_at)
    select ${connectionId}, "externalId", "tenantId", "enrollmentId", "scaleSetName", state, repository, "runId", workflow, name,
      conclusion, "runnerName", "queuedAt", "startedAt", "completedAt"
    from jsonb_to_recordset(${told}::jsonb) as told ("externalId" text, "tenantId" uuid, "enrollmentId" uuid,
      "scaleSetName" text, state "JobState", repository text, "runId" text, workflow text, name text, conclusion text, "runnerName" text,
      "queuedAt" timestamptz, "startedAt" timestamptz, "completedAt" timestamptz)
    order by "externalId"
    on conflict do nothing
    returning external_id as id`;
  return new Set(rows.map(({ id }) => id));
}

export async function mergeKnown(tx: UnsafeTx, connectionId: string, readings: Map<string, JobReading>): Promise<void> {
  if (readings.size === 0) return;
  const known = await tx.$queryRaw<(JobReading & { externalId: string })[]>`
    select external_id as "externalId", state, repository, run_id as "runId", workflow, name, conclusion, runner_name as "runnerName",
      queued_at as "queuedAt", started_at as "startedAt", completed_at as "completedAt"
    from job where connection_id = ${connectionId} and external_id = any(${[...readings.keys()]})
    order by external_id for update`;
  const merged = known.flatMap(({ externalId, ...row }) => {
    const reading = readings.get(externalId);
    return reading ? [{ externalId, ...mergeJob(row, reading) }] : [];
  });
  await tx.$executeRaw`
    update job set state = told.state, repository = told.repository, run_id = told."runId", workflow = told.workflow, name = told.name,
      conclusion = told.conclusion, runner_name = told."runnerName", queued_at = told."queuedAt",
      started_at = told."startedAt", completed_at = told."completedAt"
    from jsonb_to_recordset(${JSON.stringify(merged)}::jsonb) as told ("externalId" text, state "JobState", repository text, "runId" text,
      workflow text, name text, conclusion text, "runnerName" text, "queuedAt" timestamptz, "startedAt" timestamptz,
      "completedAt" timestamptz)
    where job.connection_id = ${connectionId} and job.external_id = told."externalId"`;
}
