import { z } from 'zod';
import { approvePlan, makePlan, quotaColumns, quotaOf } from '#lib/enrollment/index.ts';
import { candidates, clusterRoom, hasRoom, placeFor, takesTenants } from '#lib/fleet/index.ts';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, invalidFields } from '#lib/errors.ts';
import { amountsOf, EnrollmentSpec, PoolChoice, Quota, quotaWords } from '#lib/model/index.ts';
import { appendAudit, operatorCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { setQuota } from './ask.ts';
import { beyondHeld } from './capacity.ts';
import { setParent } from './family.ts';
import { anyRequest, freePlan, move, Note, say, Wanted } from './requests.ts';

/* What an operator does with a request. */

type Request = Awaited<ReturnType<typeof anyRequest>>;

/**
 * Who asked does not decide, nor who belongs to the tenant, to one above it or to the one that it would be below, unless the
 * configuration of a small place says so. It is in the audit either way.
 */
async function mayDecide(by: PersonCtx, request: Request): Promise<{ isOwn: boolean }> {
  const { userId } = by.person;
  const tenant = { id: request.tenantId };
  const { parent } = Wanted.parse(request.wanted);
  // Who administers a tenant above administers this one.
  const line = [tenant, { children: { some: tenant } }, { children: { some: { children: { some: tenant } } } }];
  const belongs = await unsafeDb().membership.count({
    where: { userId, role: { not: null }, tenant: { OR: [...line, ...(parent ? [{ slug: parent }] : [])] } },
  });
  const isOwn = request.createdById === userId || belongs > 0;
  if (isOwn && env().FLYWHEEL_OPERATORS_APPROVE_OWN === '0')
    throw new AppError('forbidden', {
      log: 'an operator would decide their own request',
      screen: {
        happened: 'You asked for this, or belong to the tenant that did, so you may not decide it.',
        todo: 'Ask another operator.',
      },
    });
  return { isOwn };
}

export const ApproveInput = z.strictObject({
  requestId: z.uuid(),
  note: Note.default(''),
  /** What is granted in place of what was asked for. */
  quota: Quota.optional(),
  pools: z.array(PoolChoice).min(1).optional(),
  /** Where a tenant that begins is placed, in place of where it was placed by itself. */
  clusterId: z.string().min(1).max(63).optional(),
  /** Said on purpose where the cluster does not hold it. */
  beyondCapacity: z.boolean().default(false),
});
export type ApproveInput = z.infer<typeof ApproveInput>;

/** Grants a request, as asked for or changed. What it asked for happens in the transaction that says so. */
export async function approve(by: PersonCtx, input: ApproveInput): Promise<void> {
  const request = await anyRequest(input.requestId);
  const { isOwn } = await mayDecide(by, request);
  const granted = changesOf(request, input);
  const settle = async (tx: UnsafeTx) => {
    await move(tx, request.id, ['open'], { state: 'approved', by, ...(granted ? { granted } : {}) });
    await say(tx, by, request, 'approved', input.note);
    await appendAudit(tx, by, request.tenantId, {
      action: 'request:approve',
      target: `request/${request.id}`,
      before: request.wanted,
      after: { ...granted, note: input.note, ...(isOwn ? { ownRequest: true } : {}) },
    });
  };
  if (request.kind === 'plan') return approveWaiting(by, request, input, settle);
  return unsafeTransaction(async (tx) => {
    await settle(tx);
    await grant(tx, by, request, input);
  });
}

function changesOf({ kind }: Request, { quota, pools }: ApproveInput): Wanted | null {
  if (kind === 'plan') return pools ? { pools } : null;
  return quota && kind !== 'parent' ? { quota } : null;
}

async function grant(tx: UnsafeTx, by: PersonCtx, request: Request, input: ApproveInput): Promise<void> {
  const wanted = Wanted.parse(request.wanted);
  if (request.kind === 'parent') return setParent(tx, by, request.tenantId, wanted.parent ?? null);
  const quota = input.quota ?? wanted.quota;
  if (!quota) throw invalidFields({ quota: 'is needed' });
  const clusterId = request.kind === 'tenant' ? await placeOf(tx, request, quota, input) : request.tenant.clusterId;
  if (!input.beyondCapacity) await refuseBeyondCapacity(tx, request, quota, clusterId);
  if (request.kind === 'quota') return setQuota(tx, by, request.tenantId, quota);
  await begin(tx, by, request, quota, clusterId);
}

/** As the operator chose; else where it was placed when it was asked for, unless that takes no tenant any more. */
async function placeOf(tx: UnsafeTx, { tenant }: Request, quota: Quota, input: ApproveInput): Promise<string> {
  if (tenant.parentId !== null) return tenant.clusterId;
  const open = (await candidates(tx)).filter(takesTenants);
  const isOpen = (id: string) => open.some((each) => each.id === id);
  if (input.clusterId !== undefined && !isOpen(input.clusterId))
    throw invalidFields({ clusterId: 'takes no tenants at present' });
  if (input.clusterId !== undefined) return input.clusterId;
  return isOpen(tenant.clusterId) ? tenant.clusterId : placeFor(tx, { pools: [], amounts: amountsOf(quota) });
}

/** A tenant that waited for an operator begins, with the quota that they gave. */
async function begin(
  tx: UnsafeTx,
  by: PersonCtx,
  { tenantId, tenant }: Request,
  quota: Quota,
  clusterId: string,
): Promise<void> {
  const begun = await tx.tenant.updateMany({
    where: { id: tenantId, state: 'draft' },
    data: { state: 'active', clusterId, ...quotaColumns(quota) },
  });
  if (begun.count !== 1)
    throw new AppError('conflict', {
      log: 'the tenant has begun',
      screen: { happened: 'This tenant is not a draft any more.' },
    });
  const after = { quota, cluster: clusterId };
  await appendAudit(tx, by, tenantId, { action: 'tenant:begin', target: `tenant/${tenant.slug}`, after });
}

/** Two grants that only fit alone: the cluster's row is what they queue at, and who only refers to it does not. */
async function refuseBeyondCapacity(
  tx: UnsafeTx,
  { tenant, kind }: Request,
  quota: Quota,
  clusterId: string,
): Promise<void> {
  if (tenant.parentId !== null) return;
  await tx.$queryRaw`SELECT id FROM cluster WHERE id = ${clusterId} FOR NO KEY UPDATE`;
  const room = await clusterRoom(tx, clusterId);
  if (hasRoom(room, beyondHeld(kind, quota, quotaOf(tenant))) !== false) return;
  throw new AppError('conflict', {
    log: `beyond the capacity of ${clusterId}`,
    screen: {
      happened: `The cluster does not hold ${quotaWords(quota)} beside what was given already.`,
      todo: 'Grant less, or say that it may be more than the cluster holds.',
    },
  });
}

/** A plan is applied as its tenant's admin would have, with the operator's name; a changed one is made anew first. */
async function approveWaiting(
  by: PersonCtx,
  request: Request,
  { pools }: ApproveInput,
  settle: (tx: UnsafeTx) => Promise<void>,
): Promise<void> {
  const ctx = await operatorCtx(by, request.tenant.slug);
  const planId = pools ? await changedPlan(ctx, request, pools) : (request.planId ?? '');
  try {
    await approvePlan(ctx, planId, { settle });
  } catch (error) {
    if (error instanceof AppError && error.code === 'stale') await dropStale(by, request);
    throw error;
  }
}

async function changedPlan(ctx: Ctx, { planId }: Request, pools: PoolChoice[]): Promise<string> {
  const plan = await unsafeDb().plan.findUniqueOrThrow({ where: { id: planId ?? '' } });
  const draft = { ...EnrollmentSpec.parse(plan.spec), pools };
  await unsafeDb().enrollment.update({ where: { id: plan.enrollmentId }, data: { draft } });
  return makePlan(ctx, { enrollmentId: plan.enrollmentId, kind: plan.kind });
}

/** What a stale plan asked for cannot be granted any more: it is closed with the reason, and a new plan can be asked for. */
async function dropStale(by: PersonCtx, request: Request): Promise<void> {
  await unsafeTransaction(async (tx) => {
    await move(tx, request.id, ['open'], { state: 'withdrawn', by });
    await say(
      tx,
      by,
      request,
      'withdrawn',
      'What the plan was based on has changed since. Make a new plan and ask again.',
    );
    await freePlan(tx, request.planId);
    await appendAudit(tx, by, request.tenantId, { action: 'request:stale', target: `request/${request.id}` });
  });
}

export const WordsInput = z.strictObject({ requestId: z.uuid(), text: Note.min(1, 'is needed') });

export async function reject(by: PersonCtx, { requestId, text }: z.infer<typeof WordsInput>): Promise<void> {
  const request = await anyRequest(requestId);
  await mayDecide(by, request);
  await unsafeTransaction(async (tx) => {
    await move(tx, requestId, ['open', 'asked_back'], { state: 'rejected', by });
    await freePlan(tx, request.planId);
    await say(tx, by, request, 'rejected', text);
    await appendAudit(tx, by, request.tenantId, {
      action: 'request:reject',
      target: `request/${requestId}`,
      after: { reason: text },
    });
  });
}

/** Asks back; the request waits for the tenant then. */
export async function askBack(by: PersonCtx, { requestId, text }: z.infer<typeof WordsInput>): Promise<void> {
  const request = await anyRequest(requestId);
  await unsafeTransaction(async (tx) => {
    await move(tx, requestId, ['open'], { state: 'asked_back' });
    await say(tx, by, request, 'question', text);
    await appendAudit(tx, by, request.tenantId, {
      action: 'request:question',
      target: `request/${requestId}`,
      after: { text },
    });
  });
}
