import { z } from 'zod';
import { open, unsafeDb, unsafeTransaction, type UnsafeTx } from '../db/index.ts';
import { AppError, notFound } from '../errors.ts';
import { type Webhook, webhookOf } from '../forge/index.ts';
import type { DeliveryInput } from './accept.ts';
import type { Accepted, Given, Hook } from './hook.ts';
import { recordJob } from './jobs.ts';
import { lookAtPeople } from './people.ts';
import { rawBodyBytesMax, tooLarge } from './raw-body.ts';
import { insertDelivery, touchInstallations, wakeTold } from './rows.ts';

type OwnApp = { id: string; connectionId: string; accountId: string };

/**
 * Takes one delivery of an organization's own App, whose secret that organization's owners can read and change at GitHub:
 * a right signature says who may have written it, and not that GitHub did. So it counts for that account and for the
 * enrollments that name this App, whatever ids the payload carries; of an installation it is only a reason to look; and its
 * delivery ids are its own, so that it can use up nobody else's. Throws as `acceptDelivery` does.
 */
export async function acceptOwnDelivery(input: DeliveryInput & { githubAppId: string }): Promise<Accepted> {
  return (await ownAppHook(input.connectionId, input.githubAppId)).take(input);
}

/** The webhook of an organization's own App. Throws `not_found` where there is no such App. */
export async function ownAppHook(connectionId: string, githubAppId: string): Promise<Hook> {
  const known = z.uuid().safeParse(githubAppId).success
    ? await unsafeDb().githubApp.findFirst({ where: { id: githubAppId, connectionId } })
    : null;
  if (!known) throw notFound('This webhook');
  const secret = await open(
    known.sealedWebhookSecret,
    `tenant/${known.tenantId}/github_app/${known.id}/webhook_secret`,
  );
  const reader = webhookOf('github');
  return { forge: 'github', reader, take: (given) => take(known, secret, given) };
}

async function take(known: OwnApp, secret: string, given: Given): Promise<Accepted> {
  if (given.rawBody.byteLength > rawBodyBytesMax) throw tooLarge();
  const reader = webhookOf('github');
  const { connectionId } = known;
  const webhook = reader.verifyWebhook(secret, given);
  return unsafeTransaction(async (tx) => {
    const own = { ...webhook, deliveryId: `${known.id}:${webhook.deliveryId}` };
    if (!(await insertDelivery(tx, connectionId, own))) return { status: 202, duplicate: true };
    assertOwnAccount(known, webhook, accountOf(webhook));
    const job = webhook.about === 'job' ? reader.readWorkflowJob(webhook.payload) : null;
    if (job) await recordJob(tx, connectionId, job, { githubAppId: known.id });
    if (webhook.about === 'installation' || webhook.about === 'scope') await lookAgain(tx, known);
    if (webhook.about === 'people') await lookAtPeople(tx, connectionId, reader, webhook);
    return { status: 202, duplicate: false };
  });

  function accountOf({ about, payload }: Webhook): string | null {
    const installation = about === 'installation' ? reader.readInstallation(payload) : null;
    return installation?.accountId ?? reader.readAccountId(payload);
  }
}

/** A ping and the App's own events name no account and change nothing. */
function assertOwnAccount({ id, accountId }: OwnApp, webhook: Webhook, found: string | null): void {
  if (found === accountId || (found === null && webhook.about === 'other')) return;
  throw new AppError('forbidden', {
    log: `webhook: ${webhook.event} of account ${found ?? 'none'} is not of App ${id}`,
    screen: {
      happened: 'The delivery is about another account than the one whose App this is.',
      todo: 'Send it to the webhook of that account’s App.',
    },
  });
}

async function lookAgain(tx: UnsafeTx, { id, connectionId, accountId }: OwnApp): Promise<void> {
  const rows = await tx.enrollment.findMany({
    where: { connectionId, githubAppId: id, state: { in: ['active', 'withdrawing'] } },
    select: { id: true, installationId: true },
  });
  const installations = rows.flatMap(({ installationId }) => installationId ?? []);
  await touchInstallations(tx, { connectionId, accountId, externalId: { in: installations } });
  await wakeTold(
    tx,
    rows.map((row) => row.id),
  );
}
