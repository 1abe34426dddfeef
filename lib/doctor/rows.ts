import { z } from 'zod';
import { unsafeDb } from '#lib/db/index.ts';
import { enrollmentRow, type EnrollmentRow } from '#lib/enrollment/index.ts';
import { findingKinds, repairKinds } from './facts.ts';
import type { Position } from './steps.ts';

/*
 * How findings and repairs are kept: also by a worker of the next version, beside a web of this one. An offer that is not known
 * here cannot be carried out here and is left out; a change is shown as far as it is known.
 */

export const StoredEvidence = z.array(z.object({ object: z.string(), at: z.string().nullable(), said: z.string() }));
export const StoredOffer = z.object({
  kind: z.enum(repairKinds),
  who: z.enum(['admin', 'operator']),
  params: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
});
export const StoredOffers = z
  .array(z.unknown())
  .transform((offers) => offers.flatMap((offer) => StoredOffer.safeParse(offer).data ?? []));
export const StoredChanges = z.array(
  z.object({
    where: z.enum(['cluster', 'catalog', 'forge', 'portal']).catch('portal'),
    op: z.enum(['~', '-', '+']).catch('~'),
    what: z.string(),
    from: z.string().optional(),
    to: z.string().optional(),
  }),
);
export const StoredKind = z.enum(findingKinds);

const liveStates: readonly EnrollmentRow['state'][] = ['active', 'withdrawing'];

/** The enrollment, while there is something of it that may be out of order. */
export async function liveRow(id: string): Promise<EnrollmentRow | null> {
  const row = await enrollmentRow(id);
  return row && liveStates.includes(row.state) ? row : null;
}

/** Where the repairs of an enrollment act. */
export async function positionOf(row: EnrollmentRow): Promise<Position> {
  const cluster = await unsafeDb().cluster.findUniqueOrThrow({ where: { id: row.tenant.clusterId } });
  return {
    tenant: row.tenant.slug,
    controllerNamespace: cluster.controllerNamespace,
    forgeName: row.connection.name,
  };
}
