import { type Pool } from './pool.ts';
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

/** Why a plan waits for an operator, in sentences; empty where the tenant's own admin may apply it at once. */
export function planNeedsOperator(kind: TenantKind, pools: readonly Pool[]): string[] {
  const special = pools.filter((pool) => pool.requiresApproval || pool.securityClass !== 'restricted');
  return [
    ...(kind === 'managed_customer' ? ['An operator manages what a managed customer runs.'] : []),
    ...(kind === 'enterprise' ? ['An operator approves what an enterprise runs.'] : []),
    ...special.map(({ name, securityClass }) =>
      securityClass === 'restricted'
        ? `The pool ${name} is scarce, so an operator gives it.`
        : `The pool ${name} runs with more rights (${securityClass}), so an operator gives it.`,
    ),
  ];
}
