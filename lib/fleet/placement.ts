import type { ClusterState } from '#lib/db/index.ts';
import type { Amounts } from '#lib/model/index.ts';

/* On which cluster a new tenant is placed: values in, a name out. */

type Room = Pick<Amounts, 'cpu' | 'memory'>;

export type Candidate = {
  id: string;
  state: ClusterState;
  /** Whether a worker last found that it answers. */
  answers: boolean;
  /** Whether it is another cluster by a second name. */
  isDuplicate: boolean;
  /** Pools that it can run; none named is all. */
  pools: readonly string[];
  /** Null where no operator has said it. */
  capacity: Room | null;
  given: Room;
};

/** Whether tenants are placed there at all: an operator opened it, and it is none that is known by another name. */
export function takesTenants({ state, isDuplicate }: Pick<Candidate, 'state' | 'isDuplicate'>): boolean {
  return state === 'open' && !isDuplicate;
}

/** Whether a cluster can run these pools. */
export function mayHave({ pools }: Pick<Candidate, 'pools'>, wanted: readonly string[]): boolean {
  return pools.length === 0 || wanted.every((pool) => pools.includes(pool));
}

/**
 * Of the clusters that are open and have all pools that are wanted, the one with most room left. One that answers and has room comes
 * before one of which nobody knows its capacity, that before one that is full, and last come those that were not seen to answer.
 * What is alike goes by its name.
 */
export function choosePlace(
  candidates: readonly Candidate[],
  wanted: { pools: readonly string[]; amounts: Room },
): string | null {
  const fitting = candidates.filter((each) => takesTenants(each) && mayHave(each, wanted.pools));
  const [best] = fitting.toSorted(
    (a, b) => rank(a, wanted.amounts) - rank(b, wanted.amounts) || byRoom(a, b) || (a.id < b.id ? -1 : 1),
  );
  return best?.id ?? null;
}

function rank({ answers, capacity, given }: Candidate, more: Room): number {
  if (!answers) return 3;
  if (!capacity) return 1;
  const fits = given.cpu + more.cpu <= capacity.cpu && given.memory + more.memory <= capacity.memory;
  return fits ? 0 : 2;
}

/** The one with more CPU left, then the one with more memory left. */
function byRoom(a: Candidate, b: Candidate): number {
  for (const part of ['cpu', 'memory'] as const) {
    const [left, other] = [leftOf(a, part), leftOf(b, part)];
    if (left !== other) return left > other ? -1 : 1;
  }
  return 0;
}

function leftOf({ capacity, given }: Candidate, part: keyof Room): bigint {
  return capacity ? capacity[part] - given[part] : 0n;
}
