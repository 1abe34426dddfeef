import { open, unsafeDb } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { notFound } from '#lib/errors.ts';
import type { ForgeKind } from '#lib/model/index.ts';

/** A forge connection as people choose it: no secret in it. */
export type ConnectionChoice = { id: string; kind: ForgeKind; name: string; baseUrl: string };

/** One with its secrets plain, in the shape that the forge room takes; it lives no longer than the call. */
export type OpenConnection = ConnectionChoice & {
  clientId: string;
  clientSecret: string;
  app: { id: string; slug: string; privateKey: string; webhookSecret: string } | undefined;
  allowLoopback: boolean;
};

export async function listConnections(): Promise<ConnectionChoice[]> {
  return unsafeDb().forgeConnection.findMany({
    select: { id: true, kind: true, name: true, baseUrl: true },
    orderBy: { createdAt: 'asc' },
  });
}

export async function openConnection(connectionId: string): Promise<OpenConnection> {
  const row = await unsafeDb().forgeConnection.findUnique({ where: { id: connectionId } });
  if (!row) throw notFound('This forge connection');
  const { id, kind, name, baseUrl, clientId, appId, appSlug, sealedPrivateKey, sealedWebhookSecret } = row;
  const opened = (sealed: string, column: string) => open(sealed, `forge_connection/${id}/${column}`);
  const hasApp = appId !== null && appSlug !== null && sealedPrivateKey !== null && sealedWebhookSecret !== null;
  const app = hasApp
    ? {
        id: appId,
        slug: appSlug,
        privateKey: await opened(sealedPrivateKey, 'private_key'),
        webhookSecret: await opened(sealedWebhookSecret, 'webhook_secret'),
      }
    : undefined;
  const clientSecret = await opened(row.sealedClientSecret, 'client_secret');
  return { id, kind, name, baseUrl, clientId, clientSecret, app, allowLoopback: env().FLYWHEEL_SANDBOX === '1' };
}
