import { z } from 'zod';
import { open, unsafeDb, unsafeTransaction, type UnsafeTx } from '../db/index.ts';
import { AppError, notFound } from '../errors.ts';
import { log } from '../log.ts';
import { hookSecret, type Webhook, type WebhookReader, webhookOf } from '../forge/index.ts';
import type { ForgeKind, ScopeLevel } from '../model/index.ts';
import { wake } from '../work/index.ts';
import type { DeliveryInput } from './accept.ts';
import type { Accepted, Given, Hook } from './hook.ts';
import { recordJob } from './jobs.ts';
import { rawBodyBytesMax, tooLarge } from './raw-body.ts';
import { insertDelivery, wakeTold } from './rows.ts';
import { servesRepository } from './serves.ts';

type Hooked = {
  id: string;
  connectionId: string;
  level: ScopeLevel;
  scopeId: string;
  path: string;
  kind: ForgeKind;
  secret: string;
};

/**
 * Takes one delivery of the webhook that the portal made at one enrollment's scope. Whoever administers the scope may make
 * it sign what they like, so it counts for that enrollment alone; its delivery ids are its own. Throws as `acceptDelivery`.
 */
export async function acceptHookDelivery(input: DeliveryInput & { enrollmentId: string }): Promise<Accepted> {
  return (await enrollmentHook(input.connectionId, input.enrollmentId)).take(input);
}

/** The webhook of one enrollment. Throws `not_found` where it has none. */
export async function enrollmentHook(connectionId: string, enrollmentId: string): Promise<Hook> {
  const hooked = await hookedEnrollment(connectionId, enrollmentId);
  if (!hooked) throw notFound('This webhook');
  const reader = webhookOf(hooked.kind);
  return { forge: hooked.kind, reader, take: (given) => take(hooked, reader, given) };
}

async function take(hooked: Hooked, reader: WebhookReader, given: Given): Promise<Accepted> {
  if (given.rawBody.byteLength > rawBodyBytesMax) throw tooLarge();
  const webhook = reader.verifyWebhook(hooked.secret, given);
  try {
    return await unsafeTransaction((tx) => takeIn(tx, hooked, reader, webhook));
  } catch (error) {
    // It may be the scope itself under a new path. Nothing of the delivery is kept, so this is no part of its transaction.
    if (error instanceof AppError && error.code === 'forbidden') await lookAgainAtMost(hooked.id);
    throw error;
  }
}

/** Who may sign as the hook could refuse themselves all day: that makes the portal ask the forge this often at most. */
const lookedMs = 60_000;

async function lookAgainAtMost(id: string): Promise<void> {
  const now = new Date();
  const before = new Date(now.getTime() - lookedMs);
  const where = { id, OR: [{ toldAt: null }, { toldAt: { lte: before } }] };
  try {
    await unsafeTransaction(async (tx) => {
      const { count } = await tx.enrollment.updateMany({ where, data: { toldAt: now } });
      if (count > 0) await wake(tx, 'enrollment', id);
    });
  } catch (error) {
    // The sender is told why it was refused; that nobody looks now, the next refusal makes good.
    log().warn({ enrollmentId: id, reason: String(error) }, 'a scope could not be woken');
  }
}

/** Everything that the delivery changes here. Thrown errors take the delivery row back with them. */
async function takeIn(tx: UnsafeTx, hooked: Hooked, reader: WebhookReader, webhook: Webhook): Promise<Accepted> {
  const own = { ...webhook, deliveryId: `${hooked.id}:${webhook.deliveryId}` };
  if (!(await insertDelivery(tx, hooked.connectionId, own))) return { status: 202, duplicate: true };
  assertWithin(hooked, reader, webhook);
  const job = webhook.about === 'job' ? reader.readWorkflowJob(webhook.payload) : null;
  if (job) await recordJob(tx, hooked.connectionId, job, { id: hooked.id });
  if (webhook.about === 'scope') await wakeBy(tx, hooked.id, webhook);
  return { status: 202, duplicate: false };
}

/** A run that has ended says that there was work, and nothing of the scope itself, which the forge need not be asked about for each. */
async function wakeBy(tx: UnsafeTx, id: string, { event }: Webhook): Promise<void> {
  if (event.startsWith('action_run_')) await wake(tx, 'enrollment', id);
  else await wakeTold(tx, [id]);
}

async function hookedEnrollment(connectionId: string, enrollmentId: string): Promise<Hooked | null> {
  if (!z.uuid().safeParse(enrollmentId).success) return null;
  const row = await unsafeDb().enrollment.findFirst({
    where: { id: enrollmentId, connectionId, state: { in: ['active', 'withdrawing'] } },
    include: { connection: true },
  });
  const sealed = row?.connection.sealedWebhookSecret;
  if (!row || !sealed || row.connection.kind === 'github') return null;
  const connectionSecret = await open(sealed, `forge_connection/${connectionId}/webhook_secret`);
  const { id, level, scopeId, path } = row;
  return {
    id,
    connectionId,
    level,
    scopeId,
    path,
    kind: row.connection.kind,
    secret: hookSecret(connectionSecret, id),
  };
}

/** A10: what the payload is about must lie within the scope whose hook this is. */
function assertWithin(hooked: Hooked, reader: WebhookReader, webhook: Webhook): void {
  const repository = reader.readRepository(webhook.payload);
  if (!repository) return;
  const about = {
    repositoryId: repository.id,
    repository: repository.path,
    ownerId: reader.readAccountId(webhook.payload),
    enterpriseId: null,
  };
  if (servesRepository(hooked, about)) return;
  throw new AppError('forbidden', {
    log: `webhook: ${webhook.event} of ${repository.path} is not of enrollment ${hooked.id}`,
    screen: {
      happened: 'The delivery is about a repository outside the scope whose webhook this is.',
      todo: 'Nothing, if the scope or the repository was just renamed or moved: the portal looks by itself.',
    },
  });
}
