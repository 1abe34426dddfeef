import { open, unsafeDb, type CacheServerModel, type UnsafeTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import type { AtticServer, SigningKey } from '#lib/cache/index.ts';
import { guardedFetch, tellingOf } from '#lib/forge/index.ts';

/* Cache servers that an operator entered, with their secrets opened. */

export type OpenServer = AtticServer & { id: string };

export function cacheServerPlace(id: string): string {
  return `cache_server/${id}/signing_secret`;
}

export function statisticsPlace(id: string): string {
  return `cache_server/${id}/statistics_url`;
}

/** By the guard, and into private networks only where the operator's configuration says so. */
export function cacheFetch(): typeof globalThis.fetch {
  const { FLYWHEEL_SANDBOX, FLYWHEEL_PRIVATE_HOSTS } = env();
  const guarded = guardedFetch({ allowLoopback: FLYWHEEL_SANDBOX === '1', privateHosts: FLYWHEEL_PRIVATE_HOSTS });
  return tellingOf(guarded, 'cache');
}

type ServerSecrets = Pick<CacheServerModel, 'id' | 'url' | 'sealedSigningSecret' | 'signingAlgorithm'>;

/** Null where no key was entered. */
export async function openServer(row: ServerSecrets): Promise<OpenServer | null> {
  if (row.sealedSigningSecret === null) return null;
  const secretBase64 = await open(row.sealedSigningSecret, cacheServerPlace(row.id));
  const key: SigningKey = { algorithm: row.signingAlgorithm === 'RS256' ? 'RS256' : 'HS256', secretBase64 };
  return withKey(row, key);
}

/** A server as it is reached with this key: before it is kept, it is tried. */
export function withKey({ id, url }: Pick<ServerSecrets, 'id' | 'url'>, key: SigningKey): OpenServer {
  return { id, url, key, fetch: cacheFetch() };
}

/** The Attic server of a tenant's cluster, its own or one that it shares with another; null where the operator entered none. */
export async function atticServerOf(tenant: { clusterId: string }): Promise<OpenServer | null> {
  const row = await atticRowOf(unsafeDb(), tenant);
  return row ? openServer(row) : null;
}

/** Whether there is one, without opening its secrets. */
export async function hasAttic(db: Pick<UnsafeTx, 'cluster'>, tenant: { clusterId: string }): Promise<boolean> {
  return (await atticRowOf(db, tenant)) !== null;
}

async function atticRowOf(db: Pick<UnsafeTx, 'cluster'>, { clusterId }: { clusterId: string }) {
  const cluster = await db.cluster.findUnique({
    where: { id: clusterId },
    select: { atticServer: true, cacheServers: { where: { plane: 'attic' }, take: 1 } },
  });
  return cluster?.atticServer ?? cluster?.cacheServers[0] ?? null;
}

/** The read-only connection to its database; null where the operator gave none. */
export async function statisticsUrlOf(
  row: Pick<CacheServerModel, 'id' | 'sealedStatisticsUrl'>,
): Promise<string | null> {
  return row.sealedStatisticsUrl === null ? null : open(row.sealedStatisticsUrl, statisticsPlace(row.id));
}
