import { z } from 'zod';
import { isReady, type Pool, type PoolChoice, type ReadyPool } from './pool.ts';
import { cpuMillicores, CpuQuantity, formatCpu, formatMemory, memoryBytes, MemoryQuantity } from './quantity.ts';

/*
 * What a tenant may use at most, and what is promised out of it. A promise is made for the maximum: a quota that is too small
 * would make runners fail where they should wait.
 */

export const Quota = z.strictObject({
  cpu: CpuQuantity,
  memory: MemoryQuantity,
  runners: z.int().min(0).max(10_000),
  /** Work folders of all runners together, and the disk of a Bazel cache. */
  storage: MemoryQuantity.default('250Gi'),
});
export type Quota = z.infer<typeof Quota>;

/** A quota as numbers: millicores, bytes, pieces. */
export type Amounts = { cpu: bigint; memory: bigint; storage: bigint; runners: bigint };
export const quotaParts = ['cpu', 'memory', 'runners', 'storage'] as const;
export type QuotaPart = (typeof quotaParts)[number];

export const noAmounts: Amounts = { cpu: 0n, memory: 0n, storage: 0n, runners: 0n };

export function amountsOf(quota: Quota): Amounts {
  return {
    cpu: cpuMillicores(quota.cpu),
    memory: memoryBytes(quota.memory),
    storage: memoryBytes(quota.storage),
    runners: BigInt(quota.runners),
  };
}

export function sumOf(parts: readonly Amounts[]): Amounts {
  return parts.reduce((sum, part) => combined(sum, part, (a, b) => a + b), noAmounts);
}

/** What is left of a quota; never below nothing, since a share may have been granted before the whole was made smaller. */
export function leftOf(whole: Amounts, taken: Amounts): Amounts {
  return combined(whole, taken, (a, b) => (a > b ? a - b : 0n));
}

function combined(a: Amounts, b: Amounts, each: (a: bigint, b: bigint) => bigint): Amounts {
  return {
    cpu: each(a.cpu, b.cpu),
    memory: each(a.memory, b.memory),
    storage: each(a.storage, b.storage),
    runners: each(a.runners, b.runners),
  };
}

/** As people write it: `12`, `24Gi`; nothing is `0`. */
export function formatAmounts(amounts: Amounts): Record<QuotaPart, string> {
  return {
    cpu: formatCpu(amounts.cpu),
    memory: formatMemory(amounts.memory),
    runners: String(amounts.runners),
    storage: formatMemory(amounts.storage),
  };
}

/** The least that the API server and our own schemas take for a quota: a tenant whose all was handed on keeps this. */
const least: Amounts = { cpu: 1n, memory: 1024n ** 2n, storage: 1024n ** 2n, runners: 0n };

export function quotaOfAmounts(amounts: Amounts): Quota {
  const { runners, ...rest } = formatAmounts(combined(amounts, least, (a, b) => (a > b ? a : b)));
  return { ...rest, runners: Number(runners) };
}

export type QuotaProblem = { what: QuotaPart; needed: string; quota: string };

/** Where `needed` is more than there is; empty where it fits. */
export function shortages(needed: Amounts, there: Amounts): QuotaProblem[] {
  const [wanted, had] = [formatAmounts(needed), formatAmounts(there)];
  return quotaParts
    .filter((what) => needed[what] > there[what])
    .map((what) => ({ what, needed: wanted[what], quota: had[what] }));
}

export function isWithin(needed: Amounts, there: Amounts): boolean {
  return quotaParts.every((what) => needed[what] <= there[what]);
}

/** What one runner of a pool takes while it runs. */
export function runnerAmounts(pool: ReadyPool): Amounts {
  return {
    cpu: cpuMillicores(pool.cpu),
    memory: memoryBytes(pool.memory),
    storage: memoryBytes(pool.storage),
    runners: 1n,
  };
}

/** What all chosen pools need when each is at its maximum, and the disk of a Bazel cache beside them. */
export function promisedBy(
  choices: readonly { pool: string; maxRunners: number; minRunners?: number }[],
  catalog: ReadonlyMap<string, Pool>,
  bazelGib = 0,
): Amounts {
  const pools = choices.flatMap(({ pool: name, maxRunners }) => {
    const pool = catalog.get(name);
    return pool && isReady(pool) ? [times(runnerAmounts(pool), maxRunners)] : [];
  });
  return sumOf([...pools, { ...noAmounts, storage: BigInt(bazelGib) * 1024n ** 3n }]);
}

function times(amounts: Amounts, count: number): Amounts {
  return combined(amounts, noAmounts, (a) => a * BigInt(count));
}

/** Empty when the maxima fit. */
export function quotaProblems(
  choices: readonly PoolChoice[],
  catalog: ReadonlyMap<string, Pool>,
  quota: Quota,
  bazelGib = 0,
): QuotaProblem[] {
  return shortages(promisedBy(choices, catalog, bazelGib), amountsOf(quota));
}

/** The most runners of one pool that a quota holds when nothing else runs. */
export function mostRunners(pool: ReadyPool, quota: Quota): number {
  const [one, all] = [runnerAmounts(pool), amountsOf(quota)];
  const counts = quotaParts.map((what) => Number(all[what] / one[what]));
  return Math.min(...counts);
}

export const quotaPartLabel: Record<QuotaPart, string> = {
  cpu: 'CPU',
  memory: 'memory',
  runners: 'runners',
  storage: 'storage',
};

/** `4 CPU, 8Gi memory, 2 runners, 60Gi storage` */
export function quotaWords(quota: Record<QuotaPart, string | number>): string {
  return quotaParts.map((what) => `${quota[what]} ${quotaPartLabel[what]}`).join(', ');
}

/** By which quota a cluster has no room for something. A 403 like any other but for its words: k8s.io/apiserver/pkg/admission/plugin/resourcequota. */
export const overQuota = /exceeded quota: ([\w.-]+)/;
