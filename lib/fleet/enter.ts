import { kubeconfigName } from '#lib/cluster/index.ts';
import type { ClusterModel, UnsafeTx } from '#lib/db/index.ts';
import { invalidFields } from '#lib/errors.ts';
import { wake } from '#lib/work/index.ts';
import { clusterTask } from './look.ts';
import { whoStandsOn } from './room.ts';

/* Clusters come from a document that an operator imports: where one is, no browser says. */

/** What is left out stays as it is; of a cluster that is new, as by default. */
export type ClusterEntry = {
  id: string;
  name?: string | undefined;
  /** A mounted file and a context in it; null is the portal's own cluster. */
  way: { kubeconfig: string; context: string } | null;
  state?: ClusterModel['state'] | undefined;
  capacity?: { cpu: string; memory: string } | undefined;
  pools?: string[] | undefined;
  /** The id of an Attic server that was entered for another cluster; null is one of its own. */
  atticServerId?: string | null | undefined;
  bazelUrl?: string | null | undefined;
  bazelReaders?: string | null | undefined;
};

export type Entered = { before: Partial<ClusterModel> | null; after: Partial<ClusterModel> };

/** Makes it so, and says what changed; null where nothing did. Whoever calls it writes it into the audit. */
export async function enterCluster(tx: UnsafeTx, entry: ClusterEntry): Promise<Entered | null> {
  const before = await tx.cluster.findUnique({ where: { id: entry.id } });
  await refuseWay(tx, entry, before);
  await refuseServer(tx, entry);
  const wanted = columnsOf(entry, before);
  const changed = Object.entries(wanted).filter(
    ([column, value]) => !before || JSON.stringify(before[column as keyof ClusterModel]) !== JSON.stringify(value),
  );
  if (changed.length === 0) return null;
  const after = Object.fromEntries(changed) as Partial<ClusterModel>;
  await (before
    ? tx.cluster.update({ where: { id: entry.id }, data: after })
    : tx.cluster.create({ data: { id: entry.id, name: entry.name ?? entry.id, ...after } }));
  await wake(tx, clusterTask, entry.id);
  if (after.bazelReaders !== undefined) await wakeThere(tx, entry.id);
  const old = before && Object.fromEntries(changed.map(([column]) => [column, before[column as keyof ClusterModel]]));
  return { before: old, after };
}

/** Who may read the tenants' Bazel caches is a network policy beside each of them. */
async function wakeThere(tx: UnsafeTx, clusterId: string): Promise<void> {
  const where = { state: 'active' as const, tenant: { clusterId } };
  const rows = await tx.enrollment.findMany({ where, select: { id: true } });
  const ids = rows.map(({ id }) => id);
  await wake(tx, 'enrollment', ids);
}

function columnsOf(entry: ClusterEntry, before: ClusterModel | null): Partial<ClusterModel> {
  const { name, way, state, capacity, pools, atticServerId, bazelUrl, bazelReaders } = entry;
  const given = {
    name: name ?? (before ? undefined : entry.id),
    kubeconfig: way?.kubeconfig ?? null,
    context: way?.context ?? null,
    state,
    capacityCpu: capacity?.cpu,
    capacityMemory: capacity?.memory,
    pools,
    atticServerId,
    bazelUrl,
    bazelReaders,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

async function refuseWay(tx: UnsafeTx, { id, way }: ClusterEntry, before: ClusterModel | null): Promise<void> {
  if (way && !kubeconfigName.test(way.kubeconfig))
    throw invalidFields({ 'spec.kubeconfig.file': 'is the name of a file in FLYWHEEL_CLUSTERS_DIR, and no path' });
  const where = { kubeconfig: way?.kubeconfig ?? null, context: way?.context ?? null, id: { not: id } };
  if (before && before.kubeconfig === where.kubeconfig && before.context === where.context) return;
  const other = await tx.cluster.findFirst({ where, select: { id: true } });
  if (other)
    throw invalidFields({
      'spec.kubeconfig': way
        ? `is that of the cluster ${other.id}`
        : `is needed: ${other.id} is the portal’s own cluster`,
    });
  if (!before) return;
  // Another way may lead to another cluster, which has nothing of those that stand here.
  const standing = await tx.tenant.count({ where: whoStandsOn(id) });
  if (standing > 0 && before.uid === null)
    throw invalidFields({
      'spec.kubeconfig': `cannot change: ${standing} tenants stand here, and no worker has seen yet which cluster it is`,
    });
}

async function refuseServer(tx: UnsafeTx, { id, atticServerId }: ClusterEntry): Promise<void> {
  if (!atticServerId) return;
  const server = await tx.cacheServer.findUnique({
    where: { id: atticServerId },
    select: { clusterId: true, plane: true },
  });
  if (!server || server.plane !== 'attic')
    throw invalidFields({ 'spec.attic': `is no Attic server: ${atticServerId}` });
  if (server.clusterId === id) throw invalidFields({ 'spec.attic': 'is its own already, and is left out' });
}
