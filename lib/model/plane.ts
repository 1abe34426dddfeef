import { z } from 'zod';
import { PoolName } from './pool.ts';

/** Dimension 4: where build products and state are kept. `state` is always the operator's and never chosen by a tenant. */
export const planeKinds = ['attic', 'bazel', 'state'] as const;
export type PlaneKind = (typeof planeKinds)[number];

export const AtticPlane = z.strictObject({
  /** A public view is readable without a token. */
  public: z.boolean().default(false),
});

export const BazelPlane = z.strictObject({
  sizeGib: z.int().min(1).max(10_000).default(20),
});

export const Planes = z.strictObject({
  attic: AtticPlane.optional(),
  bazel: BazelPlane.optional(),
  /**
   * Pools whose jobs are not trusted, such as those of pull requests: they read what trusted jobs made, and push where trusted
   * jobs never read. Left out, all jobs of the enrollment are trusted.
   */
  untrusted: z.array(PoolName).max(1000).optional(),
});
export type Planes = z.infer<typeof Planes>;

/** Whose jobs push to a view. Trusted jobs read no view of untrusted ones. */
export const viewTrusts = ['trusted', 'untrusted'] as const;
export type ViewTrust = (typeof viewTrusts)[number];

const mainLabel = 'main';
const untrustedLabel = 'pull-requests';

/** Views that enrollments make and remove by themselves. */
export const enrolledViewLabels: readonly string[] = [mainLabel, untrustedLabel];

/** What a tenant calls a further view of its own; with the longest slug and the `+` it fits Attic's 50 characters. */
export const ViewLabel = z
  .string()
  .max(19, 'is at most 19 characters')
  .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, 'is lower-case letters, digits and hyphens')
  .refine((label) => !enrolledViewLabels.includes(label), 'is the name of a view that enrollments make');

/**
 * `+` cannot occur in a slug nor in a label, so no two tenants' views meet and none's name is another's prefix
 * (Attic allows it: `^[A-Za-z0-9][A-Za-z0-9-_+]{0,49}$`).
 */
export function viewName(tenantSlug: string, label: string): string {
  return `${tenantSlug}+${label}`;
}

export function viewLabelOf(name: string): string {
  return name.slice(name.indexOf('+') + 1);
}

export function atticViewName(tenantSlug: string): string {
  return viewName(tenantSlug, mainLabel);
}

export function untrustedViewName(tenantSlug: string): string {
  return viewName(tenantSlug, untrustedLabel);
}

/** What a view is told to be. Attic keeps seconds in 32 bits; null is the server's own retention, 0 keeps for ever. */
export const ViewSettings = z.strictObject({
  isPublic: z.boolean(),
  /** Lower wins in Nix; cache.nixos.org has 40. */
  priority: z.int().min(0).max(1000),
  /** Names of keys whose paths need not be pushed, since every client has them from upstream. */
  upstreamKeys: z
    .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$/, 'is the name of a key, such as cache.nixos.org-1'))
    .max(10, 'are at most 10'),
  retentionSeconds: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .nullable(),
});
export type ViewSettings = z.infer<typeof ViewSettings>;

export const defaultViewSettings: Omit<ViewSettings, 'isPublic'> = {
  priority: 41,
  upstreamKeys: ['cache.nixos.org-1'],
  retentionSeconds: null,
};
