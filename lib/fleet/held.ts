import { unsafeDb } from '#lib/db/index.ts';
import { runnerPodsUnheld, type Condition } from '#lib/model/index.ts';

/**
 * Whether the API server of each cluster keeps runners' pods to their profile, as the enrollments there last found: they look for the
 * admission policy, and one that does without it says so. Null where none has looked.
 */
export async function podsHeld(): Promise<(clusterId: string) => boolean | null> {
  const [unheld, looked] = await Promise.all([
    clustersWhere({ reason: runnerPodsUnheld }),
    clustersWhere({ type: 'NamespaceReady', status: 'True' }),
  ]);
  return (id) => (unheld.has(id) ? false : looked.has(id) ? true : null);
}

/** The clusters in which an active enrollment has such a condition. */
async function clustersWhere(condition: Partial<Condition>): Promise<ReadonlySet<string>> {
  const tenants = await unsafeDb().tenant.findMany({
    where: { enrollments: { some: { state: 'active', conditions: { array_contains: [condition] } } } },
    select: { clusterId: true },
    distinct: ['clusterId'],
  });
  return new Set(tenants.map(({ clusterId }) => clusterId));
}
