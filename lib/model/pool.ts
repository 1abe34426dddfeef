import { z } from 'zod';
import { Placement } from './placement.ts';
import { CpuQuantity, MemoryQuantity } from './quantity.ts';
import type { ForgeKind } from './scope.ts';

/** Dimension 3: a resource profile and a class of work. */
export const securityClasses = ['restricted', 'builds', 'dind'] as const;

export const PoolName = z
  .string()
  .max(20, 'is at most 20 characters')
  .regex(/^[a-z](?:[a-z0-9-]*[a-z0-9])?$/, 'is lower-case letters, digits and hyphens')
  .refine((name) => !name.startsWith('kube-'), 'is reserved');

export const Pool = z.strictObject({
  name: PoolName,
  description: z.string().max(200),
  cpu: CpuQuantity.nullable(),
  memory: MemoryQuantity.nullable(),
  /** Ephemeral storage of a runner's work folder. */
  storage: MemoryQuantity,
  image: z.string().min(1).max(300),
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
  securityClass: 'restricted' as const,
  requiresApproval: pool.cpu === null,
}));

/** A choice of a pool: `minRunners` stay warm; idle and running together never exceed `maxRunners`. */
export const PoolChoice = z
  .strictObject({
    pool: PoolName,
    minRunners: z.int().min(0).max(1000).default(0),
    maxRunners: z.int().min(0).max(1000),
  })
  .refine((choice) => choice.minRunners <= choice.maxRunners, {
    path: ['minRunners'],
    error: 'is more than the maximum',
  });
export type PoolChoice = z.infer<typeof PoolChoice>;

/** A runner of Forgejo is a registration and a pod of its own, and both stay: more of them would be a burden to both sides. */
export const forgejoRunnersMost = 50;

export type RunnersProblem = { pool: string; field: 'minRunners' | 'maxRunners'; message: string };

/**
 * What a forge's runners cannot be asked for, as a sentence that goes on from the field's name. GitHub's can be asked for
 * anything. GitLab's would be kept warm only by rights over the whole cluster (gitlab-runner 19, `autoscaler`), which no
 * tenant's runner gets.
 */
export function runnersProblems(kind: ForgeKind, choices: readonly PoolChoice[]): RunnersProblem[] {
  return choices.flatMap(({ pool, minRunners, maxRunners }): RunnersProblem[] => {
    const warm =
      kind !== 'github' && minRunners > 0 ? [{ pool, field: 'minRunners' as const, message: neverWarm[kind] }] : [];
    const many = kind === 'forgejo' && maxRunners > forgejoRunnersMost;
    return many
      ? [...warm, { pool, field: 'maxRunners', message: `is at most ${forgejoRunnersMost} at Forgejo` }]
      : warm;
  });
}

const neverWarm = {
  gitlab: 'must be 0 at GitLab: its runners start with their job, and none can be kept warm',
  forgejo: 'must be 0 at Forgejo: all runners of a pool, up to its maximum, wait for jobs all the time',
};
