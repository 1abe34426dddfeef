import { type ForgeConnectionModel, open, unsafeDb, unsafeTransaction } from '../db/index.ts';
import { AppError, notFound } from '../errors.ts';
import { type InstallationEvent, type Webhook, type WebhookReader, webhookOf } from '../forge/index.ts';
import { recordJob } from './jobs.ts';
import { rawBodyBytesMax, tooLarge } from './raw-body.ts';
import { insertDelivery, isKnownInstallation, recordInstallation, wakeEnrollmentsOf } from './rows.ts';

export type DeliveryInput = {
  connectionId: string;
  headers: { get(name: string): string | null };
  rawBody: Uint8Array;
};

/** `duplicate`: it was accepted before, and nothing was done again. */
export type Accepted = { status: 202; duplicate: boolean };

/**
 * Takes one delivery. Throws `not_found` for a connection that has no webhook, `unauthenticated` for a body that its
 * secret did not sign, `forbidden` for an installation that is not this connection's, `too_large` above 25 MB; nothing is
 * kept then. A body that was signed and that we have no use for is kept and answered like any other.
 */
export async function acceptDelivery(input: DeliveryInput): Promise<Accepted> {
  if (input.rawBody.byteLength > rawBodyBytesMax) throw tooLarge();
  const connection = await unsafeDb().forgeConnection.findUnique({ where: { id: input.connectionId } });
  if (!connection?.sealedWebhookSecret) throw notFound('This webhook');
  const secret = await open(connection.sealedWebhookSecret, `forge_connection/${connection.id}/webhook_secret`);
  const reader = webhookOf(connection.kind);
  const webhook = reader.verifyWebhook(secret, input);
  return unsafeTransaction(async (tx) => {
    if (!(await insertDelivery(tx, connection.id, webhook))) return { status: 202, duplicate: true };
    await takeIn(tx, connection, reader, webhook);
    return { status: 202, duplicate: false };
  });
}

type Tx = Parameters<Parameters<typeof unsafeTransaction>[0]>[0];

/** Everything that the delivery changes here. Thrown errors take the delivery row back with them. */
async function takeIn(
  tx: Tx,
  connection: ForgeConnectionModel,
  reader: WebhookReader,
  webhook: Webhook,
): Promise<void> {
  const about = webhook.about === 'installation' ? reader.readInstallation(webhook.payload) : null;
  if (about) await recordInstallation(tx, connection.id, about);
  else await assertOwn(tx, connection, reader, webhook);
  if (webhook.about === 'job') {
    const job = reader.readWorkflowJob(webhook.payload);
    if (job) await recordJob(tx, connection.id, job);
  }
  // What such an event says is not believed: the worker looks.
  if (webhook.about === 'installation' || webhook.about === 'scope') {
    await wakeEnrollmentsOf(tx, connection.id, webhook.installationId, accountOf(about, reader, webhook));
  }
}

function accountOf(about: InstallationEvent | null, reader: WebhookReader, webhook: Webhook): string | null {
  return about?.accountId ?? reader.readAccountId(webhook.payload);
}

/**
 * The secret is the App's and not a tenant's, so a right signature does not say whose delivery it is: the installation
 * must be one of this connection's, and the organization or owner that the payload speaks of must be its account.
 */
async function assertOwn(
  tx: Tx,
  { id: connectionId, kind }: Pick<ForgeConnectionModel, 'id' | 'kind'>,
  reader: WebhookReader,
  webhook: Webhook,
): Promise<void> {
  // A hook of the whole server, which its operator made: jobs count for whoever's scope they ran in.
  if (kind !== 'github') return;
  // A ping and the App's own events are about no installation and change nothing.
  if (webhook.installationId === null && webhook.about !== 'job') return;
  const accountId = reader.readAccountId(webhook.payload);
  if (webhook.installationId && (await isKnownInstallation(tx, connectionId, webhook.installationId, accountId)))
    return;
  throw new AppError('forbidden', {
    log: `webhook: ${webhook.event} of installation ${webhook.installationId ?? 'none'} is not of connection ${connectionId}`,
    screen: {
      happened: 'The delivery is about an installation that is not known at this connection.',
      todo: 'Nothing, if the App was just installed: the portal looks by itself.',
    },
  });
}
