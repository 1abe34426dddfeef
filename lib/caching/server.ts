import { open, unsafeDb, type CacheServerModel } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import type { AtticServer, SigningKey } from '#lib/cache/index.ts';
import { guardedFetch } from '#lib/forge/index.ts';

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
  return guardedFetch({ allowLoopback: FLYWHEEL_SANDBOX === '1', privateHosts: FLYWHEEL_PRIVATE_HOSTS });
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

/** The Attic server of a tenant's cluster; null where the operator entered none. */
export async function atticServerOf({ clusterId }: { clusterId: string }): Promise<OpenServer | null> {
  const row = await unsafeDb().cacheServer.findFirst({ where: { clusterId, plane: 'attic' } });
  return row && openServer(row);
}

/** The read-only connection to its database; null where the operator gave none. */
export async function statisticsUrlOf(
  row: Pick<CacheServerModel, 'id' | 'sealedStatisticsUrl'>,
): Promise<string | null> {
  return row.sealedStatisticsUrl === null ? null : open(row.sealedStatisticsUrl, statisticsPlace(row.id));
}
