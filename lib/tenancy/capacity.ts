import { z } from 'zod';
import { poolsByName, presentAllocation, quotaOf } from '#lib/enrollment/index.ts';
import { unsafeDb, unsafeTransaction, type Prisma, type UnsafeTx } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import {
  amountsOf,
  cpuMillicores,
  CpuQuantity,
  leftOf,
  memoryBytes,
  MemoryQuantity,
  promisedBy,
  sumOf,
  type Amounts,
  type Quota,
  type RequestKind,
} from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';

/* Whether what is asked for fits in the cluster. Nodes are not ours to read, so an operator says what there is. */

export type ClusterRoom = {
  /** Null where no operator has said it: then nobody knows whether anything fits. */
  capacity: { cpu: bigint; memory: bigint } | null;
  /** What the topmost tenants were given, of which all others have their part. */
  given: Amounts;
};

export type ClusterFit = ClusterRoom & {
  clusterId: string;
  /** What pools take when each is at its maximum. */
  promised: Amounts;
  /** What runners hold now. */
  used: Amounts;
};

/** Tenants that were given something: a draft that waits for an operator was not. */
const holders = { state: { in: ['active', 'suspended', 'leaving'] } } satisfies Prisma.TenantWhereInput;

/** All that a grant is held to: it reads this with the cluster locked. */
export async function clusterRoom(tx: UnsafeTx, clusterId: string): Promise<ClusterRoom> {
  const { capacityCpu: cpu, capacityMemory: memory } = await tx.cluster.findUniqueOrThrow({ where: { id: clusterId } });
  const topmost = await tx.tenant.findMany({ where: { clusterId, parentId: null, ...holders } });
  return {
    capacity: cpu === null || memory === null ? null : { cpu: cpuMillicores(cpu), memory: memoryBytes(memory) },
    given: sumOf(topmost.map((tenant) => amountsOf(quotaOf(tenant)))),
  };
}

/** For pages, which show what became of what was given. */
export async function clusterFit(clusterId: string): Promise<ClusterFit> {
  const tenants = await unsafeDb().tenant.findMany({ where: { clusterId, ...holders }, select: { id: true } });
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

/** Whether so much more can be given; null where the capacity is not known. */
export function hasRoom({ capacity, given }: ClusterRoom, more: Amounts): boolean | null {
  if (!capacity) return null;
  const all = sumOf([given, more]);
  return all.cpu <= capacity.cpu && all.memory <= capacity.memory;
}

export const CapacityInput = z.strictObject({
  clusterId: z.string().min(1).max(63),
  cpu: CpuQuantity,
  memory: MemoryQuantity,
});

export async function setCapacity(by: PersonCtx, input: z.infer<typeof CapacityInput>): Promise<void> {
  const { clusterId, cpu, memory } = input;
  const before = await unsafeDb().cluster.findUnique({ where: { id: clusterId } });
  if (!before) throw notFound('This cluster');
  await unsafeTransaction(async (tx) => {
    await tx.cluster.update({ where: { id: clusterId }, data: { capacityCpu: cpu, capacityMemory: memory } });
    await appendAudit(tx, by, null, {
      action: 'cluster:capacity',
      target: `cluster/${clusterId}`,
      before: { cpu: before.capacityCpu, memory: before.capacityMemory },
      after: { cpu, memory },
    });
  });
}
