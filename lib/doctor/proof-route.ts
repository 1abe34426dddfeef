import { unsafeDb } from '#lib/db/index.ts';
import { atScope, openForgeFor, parsedConditions, specOf, type EnrollmentRow } from '#lib/enrollment/index.ts';
import { labelOf, namespacesOf } from '#lib/model/index.ts';
import type { Proving } from './proof-checks.ts';
import type { CheckResult } from './proof-rows.ts';

/*
 * Whether a label leads to this pool: a workflow that somebody put into a repository is started through the forge, and the job
 * that comes of it is looked for among those that the forge told of. Where no workflow can be started, the last job that
 * anybody ran by the label is looked at, and what listens for the next.
 */

export const proofWorkflow = 'flywheel-proof.yml';
const workflowName = 'flywheel-proof';

type Said = Pick<CheckResult, 'state' | 'words'>;

/** Each run takes the next of the enrollment's labels. */
export function labelToProve(row: EnrollmentRow, runs: number): string | null {
  const pools = specOf(row)?.pools ?? [];
  const pool = pools[runs % Math.max(1, pools.length)];
  return pool ? labelOf(row.tenant, pool.pool) : null;
}

/** Where the workflow is: the scope itself, or what an admin named. */
async function repositoryOf(row: EnrollmentRow): Promise<string | null> {
  if (row.level === 'repository' || row.level === 'project') return row.path;
  const setting = await unsafeDb().proofSetting.findUnique({ where: { enrollmentId: row.id } });
  return setting?.repository ?? null;
}

/** Starts the job where the forge permits it: `waiting` then; else what was looked at instead. */
export async function beginRoute(proving: Proving, label: string): Promise<Said> {
  const { row, signal } = proving;
  const why = await dispatch(row, label, signal);
  if (why === null) return { state: 'waiting', words: `The workflow ${workflowName} was started for ${label}.` };
  return lookedAtInstead(proving, label, why);
}

/** Null where it was started, else why not, as the end of a sentence. */
async function dispatch(row: EnrollmentRow, label: string, signal: AbortSignal): Promise<string | null> {
  const forge = await openForgeFor(row);
  if (!forge.dispatchWorkflow) return `the portal starts no workflows at ${row.connection.name}`;
  const repository = await repositoryOf(row);
  if (repository === null) return 'no repository was named whose workflow could be started';
  const at = await atScope(row, signal);
  if (!at) return 'there is no credential';
  const answer = await forge.dispatchWorkflow({ ...at, repository, workflow: proofWorkflow, inputs: { label } });
  return 'sent' in answer ? null : answer.why;
}

const freshMs = 7 * 24 * 3600_000;

async function lookedAtInstead({ row, view, now }: Proving, label: string, why: string): Promise<Said> {
  const last = await unsafeDb().job.findFirst({
    where: { enrollmentId: row.id, scaleSetName: label, state: 'completed', runnerName: { not: null } },
    orderBy: { completedAt: 'desc' },
  });
  const excuse = `No job was started, since ${why}.`;
  if (last?.completedAt && now.getTime() - last.completedAt.getTime() < freshMs)
    return {
      state: 'instead',
      words: `${excuse} Instead: a job of ${last.repository} that asked for ${label} ran on ${last.runnerName} at ${last.completedAt.toISOString()}.`,
    };
  const listens = isListening({ row, view }, label);
  if (!listens) return { state: 'broken', words: `${excuse} Instead: nothing listens for jobs with ${label}.` };
  return {
    state: 'instead',
    words: `${excuse} Instead: ${label} is registered at ${row.connection.name} and listens; no job has asked for it in a week.`,
  };
}

/** At GitHub the controller's word, elsewhere the reconciler's, which asks the forge whether each runner is there. */
function isListening({ row, view }: Pick<Proving, 'row' | 'view'>, label: string): boolean {
  if (row.connection.kind !== 'github')
    return parsedConditions(row.conditions).some(({ type, status }) => type === 'RunnersReady' && status === 'True');
  const set = view.get({
    apiVersion: 'actions.github.com/v1alpha1',
    kind: 'AutoscalingRunnerSet',
    metadata: { name: label, namespace: namespacesOf(row.tenant.slug).runners },
  });
  return (set?.status as { phase?: string } | undefined)?.phase === 'Running';
}

const patienceMs = 10 * 60_000;

/** What became of the job; null while it goes on. */
export async function routeSoFar(row: EnrollmentRow, label: string, since: Date, now: Date): Promise<Said | null> {
  const job = await unsafeDb().job.findFirst({
    where: { enrollmentId: row.id, scaleSetName: label, workflow: workflowName, queuedAt: { gte: since } },
    orderBy: { queuedAt: 'desc' },
  });
  // The cluster may tell that it ended before the forge tells how.
  if (job?.state === 'completed' && job.conclusion !== null) {
    const words = `A job was started in ${job.repository} for ${label}; it ran on ${job.runnerName ?? 'no runner'} and ended with ${job.conclusion}.`;
    const waitedS = job.startedAt ? Math.round((job.startedAt.getTime() - job.queuedAt.getTime()) / 1000) : null;
    const waited = waitedS === null ? '' : ` It waited ${waitedS} s.`;
    return { state: job.conclusion === 'success' ? 'held' : 'broken', words: words + waited };
  }
  if (now.getTime() - since.getTime() < patienceMs) return null;
  const stands = job ? `is ${job.state}, with no word of how it ended,` : 'was never told of';
  return { state: 'broken', words: `A job was started for ${label} and ${stands} after ten minutes.` };
}
