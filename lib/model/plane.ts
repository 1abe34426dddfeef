import { z } from 'zod';

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
});
export type Planes = z.infer<typeof Planes>;

/** `+` cannot occur in a slug, so no tenant's view name is another's prefix (Attic allows it: `^[A-Za-z0-9][A-Za-z0-9-_+]{0,49}$`). */
export function atticViewName(tenantSlug: string): string {
  return `${tenantSlug}+main`;
}
