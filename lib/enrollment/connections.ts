import { open, unsafeDb, type ForgeConnectionModel, type GithubAppModel } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { forgeOf, hookSecret, type Forge, type ForgeConnectionValue } from '#lib/forge/index.ts';
import type { ForgeKind } from '#lib/model/index.ts';
import type { PersonCtx, PersonIdentity } from '#lib/tenant/index.ts';
import { userToken } from '#lib/tenant/index.ts';
import { connectionPlace, githubAppPlace } from './places.ts';

/** Where requests may go beside the public internet, by the operator's configuration. */
export function reach(): { allowLoopback: boolean; privateHosts: string[] } {
  const { FLYWHEEL_SANDBOX, FLYWHEEL_PRIVATE_HOSTS } = env();
  return { allowLoopback: FLYWHEEL_SANDBOX === '1', privateHosts: FLYWHEEL_PRIVATE_HOSTS };
}

async function opened(row: ForgeConnectionModel): Promise<ForgeConnectionValue> {
  const clientSecret = await open(row.sealedClientSecret, connectionPlace(row.id, 'client_secret'));
  const base = {
    id: row.id,
    kind: row.kind,
    baseUrl: row.baseUrl,
    clientId: row.clientId,
    clientSecret,
    ...reach(),
    caBundle: row.caBundle ?? undefined,
  };
  const webhookSecret =
    row.sealedWebhookSecret === null
      ? undefined
      : await open(row.sealedWebhookSecret, connectionPlace(row.id, 'webhook_secret'));
  if (!row.appId || !row.appSlug || !row.sealedPrivateKey) return { ...base, webhookSecret };
  const privateKey = await open(row.sealedPrivateKey, connectionPlace(row.id, 'private_key'));
  return { ...base, webhookSecret, app: { id: row.appId, slug: row.appSlug, privateKey } };
}

const kept = new Map<string, { value: Promise<ForgeConnectionValue>; untilMs: number }>();
const keptMs = 1_000;

/** A forge that an operator entered, with its secrets opened; at most a second old, so that a burst of passes reads it once. */
export async function openConnection(id: string): Promise<ForgeConnectionValue> {
  const known = kept.get(id);
  if (known && performance.now() < known.untilMs) return known.value;
  const value = readConnection(id);
  kept.set(id, { value, untilMs: performance.now() + keptMs });
  value.catch(() => kept.delete(id));
  return value;
}

async function readConnection(id: string): Promise<ForgeConnectionValue> {
  const row = await unsafeDb().forgeConnection.findUnique({ where: { id } });
  if (!row) throw notFound('This forge');
  return opened(row);
}

export async function openForge(id: string): Promise<Forge> {
  return forgeOf(await openConnection(id));
}

/** By which App an enrollment acts, and whose that is. */
export type ActsBy = { connectionId: string; tenantId: string; githubAppId: string | null; id?: string };

/**
 * The connection as an enrollment reaches it: with the organization's own App in the place of the connection's where it has
 * one. An App of another tenant is absent. Where each enrollment has a webhook of its own, it is signed with its own secret.
 */
export async function openConnectionFor({
  connectionId,
  tenantId,
  githubAppId,
  id,
}: ActsBy): Promise<ForgeConnectionValue> {
  const connection = await openConnection(connectionId);
  if (connection.kind !== 'github' && connection.webhookSecret !== undefined && id !== undefined)
    return { ...connection, webhookSecret: hookSecret(connection.webhookSecret, id) };
  if (githubAppId === null) return connection;
  const row = await unsafeDb().githubApp.findFirst({ where: { id: githubAppId, tenantId, connectionId } });
  if (!row) throw notFound('The organization’s own App');
  return withOwnApp(connection, row);
}

export async function withOwnApp(connection: ForgeConnectionValue, row: GithubAppModel): Promise<ForgeConnectionValue> {
  const privateKey = await open(row.sealedPrivateKey, githubAppPlace(row, 'private_key'));
  const webhookSecret = await open(row.sealedWebhookSecret, githubAppPlace(row, 'webhook_secret'));
  return { ...connection, webhookSecret, app: { id: row.appId, slug: row.slug, privateKey, isOwn: true } };
}

export async function openForgeFor(by: ActsBy): Promise<Forge> {
  return forgeOf(await openConnectionFor(by));
}

export type ForgeConnectionChoice = { id: string; kind: ForgeKind; name: string; baseUrl: string };

/** The forges a person may sign in with or enrol from. */
export async function forgeConnectionsOf(): Promise<ForgeConnectionChoice[]> {
  return unsafeDb().forgeConnection.findMany({
    select: { id: true, kind: true, name: true, baseUrl: true },
    orderBy: { name: 'asc' },
  });
}

export function identityAt(by: PersonCtx, connectionId: string): PersonIdentity {
  const identity = by.person.identities.find((each) => each.connectionId === connectionId);
  if (identity) return identity;
  throw new AppError('forbidden', {
    log: `no identity on ${connectionId}`,
    screen: { happened: 'You are not signed in with this forge.', todo: 'Sign in with it, then choose the scope.' },
  });
}

/** The person's account on a forge, and a token that acts as them. */
export async function actAs(
  by: PersonCtx,
  connectionId: string,
): Promise<{ forge: Forge; token: string; identity: PersonIdentity }> {
  const identity = identityAt(by, connectionId);
  const forge = await openForge(connectionId);
  const token = await userToken(identity, (refreshToken) => forge.signIn.refresh(refreshToken));
  return { forge, token, identity };
}
