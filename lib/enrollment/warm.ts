import type { Clock } from '#lib/clock.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { nextEdge } from '#lib/model/index.ts';
import { appendSystemAudit } from '#lib/tenant/index.ts';
import { wake, type Lease, type Outcome } from '#lib/work/index.ts';
import { sizesNow } from './desired.ts';
import { enrollmentRow, specOf } from './rows.ts';

/*
 * The clock's part of a schedule. The task's row is due at the next edge, so that whichever worker is there then takes it, and
 * one of them alone. It looks at what should be warm now and not at which edge it was woken for: one that was slept through,
 * or looked at twice, comes to the same.
 */

/** The kind of the task; its key is the enrollment. */
export const scheduleTask = 'schedule';

/** The rules of a zone may change, and the next edge be more than a week away: so often it is worked out anew. */
const lookAgainMs = 3_600_000;
/** A timer may ring a moment early. */
const afterEdgeMs = 20;

/** Brings the pools' warm runners to what their schedules say now, and sleeps until they say something else. */
export async function applySchedules({ clock }: { clock: Clock }, lease: Lease): Promise<Outcome> {
  const row = await enrollmentRow(lease.key);
  const scheduled = row?.state === 'active' ? (specOf(row)?.pools ?? []).filter(({ schedule }) => schedule) : [];
  if (!row || scheduled.length === 0) return { kind: 'gone' };
  const now = clock.now();
  const moved = scheduled.flatMap((choice) => {
    const held = row.pools.find(({ poolName }) => poolName === choice.pool);
    if (!held) return [];
    const { minRunners } = sizesNow(row.connection.kind, choice, held.maxRunners, now);
    return minRunners === held.minRunners ? [] : [{ label: held.scaleSetName, before: held.minRunners, minRunners }];
  });
  if (moved.length > 0)
    await unsafeTransaction(async (tx) => {
      await lease.fence(tx);
      for (const { label, before, minRunners } of moved) {
        await tx.enrollmentPool.update({ where: { scaleSetName: label }, data: { minRunners } });
        await appendSystemAudit(tx, row.tenantId, {
          action: 'pool:warm',
          target: `pool/${label}`,
          before: { minRunners: before },
          after: { minRunners },
        });
      }
      await wake(tx, 'enrollment', row.id);
    });
  const edges = scheduled.flatMap((choice) => nextEdge(choice, now.getTime()) ?? []);
  const nextMs = Math.min(...edges) - now.getTime() + afterEdgeMs;
  return { kind: 'done', againMs: Math.min(nextMs, lookAgainMs) };
}

/** For a worker's start: a task whose row was lost is there again. */
export async function wakeSchedules(): Promise<void> {
  const rows = await unsafeDb().$queryRaw<{ id: string }[]>`
    select id from enrollment where state = 'active' and jsonb_path_exists(spec, '$.pools[*].schedule')`;
  await wake(
    unsafeDb(),
    scheduleTask,
    rows.map(({ id }) => id),
  );
}
