import type { Pool } from './pool.ts';
import { hasDaemon, type SecurityClass } from './security-class.ts';
import type { TenantKind } from './tenant.ts';

/** What a person wants that only an operator may grant. */
export const requestKinds = ['tenant', 'quota', 'plan', 'parent'] as const;
export type RequestKind = (typeof requestKinds)[number];

export const requestKindLabel: Record<RequestKind, string> = {
  tenant: 'New tenant',
  quota: 'Quota',
  plan: 'Enrollment',
  parent: 'Move',
};

/** Of these kinds a tenant begins only when an operator has said so, and each change of what it runs is theirs to approve. */
export function isOperatorManaged(kind: TenantKind): boolean {
  return kind === 'managed_customer' || kind === 'enterprise';
}

/**
 * Why a plan waits for an operator, in sentences; empty where the tenant's own admin may apply it at once. `allowed` are the
 * classes of pools that the tenant has by an operator's word already: the first pool of each is theirs to allow.
 */
export function planNeedsOperator(
  kind: TenantKind,
  pools: readonly Pool[],
  allowed: ReadonlySet<SecurityClass>,
): string[] {
  const scarce = pools.filter(({ requiresApproval }) => requiresApproval);
  const first = pools.filter(({ securityClass }) => hasDaemon(securityClass) && !allowed.has(securityClass));
  return [
    ...(kind === 'managed_customer' ? ['An operator manages what a managed customer runs.'] : []),
    ...(kind === 'enterprise' ? ['An operator approves what an enterprise runs.'] : []),
    ...first.map(
      ({ name, securityClass }) =>
        `The pool ${name} is the tenant’s first of the class ${securityClass}, which an operator allows.`,
    ),
    ...scarce
      .filter((pool) => !first.includes(pool))
      .map(({ name }) => `The pool ${name} is scarce, so an operator gives it.`),
  ];
}
