import { z } from 'zod';
import { unsafeDb, unsafeTransaction, type Prisma, type UnsafeTx } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import {
  amountsOf,
  cpuMillicores,
  CpuQuantity,
  memoryBytes,
  MemoryQuantity,
  sumOf,
  type Amounts,
} from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';

/* How much of a cluster was given to tenants. Nodes are not ours to read, so an operator says what there is. */

export type ClusterRoom = {
  /** Null where no operator has said it: then nobody knows whether anything fits. */
  capacity: { cpu: bigint; memory: bigint } | null;
  /** What the topmost tenants were given, of which all others have their part. */
  given: Amounts;
};

/** Tenants that were given something: a draft that waits for an operator was not. */
export const holders = { state: { in: ['active', 'suspended', 'leaving'] } } satisfies Prisma.TenantWhereInput;

/** A tenant that moves takes its part of both clusters until nothing of it is left on the old one. */
export function standsOn(clusterId: string) {
  return { OR: [{ clusterId }, { otherClusterId: clusterId }] } satisfies Prisma.TenantWhereInput;
}

/** All who may have something there: who has left is on no cluster. */
export function whoStandsOn(clusterId: string) {
  return { ...standsOn(clusterId), state: { not: 'left' } } satisfies Prisma.TenantWhereInput;
}

/** All that a grant is held to: it reads this with the cluster locked. */
export async function clusterRoom(tx: UnsafeTx, clusterId: string): Promise<ClusterRoom> {
  const cluster = await tx.cluster.findUniqueOrThrow({ where: { id: clusterId } });
  const topmost = await tx.tenant.findMany({ where: { parentId: null, ...standsOn(clusterId), ...holders } });
  return { capacity: capacityOf(cluster), given: sumOf(topmost.map(givenTo)) };
}

type Capacity = { capacityCpu: string | null; capacityMemory: string | null };

export function capacityOf({ capacityCpu: cpu, capacityMemory: memory }: Capacity): ClusterRoom['capacity'] {
  return cpu === null || memory === null ? null : { cpu: cpuMillicores(cpu), memory: memoryBytes(memory) };
}

type Given = { quotaCpu: string; quotaMemory: string; quotaRunners: number; quotaStorage: string };

export function givenTo({ quotaCpu: cpu, quotaMemory: memory, quotaRunners: runners, quotaStorage: storage }: Given) {
  return amountsOf({ cpu, memory, runners, storage });
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
