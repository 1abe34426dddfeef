import type { UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { sumOf, type Amounts } from '#lib/model/index.ts';
import { choosePlace, takesTenants, type Candidate } from './placement.ts';
import { capacityOf, givenTo, holders } from './room.ts';

/* The clusters as a placement sees them, in the transaction of what is placed. */

export async function candidates(tx: Pick<UnsafeTx, 'cluster' | 'tenant'>): Promise<Candidate[]> {
  const [clusters, topmost] = await Promise.all([
    tx.cluster.findMany(),
    tx.tenant.findMany({ where: { parentId: null, ...holders } }),
  ]);
  return clusters.map(({ id, state, pools, uid, trouble, duplicateOf, ...cluster }) => {
    const own = topmost.filter(({ clusterId, otherClusterId }) => clusterId === id || otherClusterId === id);
    return {
      id,
      state,
      pools,
      answers: uid !== null && trouble === null,
      isDuplicate: duplicateOf !== null,
      capacity: capacityOf(cluster),
      given: sumOf(own.map(givenTo)),
    };
  });
}

export type Wanted = { pools: readonly string[]; amounts: Amounts };

/** Where a tenant with these wishes is placed. Throws, in words, where no cluster takes it. */
export async function placeFor(tx: Pick<UnsafeTx, 'cluster' | 'tenant'>, wanted: Wanted): Promise<string> {
  const all = await candidates(tx);
  const place = choosePlace(all, wanted);
  if (place !== null) return place;
  const isOpen = all.some(takesTenants);
  const happened =
    all.length === 0
      ? 'No cluster is set up yet.'
      : isOpen
        ? `No cluster that takes new tenants has all of these pools: ${wanted.pools.join(', ')}.`
        : 'No cluster takes new tenants at present.';
  throw new AppError(isOpen ? 'conflict' : 'unavailable', {
    log: `no place among ${all.map(({ id, state }) => `${id} (${state})`).join(', ')}`,
    screen: { happened, todo: isOpen ? 'Choose other pools, or ask the operator.' : 'Ask the operator.' },
  });
}
