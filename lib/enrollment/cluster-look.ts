import { ClusterClient, clusterConnection, lookAtTenant, type Look } from '#lib/cluster/index.ts';
import { systemClock } from '#lib/clock.ts';
import { AppError } from '#lib/errors.ts';
import type { Ctx } from '#lib/tenant/index.ts';

/** What the tenant has in its cluster; or that the cluster does not answer, which is no error of the page's. */
export type ClusterLook = ({ isAway: false } & Look) | { isAway: true };

const clients = new Map<string, ClusterClient>();

/** Kept for its open connections; it reads its credentials anew by itself. */
function clientOf(clusterId: string): ClusterClient {
  const known = clients.get(clusterId) ?? new ClusterClient(clusterConnection(clusterId));
  clients.set(clusterId, known);
  return known;
}

/** The tenant's own namespaces, by the portal's eyes: people have no account in a cluster. */
export async function clusterLook({ tenant }: Ctx): Promise<ClusterLook> {
  try {
    return { isAway: false, ...(await lookAtTenant(clientOf(tenant.clusterId), tenant.slug, systemClock.now())) };
  } catch (error) {
    if (error instanceof AppError && (error.code === 'unavailable' || error.code === 'rate_limited'))
      return { isAway: true };
    throw error;
  }
}
