/** What a person may do within a tenant. A door names one of these before anything else. */
export const tenantPermissions = [
  'tenant:see',
  'enrollment:see',
  'enrollment:plan',
  'enrollment:approve',
  'enrollment:withdraw',
  'pool:see',
  'job:see',
  'cache:see',
  'cache:change',
  'cluster:see',
  'usage:see',
  'billing:see',
  'budget:change',
  'credential:see',
  'credential:change',
  'member:see',
  'member:change',
  'audit:see',
  'settings:see',
  'settings:change',
  'quota:see',
  'request:see',
  'request:make',
  'tenant:leave',
] as const;

/** What changes the world or who may: the forge is asked anew about whoever does it, each time. */
const sensitive: ReadonlySet<TenantPermission> = new Set([
  'enrollment:approve',
  'enrollment:withdraw',
  'credential:change',
  'cache:change',
  'member:change',
]);

export function isSensitive(permission: TenantPermission): boolean {
  return sensitive.has(permission);
}

/** What an operator may do beside that, for all tenants. */
export const operatorPermissions = ['operator:see', 'operator:change'] as const;

export type TenantPermission = (typeof tenantPermissions)[number];
export type OperatorPermission = (typeof operatorPermissions)[number];
export type Permission = TenantPermission | OperatorPermission;

/** `operator` is named by configuration and never stored; the others are memberships. */
export const actingRoles = ['admin', 'member', 'billing', 'operator'] as const;
export type ActingRole = (typeof actingRoles)[number];

/** A record, so that a new role cannot be forgotten. */
const table: Record<ActingRole, ReadonlySet<Permission>> = {
  admin: new Set(tenantPermissions),
  member: new Set([
    'tenant:see',
    'enrollment:see',
    'pool:see',
    'job:see',
    'cache:see',
    'usage:see',
    'member:see',
    'quota:see',
  ]),
  billing: new Set(['tenant:see', 'usage:see', 'billing:see', 'quota:see']),
  operator: new Set([...tenantPermissions, ...operatorPermissions]),
};

/** The one table behind the server's check, the button and its tooltip. */
export function may(role: ActingRole, permission: Permission): boolean {
  return table[role].has(permission);
}

export const roleLabel: Record<ActingRole, string> = {
  admin: 'Admin',
  member: 'Member',
  billing: 'Billing',
  operator: 'Operator',
};
