import type { Prisma, UnsafeTx } from '../db/index.ts';
import type { WorkflowJob } from '../forge/index.ts';
import { type JobReading, mergeJob } from './job-state.ts';
import { servesRepository } from './serves.ts';

/**
 * Takes a job's reading into its row. A job that runs elsewhere (another's runners, GitHub's own) is none of ours. Where a
 * tenant could have written it (an organization's own App, an enrollment's own hook), only what that teller serves is, and
 * the job's id is that teller's word for it: it can neither change nor foresee a row that anybody else told of.
 */
export async function recordJob(
  tx: UnsafeTx,
  connectionId: string,
  job: WorkflowJob,
  teller: Teller = { githubAppId: null },
): Promise<void> {
  const pool = await poolOf(tx, { connectionId, ...teller }, job);
  if (!pool) return;
  const word = 'id' in teller ? teller.id : teller.githubAppId;
  const externalId = word === null ? job.externalId : `${word}:${job.externalId}`;
  const key = { connectionId, externalId };
  const reading = readingOf(job);
  const inserted = await tx.job.createMany({ data: [{ ...key, ...pool, ...reading }], skipDuplicates: true });
  if (inserted.count === 1) return;
  const known = await lockJob(tx, connectionId, externalId);
  await tx.job.update({ where: { connectionId_externalId: key }, data: mergeJob(known, reading) });
}

/** Whose enrollments an event may be about: the connection's, an own App's, or one enrollment. */
export type Teller = { githubAppId: string | null } | { id: string };

type Pool = { tenantId: string; enrollmentId: string; scaleSetName: string };

/**
 * The pool that the job's labels name, if its enrollment is of this connection and of this very repository or its owner.
 * Anybody may write any label into a workflow: without the second half, that would be a job on another tenant's bill.
 */
async function poolOf(
  tx: UnsafeTx,
  enrollment: { connectionId: string } & Teller,
  job: WorkflowJob,
): Promise<Pool | undefined> {
  const named = await tx.enrollmentPool.findMany({
    where: { scaleSetName: { in: job.labels }, enrollment },
    select: {
      tenantId: true,
      enrollmentId: true,
      scaleSetName: true,
      enrollment: { select: { level: true, scopeId: true, path: true } },
    },
    orderBy: { scaleSetName: 'asc' },
  });
  const found = named.find((each) => servesRepository(each.enrollment, job));
  return found && { tenantId: found.tenantId, enrollmentId: found.enrollmentId, scaleSetName: found.scaleSetName };
}

function readingOf(job: WorkflowJob): JobReading {
  const { state, repository, workflow, name, conclusion, runnerName, queuedAt, startedAt, completedAt } = job;
  return { state, repository, workflow, name, conclusion, runnerName, queuedAt, startedAt, completedAt };
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
  workflow: true,
  name: true,
  conclusion: true,
  runnerName: true,
  queuedAt: true,
  startedAt: true,
  completedAt: true,
} satisfies Prisma.JobSelect;
