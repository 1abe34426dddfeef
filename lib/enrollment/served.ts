import type { UnsafeTx } from '#lib/db/index.ts';
import { wake } from '#lib/work/index.ts';

/** A worker keeps an opened connection for a second, so it is woken when that is over. */
const wakeAfterMs = 2_000;

/** Wakes what a changed credential or forge serves: all of a connection, or those of one App of it (null: the shared one). */
export async function wakeServedBy(
  tx: UnsafeTx,
  of: { connectionId: string; githubAppId?: string | null },
): Promise<void> {
  const rows = await tx.enrollment.findMany({
    where: { ...of, state: { in: ['active', 'withdrawing'] } },
    select: { id: true },
  });
  const keys = rows.map(({ id }) => id);
  await wake(tx, 'enrollment', keys, new Date(Date.now() + wakeAfterMs));
}
