import { placementOf, type RunnersInput } from '#lib/cluster/index.ts';
import {
  amountsOf,
  hasDaemon,
  leftOf,
  promisedBy,
  quotaOfAmounts,
  sumOf,
  type Amounts,
  type Pool,
  type Quota,
} from '#lib/model/index.ts';

/*
 * How what a tenant was given is divided between its namespaces of runners. Pools with a daemon have theirs: it gets what they take
 * at their maximum, the other gets the rest, and both together are never more than was given.
 */

/** A pool that an enrollment has, and how many runners of it there may be. */
export type Held = { pool: Pool; runners: number };

export function isApart({ pool }: Held): boolean {
  return hasDaemon(pool.securityClass);
}

function amountsHeld(held: readonly Held[]): Amounts {
  return sumOf(
    held.map(({ pool, runners }) =>
      promisedBy([{ pool: pool.name, maxRunners: runners }], new Map([[pool.name, pool]])),
    ),
  );
}

function leastOf(a: Amounts, b: Amounts): Amounts {
  return leftOf(a, leftOf(a, b));
}

export type Divided = {
  /** Of the namespace of restricted pools. */
  quota: Quota;
  /** Of that of pools with a daemon; null where there is none. */
  builds: (Pick<RunnersInput, 'placement'> & { quota: Quota }) | null;
};

/** `going` are those with a daemon that are wanted no more and have not all gone: until then their part is nobody else's. */
export function divided(given: Quota, held: readonly Held[], going: readonly Held[] = []): Divided {
  const apart = held.filter(isApart);
  const left = going.filter(isApart);
  const whole = amountsOf(given);
  return {
    quota: quotaOfAmounts(leftOf(whole, amountsHeld([...apart, ...left]))),
    builds:
      apart.length === 0
        ? null
        : {
            quota: quotaOfAmounts(leastOf(whole, amountsHeld(apart))),
            placement: placementOf(apart.map(({ pool }) => pool)),
          },
  };
}

/** A device that the catalog knows and nobody here may have is counted as none, so that no pod takes it all the same. */
export function devicesOf(catalog: Iterable<Pool>, held: readonly Held[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { devices } of catalog) for (const name of Object.keys(devices)) counts[name] = 0;
  for (const { pool, runners } of held)
    for (const [name, each] of Object.entries(pool.devices)) counts[name] = (counts[name] ?? 0) + each * runners;
  return counts;
}
