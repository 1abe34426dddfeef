import { z } from 'zod';
import { seal, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { refusalOf } from '#lib/forge/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { webhookKinds, type NoticeKind } from './kinds.ts';
import { addMessages } from './message.ts';
import { webhookTask } from './notify.ts';
import { bothSecretsMs } from './schedule.ts';
import { newSecret } from './signature.ts';

/* A tenant's endpoints: where its notices are sent. Its secrets are for the system alone; each statement names the tenant. */

export const endpointsMost = 5;

/** Where an endpoint's secrets are sealed for. */
export function endpointPlace({ tenantId, id }: { tenantId: string; id: string }): string {
  return `tenant/${tenantId}/webhook/${id}/secret`;
}

/** The address that a person typed, or what is wrong with it; whether its name leads inside is looked at when it is sent to. */
const EndpointUrl = z
  .string()
  .trim()
  .max(500, 'is at most 500 characters')
  .transform((given, context) => {
    const url = URL.parse(given);
    const refusal = url ? refusalOf(url, env().FLYWHEEL_SANDBOX === '1') : 'is not a URL';
    if (url && refusal === null) return url.href;
    context.addIssue(`${refusal ?? 'is not a URL'}: enter a public https address`);
    return z.NEVER;
  });

const kindNames = webhookKinds.map(({ kind }) => kind) as [NoticeKind, ...NoticeKind[]];

export const EndpointInput = z.strictObject({
  url: EndpointUrl,
  kinds: z
    .array(z.enum(kindNames))
    .default([])
    .refine((list) => list.length > 0, 'choose at least one'),
});
export const ChangeEndpointInput = EndpointInput.extend({ endpointId: z.guid() });
export const EndpointId = z.strictObject({ endpointId: z.guid() });
export const MessageId = z.strictObject({ messageId: z.string().regex(/^msg_[\w-]{10,60}$/) });

async function audited(tx: UnsafeTx, ctx: Ctx, action: string, url: string, after?: object): Promise<void> {
  // The host alone: the rest of an address may itself be a secret.
  await ctx.audit(tx, { action: `webhook:${action}`, target: `webhook/${new URL(url).host}`, after });
}

async function owned(tx: UnsafeTx, ctx: Ctx, id: string) {
  const row = await tx.webhookEndpoint.findFirst({ where: { id, tenantId: ctx.tenant.id } });
  if (!row) throw notFound('This webhook');
  return row;
}

/** A new endpoint. Its secret is answered this once. */
export async function addEndpoint(
  ctx: Ctx,
  { url, kinds }: z.infer<typeof EndpointInput>,
): Promise<{ id: string; secret: string }> {
  const tenantId = ctx.tenant.id;
  const secret = newSecret();
  return unsafeTransaction(async (tx) => {
    // Two at once take turns, so that neither passes the limit by.
    await tx.$queryRaw`select 1 from tenant where id = ${tenantId}::uuid for no key update`;
    if ((await tx.webhookEndpoint.count({ where: { tenantId } })) >= endpointsMost)
      throw invalidFields({ url: `A tenant has at most ${endpointsMost} webhooks; remove one first.` });
    const { id } = await tx.webhookEndpoint.create({
      data: { tenantId, url, kinds, sealedSecret: '', createdById: ctx.person.userId },
    });
    await tx.webhookEndpoint.update({
      where: { id },
      data: { sealedSecret: await seal(secret, endpointPlace({ tenantId, id })) },
    });
    await audited(tx, ctx, 'add', url, { kinds });
    return { id, secret };
  });
}

export async function changeEndpoint(ctx: Ctx, input: z.infer<typeof ChangeEndpointInput>): Promise<void> {
  const { endpointId, url, kinds } = input;
  await unsafeTransaction(async (tx) => {
    await owned(tx, ctx, endpointId);
    await tx.webhookEndpoint.update({ where: { id: endpointId }, data: { url, kinds } });
    await audited(tx, ctx, 'change', url, { kinds });
  });
}

/** A new secret, answered this once; the one before it signs too for a day. */
export async function rotateSecret(ctx: Ctx, endpointId: string, now: Date): Promise<{ secret: string }> {
  const secret = newSecret();
  await unsafeTransaction(async (tx) => {
    const row = await owned(tx, ctx, endpointId);
    await tx.webhookEndpoint.update({
      where: { id: endpointId },
      data: {
        sealedSecret: await seal(secret, endpointPlace(row)),
        sealedPrevious: row.sealedSecret,
        previousUntil: new Date(now.getTime() + bothSecretsMs),
      },
    });
    await audited(tx, ctx, 'rotate-secret', row.url);
  });
  return { secret };
}

/** Nothing more is sent. What waits keeps waiting, and is sent when the webhook is enabled again. */
export async function disableEndpoint(ctx: Ctx, endpointId: string, now: Date): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const row = await owned(tx, ctx, endpointId);
    const data = { disabledAt: now, disabledBecause: `${ctx.person.name} disabled it.` };
    await tx.webhookEndpoint.update({ where: { id: endpointId }, data });
    await audited(tx, ctx, 'disable', row.url);
  });
}

export async function enableEndpoint(ctx: Ctx, endpointId: string): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const row = await owned(tx, ctx, endpointId);
    const data = { disabledAt: null, disabledBecause: null, givenUp: 0 };
    await tx.webhookEndpoint.update({ where: { id: endpointId }, data });
    await audited(tx, ctx, 'enable', row.url);
    await wake(tx, webhookTask, endpointId);
  });
}

/** With its secret and all that was sent. */
export async function removeEndpoint(ctx: Ctx, endpointId: string): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const row = await owned(tx, ctx, endpointId);
    await tx.webhookEndpoint.delete({ where: { id: endpointId } });
    await audited(tx, ctx, 'remove', row.url);
  });
}

const isDisabledError = () =>
  new AppError('conflict', {
    log: 'the webhook is disabled',
    screen: { happened: 'This webhook is disabled.', todo: 'Enable it first.' },
  });

/** A message that says it is a test; sent once, and counted neither for nor against the endpoint. */
export async function sendTest(ctx: Ctx, endpointId: string): Promise<void> {
  const { id: tenantId, slug, displayName } = ctx.tenant;
  await unsafeTransaction(async (tx) => {
    const row = await owned(tx, ctx, endpointId);
    if (row.disabledAt) throw isDisabledError();
    const told = {
      kind: 'test' as const,
      title: `A test from ${displayName}`,
      body: `${ctx.person.name} sent this to see whether it arrives.`,
      href: `/t/${slug}/settings/webhooks/${endpointId}`,
    };
    await wake(tx, webhookTask, await addMessages(tx, tenantId, told, endpointId));
  });
}

/** Sends a message again, under the id that it had: a receiver that has it already can tell. */
export async function replayMessage(ctx: Ctx, messageId: string, now: Date): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const row = await tx.webhookMessage.findFirst({
      where: { id: messageId, tenantId: ctx.tenant.id },
      include: { endpoint: { select: { disabledAt: true } } },
    });
    if (!row) throw notFound('This message');
    if (row.endpoint.disabledAt) throw isDisabledError();
    const data = { state: 'waiting' as const, attempts: 0, beganAt: now, dueAt: now };
    await tx.webhookMessage.update({ where: { id: messageId }, data });
    await wake(tx, webhookTask, row.endpointId);
  });
}

export type EndpointRow = {
  id: string;
  url: string;
  kinds: string[];
  /** Until when the secret before the last rotation signs too. */
  previousUntil: string | null;
  disabled: { at: string; because: string } | null;
  givenUp: number;
  createdAt: string;
};

const shown = {
  id: true,
  url: true,
  kinds: true,
  previousUntil: true,
  disabledAt: true,
  disabledBecause: true,
  givenUp: true,
  createdAt: true,
} as const;

type Shown = {
  id: string;
  url: string;
  kinds: string[];
  previousUntil: Date | null;
  disabledAt: Date | null;
  disabledBecause: string | null;
  givenUp: number;
  createdAt: Date;
};

function endpointRow(
  { disabledAt, disabledBecause, previousUntil, createdAt, ...rest }: Shown,
  now: Date,
): EndpointRow {
  const disabled = disabledAt && { at: disabledAt.toISOString(), because: disabledBecause ?? '' };
  const isBoth = previousUntil !== null && previousUntil > now;
  return {
    ...rest,
    disabled,
    previousUntil: isBoth ? previousUntil.toISOString() : null,
    createdAt: createdAt.toISOString(),
  };
}

export async function listEndpoints(ctx: Ctx, now: Date): Promise<EndpointRow[]> {
  const rows = await ctx.db.webhookEndpoint.findMany({ select: shown, orderBy: { createdAt: 'asc' } });
  return rows.map((row) => endpointRow(row, now));
}

export async function endpointView(ctx: Ctx, id: string, now: Date): Promise<EndpointRow> {
  const row =
    z.guid().safeParse(id).success && (await ctx.db.webhookEndpoint.findFirst({ where: { id }, select: shown }));
  if (!row) throw notFound('This webhook');
  return endpointRow(row, now);
}

export type MessageRow = {
  id: string;
  kind: string;
  /** What was said, as its title. */
  title: string;
  state: 'waiting' | 'delivered' | 'given_up';
  attempts: number;
  createdAt: string;
  lastAttemptAt: string | null;
  nextAttemptAt: string | null;
  responseCode: number | null;
  error: string | null;
};

const messagesPage = 50;

/** What was sent to one endpoint and what came of it, the newest first; never what the other side answered. */
export async function listMessages(
  ctx: Ctx,
  endpointId: string,
  before?: string,
): Promise<{ rows: MessageRow[]; nextBefore: string | null }> {
  const past = before === undefined || Number.isNaN(Date.parse(before)) ? {} : { createdAt: { lt: new Date(before) } };
  const rows = await ctx.db.webhookMessage.findMany({
    where: { endpointId, ...past },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: messagesPage + 1,
  });
  const page = rows.slice(0, messagesPage);
  return {
    rows: page.map(({ body, createdAt, lastAttemptAt, dueAt, ...row }) => ({
      id: row.id,
      kind: row.kind,
      title: titleOf(body),
      state: row.state,
      attempts: row.attempts,
      createdAt: createdAt.toISOString(),
      lastAttemptAt: lastAttemptAt?.toISOString() ?? null,
      nextAttemptAt: row.state === 'waiting' ? dueAt.toISOString() : null,
      responseCode: row.responseCode,
      error: row.error,
    })),
    nextBefore: rows.length > messagesPage ? (page.at(-1)?.createdAt.toISOString() ?? null) : null,
  };
}

const Sent = z.object({ data: z.object({ title: z.string() }) });

function titleOf(body: string): string {
  return Sent.parse(JSON.parse(body)).data.title;
}
