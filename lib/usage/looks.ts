import { unsafeDb } from '#lib/db/index.ts';
import { gapsIn, unseenMs } from './gaps.ts';

/** That a cluster was looked at, and all that ran there was read. Two who look at once lengthen the same stretch, or each one of their own. */
export async function keepLook(clusterId: string, now: Date): Promise<void> {
  const near = new Date(now.getTime() - unseenMs);
  await unsafeDb().$executeRaw`
    with longer as (
      update usage_watch set seen_until = greatest(seen_until, ${now})
      where cluster_id = ${clusterId} and began_at <= ${now} and seen_until >= ${near} returning 1
    )
    insert into usage_watch (cluster_id, began_at, seen_until)
    select ${clusterId}, ${now}, ${now} where not exists (select from longer) on conflict do nothing`;
}

export type Gap = { from: string; to: string; clusterId: string };

/** When nobody looked at a cluster within [from, to). What is before the first look ever is no gap: there was nothing to see. */
export async function gapsBetween(clusterIds: readonly string[], from: Date, to: Date): Promise<Gap[]> {
  const rows = await unsafeDb().usageWatch.findMany({
    where: { clusterId: { in: [...clusterIds] }, beganAt: { lt: to } },
    orderBy: { beganAt: 'asc' },
  });
  return clusterIds.flatMap((clusterId) => {
    const looks = rows
      .filter((row) => row.clusterId === clusterId)
      .map((row) => ({ from: row.beganAt.getTime(), to: row.seenUntil.getTime() }));
    const first = looks[0];
    if (!first) return [];
    const window = { from: Math.max(from.getTime(), first.from), to: to.getTime() };
    return gapsIn(looks, window).map((gap) => ({
      from: new Date(gap.from).toISOString(),
      to: new Date(gap.to).toISOString(),
      clusterId,
    }));
  });
}
