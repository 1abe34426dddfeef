import {
  ClusterClient,
  fieldManager,
  lookAtTenant,
  tenantPart,
  tofuConfiguration,
  type Look,
} from '#lib/cluster/index.ts';
import { systemClock } from '#lib/clock.ts';
import { tenantTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { clusterAt } from '#lib/fleet/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';

/** What the tenant has in its cluster; or that the cluster does not answer, which is no error of the page's. */
export type ClusterLook = ({ isAway: false } & Look) | { isAway: true };

const clients = new Map<string, ClusterClient>();

/** Kept for its open connections; it reads its credentials anew by itself. */
function clientOf(clusterId: string): ClusterClient {
  const known = clients.get(clusterId) ?? new ClusterClient(clusterAt(clusterId));
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

/** All that the tenant has in its cluster as an OpenTofu configuration, from the cluster itself. No value of a Secret is in it. */
export async function exportTenant(ctx: Ctx): Promise<Response> {
  const { slug, clusterId, id } = ctx.tenant;
  const objects = await tenantPart(clientOf(clusterId), slug);
  if (objects.length === 0)
    throw new AppError('not_found', {
      log: `tenant ${slug} has nothing in its cluster`,
      screen: { happened: 'This tenant has nothing in its cluster.', todo: 'Enrol something first.' },
    });
  const after = { objects: objects.length };
  await tenantTransaction(id, (tx) => ctx.audit(tx, { action: 'cluster:export', target: `tenant/${slug}`, after }));
  return new Response(tofuConfiguration(slug, objects, fieldManager), {
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'content-disposition': `attachment; filename="${slug}.tf"`,
      'cache-control': 'no-store',
    },
  });
}
