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

/** A tenant, and the cluster that it stands on now. */
export type Standing = { id: string; clusterId: string };

/** When nobody looked at the cluster that each of these tenants stood on at the time, within [from, to). */
export async function gapsOf(tenants: readonly Standing[], from: Date, to: Date): Promise<Map<string, Gap[]>> {
  const moves = await unsafeDb().tenantMove.findMany({
    where: { tenantId: { in: tenants.map(({ id }) => id) }, handedOverAt: { gt: from } },
    orderBy: { handedOverAt: 'asc' },
    select: { tenantId: true, fromClusterId: true, handedOverAt: true },
  });
  const stays = new Map(
    tenants.map((tenant) => {
      const left = moves.filter(({ tenantId }) => tenantId === tenant.id);
      const ends = [...left.map(({ handedOverAt }) => handedOverAt ?? to), to];
      const places = [...left.map(({ fromClusterId }) => fromClusterId), tenant.clusterId];
      return [
        tenant.id,
        places.map((clusterId, at) => ({ clusterId, from: ends[at - 1] ?? from, to: ends[at] ?? to })),
      ];
    }),
  );
  const clusterIds = new Set([...stays.values()].flat().map(({ clusterId }) => clusterId));
  const gaps = await gapsBetween([...clusterIds], from, to);
  return new Map([...stays].map(([id, own]) => [id, own.flatMap((stay) => gaps.flatMap((gap) => within(gap, stay)))]));
}

/** The part of a gap that fell into a stay on its cluster. */
function within(gap: Gap, stay: { clusterId: string; from: Date; to: Date }): Gap[] {
  if (gap.clusterId !== stay.clusterId) return [];
  const from = Math.max(Date.parse(gap.from), stay.from.getTime());
  const to = Math.min(Date.parse(gap.to), stay.to.getTime());
  if (to - from <= unseenMs) return [];
  return [{ ...gap, from: new Date(from).toISOString(), to: new Date(to).toISOString() }];
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

/** Since when, in seconds, each cluster was last looked at; one that never was is not among them. */
export async function meteringLags(): Promise<{ clusterId: string; seconds: number }[]> {
  return unsafeDb().$queryRaw<{ clusterId: string; seconds: number }[]>`
    select cluster_id as "clusterId", greatest(0, extract(epoch from clock_timestamp() - max(seen_until)))::float as seconds
    from usage_watch join cluster on cluster.id = cluster_id group by cluster_id order by cluster_id`;
}
