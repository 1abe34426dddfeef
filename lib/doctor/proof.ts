import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { heldBack, type EnrollmentRow } from '#lib/enrollment/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Lease, Outcome } from '#lib/work/index.ts';
import type { DoctorDeps } from './examine.ts';
import { runChecks, type Proving } from './proof-checks.ts';
import { beginRoute, routeSoFar } from './proof-route.ts';
import { CheckResults, proofEveryMs, type CheckResult } from './proof-rows.ts';
import { liveRow } from './rows.ts';

const notReadyMs = 60_000;
const jobMs = 2_000;
const viewWaitMs = 5_000;
/** Two months of what is due, and what was asked for besides. */
const runsKept = 300;

/** One look at one enrollment's proof: begun when it is due or asked for, and gone on with until its job has ended. */
export async function proveEnrollment(deps: DoctorDeps, lease: Lease): Promise<Outcome> {
  const row = await liveRow(lease.key);
  if (!row || row.state !== 'active') return { kind: 'gone' };
  const now = deps.clock.now();
  const open = await unsafeDb().proofRun.findFirst({ where: { enrollmentId: row.id, endedAt: null } });
  // What was never ready, or is held back, proves nothing; who asks for it all the same is answered.
  if (!open && (row.readyAt === null || heldBack(row) !== null)) return { kind: 'done', againMs: notReadyMs };
  const dueMs = open ? 0 : await dueInMs(row, now);
  if (dueMs > 0) return { kind: 'done', againMs: dueMs };
  const view = deps.view(row.tenant.clusterId);
  if (!(await view.whenSynced(viewWaitMs, lease.signal)))
    return { kind: 'wait', againMs: notReadyMs, waitingFor: 'cluster' };
  const proving: Proving = { row, view, now, signal: lease.signal };
  const run = open ?? (await unsafeDb().proofRun.create({ data: { tenantId: row.tenantId, enrollmentId: row.id } }));
  const checks = run.state === 'running' ? CheckResults.parse(run.checks) : await begin(proving, run.id, lease);
  const done = await goOn(row, checks, now);
  if (!done) return { kind: 'wait', againMs: jobMs, waitingFor: 'forge' };
  await end(row, run.id, done, lease, now);
  return { kind: 'done', againMs: proofEveryMs };
}

async function dueInMs({ id }: EnrollmentRow, now: Date): Promise<number> {
  const last = await unsafeDb().proofRun.findFirst({ where: { enrollmentId: id }, orderBy: { createdAt: 'desc' } });
  return last ? last.createdAt.getTime() + proofEveryMs - now.getTime() : 0;
}

async function begin(proving: Proving, runId: string, lease: Lease): Promise<CheckResult[]> {
  const { row, now } = proving;
  const checks = await runChecks(proving);
  const route = await routeCheck(proving);
  const all = [...checks.slice(0, 1), { check: 'route' as const, at: now.toISOString(), ...route }, ...checks.slice(1)];
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.proofRun.updateMany({
      where: { id: runId, enrollmentId: row.id },
      data: { state: 'running', checks: all },
    });
  });
  return all;
}

async function routeCheck(proving: Proving): Promise<Omit<CheckResult, 'check' | 'at'>> {
  try {
    return await beginRoute(proving);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { state: 'broken', words: `It could not be asked: ${error.screen.happened}` };
  }
}

/** All that was found, once the job has ended; null while it goes on. */
async function goOn(row: EnrollmentRow, checks: readonly CheckResult[], now: Date): Promise<CheckResult[] | null> {
  const waiting = checks.find(({ state }) => state === 'waiting');
  if (!waiting) return [...checks];
  const said = await routeSoFar(row, waiting, now);
  if (!said) return null;
  return checks.map((each) => (each === waiting ? { ...each, ...said, at: now.toISOString() } : each));
}

async function end(row: EnrollmentRow, runId: string, checks: CheckResult[], lease: Lease, now: Date): Promise<void> {
  const state = checks.some((each) => each.state === 'broken') ? 'broken' : 'held';
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.proofRun.updateMany({ where: { id: runId, enrollmentId: row.id }, data: { state, checks, endedAt: now } });
    const past = await tx.proofRun.findMany({
      where: { enrollmentId: row.id },
      orderBy: { createdAt: 'desc' },
      skip: runsKept,
      select: { id: true },
    });
    await tx.proofRun.deleteMany({ where: { id: { in: past.map(({ id }) => id) } } });
  });
}
