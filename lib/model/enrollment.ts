import { z } from 'zod';
import { PoolChoice } from './pool.ts';
import { Planes } from './plane.ts';

/** The part of an enrollment that a plan may change. The scope and the tenant are fixed when it is made. */
export const EnrollmentSpec = z.strictObject({
  pools: z
    .array(PoolChoice)
    .min(1, 'choose at least one pool')
    .max(1000)
    .refine((pools) => new Set(pools.map((choice) => choice.pool)).size === pools.length, 'names a pool twice'),
  planes: Planes.default({}),
});
export type EnrollmentSpec = z.infer<typeof EnrollmentSpec>;

/** A name within its tenant, and a part of object names in the cluster. */
export const EnrollmentName = z
  .string()
  .max(45, 'is at most 45 characters')
  .regex(/^[a-z](?:[a-z0-9-]*[a-z0-9])?$/, 'is lower-case letters, digits and hyphens');

/** `Tinyland-Inc/My.Repo` as an enrollment name. */
export function enrollmentNameOf(path: string): string {
  const last = path.split('/').at(-1) ?? '';
  const cleaned = last
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 45)
    .replace(/-+$/, '');
  return cleaned === '' ? 'scope' : cleaned;
}

/** A statement about an enrollment, in the manner of Kubernetes conditions. */
export const Condition = z.strictObject({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
  /** Who has to move: nobody, the portal, a person of the tenant, the operator, or an outside system. */
  waitingFor: z.enum(['nobody', 'portal', 'admin', 'operator', 'forge', 'cluster', 'cache']),
  since: z.string(),
  observedGeneration: z.int(),
});
export type Condition = z.infer<typeof Condition>;

/**
 * As they are stored: also by a worker of the next version, in whose place a web of this one still answers. What it has besides
 * is left out, and a word that is not known here stands for the nearest that is; its message says what it is about.
 */
export const Conditions = z.array(
  z.object({
    ...Condition.shape,
    status: Condition.shape.status.catch('Unknown'),
    waitingFor: Condition.shape.waitingFor.catch('portal'),
  }),
);

/** The reason of a condition that is as it should be, in a cluster that lacks what would keep runners' pods so. */
export const runnerPodsUnheld = 'RunnerPodsUnheld';
