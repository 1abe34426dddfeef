import { z } from 'zod';
import { Prisma, unsafeDb, unsafeTransaction, type RequestState, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { Quota, TenantSlug, type RequestKind } from '#lib/model/index.ts';
import { actorName, appendAudit, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { tellOfRequest } from './tell.ts';

/* Requests to an operator, and what was said about them. */

/** What is wanted, by kind. `note` is what the asking person said. */
export const Wanted = z.object({
  quota: Quota.optional(),
  /** The tenant above, by slug; null is none. */
  parent: TenantSlug.nullable().optional(),
  /** Changed sizes of pools, where an operator granted others than were asked for. */
  pools: z.array(z.object({ pool: z.string(), minRunners: z.int(), maxRunners: z.int() })).optional(),
});
export type Wanted = z.infer<typeof Wanted>;

export const Note = z.string().trim().max(2000, 'is at most 2,000 characters');

export type Step = 'asked' | 'question' | 'answer' | 'approved' | 'rejected' | 'withdrawn';

export type NewRequest = { kind: RequestKind; wanted: Wanted; planId?: string; note: string };

/** Opens a request; a second one of its kind while the first is open is refused by the database. */
export async function openRequest(
  tx: UnsafeTx,
  by: PersonCtx,
  tenant: { id: string; slug: string },
  { kind, wanted, planId, note }: NewRequest,
): Promise<string> {
  const data = {
    tenantId: tenant.id,
    kind,
    wanted,
    planId: planId ?? null,
    createdById: by.person.userId,
    createdBy: actorName(by),
  };
  const request = await tx.approvalRequest.create({ data }).catch(asAskedAlready);
  await say(tx, by, { ...request, slug: tenant.slug }, 'asked', note);
  await appendAudit(tx, by, tenant.id, { action: `request:${kind}`, target: `request/${request.id}`, after: wanted });
  return request.id;
}

function asAskedAlready(error: unknown): never {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002')) throw error;
  throw new AppError('conflict', {
    log: 'such a request is open',
    screen: {
      happened: 'This was asked for already, and waits for an operator.',
      todo: 'Take that request back to ask for something else.',
    },
  });
}

export async function say(
  tx: UnsafeTx,
  by: PersonCtx,
  request: { id: string; tenantId: string; kind: RequestKind; slug: string },
  step: Step,
  text: string,
): Promise<void> {
  const data = { tenantId: request.tenantId, requestId: request.id, actor: actorName(by), step, text };
  const { id: messageId } = await tx.requestMessage.create({ data });
  if (step !== 'withdrawn') await tellOfRequest(tx, { ...request, messageId }, step, text);
}

export const decidedElsewhere = (): AppError =>
  new AppError('conflict', {
    log: 'the request was decided, or moved, in the meantime',
    screen: { happened: 'Somebody else has moved this request a moment ago.', todo: 'Look at where it stands now.' },
  });

/** Moves a request from where it is; of two who do so at once, one does. */
export async function move(
  tx: UnsafeTx,
  id: string,
  from: readonly RequestState[],
  data: { state: RequestState; granted?: Wanted; by?: PersonCtx },
): Promise<void> {
  const { state, granted, by } = data;
  const decision = by ? { decidedById: by.person.userId, decidedBy: actorName(by), decidedAt: new Date() } : {};
  const moved = await tx.approvalRequest.updateMany({
    where: { id, state: { in: [...from] } },
    data: { state, ...(granted ? { granted } : {}), ...decision },
  });
  if (moved.count !== 1) throw decidedElsewhere();
}

// ------------------------------------------------------------------------------------------------ the asking side

export type RequestRow = {
  id: string;
  kind: RequestKind;
  state: RequestState;
  wanted: Wanted;
  granted: Wanted | null;
  planId: string | null;
  createdBy: string;
  createdAt: string;
  decidedBy: string | null;
  decidedAt: string | null;
};

export type RequestView = RequestRow & { messages: { at: string; actor: string; step: Step; text: string }[] };

type Stored = Awaited<ReturnType<typeof readRequest>>;

async function readRequest(ctx: Pick<Ctx, 'db'>, id: string) {
  const request = z.uuid().safeParse(id).success ? await ctx.db.approvalRequest.findFirst({ where: { id } }) : null;
  if (!request) throw notFound('This request');
  return request;
}

export function rowOf(request: Stored): RequestRow {
  const { id, kind, state, planId, createdBy, createdAt, decidedBy, decidedAt } = request;
  return {
    id,
    kind,
    state,
    wanted: Wanted.parse(request.wanted),
    granted: request.granted === null ? null : Wanted.parse(request.granted),
    planId,
    createdBy,
    createdAt: createdAt.toISOString(),
    decidedBy,
    decidedAt: decidedAt?.toISOString() ?? null,
  };
}

const shownMost = 200;

/** The tenant's requests, the open ones first. */
export async function requestsOf(ctx: Ctx): Promise<RequestRow[]> {
  const rows = await ctx.db.approvalRequest.findMany({ orderBy: { createdAt: 'desc' }, take: shownMost });
  const isOpen = ({ state }: { state: RequestState }) => state === 'open' || state === 'asked_back';
  return [...rows.filter(isOpen), ...rows.filter((row) => !isOpen(row))].map(rowOf);
}

export async function requestView(ctx: Pick<Ctx, 'db'>, id: string): Promise<RequestView> {
  const request = await readRequest(ctx, id);
  const messages = await ctx.db.requestMessage.findMany({ where: { requestId: id }, orderBy: { id: 'asc' } });
  return {
    ...rowOf(request),
    messages: messages.map(({ at, actor, step, text }) => ({ at: at.toISOString(), actor, step: step as Step, text })),
  };
}

export const AnswerInput = z.strictObject({ requestId: z.uuid(), text: Note.min(1, 'is needed') });

/** Answers an operator's question; the request is then theirs again. */
export async function answer(ctx: Ctx, { requestId, text }: z.infer<typeof AnswerInput>): Promise<void> {
  const request = await readRequest(ctx, requestId);
  await unsafeTransaction(async (tx) => {
    await move(tx, requestId, ['asked_back'], { state: 'open' });
    await say(tx, ctx, { ...request, slug: ctx.tenant.slug }, 'answer', text);
    await appendAudit(tx, ctx, ctx.tenant.id, { action: 'request:answer', target: `request/${requestId}` });
  });
}

export const TakeBackInput = z.strictObject({ requestId: z.uuid() });

/** Nobody wants it any more; a plan that waited can be made anew. */
export async function takeBack(ctx: Ctx, { requestId }: z.infer<typeof TakeBackInput>): Promise<void> {
  const request = await readRequest(ctx, requestId);
  await unsafeTransaction(async (tx) => {
    await move(tx, requestId, ['open', 'asked_back'], { state: 'withdrawn', by: ctx });
    await freePlan(tx, request.planId);
    await say(tx, ctx, { ...request, slug: ctx.tenant.slug }, 'withdrawn', '');
    await appendAudit(tx, ctx, ctx.tenant.id, { action: 'request:withdraw', target: `request/${requestId}` });
  });
}

export async function freePlan(tx: UnsafeTx, planId: string | null): Promise<void> {
  if (planId !== null)
    await tx.plan.updateMany({ where: { id: planId, state: 'waiting' }, data: { state: 'discarded' } });
}

/** Of any tenant: for operators. */
export async function anyRequest(id: string) {
  const request = z.uuid().safeParse(id).success
    ? await unsafeDb().approvalRequest.findUnique({ where: { id }, include: { tenant: true } })
    : null;
  if (!request) throw notFound('This request');
  return { ...request, slug: request.tenant.slug };
}
