import { z } from 'zod';
import { lockLine, moveTask } from '#lib/enrollment/index.ts';
import { Prisma, unsafeDb, unsafeTransaction, type TenantMoveModel, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { actorName, appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { wakeTenant } from './ask.ts';
import { movable, MovePlan, movePlan } from './move-plan.ts';

/*
 * A tenant's move from one cluster to another, on the operator's side: planned, read, applied, called off. A tenant moves with all that
 * are below it. What is applied is carried out by the worker (carry-out.ts).
 */

export const ClusterMoveInput = z.strictObject({
  slug: TenantSlug,
  toClusterId: z.string().min(1).max(63),
  /** How long jobs may go on on the old cluster after the new one took over. */
  limitMinutes: z.coerce
    .number({ error: 'is a whole number of minutes' })
    .int('is a whole number of minutes')
    .min(0, 'is not less than 0')
    .max(10_080, 'is a week, 10080 minutes, at most'),
  beyondCapacity: z
    .literal('on')
    .optional()
    .transform((said) => said === 'on'),
});

/** Works out what a move would do and keeps it to be read. Nothing is written outside. */
export async function planMove(by: PersonCtx, input: z.output<typeof ClusterMoveInput>): Promise<string> {
  if (!by.person.isOperator) throw notFound();
  const { slug, toClusterId, limitMinutes, beyondCapacity } = input;
  const family = await movable(slug, toClusterId, beyondCapacity);
  const [tenant] = family;
  if (!tenant) throw notFound('This tenant');
  const plan = await movePlan(family, toClusterId, limitMinutes);
  const { id } = await unsafeDb().tenantMove.create({
    data: {
      tenantId: tenant.id,
      fromClusterId: tenant.clusterId,
      toClusterId,
      limitMinutes,
      plan: { ...plan, beyondCapacity },
      createdById: by.person.userId,
      createdBy: actorName(by),
    },
  });
  return id;
}

export const MoveIdInput = z.strictObject({ moveId: z.uuid() });
type MoveId = z.infer<typeof MoveIdInput>;

/** The move itself, and not one that only goes with it. */
async function leadOf(by: PersonCtx, moveId: string) {
  if (!by.person.isOperator) throw notFound();
  const move = await unsafeDb().tenantMove.findUnique({ where: { id: moveId }, include: { tenant: true } });
  if (!move || move.leadId !== null) throw notFound('This move');
  return move;
}

/** What was planned begins, if the world is as the plan saw it; from here a worker carries it out. */
export async function applyMove(by: PersonCtx, { moveId }: MoveId): Promise<void> {
  const move = await leadOf(by, moveId);
  if (move.state !== 'planned') throw stale(`is ${move.state}`);
  const plan = MovePlan.extend({ beyondCapacity: z.boolean() }).parse(move.plan);
  await movable(move.tenant.slug, move.toClusterId, plan.beyondCapacity);
  const isOvertaken = await unsafeTransaction(async (tx) => {
    await lockLine(tx, move.tenantId);
    if (!(await isAsPlanned(tx, move, plan))) {
      await tx.tenantMove.update({ where: { id: moveId }, data: { state: 'discarded', endedAt: new Date() } });
      return true;
    }
    await beginMove(tx, by, move, plan);
    return false;
  }).catch(asUnderWay);
  if (isOvertaken) throw stale('the world is another');
}

async function isAsPlanned(tx: UnsafeTx, move: TenantMoveModel, { tenants }: MovePlan): Promise<boolean> {
  const ids = tenants.map(({ id }) => id);
  const [rows, below, enrollments] = await Promise.all([
    tx.tenant.findMany({ where: { id: { in: ids } } }),
    tx.tenant.count({ where: { parentId: { in: ids }, id: { notIn: ids }, state: { not: 'left' } } }),
    tx.enrollment.findMany({ where: { tenantId: { in: ids }, state: { in: ['active', 'withdrawing'] } } }),
  ]);
  const planned = new Map(tenants.flatMap((each) => each.enrollments).map(({ id, generation }) => [id, generation]));
  const isHere = rows.every(({ clusterId, moving }) => clusterId === move.fromClusterId && moving === null);
  const isSame = enrollments.every(({ id, generation, state }) => state === 'active' && planned.get(id) === generation);
  return isHere && below === 0 && isSame && planned.size === enrollments.length && rows.length === ids.length;
}

async function beginMove(tx: UnsafeTx, by: PersonCtx, move: TenantMoveModel, { tenants }: MovePlan): Promise<void> {
  const { id: leadId, fromClusterId, toClusterId, limitMinutes, createdById, createdBy } = move;
  const decided = { decidedById: by.person.userId, decidedBy: actorName(by), decidedAt: new Date() };
  await tx.tenantMove.update({ where: { id: leadId }, data: { state: 'preparing', ...decided } });
  const others = tenants.filter(({ id }) => id !== move.tenantId);
  await tx.tenantMove.createMany({
    data: others.map(({ id: tenantId }) => ({
      tenantId,
      leadId,
      state: 'preparing' as const,
      fromClusterId,
      toClusterId,
      limitMinutes,
      plan: {},
      createdById,
      createdBy,
      ...decided,
    })),
  });
  for (const { id, slug } of tenants) {
    await tx.tenant.update({ where: { id }, data: { moving: 'preparing', otherClusterId: toClusterId } });
    await appendAudit(tx, by, id, {
      action: 'tenant:move-cluster',
      target: `tenant/${slug}`,
      before: { cluster: fromClusterId },
      after: { cluster: toClusterId, limitMinutes },
    });
    await wakeTenant(tx, id);
  }
  await wake(tx, moveTask, leadId);
}

/** Until the new cluster took over there is a way back: what was made there goes again, and nothing of it is missed here. */
export async function callOffMove(by: PersonCtx, { moveId }: MoveId): Promise<void> {
  const move = await leadOf(by, moveId);
  await unsafeTransaction(async (tx) => {
    await lockLine(tx, move.tenantId);
    const called = await tx.tenantMove.updateMany({
      where: { OR: [{ id: moveId }, { leadId: moveId }], state: { in: ['preparing', 'closing'] } },
      data: { state: 'calling_off', said: null },
    });
    if (called.count === 0)
      throw new AppError('conflict', {
        log: `a move that is ${move.state} cannot be called off`,
        screen: {
          happened: 'The new cluster has taken over already, or the move has ended.',
          todo: 'To go back, plan a move to the old cluster.',
        },
      });
    // From here nobody makes anything ready there any more; here all goes on.
    const tenantIds = await tenantsOf(tx, moveId);
    await tx.tenant.updateMany({ where: { id: { in: tenantIds } }, data: { moving: 'returning' } });
    for (const id of tenantIds) await wakeTenant(tx, id);
    await appendAudit(tx, by, move.tenantId, { action: 'tenant:move-call-off', target: `tenant/${move.tenant.slug}` });
    await wake(tx, moveTask, moveId);
  });
}

/** All tenants of a move that is under way, the topmost first. */
export async function tenantsOf(tx: Pick<UnsafeTx, 'tenantMove'>, moveId: string): Promise<string[]> {
  const rows = await tx.tenantMove.findMany({
    where: { OR: [{ id: moveId }, { leadId: moveId }] },
    orderBy: { leadId: { sort: 'asc', nulls: 'first' } },
    select: { tenantId: true },
  });
  return rows.map(({ tenantId }) => tenantId);
}

export async function discardMove(by: PersonCtx, { moveId }: MoveId): Promise<void> {
  await leadOf(by, moveId);
  const { count } = await unsafeDb().tenantMove.updateMany({
    where: { id: moveId, state: 'planned' },
    data: { state: 'discarded', endedAt: new Date() },
  });
  if (count === 0)
    throw new AppError('conflict', {
      log: 'a move that is not planned any more is discarded',
      screen: { happened: 'This plan was applied or discarded meanwhile.', todo: 'Reload the page to see which.' },
    });
}

export const AbandonInput = z.strictObject({ moveId: z.uuid(), typed: z.string().max(100) });

/**
 * The cluster that is left will never answer again: what is there is given up, and the tenant's processes wait for it no longer.
 * In a move that was called off it is the new one.
 */
export async function abandonCluster(by: PersonCtx, { moveId, typed }: z.infer<typeof AbandonInput>): Promise<void> {
  const move = await leadOf(by, moveId);
  const isBack = move.state === 'calling_off';
  const cluster = isBack ? move.toClusterId : move.fromClusterId;
  if (typed !== cluster) throw invalidFields({ typed: `is not ${cluster}` }, 'Another name was typed.');
  await unsafeTransaction(async (tx) => {
    await lockLine(tx, move.tenantId);
    const said = `What was on ${cluster} was given up by ${actorName(by)}.`;
    const ended = await tx.tenantMove.updateMany({
      where: { OR: [{ id: moveId }, { leadId: moveId }], state: isBack ? 'calling_off' : 'leaving' },
      data: { state: isBack ? 'called_off' : 'done', endedAt: new Date(), said },
    });
    if (ended.count === 0)
      throw new AppError('conflict', {
        log: `a move that is ${move.state} leaves nothing`,
        screen: { happened: 'This move does not wait for a cluster that is left.' },
      });
    const tenantIds = await tenantsOf(tx, moveId);
    await tx.tenant.updateMany({ where: { id: { in: tenantIds } }, data: { moving: null, otherClusterId: null } });
    for (const id of tenantIds) await wakeTenant(tx, id);
    await appendAudit(tx, by, move.tenantId, {
      action: 'tenant:move-abandon',
      target: `tenant/${move.tenant.slug}`,
      after: { cluster },
    });
  });
}

function stale(log: string): AppError {
  return new AppError('stale', {
    log: `move ${log}`,
    screen: { happened: 'What this move was planned for has changed since.', todo: 'Plan it again, then apply that.' },
  });
}

function asUnderWay(error: unknown): never {
  if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002')
    throw stale('another is under way');
  throw error;
}
