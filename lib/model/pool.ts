import { z } from 'zod';
import { bears, Placement } from './placement.ts';
import { CpuQuantity, MemoryQuantity } from './quantity.ts';
import { warmAt, warmMost, WarmSchedule } from './schedule.ts';
import type { ForgeKind } from './scope.ts';
import { hasDaemon, securityClasses } from './security-class.ts';

/* Dimension 3: a resource profile and a class of work. */

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

/** An image by its digest: what a class lets this one container do, it must let no other. */
export const PinnedImage = z
  .string()
  .max(400)
  .regex(
    /^[a-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}$/,
    'is an image with its digest, such as moby/buildkit:v0.34.2-rootless@sha256:…',
  );

export const Pool = z.strictObject({
  name: PoolName,
  description: z.string().max(200),
  cpu: CpuQuantity.nullable(),
  memory: MemoryQuantity.nullable(),
  /** Ephemeral storage of a runner's work folder. */
  storage: MemoryQuantity,
  image: z.string('is needed').min(1, 'is needed').max(300),
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
  /** Of the class `builds` a rootless BuildKit's, of `dind` Docker's; null where the class has no daemon. */
  daemonImage: PinnedImage.nullable().default(null),
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

/** Why a pool cannot be chosen; null where it can. Half of what a class needs would be a fence that looks like one. */
export function unreadyReason(pool: Pool): string | null {
  if (pool.cpu === null || pool.memory === null) return 'has no resources yet; an operator must give them first';
  if (pool.needsDevice && Object.keys(pool.devices).length === 0)
    return 'has no device yet, such as nvidia.com/gpu; an operator must name it first';
  const [lack] = classLacks(pool);
  return lack ? `is of the class ${pool.securityClass}, and ${lack.lacks}` : null;
}

export type ClassLack = {
  field: 'daemonImage' | 'runtimeClass' | 'kernel' | 'nodeSelector' | 'tolerations';
} & {
  /** As it is said of the pool. */
  lacks: string;
  /** As it is said at the field. */
  message: string;
};

/**
 * What a pool's class needs and this pool has not. A privileged daemon is root of whatever it runs on, so that it must be a
 * machine of its own, and one whose neighbours are nobody else's.
 */
export function classLacks({ securityClass, daemonImage, placement = {} }: Pool): ClassLack[] {
  if (!hasDaemon(securityClass)) return [];
  const daemon = securityClass === 'builds' ? 'a rootless BuildKit' : 'Docker';
  const needs: (ClassLack & { isThere: boolean })[] = [
    {
      field: 'daemonImage',
      isThere: daemonImage !== null,
      lacks: `has no image of ${daemon} by its digest`,
      message: `is needed for this class: the image of ${daemon}, by its digest`,
    },
  ];
  if (securityClass === 'builds')
    needs.push({
      field: 'kernel',
      isThere: placement.kernel !== 'sandbox',
      lacks: 'names a runtime class in whose sandbox BuildKit is not known to run',
      message:
        'is the node’s or that of a virtual machine for this class: in a sandbox BuildKit’s user namespaces are not known to work',
    });
  if (securityClass === 'dind') {
    const { runtimeClass, kernel, nodeSelector = {}, tolerations = [] } = placement;
    const why = 'its daemon is privileged';
    needs.push(
      {
        field: 'runtimeClass',
        isThere: runtimeClass !== undefined,
        lacks: 'names no runtime class that makes a virtual machine of each pod',
        message: `is needed for this class, and must make a virtual machine of each pod: ${why}`,
      },
      {
        field: 'kernel',
        isThere: kernel === 'machine',
        lacks: 'does not state that its runtime class makes a virtual machine of each pod',
        message: `must be that of a virtual machine for this class: ${why}`,
      },
      {
        field: 'nodeSelector',
        isThere: Object.keys(nodeSelector).length > 0,
        lacks: 'names no label of nodes of its own',
        message: `needs a label of nodes that run nothing else: ${why}`,
      },
      {
        field: 'tolerations',
        isThere: tolerations.length > 0,
        lacks: 'names no taint that keeps others from its nodes',
        message: `needs the taint that keeps everything else from those nodes: ${why}`,
      },
    );
  }
  return needs.filter(({ isThere }) => !isThere).map(({ isThere: _, ...lack }) => lack);
}

/** Pools of another class that could come to the nodes which a pool of the class `dind` has to itself, or the other way about. */
export function sharesNodes(pool: Pool, others: readonly Pool[]): Pool[] {
  const taintsOf = ({ placement }: Pool) => placement?.tolerations ?? [];
  const mayJoin = (one: Pool, another: Pool) =>
    another.securityClass === 'dind' && taintsOf(another).length > 0 && bears(taintsOf(one), taintsOf(another));
  return others.filter(
    (other) =>
      other.name !== pool.name &&
      other.securityClass !== pool.securityClass &&
      (mayJoin(other, pool) || mayJoin(pool, other)),
  );
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
  daemonImage: null,
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
  daemonImage: true,
  placement: true,
});
export type PoolDefinition = z.infer<typeof PoolDefinition>;

export function definitionOf(pool: Pool): PoolDefinition {
  const { name, cpu, memory, storage, image, imageDigest, devices, securityClass, daemonImage, placement } = pool;
  const rest = placement === undefined ? {} : { placement };
  return { name, cpu, memory, storage, image, imageDigest, devices, securityClass, daemonImage, ...rest };
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
  return Math.min(warmAt(choice, atMs), standingMost(kind, choice.maxRunners));
}

/** How many can stand of a maximum: at GitLab a place and a job count alike, and one is left for a job. */
export function standingMost(kind: ForgeKind, maxRunners: number): number {
  return kind === 'gitlab' ? Math.max(0, maxRunners - 1) : maxRunners;
}

/** A runner of Forgejo is a registration and a pod of its own, and both stay: more of them would be a burden to both sides. */
export const forgejoRunnersMost = 50;

export type RunnersProblem = { pool: string; field: 'minRunners' | 'maxRunners' | 'schedule'; message: string };

/**
 * What a forge's runners cannot be asked for, as a sentence that goes on from the field's name. GitHub's can be asked for
 * anything. At GitLab a schedule says for how many jobs a place is held.
 */
export function runnersProblems(kind: ForgeKind, choices: readonly PoolChoice[]): RunnersProblem[] {
  return choices.flatMap(({ pool, minRunners, maxRunners, schedule }): RunnersProblem[] => {
    // With a schedule something stands at both, so that there is a least of it too.
    const isFixed = kind !== 'github' && schedule === undefined;
    const warm: RunnersProblem[] =
      isFixed && minRunners > 0 ? [{ pool, field: 'minRunners', message: neverWarm[kind] }] : [];
    const most = standingMost(kind, maxRunners);
    if (kind === 'gitlab' && schedule && warmMost({ minRunners, schedule }) > most)
      warm.push({ pool, field: 'schedule', message: noPlaceLeft(most) });
    const many = kind === 'forgejo' && maxRunners > forgejoRunnersMost;
    return many
      ? [...warm, { pool, field: 'maxRunners', message: `is at most ${forgejoRunnersMost} at Forgejo` }]
      : warm;
  });
}

const neverWarm = {
  gitlab: 'must be 0 at GitLab: without a schedule its runners start with their job',
  forgejo:
    'must be 0 at Forgejo: without a schedule all runners of a pool, up to its maximum, wait for jobs all the time',
};

function noPlaceLeft(most: number): string {
  return `can hold ${most} at most at GitLab: a place and a job count alike there, and one of the maximum is left for a job`;
}
