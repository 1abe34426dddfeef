import { isReady, type Pool } from './pool.ts';
import { isWithin, leftOf, noAmounts, runnerAmounts, sumOf, type Amounts } from './quota.ts';
import type { ForgeKind } from './scope.ts';

/*
 * Whether a tenant's capacity serves one account of a forge or several. What is shared is a namespace, its quota and the places
 * in it; never a listener or a registration, since each of those is of one scope at every forge.
 */

export const sharings = ['dedicated', 'shared'] as const;
export type Sharing = (typeof sharings)[number];

export const sharingLabel: Record<Sharing, string> = { dedicated: 'Dedicated', shared: 'Shared' };

export const sharingWords: Record<Sharing, string> = {
  dedicated:
    'The pools belong to one account of a forge. Its namespace, secrets and quota are nobody else’s, and what its pools were promised they keep.',
  shared:
    'Several organizations use one namespace and one quota. Where together they ask for more than there is, each gets a fair share, and a newcomer makes the others’ smaller.',
};

/** What sharing comes to at each forge. */
export const sharingAtForge: Record<ForgeKind, string> = {
  github:
    'GitHub: a runner scale set and its listener serve one registration, so each organization keeps its own. Shared are the namespace, the quota and the nodes.',
  gitlab:
    'GitLab: each group keeps its own runner and manager. Shared are the namespace in which the managers make the jobs’ pods, and its quota.',
  forgejo:
    'Forgejo: each organization keeps its own registrations and their pods. Shared are the namespace and its quota.',
};

/** What nobody has any more who shares. */
export const givenUp: readonly string[] = [
  'One namespace: the organizations’ keys and tokens for registering runners lie in it side by side, and whoever gets hold of one reaches the others’.',
  'One network policy: their jobs reach the same addresses, and a cache of the tenant is a cache of all of them.',
  'One quota: jobs of one wait while those of another run; only the fair share is sure.',
  'One bill: usage is told apart by enrollment, and paid by one tenant.',
];

/** Who shares: an enrollment's wishes. `of` is whose it is: several of one account have one share together. */
export type Sharer = {
  id: string;
  of: string;
  choices: readonly { pool: string; maxRunners: number }[];
};

type Seat = { id: string; of: string; pool: string; size: Amounts; wanted: number; granted: number };

/**
 * Fair shares of what there is, by dominant resources: one runner after another goes to whoever holds the smallest part of
 * what is scarcest to them, as long as they want one and it fits (Ghodsi and others, Dominant Resource Fairness, NSDI 2011).
 * So nobody gets more than they asked for, all that is asked for is given where it fits, and the order of asking is nothing.
 * Answers how many of each enrollment's pools there may be. A pool that is not ready gets none.
 */
export function fairGrants(
  there: Amounts,
  sharers: readonly Sharer[],
  pools: (id: string) => ReadonlyMap<string, Pool>,
): Map<string, Map<string, number>> {
  const seats = sharers.flatMap((sharer) => seatsOf(sharer, pools(sharer.id)));
  const held = new Map(sharers.map(({ of }) => [of, noAmounts]));
  let left = there;
  for (;;) {
    const open = seats.filter(({ granted, wanted, size }) => granted < wanted && isWithin(size, left));
    const next = open.toSorted((a, b) => byNeed(a, b, (seat) => dominant(held.get(seat.of) ?? noAmounts, there)))[0];
    if (!next) break;
    next.granted += 1;
    left = leftOf(left, next.size);
    held.set(next.of, sumOf([held.get(next.of) ?? noAmounts, next.size]));
  }
  const grants = new Map(sharers.map(({ id }) => [id, new Map<string, number>()]));
  for (const { id, pool, granted } of seats) grants.get(id)?.set(pool, granted);
  return grants;
}

function seatsOf({ id, of, choices }: Sharer, pools: ReadonlyMap<string, Pool>): Seat[] {
  return choices.flatMap(({ pool: name, maxRunners: wanted }) => {
    const pool = pools.get(name);
    return pool && isReady(pool) ? [{ id, of, pool: name, size: runnerAmounts(pool), wanted, granted: 0 }] : [];
  });
}

/** The largest part of any resource, as a whole number of billionths. */
export function dominant(held: Amounts, there: Amounts): bigint {
  const parts = (['cpu', 'memory', 'storage', 'runners'] as const).map((what) =>
    there[what] === 0n ? 0n : (held[what] * 1_000_000_000n) / there[what],
  );
  return parts.reduce((most, part) => (part > most ? part : most), 0n);
}

function byNeed(a: Seat, b: Seat, shareOf: (seat: Seat) => bigint): number {
  const [one, other] = [shareOf(a), shareOf(b)];
  if (one !== other) return one < other ? -1 : 1;
  // Within one share: the pool that has the least of what was asked of it; then by name, so that it is the same each time.
  const [some, more] = [a.granted * b.wanted, b.granted * a.wanted];
  if (some !== more) return some - more;
  return a.of.localeCompare(b.of) || a.id.localeCompare(b.id) || a.pool.localeCompare(b.pool);
}
