import { z } from 'zod';
import { Placement } from './placement.ts';
import { Devices, ImageDigest, ImageName, PinnedImage, Pool } from './pool.ts';

const { description, cpu, memory, storage, runnersMost, securityClass, requiresApproval, needsDevice } = Pool.shape;

/** A pool as a document tells it: what is left out stays as it is, and of a new one is as by default. */
export const PoolEntry = z
  .strictObject({
    description,
    cpu,
    memory,
    storage,
    image: ImageName,
    imageDigest: ImageDigest.nullable(),
    imageBuiltAt: z.iso.date('is a day such as 2026-11-25').nullable(),
    devices: Devices,
    needsDevice: needsDevice.unwrap(),
    runnersMost: runnersMost.unwrap(),
    securityClass,
    daemonImage: PinnedImage.nullable(),
    requiresApproval: requiresApproval.unwrap(),
    placement: Placement.nullable(),
  })
  .partial();
export type PoolEntry = z.output<typeof PoolEntry>;

const newPool = { description: '', cpu: null, memory: null, storage: '20Gi', securityClass: 'restricted' };

/** The pool that an entry makes of the one before it, or anew; or what is wrong with it, by field. */
export function enteredPool(
  name: string,
  { placement, imageBuiltAt: day, ...given }: PoolEntry,
  before: Pool | null,
): { pool: Pool } | { problems: Record<string, string> } {
  const imageBuiltAt = typeof day === 'string' ? new Date(`${day}T00:00:00Z`) : day;
  const told = Object.entries({ ...given, imageBuiltAt }).filter(([, value]) => value !== undefined);
  const kept = placement === undefined ? before?.placement : placement;
  const { placement: _, ...present } = before ?? { placement: undefined, ...newPool };
  const { data: pool, error } = Pool.safeParse({
    ...present,
    ...Object.fromEntries(told),
    name,
    ...(kept ? { placement: kept } : {}),
  });
  if (pool) return { pool };
  return { problems: Object.fromEntries(error.issues.map(({ path, message }) => [path.join('.'), message])) };
}
