import type { Clock } from '#lib/clock.ts';
import type { ClusterView } from '#lib/cluster/index.ts';
import { type Prisma, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { forgetControllers, repairPool, type EnrollmentRow } from '#lib/enrollment/index.ts';
import { imageReference, runnersNamespacesOf } from '#lib/model/index.ts';
import { appendSystemAudit } from '#lib/tenant/index.ts';
import { wake, type Lease, type Outcome } from '#lib/work/index.ts';
import { diagnose } from './diagnose.ts';
import { withEvents } from './events.ts';
import type { Found, FindingKind } from './facts.ts';
import { lookAt } from './look.ts';
import { liveRow, positionOf, StoredOffer } from './rows.ts';
import { send, stepsOf, type Steps } from './steps.ts';

export type DoctorDeps = { clock: Clock; view: (clusterId: string) => ClusterView };

const wellMs = 5 * 60_000;
const troubledMs = 4_000;
const awayMs = 30_000;
/** What was found so long ago and is still so is looked at less often. */
const freshMs = 15 * 60_000;
const staleTroubleMs = 60_000;
const viewWaitMs = 5_000;

/** How long something must not have been seen before it counts as gone: what comes and goes by itself needs longer. */
const settleMs: Partial<Record<FindingKind, number>> = {
  'pod-failures': 20_000,
  'version-label': 5_000,
  'listener-restarting': 5_000,
};
const settleUsualMs = 1_000;
/** By then a repair has shown whether it helps. */
const helpMs = 3 * 60_000;

/**
 * One look at one enrollment: repairs that a person applied are carried out, what is wrong is found and kept, and what was
 * repaired is looked after until it is gone or has not helped.
 */
export async function examineEnrollment(deps: DoctorDeps, lease: Lease): Promise<Outcome> {
  const row = await liveRow(lease.key);
  if (!row) return leave(lease);
  const view = deps.view(row.tenant.clusterId);
  if (!(await view.whenSynced(viewWaitMs, lease.signal)))
    return { kind: 'wait', againMs: awayMs, waitingFor: 'cluster' };
  const wasCarriedOut = await carryOutApproved(row, view, lease, deps.clock);
  const now = deps.clock.now();
  const { findings: seen, ripeAt } = diagnose(await lookAt(row, view, now));
  const findings = await withEvents(view, runnersNamespacesOf(row.tenant.slug), seen);
  const left = await keepFindings(row, findings, lease, now);
  const againMs =
    left.since === null && !wasCarriedOut
      ? wellMs
      : left.since && now.getTime() - left.since.getTime() > freshMs
        ? staleTroubleMs
        : troubledMs;
  const ripeMs = ripeAt === null ? wellMs : Math.max(500, ripeAt.getTime() - now.getTime());
  return { kind: 'done', againMs: Math.min(againMs, ripeMs) };
}

/** Nothing of it can be out of order any more. */
async function leave(lease: Lease): Promise<Outcome> {
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.finding.updateMany({ where: { enrollmentId: lease.key, goneAt: null }, data: { goneAt: new Date() } });
    await tx.repair.updateMany({
      where: { enrollmentId: lease.key, state: { in: ['open', 'approved', 'applied'] } },
      data: { state: 'discarded', endedAt: new Date(), outcome: 'The enrollment was withdrawn.' },
    });
    await tx.strayJob.deleteMany({ where: { enrollmentId: lease.key } });
  });
  return { kind: 'gone' };
}

// ------------------------------------------------------------------------------------------------ what was found

/** Writes what was found; answers since when the newest trouble is known, null where there is none and no repair is watched. */
async function keepFindings(
  row: EnrollmentRow,
  findings: readonly Found[],
  lease: Lease,
  now: Date,
): Promise<{ since: Date | null }> {
  const known = await unsafeDb().finding.findMany({ where: { enrollmentId: row.id, goneAt: null } });
  const watched = await unsafeDb().repair.findMany({ where: { enrollmentId: row.id, state: 'applied' } });
  if (known.length === 0 && findings.length === 0 && watched.length === 0) return { since: null };
  return unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    for (const found of findings) await keepFinding(tx, row, found, now);
    const isFound = ({ kind, subject }: { kind: string; subject: string }) =>
      findings.some((each) => each.kind === kind && each.subject === subject);
    const settled = known.filter(
      (each) =>
        !isFound(each) &&
        now.getTime() - each.lastSeenAt.getTime() >= (settleMs[each.kind as FindingKind] ?? settleUsualMs),
    );
    await tx.finding.updateMany({ where: { id: { in: settled.map(({ id }) => id) } }, data: { goneAt: now } });
    await settleRepairs(tx, row, now);
    const open = await tx.finding.findFirst({
      where: { enrollmentId: row.id, goneAt: null },
      orderBy: { firstSeenAt: 'desc' },
    });
    const under = await tx.repair.findFirst({ where: { enrollmentId: row.id, state: 'applied' } });
    return { since: under?.appliedAt ?? open?.firstSeenAt ?? null };
  });
}

async function keepFinding(tx: UnsafeTx, row: EnrollmentRow, found: Found, now: Date): Promise<void> {
  const { kind, subject, ...rest } = found;
  const data = { ...rest, evidence: rest.evidence, offers: rest.offers as Prisma.InputJsonValue, lastSeenAt: now };
  const where = { enrollmentId: row.id, kind, subject, goneAt: null };
  const { count } = await tx.finding.updateMany({ where, data });
  if (count === 0)
    await tx.finding.create({
      data: { tenantId: row.tenantId, enrollmentId: row.id, kind, subject, firstSeenAt: now, ...data },
    });
}

/** A repair helped when what it was for is gone; where it is still so after a while, it did not. */
async function settleRepairs(tx: UnsafeTx, row: EnrollmentRow, now: Date): Promise<void> {
  const watched = await tx.repair.findMany({
    where: { enrollmentId: row.id, state: 'applied' },
    include: { finding: true },
  });
  for (const { id, kind, finding, appliedAt } of watched) {
    const isGone = finding.goneAt !== null;
    if (!isGone && now.getTime() - (appliedAt?.getTime() ?? 0) < helpMs) continue;
    const outcome = isGone
      ? 'Looked at since: nothing of it is seen any more.'
      : 'Looked at for three minutes since: it is still so.';
    const state = isGone ? 'helped' : 'failed';
    await tx.repair.update({ where: { id }, data: { state, endedAt: now, outcome } });
    await appendSystemAudit(tx, row.tenantId, {
      action: `repair:${state}`,
      target: `enrollment/${row.name}`,
      after: { repair: kind, finding: finding.title, outcome },
    });
  }
}

// ------------------------------------------------------------------------------------------------ repairs

type Approved = Prisma.RepairGetPayload<{ include: { finding: true } }>;

async function carryOutApproved(row: EnrollmentRow, view: ClusterView, lease: Lease, clock: Clock): Promise<boolean> {
  const approved = await unsafeDb().repair.findMany({
    where: { enrollmentId: row.id, state: 'approved' },
    include: { finding: true },
    orderBy: { decidedAt: 'asc' },
  });
  for (const repair of approved) await carryOut(row, repair, view, lease, clock);
  return approved.length > 0;
}

/** What a retry heals is tried again; what the cluster refuses is told to whoever applied it. */
async function carryOut(
  row: EnrollmentRow,
  repair: Approved,
  view: ClusterView,
  lease: Lease,
  clock: Clock,
): Promise<void> {
  const { kind, params } = StoredOffer.parse({ ...repair, who: 'admin' });
  try {
    const steps = await stepsOf(view.client, await positionOf(row), { kind, params });
    await lease.check();
    await send(view.client, steps.requests, { dryRun: false });
    if (kind === 'stamp-version') forgetControllers();
    await noteApplied(row, repair, steps, lease, clock.now());
  } catch (error) {
    if (!(error instanceof AppError) || isRetryable(error)) throw error;
    await noteRefused(row, repair, error, lease, clock.now());
  }
}

function isRetryable({ code }: AppError): boolean {
  return code === 'unavailable' || code === 'rate_limited' || code === 'stale';
}

async function noteApplied(row: EnrollmentRow, repair: Approved, steps: Steps, lease: Lease, now: Date): Promise<void> {
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.repair.update({ where: { id: repair.id }, data: { state: 'applied', appliedAt: now } });
    await appendSystemAudit(tx, row.tenantId, {
      action: 'repair:carried-out',
      target: `enrollment/${row.name}`,
      after: { repair: repair.kind, finding: repair.finding.title, for: repair.decidedBy, changes: steps.changes },
    });
    if (steps.catalog) await changeCatalog(tx, steps.catalog, repair);
    if (repair.kind === 'look-again') await doubtScope(tx, row, now);
    await wake(tx, 'enrollment', row.id);
  });
}

async function noteRefused(
  row: EnrollmentRow,
  repair: Approved,
  error: AppError,
  lease: Lease,
  now: Date,
): Promise<void> {
  const outcome = [error.screen.happened, error.screen.todo].filter(Boolean).join(' ');
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.repair.update({ where: { id: repair.id }, data: { state: 'failed', endedAt: now, outcome } });
    await appendSystemAudit(tx, row.tenantId, {
      action: 'repair:failed',
      target: `enrollment/${row.name}`,
      after: { repair: repair.kind, finding: repair.finding.title, outcome },
    });
  });
}

function partOf(change: NonNullable<Steps['catalog']>): Parameters<typeof repairPool>[3] {
  if (!('image' in change)) return { placement: null };
  const [image = '', imageDigest = null] = change.image.split('@');
  return { image, imageDigest };
}

/** By the catalog, whose record is the operators'; of those who use the pool, this enrollment alone has it at once. */
async function changeCatalog(tx: UnsafeTx, change: NonNullable<Steps['catalog']>, repair: Approved): Promise<void> {
  const { before, after } = await repairPool(tx, repair.enrollmentId, change.pool, partOf(change));
  await appendSystemAudit(tx, null, {
    action: 'pool:change',
    target: `pool/${change.pool}`,
    before: { image: imageReference(before), placement: before.placement ?? null },
    after: { image: imageReference(after), placement: after.placement ?? null, for: repair.decidedBy },
  });
}

/** What was seen of it lately counts no longer: the next pass asks the forge. */
async function doubtScope(tx: UnsafeTx, row: EnrollmentRow, now: Date): Promise<void> {
  await tx.enrollment.update({ where: { id: row.id }, data: { toldAt: now } });
}
