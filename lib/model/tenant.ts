import { z } from 'zod';
import { hasDaemon, type SecurityClass } from './security-class.ts';

/** Dimension 2: who owns the capacity and pays for it. */
export const tenantKinds = ['team', 'organization', 'enterprise', 'managed_customer'] as const;
export type TenantKind = (typeof tenantKinds)[number];

/** What a person reads. Documents use the kebab-case form. */
export const tenantKindLabel: Record<TenantKind, string> = {
  team: 'Team',
  organization: 'Organization',
  enterprise: 'Enterprise',
  managed_customer: 'Managed customer',
};

const parentsOf: Record<TenantKind, readonly TenantKind[]> = {
  team: ['organization', 'managed_customer'],
  organization: ['enterprise'],
  enterprise: [],
  managed_customer: [],
};

export function mayHaveParent(kind: TenantKind, parent: TenantKind): boolean {
  return parentsOf[kind].includes(parent);
}

/** A team exists only within its organization. */
export function needsParent(kind: TenantKind): boolean {
  return kind === 'team';
}

/** Slugs that would read as the platform's own, or that a label could not tell from one. */
const reserved = new Set(['default', 'operator', 'flywheel', 'system', 'admin', 'new', 'enroll', 'api']);

/**
 * 30 characters: `<slug>-nix-heavy` must stay within a scale set's 45, and every name derived from the slug within a
 * DNS label's 63. Lower-case ASCII only, so that no two slugs look alike.
 */
export const TenantSlug = z
  .string()
  .max(30, 'is at most 30 characters')
  .regex(
    /^[a-z](?:[a-z0-9-]*[a-z0-9])?$/,
    'is lower-case letters, digits and hyphens, begins with a letter and ends without a hyphen',
  )
  .refine((slug) => !slug.startsWith('kube-') && !reserved.has(slug), 'is reserved');

export const TenantName = z
  .string()
  .trim()
  .min(1, 'is needed')
  .max(80, 'is at most 80 characters')
  // Control, bidirectional and zero-width characters can make one name read as another.
  .regex(/^[^\p{Cc}\p{Cf}\p{Cs}]*$/u, 'has a character that cannot be shown');

/** The role comes first, so that no two slugs can meet in one namespace name. */
export function namespacesOf(slug: string): { runners: string; bazel: string; dind: string } {
  return { runners: `runners-${slug}`, bazel: `bazel-${slug}`, dind: `dind-${slug}` };
}

/** Where the pods of a class run. What has a daemon lives apart from what has none. */
export function runnersNamespaceOf(slug: string, securityClass: SecurityClass): string {
  const { runners, dind } = namespacesOf(slug);
  return hasDaemon(securityClass) ? dind : runners;
}

/** The namespaces of a tenant in which jobs run. The second is there only where an operator allowed it. */
export function runnersNamespacesOf(slug: string): [string, string] {
  const { runners, dind } = namespacesOf(slug);
  return [runners, dind];
}
