import { z } from 'zod';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import { clusterStates } from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';

export const StateInput = z.strictObject({
  clusterId: z.string().min(1).max(63),
  state: z.enum(clusterStates),
});

/** What stands there stays, whatever the state: it only says what comes, and draining that what stands there is to go. */
export async function setClusterState(
  by: PersonCtx,
  { clusterId: id, state }: z.infer<typeof StateInput>,
): Promise<void> {
  if (!by.person.isOperator) throw notFound();
  const before = await unsafeDb().cluster.findUnique({ where: { id } });
  if (!before) throw notFound('This cluster');
  if (before.state === state) return;
  await unsafeTransaction(async (tx) => {
    await tx.cluster.update({ where: { id }, data: { state } });
    await appendAudit(tx, by, null, {
      action: 'cluster:state',
      target: `cluster/${id}`,
      before: { state: before.state },
      after: { state },
    });
  });
}
