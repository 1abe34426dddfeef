import { z } from 'zod';
import { Placement } from './placement.ts';
import { CpuQuantity, MemoryQuantity } from './quantity.ts';
import { warmAt, warmMost, WarmSchedule } from './schedule.ts';
import type { ForgeKind } from './scope.ts';

/** Dimension 3: a resource profile and a class of work. */
export const securityClasses = ['restricted', 'builds', 'dind'] as const;

export const PoolName = z
  .string()
  .max(20, 'is at most 20 characters')
  .regex(/^[a-z](?:[a-z0-9-]*[a-z0-9])?$/, 'is lower-case letters, digits and hyphens')
  .refine((name) => !name.startsWith('kube-'), 'is reserved');

/**
 * Devices of a node that a runner gets whole, by the name of the resource that a device plugin gives them: `nvidia.com/gpu`,
 * `devices.kubevirt.io/kvm`. Kubernetes counts only whole ones, and knows none of its own by a name with a slash.
 * https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
 */
export const DeviceName = z
  .string()
  .max(120)
  .regex(
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}\/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
    'is a resource such as nvidia.com/gpu',
  )
  .refine((name) => !/(?:^|\.)kubernetes\.io\//.test(name), 'is one of Kubernetes’ own');

export const Devices = z
  .record(DeviceName, z.int().min(1, 'is at least 1').max(64, 'is at most 64'))
  .refine((devices) => Object.keys(devices).length <= 8, 'are at most 8');
export type Devices = z.infer<typeof Devices>;

/** An image without its digest, which is kept beside it. */
export const ImageName = z
  .string()
  .min(1, 'is needed')
  .max(300)
  .regex(/^[a-z0-9][A-Za-z0-9._:/-]*$/, 'is an image such as ghcr.io/actions/actions-runner:2.333.0, without a digest');

export const ImageDigest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'is sha256: and 64 hexadecimal digits');

export const Pool = z.strictObject({
  name: PoolName,
  description: z.string().max(200),
  cpu: CpuQuantity.nullable(),
  memory: MemoryQuantity.nullable(),
  /** Ephemeral storage of a runner's work folder. */
  storage: MemoryQuantity,
  image: z.string().min(1).max(300),
  /** What the image is to be, byte for byte, whatever its tag says by then. */
  imageDigest: ImageDigest.nullable().default(null),
  /** When the image was built, as the operator entered it. */
  imageBuiltAt: z.date().nullable().default(null),
  devices: Devices.default({}),
  /** Whether it is nothing without a device: GPUs and virtual machines. */
  needsDevice: z.boolean().default(false),
  /** The most runners of it that one tenant may ask for; null where only the quota says. */
  runnersMost: z.int().min(1).max(1000).nullable().default(null),
  securityClass: z.enum(securityClasses),
  /** Scarce or powerful: whoever wants it asks an operator. */
  requiresApproval: z.boolean().default(false),
  /** The cluster's default runtime, on any node of Linux that is kept for nothing else, where it is left out. */
  placement: Placement.optional(),
});
export type Pool = z.infer<typeof Pool>;

/** A pool that may be chosen: an operator has given it resources, and its class is one that is built. */
export type ReadyPool = Pool & { cpu: string; memory: string };

export function isReady(pool: Pool): pool is ReadyPool {
  return unreadyReason(pool) === null;
}

/**
 * Why a pool cannot be chosen; null where it can. A class other than restricted would be rendered as restricted, and its jobs
 * would fail without a word: it is refused instead.
 */
export function unreadyReason(pool: Pool): string | null {
  if (pool.cpu === null || pool.memory === null) return 'has no resources yet; an operator must give them first';
  if (pool.needsDevice && Object.keys(pool.devices).length === 0)
    return 'has no device yet, such as nvidia.com/gpu; an operator must name it first';
  if (pool.securityClass !== 'restricted') return `is of the class ${pool.securityClass}, which no cluster here serves`;
  return null;
}

const runnerImage = 'ghcr.io/actions/actions-runner:2.333.0';

/** The model's five pools. gpu and kvm have no resources yet ("TBD"), so they cannot be chosen. */
export const defaultPools: readonly Pool[] = [
  { name: 'docker', description: 'General CI', cpu: '2', memory: '4Gi' },
  { name: 'nix', description: 'Nix builds', cpu: '4', memory: '8Gi' },
  { name: 'nix-heavy', description: 'Rust + Nix heavy compilation', cpu: '8', memory: '16Gi' },
  { name: 'gpu', description: 'ML training', cpu: null, memory: null },
  { name: 'kvm', description: 'VM-based testing', cpu: null, memory: null },
].map((pool) => ({
  ...pool,
  storage: '20Gi',
  image: runnerImage,
  imageDigest: null,
  imageBuiltAt: null,
  devices: {},
  needsDevice: pool.cpu === null,
  runnersMost: null,
  securityClass: 'restricted' as const,
  requiresApproval: pool.cpu === null,
}));

/** The part of a pool that its runners' pods follow from. Another one makes them anew. */
export const PoolDefinition = Pool.pick({
  name: true,
  cpu: true,
  memory: true,
  storage: true,
  image: true,
  imageDigest: true,
  devices: true,
  securityClass: true,
  placement: true,
});
export type PoolDefinition = z.infer<typeof PoolDefinition>;

export function definitionOf(pool: Pool): PoolDefinition {
  const { name, cpu, memory, storage, image, imageDigest, devices, securityClass, placement } = pool;
  const rest = placement === undefined ? {} : { placement };
  return { name, cpu, memory, storage, image, imageDigest, devices, securityClass, ...rest };
}

/** The image as a container names it. */
export function imageReference({ image, imageDigest }: Pick<Pool, 'image' | 'imageDigest'>): string {
  return imageDigest === null ? image : `${image}@${imageDigest}`;
}

/**
 * A choice of a pool: `minRunners` stay warm, and more by the schedule; idle and running together never exceed `maxRunners`.
 * `adopted` names, by its UID, a runner set that somebody else made and whose pod template stays as it is.
 */
export const PoolChoice = z
  .strictObject({
    pool: PoolName,
    minRunners: z.int().min(0).max(1000).default(0),
    maxRunners: z.int().min(0).max(1000),
    schedule: WarmSchedule.optional(),
    adopted: z.strictObject({ uid: z.uuid() }).optional(),
  })
  .refine((choice) => choice.minRunners <= choice.maxRunners, {
    path: ['minRunners'],
    error: 'is more than the maximum',
  })
  .refine((choice) => choice.minRunners > choice.maxRunners || warmMost(choice) <= choice.maxRunners, {
    path: ['schedule'],
    error: 'keeps more warm than the maximum',
  });
export type PoolChoice = z.infer<typeof PoolChoice>;

/** How many of a choice's runners stand at an instant, whether there is a job or not; never more than there may be. */
export function standingAt(kind: ForgeKind, choice: PoolChoice, atMs: number): number {
  // Forgejo's runners wait for jobs themselves, all of them, unless a schedule says when fewer do.
  if (kind === 'forgejo' && !choice.schedule) return choice.maxRunners;
  return Math.min(warmAt(choice, atMs), choice.maxRunners);
}

/** A runner of Forgejo is a registration and a pod of its own, and both stay: more of them would be a burden to both sides. */
export const forgejoRunnersMost = 50;

export type RunnersProblem = { pool: string; field: 'minRunners' | 'maxRunners' | 'schedule'; message: string };

/**
 * What a forge's runners cannot be asked for, as a sentence that goes on from the field's name. GitHub's can be asked for
 * anything. GitLab's would be kept warm only by rights over the whole cluster (gitlab-runner 19, `autoscaler`), which no
 * tenant's runner gets.
 */
export function runnersProblems(kind: ForgeKind, choices: readonly PoolChoice[]): RunnersProblem[] {
  return choices.flatMap(({ pool, minRunners, maxRunners, schedule }): RunnersProblem[] => {
    // At Forgejo a schedule says how many of the runners stand, so that there is a least of them too.
    const isFixed = kind === 'gitlab' || (kind === 'forgejo' && schedule === undefined);
    const warm: RunnersProblem[] =
      isFixed && minRunners > 0 ? [{ pool, field: 'minRunners', message: neverWarm[kind] }] : [];
    if (kind === 'gitlab' && schedule) warm.push({ pool, field: 'schedule', message: noSchedule });
    const many = kind === 'forgejo' && maxRunners > forgejoRunnersMost;
    return many
      ? [...warm, { pool, field: 'maxRunners', message: `is at most ${forgejoRunnersMost} at Forgejo` }]
      : warm;
  });
}

const neverWarm = {
  gitlab: 'must be 0 at GitLab: its runners start with their job, and none can be kept warm',
  forgejo:
    'must be 0 at Forgejo: without a schedule all runners of a pool, up to its maximum, wait for jobs all the time',
};

/**
 * gitlab-runner has a policy of its own for this (18.10, `[runners.kubernetes.autoscaler]`): a Deployment of pods that hold a
 * place. It wants a PriorityClass, which is the whole cluster's, and makes pods outside of the profile that our namespaces hold.
 */
const noSchedule =
  'cannot be had at GitLab: its runners start with their job, and what keeps places for them there wants rights over the whole cluster';
