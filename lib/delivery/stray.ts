import { Prisma, type UnsafeTx } from '../db/index.ts';
import type { WorkflowJob } from '../forge/index.ts';
import type { ScopeLevel } from '../model/index.ts';
import { wake } from '../work/index.ts';
import type { Teller } from './jobs.ts';
import { servesRepository } from './serves.ts';

/*
 * Jobs of enrolled repositories that ask for labels which no runner of ours has: told of for the doctor, and forgotten when
 * they run or end. None of them is anybody's use.
 */

/** Images that forges bring themselves: https://docs.github.com/actions/reference/runners/github-hosted-runners, GitLab's by its tags. */
const hosted = /^(ubuntu|windows|macos|saas-linux|saas-macos|saas-windows)-/i;

const jobsMost = 1000;

type Scope = { id: string; tenantId: string; level: ScopeLevel; scopeId: string; path: string };

export async function noteStrays(
  tx: UnsafeTx,
  connectionId: string,
  teller: Teller,
  told: readonly WorkflowJob[],
): Promise<void> {
  const jobs = told.filter(({ labels }) => labels.length > 0 && !labels.some((label) => hosted.test(label)));
  if (jobs.length === 0) return;
  const over = jobs.filter(({ state }) => state !== 'queued').map(({ externalId }) => externalId);
  if (over.length > 0) await tx.strayJob.deleteMany({ where: { connectionId, externalId: { in: over } } });
  const waiting = jobs.filter(({ state, externalId }) => state === 'queued' && !over.includes(externalId));
  if (waiting.length === 0) return;
  const scopes = await scopesOf(tx, connectionId, teller, waiting);
  const rows = waiting.flatMap((job) =>
    scopes.filter((scope) => servesRepository(scope, job)).map((scope) => rowOf(connectionId, job, scope)),
  );
  if (rows.length === 0) return;
  await tx.strayJob.createMany({ data: rows.slice(0, jobsMost), skipDuplicates: true });
  await wake(
    tx,
    'doctor',
    rows.map(({ enrollmentId }) => enrollmentId),
  );
}

/** Live enrollments that could be meant, by the ids that the jobs name; those that nest are told apart afterwards. */
async function scopesOf(
  tx: UnsafeTx,
  connectionId: string,
  teller: Teller,
  jobs: readonly WorkflowJob[],
): Promise<Scope[]> {
  const ids = [...new Set(jobs.flatMap((job) => [job.repositoryId, job.ownerId, job.enterpriseId]))];
  const told =
    'id' in teller
      ? Prisma.sql`id = ${teller.id}::uuid`
      : Prisma.sql`github_app_id is not distinct from ${teller.githubAppId}::uuid`;
  return tx.$queryRaw<Scope[]>`
    select id, tenant_id as "tenantId", level, scope_id as "scopeId", path from enrollment
    where connection_id = ${connectionId} and state = 'active' and ${told}
      and (scope_id = any(${ids.filter((id) => id !== null)}) or level in ('group', 'instance'))
    order by id`;
}

function rowOf(connectionId: string, job: WorkflowJob, { id, tenantId }: Scope): Prisma.StrayJobCreateManyInput {
  const { externalId, labels, repository, workflow, name, queuedAt } = job;
  return { connectionId, externalId, enrollmentId: id, tenantId, labels, repository, workflow, name, queuedAt };
}
