import { labelOf, runnersNamespaceOf, type Pool, type SecurityClass } from '#lib/model/index.ts';
import type { EnrollmentRow } from './rows.ts';

type Pools = ReadonlyMap<string, Pool>;
type Tenant = Pick<EnrollmentRow['tenant'], 'slug' | 'isDefault'>;

/** The class of a pool by its name; of one that is not in the catalog any more, that which needs nothing. */
export function classOf(pools: Pools, pool: string): SecurityClass {
  return pools.get(pool)?.securityClass ?? 'restricted';
}

export const runnerSetKind = { apiVersion: 'actions.github.com/v1alpha1', kind: 'AutoscalingRunnerSet' } as const;

/** By what a pool's runner set is read, in whichever cluster. */
export function runnerSetOf(tenant: Tenant, pool: string, pools: Pools) {
  const namespace = runnersNamespaceOf(tenant.slug, classOf(pools, pool));
  return { ...runnerSetKind, metadata: { name: labelOf(tenant, pool), namespace } };
}
