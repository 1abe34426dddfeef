import { may, type ActingRole, type TenantPermission } from '#lib/tenant/index.ts';

type Audience = 'tenant' | 'operator' | 'person';

type Kind = {
  label: string;
  /** Whom it is told to. */
  to: readonly Audience[];
  /** Which of a tenant's people see it: those who may do this. */
  permission?: TenantPermission;
};

/** Everything that somebody is told of without having asked. */
export const noticeKinds = {
  'approval-asked': { label: 'Approval asked for', to: ['operator'] },
  'approval-given': { label: 'Approval given', to: ['tenant'], permission: 'enrollment:approve' },
  'approval-rejected': { label: 'Approval rejected', to: ['tenant'], permission: 'enrollment:approve' },
  'approval-question': { label: 'Question about a request', to: ['tenant'], permission: 'enrollment:approve' },
  'enrollment-failed': { label: 'Enrollment not ready', to: ['tenant'], permission: 'enrollment:approve' },
  'credential-expiring': { label: 'Credential expiring', to: ['tenant'], permission: 'credential:see' },
  'budget-reached': { label: 'Budget reached', to: ['tenant'], permission: 'billing:see' },
  'role-lost': { label: 'Role lost', to: ['person'] },
  'tenant-moved': { label: 'Moved to another cluster', to: ['tenant', 'operator'], permission: 'tenant:see' },
  'tenant-suspended': { label: 'Tenant suspended', to: ['tenant'], permission: 'tenant:see' },
  'tenant-left': { label: 'Tenant left', to: ['tenant', 'operator'], permission: 'tenant:see' },
  'found-unknown': { label: 'Found in a cluster', to: ['operator'] },
  'webhook-disabled': { label: 'Webhook disabled', to: ['tenant'], permission: 'settings:change' },
} as const satisfies Record<string, Kind>;

export type NoticeKind = keyof typeof noticeKinds;

const kinds = Object.entries(noticeKinds) as [NoticeKind, Kind][];

export const kindNames = kinds.map(([kind]) => kind) as [NoticeKind, ...NoticeKind[]];

/** What a tenant may have sent to an endpoint of its own: whatever its people are told. */
export const webhookKinds = kinds.flatMap(([kind, { to, label }]) => (to.includes('tenant') ? [{ kind, label }] : []));

/** The kinds of a tenant's notices that somebody of this role sees. */
export function kindsSeenBy(role: ActingRole): NoticeKind[] {
  return kinds.flatMap(([kind, { permission }]) => (permission && may(role, permission) ? [kind] : []));
}

export function labelOf(kind: string): string {
  return kinds.find(([name]) => name === kind)?.[1].label ?? kind;
}
