import { unsafeDb } from '#lib/db/index.ts';
import {
  atScope,
  heldBack,
  openForgeFor,
  parsedConditions,
  specOf,
  type EnrollmentRow,
} from '#lib/enrollment/index.ts';
import { labelOf, runnersNamespacesOf } from '#lib/model/index.ts';
import type { Proving } from './proof-checks.ts';
import { CheckResults, type CheckResult } from './proof-rows.ts';

/*
 * Whether a label leads to this pool: a workflow that somebody put into a repository is started through the forge, and the job
 * that comes of it is looked for among those that the forge told of. Where no workflow can be started, the last job that
 * anybody ran by the label is looked at, and what listens for the next.
 */

export const proofWorkflow = 'flywheel-proof.yml';
const workflowName = 'flywheel-proof';

type Said = Pick<CheckResult, 'state' | 'words'>;

/** Each run takes the one after the enrollment's label that was taken last. */
function nextLabel(row: EnrollmentRow, last: string | null): string | null {
  const labels = (specOf(row)?.pools ?? []).map(({ pool }) => labelOf(row.tenant, pool));
  return labels[(labels.indexOf(last ?? '') + 1) % Math.max(1, labels.length)] ?? null;
}

async function lastLabel({ id }: EnrollmentRow): Promise<string | null> {
  const last = await unsafeDb().proofRun.findFirst({
    where: { enrollmentId: id, endedAt: { not: null } },
    orderBy: { createdAt: 'desc' },
  });
  const checks = CheckResults.safeParse(last?.checks).data ?? [];
  return checks.find(({ check }) => check === 'route')?.label ?? null;
}

/** Where the workflow is: the scope itself, or what an admin named. */
async function repositoryOf(row: EnrollmentRow): Promise<string | null> {
  if (row.level === 'repository' || row.level === 'project') return row.path;
  const setting = await unsafeDb().proofSetting.findUnique({ where: { enrollmentId: row.id } });
  return setting?.repository ?? null;
}

/** Starts the job where the forge permits it: `waiting` then; else what was looked at instead. */
export async function beginRoute(proving: Proving): Promise<Omit<CheckResult, 'check' | 'at'>> {
  const { row, signal, now } = proving;
  const held = heldBack(row);
  if (held !== null) return { state: 'off', words: `No job was started. ${held}` };
  const label = nextLabel(row, await lastLabel(row));
  if (label === null) return { state: 'off', words: 'It has no pool.' };
  const before = (await proofJobs(row, label, now)).map(({ externalId }) => externalId);
  const why = await dispatch(row, label, signal);
  if (why !== null) return { ...(await lookedAtInstead(proving, label, why)), label };
  return { state: 'waiting', words: `The workflow ${workflowName} was started for ${label}.`, label, before };
}

/** The forge's clock and ours. */
const clockMs = 60_000;

/** Jobs of the workflow that were queued since, the newest first. */
async function proofJobs(row: EnrollmentRow, label: string, since: Date) {
  const queuedAt = { gte: new Date(since.getTime() - clockMs) };
  return unsafeDb().job.findMany({
    where: { enrollmentId: row.id, scaleSetName: label, workflow: workflowName, queuedAt },
    orderBy: { queuedAt: 'desc' },
  });
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
  return runnersNamespacesOf(row.tenant.slug).some((namespace) => {
    const metadata = { name: label, namespace };
    const set = view.get({ apiVersion: 'actions.github.com/v1alpha1', kind: 'AutoscalingRunnerSet', metadata });
    return (set?.status as { phase?: string } | undefined)?.phase === 'Running';
  });
}

const patienceMs = 10 * 60_000;

/** What became of the job that was started; null while it goes on. */
export async function routeSoFar(
  row: EnrollmentRow,
  { label = '', before = [], at }: CheckResult,
  now: Date,
): Promise<Said | null> {
  const since = new Date(at);
  const job = (await proofJobs(row, label, since)).find(({ externalId }) => !before.includes(externalId));
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
