import { Prisma, type UnsafeTx } from '../db/index.ts';
import type { WorkflowJob } from '../forge/index.ts';
import type { ScopeLevel } from '../model/index.ts';
import { insertJobs, mergeKnown, type Pool } from './job-rows.ts';
import { type JobReading, mergeJob } from './job-state.ts';
import { absorbSeen, takeTurns, turnsOf } from './seen.ts';
import { servesRepository } from './serves.ts';
import { noteStrays } from './stray.ts';

/**
 * Takes a job's reading into its row. A job that runs elsewhere (another's runners, GitHub's own) is none of ours. Where a
 * tenant could have written it (an organization's own App, an enrollment's own hook), only what that teller serves is, and
 * the job's id is that teller's word for it: it can neither change nor foresee a row that anybody else told of.
 */
export async function recordJob(tx: UnsafeTx, connectionId: string, job: WorkflowJob, teller: Teller): Promise<void> {
  const pool = poolAmong(await namedPools(tx, connectionId, teller, job.labels), job);
  const word = 'id' in teller ? teller.id : teller.githubAppId;
  const externalId = word === null ? job.externalId : `${word}:${job.externalId}`;
  if (!isMet(pool, job)) await noteStrays(tx, connectionId, teller, [{ ...job, externalId }]);
  if (!pool) return;
  const key = { connectionId, externalId };
  const reading = readingOf(job);
  const told = [{ externalId, jobId: job.externalId, ...pool, ...reading }];
  await takeTurns(tx, told.flatMap(turnsOf));
  const inserted = await tx.job.createMany({ data: [{ ...key, ...pool, ...reading }], skipDuplicates: true });
  if (inserted.count === 0) {
    const known = await lockJob(tx, connectionId, externalId);
    await tx.job.update({ where: { connectionId_externalId: key }, data: mergeJob(known, reading) });
  }
  await absorbSeen(tx, connectionId, told);
}

/** Whose enrollments an event may be about: the connection's, an own App's, or one enrollment. */
export type Teller = { githubAppId: string | null } | { id: string };

type NamedPool = Pool & { level: ScopeLevel; scopeId: string; path: string };

/** Takes the readings of many jobs into their rows, as `recordJob` takes one: a few statements however many they are. */
export async function recordJobs(tx: UnsafeTx, connectionId: string, jobs: readonly WorkflowJob[]): Promise<void> {
  const labels = [...new Set(jobs.flatMap((job) => job.labels))];
  const named = await namedPools(tx, connectionId, { githubAppId: null }, labels);
  const rows = new Map<string, Pool & JobReading>();
  const strays: WorkflowJob[] = [];
  for (const job of jobs) {
    const pool = poolAmong(named, job);
    if (!isMet(pool, job)) strays.push(job);
    if (!pool) continue;
    const before = rows.get(job.externalId);
    rows.set(job.externalId, { ...pool, ...(before ? mergeJob(before, readingOf(job)) : readingOf(job)) });
  }
  await noteStrays(tx, connectionId, { githubAppId: null }, strays);
  if (rows.size === 0) return;
  // Always in the same order, so that two who write the same jobs cannot wait for each other.
  const sorted = [...rows].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const told = sorted.map(([externalId, row]) => ({ externalId, jobId: externalId, ...row }));
  await takeTurns(tx, told.flatMap(turnsOf));
  const fresh = await insertJobs(tx, connectionId, sorted);
  await mergeKnown(tx, connectionId, new Map(sorted.filter(([externalId]) => !fresh.has(externalId))));
  await absorbSeen(tx, connectionId, told);
}

async function namedPools(tx: UnsafeTx, connectionId: string, teller: Teller, labels: string[]): Promise<NamedPool[]> {
  const told =
    'id' in teller
      ? Prisma.sql`enrollment.id = ${teller.id}::uuid`
      : Prisma.sql`enrollment.github_app_id is not distinct from ${teller.githubAppId}::uuid`;
  return tx.$queryRaw<NamedPool[]>`
    select scale_set_name as "scaleSetName", enrollment.tenant_id as "tenantId", enrollment_id as "enrollmentId", level,
      scope_id as "scopeId", path
    from enrollment_pool join enrollment on enrollment.id = enrollment_id
    where scale_set_name = any(${labels}) and connection_id = ${connectionId} and ${told}
    order by scale_set_name`;
}

/**
 * The pool that the job's labels name, if its enrollment is of this connection and of this very repository or its owner.
 * Anybody may write any label into a workflow: without the second half, that would be a job on another tenant's bill.
 */
function poolAmong(named: readonly NamedPool[], job: WorkflowJob): Pool | undefined {
  const found = named.find((each) => job.labels.includes(each.scaleSetName) && servesRepository(each, job));
  return found && { tenantId: found.tenantId, enrollmentId: found.enrollmentId, scaleSetName: found.scaleSetName };
}

/** Runners answer to one label alone: a job that asks for another beside it gets none of them. */
function isMet(pool: Pool | undefined, { labels }: WorkflowJob): boolean {
  return pool !== undefined && labels.length === 1;
}

function readingOf(job: WorkflowJob): JobReading {
  const { state, repository, runId, workflow, name, conclusion, runnerName, queuedAt, startedAt, completedAt } = job;
  return { state, repository, runId, workflow, name, conclusion, runnerName, queuedAt, startedAt, completedAt };
}

/** Readings of one job that arrive at once are merged one after the other. */
async function lockJob(tx: UnsafeTx, connectionId: string, externalId: string): Promise<JobReading> {
  await tx.$queryRaw`select 1 from job where connection_id = ${connectionId} and external_id = ${externalId} for update`;
  return tx.job.findUniqueOrThrow({
    where: { connectionId_externalId: { connectionId, externalId } },
    select: fields,
  });
}

const fields = {
  state: true,
  repository: true,
  runId: true,
  workflow: true,
  name: true,
  conclusion: true,
  runnerName: true,
  queuedAt: true,
  startedAt: true,
  completedAt: true,
} satisfies Prisma.JobSelect;
