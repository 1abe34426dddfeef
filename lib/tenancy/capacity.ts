import { poolsByName, presentAllocation } from '#lib/enrollment/index.ts';
import { clusterRoom, holders, standsOn, type ClusterRoom } from '#lib/fleet/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { amountsOf, leftOf, promisedBy, sumOf, type Amounts, type Quota, type RequestKind } from '#lib/model/index.ts';

/* Whether what is asked for fits in the cluster. */

export type ClusterFit = ClusterRoom & {
  clusterId: string;
  /** What pools take when each is at its maximum. */
  promised: Amounts;
  /** What runners hold now. */
  used: Amounts;
};

/** For pages, which show what became of what was given. */
export async function clusterFit(clusterId: string): Promise<ClusterFit> {
  const where = { ...standsOn(clusterId), ...holders };
  const tenants = await unsafeDb().tenant.findMany({ where, select: { id: true } });
  const pools = await poolsByName();
  const allocations = await Promise.all(tenants.map(({ id }) => presentAllocation(id, pools)));
  const live = await unsafeDb().enrollmentPool.findMany({ where: { enrollment: { tenant: { clusterId } } } });
  const running = live.map(({ poolName, currentRunners }) => ({
    pool: poolName,
    minRunners: 0,
    maxRunners: currentRunners,
  }));
  return {
    clusterId,
    ...(await clusterRoom(unsafeDb(), clusterId)),
    promised: sumOf(allocations.map(({ promised }) => promised)),
    used: promisedBy(running, pools),
  };
}

/** What a grant takes of the cluster: a larger quota takes what it is larger by. */
export function beyondHeld(kind: RequestKind, quota: Quota, held: Quota): Amounts {
  return kind === 'quota' ? leftOf(amountsOf(quota), amountsOf(held)) : amountsOf(quota);
}
