import { type ForgeConnectionModel, open, unsafeDb, unsafeTransaction } from '../db/index.ts';
import { AppError, notFound } from '../errors.ts';
import { type InstallationEvent, type Webhook, type WebhookReader, webhookOf } from '../forge/index.ts';
import { gathered } from './gather.ts';
import { lookAtPeople } from './people.ts';
import type { Accepted, Given, Hook } from './hook.ts';
import { rawBodyBytesMax, tooLarge } from './raw-body.ts';
import {
  insertDelivery,
  isKnownInstallation,
  isOfAccount,
  keepDeliveries,
  knownInstallations,
  recordInstallation,
  type ToldJob,
  wakeEnrollmentsOf,
} from './rows.ts';

export type DeliveryInput = Given & { connectionId: string };

/**
 * Takes one delivery that has arrived. Throws `not_found` for a connection that has no webhook, `unauthenticated` for a body that its
 * secret did not sign, `forbidden` for an installation that is not this connection's, `too_large` above 25 MB; nothing is
 * kept then. A body that was signed and that we have no use for is kept and answered like any other.
 */
export async function acceptDelivery(input: DeliveryInput): Promise<Accepted> {
  return (await connectionHook(input.connectionId)).take(input);
}

/** The webhook of a whole connection. Throws `not_found` where it has none. */
export async function connectionHook(connectionId: string): Promise<Hook> {
  const hooked = await hookedConnection(connectionId);
  const forge = hooked.connection.kind;
  const reader = webhookOf(forge);
  return { forge, reader, take: (given) => take(hooked, reader, given) };
}

async function take({ connection, secret }: Hooked, reader: WebhookReader, given: Given): Promise<Accepted> {
  if (given.rawBody.byteLength > rawBodyBytesMax) throw tooLarge();
  const webhook = reader.verifyWebhook(secret, given);
  if (webhook.about === 'job') return keptTogether(connection, toldOf(reader, webhook));
  return unsafeTransaction(async (tx) => {
    if (!(await insertDelivery(tx, connection.id, webhook))) return { status: 202, duplicate: true };
    await takeIn(tx, connection, reader, webhook);
    return { status: 202, duplicate: false };
  });
}

type Hooked = { connection: ForgeConnectionModel; secret: string };

const kept = new Map<string, { hooked: Promise<Hooked>; untilMs: number }>();
const keptMs = 1_000;

/** The connection with its secret opened; at most a second old, so that a burst of deliveries reads it once. */
async function hookedConnection(id: string): Promise<Hooked> {
  const known = kept.get(id);
  if (known && performance.now() < known.untilMs) return known.hooked;
  const hooked = readHooked(id);
  kept.set(id, { hooked, untilMs: performance.now() + keptMs });
  hooked.catch(() => kept.delete(id));
  return hooked;
}

async function readHooked(id: string): Promise<Hooked> {
  const connection = await unsafeDb().forgeConnection.findUnique({ where: { id } });
  if (!connection?.sealedWebhookSecret) throw notFound('This webhook');
  const secret = await open(connection.sealedWebhookSecret, `forge_connection/${id}/webhook_secret`);
  return { connection, secret };
}

/** Jobs are told of by the thousand: those of a connection that arrive together are kept by one statement. */
const jobsMost = 100;
const gatherers = new Map<string, (given: GivenJob) => Promise<Accepted | AppError>>();
type GivenJob = { connection: ForgeConnectionModel; told: ToldJob };

/** All that is needed of it from here on: what waits for the others must not hold a payload of thousands of objects meanwhile. */
function toldOf(reader: WebhookReader, { payload, ...head }: Webhook): ToldJob {
  return { ...head, accountId: reader.readAccountId(payload), job: reader.readWorkflowJob(payload) };
}

async function keptTogether(connection: ForgeConnectionModel, told: ToldJob): Promise<Accepted> {
  const gather = gatherers.get(connection.id) ?? gathered(jobsMost, keepJobs);
  gatherers.set(connection.id, gather);
  const answer = await gather({ connection, told });
  if (answer instanceof AppError) throw answer;
  return answer;
}

/** One statement for deliveries of one connection about jobs. What is not the connection's own is refused by itself. */
async function keepJobs(given: GivenJob[]): Promise<(Accepted | AppError)[]> {
  const connection = given[0]?.connection;
  if (!connection) return [];
  const isOwn = await ownTest(connection, given);
  const own = given.map(({ told }) => told).filter(isOwn);
  const fresh = own.length > 0 ? await keepDeliveries(connection.id, own) : new Set<string>();
  return given.map(({ told }) =>
    // The first of several that carry the same id is the one that was kept.
    isOwn(told) ? { status: 202, duplicate: !fresh.delete(told.deliveryId) } : notOwnError(connection.id, told),
  );
}

/** `assertOwn` for many. */
async function ownTest(
  { id, kind }: ForgeConnectionModel,
  given: readonly GivenJob[],
): Promise<(told: ToldJob) => boolean> {
  if (kind !== 'github') return () => true;
  const known = await lately(id, new Set(given.flatMap(({ told }) => told.installationId ?? [])));
  return ({ installationId, accountId }) => installationId !== null && isOfAccount(known, installationId, accountId);
}

const seenInstallations = new Map<string, { account: string | null; untilMs: number }>();
const seenMost = 10_000;

/** `knownInstallations`, at most a second old: a burst of deliveries is of few installations. One that is not known is asked for each time. */
async function lately(connectionId: string, ids: ReadonlySet<string>): Promise<Map<string, string | null>> {
  const nowMs = performance.now();
  const keyOf = (id: string) => `${connectionId}/${id}`;
  const unseen = [...ids].filter((id) => (seenInstallations.get(keyOf(id))?.untilMs ?? 0) <= nowMs);
  const read = unseen.length > 0 ? await knownInstallations(unsafeDb(), connectionId, unseen) : new Map<string, null>();
  if (seenInstallations.size > seenMost) seenInstallations.clear();
  for (const [id, account] of read) seenInstallations.set(keyOf(id), { account, untilMs: nowMs + keptMs });
  const known = new Map<string, string | null>();
  for (const id of ids) {
    const seen = seenInstallations.get(keyOf(id));
    if (seen && (read.has(id) || !unseen.includes(id))) known.set(id, seen.account);
  }
  return known;
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
  if (webhook.about === 'people') await lookAtPeople(tx, connection.id, reader, webhook);
  // What such an event says is not believed: the worker looks.
  if (webhook.about === 'installation' || webhook.about === 'scope') {
    await wakeEnrollmentsOf(tx, connection.id, {
      installationId: webhook.installationId,
      accountId: accountOf(about, reader, webhook),
      repositoryId: reader.readRepository(webhook.payload)?.id ?? null,
    });
  }
}

function accountOf(about: InstallationEvent | null, reader: WebhookReader, webhook: Webhook): string | null {
  return about?.accountId ?? reader.readAccountId(webhook.payload);
}

/**
 * The secret is the App's and not a tenant's, so a right signature does not say whose delivery it is: the installation
 * must be one of this connection's, and the organization or owner that the payload speaks of must be its account. Only an
 * event that is no more than a reason to look may speak of another, since what it tells of may just have changed hands.
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
  if (webhook.installationId === null) return;
  const accountId = webhook.about === 'scope' ? null : reader.readAccountId(webhook.payload);
  if (await isKnownInstallation(tx, connectionId, webhook.installationId, accountId)) return;
  throw notOwnError(connectionId, webhook);
}

function notOwnError(connectionId: string, webhook: Omit<Webhook, 'payload'>): AppError {
  return new AppError('forbidden', {
    log: `webhook: ${webhook.event} of installation ${webhook.installationId ?? 'none'} is not of connection ${connectionId}`,
    screen: {
      happened: 'The delivery is about an installation that is not known at this connection.',
      todo: 'Nothing, if the App was just installed: the portal looks by itself.',
    },
  });
}
