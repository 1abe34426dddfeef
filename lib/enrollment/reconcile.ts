import type { Clock } from '#lib/clock.ts';
import type { ClusterView } from '#lib/cluster/index.ts';
import { unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Condition } from '#lib/model/index.ts';
import { observe, span, stopwatch } from '#lib/telemetry/index.ts';
import { appendSystemAudit } from '#lib/tenant/index.ts';
import { wake, type Lease, type Outcome } from '#lib/work/index.ts';
import { atScope } from './at-scope.ts';
import { lockLine } from './allocation.ts';
import { approvedPools, poolsByName } from './catalog.ts';
import { mergedConditions, parsedConditions, readyOf, type PhaseResult } from './conditions.ts';
import { openForgeFor } from './connections.ts';
import { leaveBazelPassword } from './credentials.ts';
import { otherLiveEnrollments, sharedByTenant } from './desired.ts';
import { isRetryable, resultOf } from './failure.ts';
import { notReached, once, wasReady, type PassScope, type Phase } from './pass.ts';
import { enrollPhases } from './phases.ts';
import { heldBy, prepareElsewhere } from './prepare.ts';
import { enrollmentRow, specOf, type EnrollmentRow } from './rows.ts';
import { keepFair, regrant } from './sharing.ts';
import { tellOfFailure } from './tell.ts';
import { withdrawPhases } from './withdraw-phases.ts';

export type ReconcileDeps = {
  clock: Clock;
  /** The watch-fed view of a cluster, one for all passes. */
  view: (clusterId: string) => ClusterView;
  seen: Map<string, number>;
};

const lookAgainMs = 10 * 60_000;
const waitMs = 10_000;
/** A process that is up comes to its forge within seconds, and nothing tells us when; what has not come in a minute is not asked after so often. */
const waitForRunnerMs = { atFirst: 2_000, firstMs: 60_000, later: 30_000 };
const waitForPersonMs = 60_000;
/** In a move: looked at often, since somebody waits for it and only a few things are waited for. */
const preparingMs = 1_000;
const closingMs = 500;

/** One pass for one enrollment: observe, make match, say how far it is. The key is all it is told. */
export async function reconcileEnrollment(deps: ReconcileDeps, lease: Lease): Promise<Outcome> {
  const [row, catalog] = await Promise.all([fairRow(lease), poolsByName()]);
  const spec = row && specOf(row);
  if (!row || !spec || row.state === 'draft' || row.state === 'withdrawn') return { kind: 'gone' };
  const { moving, otherClusterId } = row.tenant;
  // The tenant changes its cluster this very moment: nobody writes to either.
  if (moving === 'closing') return { kind: 'wait', againMs: closingMs, waitingFor: 'portal' };
  const phases = row.state === 'withdrawing' ? withdrawPhases : enrollPhases;
  let soonMs = lookAgainMs * (0.75 + Math.random() / 2);
  const scope: PassScope = {
    row,
    spec,
    pools: approvedPools(row, catalog),
    view: deps.view(row.tenant.clusterId),
    forge: () => openForgeFor(row),
    lease,
    clock: deps.clock,
    seen: deps.seen,
    attic: undefined,
    found: new Map(),
    lookAgain: (ms) => (soonMs = Math.min(soonMs, ms)),
    at: () => atScope(row, lease.signal),
    // What is withdrawn wants nothing any more; what the others want stays.
    shared: once(() => sharedByTenant(row, row.state === 'withdrawing' ? null : spec)),
    isLast: once(async () => (await otherLiveEnrollments(row)) === 0),
    ...(moving === 'leaving' && otherClusterId ? { isHeld: heldBy(row, deps.view(otherClusterId)) } : {}),
  };
  // Of the cluster that was left, what was seen says nothing.
  if (moving === 'leaving') scope.seen.delete(`${row.id}/online`);
  const { found, error } = await runPhases(phases, scope);
  const ready = readyOf(found);
  if (ready.status === 'True' && row.state === 'withdrawing') {
    const isFinished = await finishWithdrawal(scope, found, deps);
    return isFinished ? { kind: 'gone' } : { kind: 'wait', againMs: 0, waitingFor: 'portal' };
  }
  const now = deps.clock.now();
  const conditions = await keepConditions(row, new Map([['Ready', ready], ...found]), lease, now);
  const standing = conditions.find(({ type }) => type === 'Ready');
  await tellOfFailure(row, standing, { now, lease, seen: deps.seen });
  if (moving === 'preparing' && otherClusterId && row.state === 'active') {
    const isReady = await prepareElsewhere(scope, otherClusterId, deps.view(otherClusterId));
    if (!isReady) return { kind: 'wait', againMs: preparingMs, waitingFor: 'cluster' };
  }
  if (error) throw error;
  if (ready.status === 'True') return { kind: 'done', againMs: soonMs };
  return {
    kind: 'wait',
    againMs: waitOf(ready, waitedMs(row, ready, deps.clock.now())),
    waitingFor: ready.waitingFor,
  };
}

/** The row as it is; in a tenant that is shared, with the share that follows from who shares it now. */
async function fairRow(lease: Lease): Promise<EnrollmentRow | null> {
  const row = await enrollmentRow(lease.key);
  return row && (await keepFair(row, lease)) ? enrollmentRow(lease.key) : row;
}

/** For how long it has been waited for this very reason. */
function waitedMs(row: EnrollmentRow, { reason }: PhaseResult, now: Date): number {
  const before = parsedConditions(row.conditions).find(({ type }) => type === 'Ready');
  return before?.reason === reason ? now.getTime() - Date.parse(before.since) : 0;
}

function waitOf({ reason, waitingFor }: PhaseResult, forMs: number): number {
  const { atFirst, firstMs, later } = waitForRunnerMs;
  if (reason === 'RunnerOffline') return forMs < firstMs ? atFirst : later;
  return waitingFor === 'admin' || waitingFor === 'operator' ? waitForPersonMs : waitMs;
}

/** All phases run whose needs are met; the first error that a retry may heal is thrown when conditions are written. */
async function runPhases(
  phases: readonly Phase[],
  scope: PassScope,
): Promise<{ found: Map<string, PhaseResult>; error: AppError | undefined }> {
  const { found } = scope;
  let error: AppError | undefined;
  for (const phase of phases) {
    const keptWithout = wasReady(scope) ? (phase.keptWithout ?? []) : [];
    const needs = phase.needs.filter((need) => !keptWithout.includes(need));
    const missing = needs.find((need) => found.get(need)?.status !== 'True');
    if (missing) {
      found.set(phase.type, notReached(found.get(missing)?.waitingFor ?? 'portal'));
      continue;
    }
    const took = stopwatch();
    const ended = (outcome: string) => observe('phaseSeconds', { phase: phase.type, outcome }, took());
    try {
      const result = await span(`phase ${phase.type}`, {}, () => phase.run(scope));
      found.set(phase.type, result);
      ended(result.status === 'True' ? 'ready' : 'waiting');
    } catch (thrown) {
      ended('failed');
      if (!(thrown instanceof AppError)) throw thrown;
      found.set(phase.type, resultOf(phase, thrown));
      if (isRetryable(thrown)) error ??= thrown;
    }
  }
  return { found, error };
}

function sameExceptTime(before: readonly Condition[], after: readonly Condition[]): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}

/** Written once, at the end of a pass, only when something changed, and only under the lease and generation of the pass. */
async function keepConditions(
  row: EnrollmentRow,
  found: ReadonlyMap<string, PhaseResult>,
  lease: Lease,
  now: Date,
): Promise<Condition[]> {
  const before = parsedConditions(row.conditions);
  const conditions = mergedConditions(before, found, row.generation, now);
  const isReady = found.get('Ready')?.status === 'True';
  const observedGeneration = isReady ? row.generation : row.observedGeneration;
  if (sameExceptTime(before, conditions) && observedGeneration === row.observedGeneration) return conditions;
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.enrollment.updateMany({
      where: { id: row.id, generation: row.generation },
      data: {
        conditions,
        observedGeneration,
        ...(isReady && row.readyAt === null ? { readyAt: now } : {}),
      },
    });
    // What is wrong is said in words by the doctor (lib/doctor), a room above.
    await wake(tx, 'doctor', row.id);
    if (isReady && row.readyAt === null) await wake(tx, 'proof', row.id);
  });
  return conditions;
}

/**
 * The row stays, as history and for the bill; its names and secrets go. False where it was not the last of its tenant when the
 * pass began and is now: of two that are withdrawn at once each leaves the namespace to the other, and one of them must take it.
 */
async function finishWithdrawal(
  { row, lease, isLast }: PassScope,
  found: ReadonlyMap<string, PhaseResult>,
  deps: ReconcileDeps,
): Promise<boolean> {
  const wasLast = await isLast();
  const now = deps.clock.now();
  const conditions = mergedConditions(parsedConditions(row.conditions), found, row.generation, now);
  const isFinished = await unsafeTransaction(async (tx) => {
    await lockLine(tx, row.tenantId);
    await lease.fence(tx);
    if (!wasLast && (await otherLiveEnrollments(row, tx)) === 0) return false;
    await leaveBazelPassword(tx, row);
    await tx.enrollmentPool.deleteMany({ where: { enrollmentId: row.id } });
    await tx.credential.deleteMany({ where: { enrollmentId: row.id } });
    await tx.enrollment.update({
      where: { id: row.id },
      data: {
        state: 'withdrawn',
        withdrawnAt: now,
        observedGeneration: row.generation,
        conditions,
        runnerGroup: null,
      },
    });
    await regrant(tx, row.tenantId);
    // What the namespace gives and lets through is for those that stay.
    await wakeOthers(tx, row);
    // A tenant that leaves waits for the last of its enrollments.
    if (row.tenant.state === 'leaving') await wake(tx, 'tenant', row.tenantId);
    await appendSystemAudit(tx, row.tenantId, {
      action: 'enrollment:withdrawn',
      target: `enrollment/${row.name}`,
      after: { evidence: conditions.map((each) => each.message) },
    });
    return true;
  });
  if (!isFinished) return false;
  for (const key of deps.seen.keys()) if (key.startsWith(`${row.id}/`)) deps.seen.delete(key);
  return true;
}

async function wakeOthers(tx: UnsafeTx, { tenantId, id }: EnrollmentRow): Promise<void> {
  const others = await tx.enrollment.findMany({
    where: { tenantId, id: { not: id }, state: 'active' },
    select: { id: true },
  });
  await wake(
    tx,
    'enrollment',
    others.map((other) => other.id),
  );
}
