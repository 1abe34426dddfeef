import { z } from 'zod';
import { allocationOf, poolsByName, quotaOf } from '#lib/enrollment/index.ts';
import { unsafeDb, unsafeTransaction, type Prisma, type UnsafeTx } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import {
  amountsOf,
  cpuMillicores,
  CpuQuantity,
  isReady,
  memoryBytes,
  MemoryQuantity,
  noAmounts,
  runnerAmounts,
  sumOf,
  type Amounts,
} from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';

/* Whether what is asked for fits in the cluster. Nodes are not ours to read, so an operator says what there is. */

export type ClusterFit = {
  clusterId: string;
  /** Null where no operator has said it: then nobody knows whether anything fits. */
  capacity: { cpu: bigint; memory: bigint } | null;
  /** What the topmost tenants were given, of which all others have their part. */
  given: Amounts;
  /** What pools take when each is at its maximum. */
  promised: Amounts;
  /** What runners hold now. */
  used: Amounts;
};

/** Tenants that were given something: a draft that waits for an operator was not. */
const holders = { state: { in: ['active', 'suspended', 'leaving'] } } satisfies Prisma.TenantWhereInput;

export async function clusterFit(tx: UnsafeTx, clusterId: string): Promise<ClusterFit> {
  const cluster = await tx.cluster.findUniqueOrThrow({ where: { id: clusterId } });
  const tenants = await tx.tenant.findMany({ where: { clusterId, ...holders } });
  const pools = await poolsByName();
  const allocations = await Promise.all(tenants.map(({ id }) => allocationOf(tx, id, pools)));
  const live = await tx.enrollmentPool.findMany({ where: { enrollment: { tenant: { clusterId } } } });
  const used = live.flatMap(({ poolName, currentRunners }) => {
    const pool = pools.get(poolName);
    return pool && isReady(pool) ? Array.from({ length: currentRunners }, () => runnerAmounts(pool)) : [];
  });
  const { capacityCpu: cpu, capacityMemory: memory } = cluster;
  return {
    clusterId,
    capacity: cpu === null || memory === null ? null : { cpu: cpuMillicores(cpu), memory: memoryBytes(memory) },
    given: sumOf(tenants.filter(({ parentId }) => parentId === null).map((tenant) => amountsOf(quotaOf(tenant)))),
    promised: sumOf(allocations.map(({ promised }) => promised)),
    used: sumOf(used),
  };
}

/** Whether so much more can be given; null where the capacity is not known. */
export function hasRoom({ capacity, given }: ClusterFit, more: Amounts): boolean | null {
  if (!capacity) return null;
  const all = sumOf([given, more, noAmounts]);
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
