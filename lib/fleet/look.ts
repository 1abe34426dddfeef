import type { Clock } from '#lib/clock.ts';
import { findController, KubeconfigRefused, type ClusterClient, type ClusterView } from '#lib/cluster/index.ts';
import { Prisma, unsafeDb, type ClusterModel } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Lease, Outcome } from '#lib/work/index.ts';
import { clusterAt } from './way.ts';
import { whoStandsOn } from './room.ts';

/* A worker's look at a cluster, written down for the pages: a few requests now and then, whoever watches. */

/** The kind of task whose key is a cluster's id. A cluster that is added is woken, so that a worker begins to watch it. */
export const clusterTask = 'cluster';
const lookAgainMs = 15_000;
const patienceMs = 5_000;

export type FleetDeps = { clock: Clock; view: (clusterId: string) => ClusterView };

type Seen = Pick<ClusterModel, 'trouble'> & Partial<ClusterModel>;

export async function lookAtCluster({ clock, view }: FleetDeps, lease: Lease): Promise<Outcome> {
  const id = lease.key;
  const row = await unsafeDb().cluster.findUnique({ where: { id } });
  if (!row) return { kind: 'gone' };
  const seen = (await refusedWay(id)) ?? (await asked(view(id).client, row, clock.now()));
  await keep(row, { ...seen, lookedAt: clock.now() });
  return { kind: 'done', againMs: lookAgainMs };
}

/** What is wrong with the way itself, which no retry heals; null where it leads somewhere. */
async function refusedWay(id: string): Promise<Seen | null> {
  try {
    await clusterAt(id).kubeConfig();
    return null;
  } catch (error) {
    if (!(error instanceof KubeconfigRefused)) throw error;
    const says = error.message;
    return { trouble: `${says.slice(0, 1).toUpperCase()}${says.slice(1)}.` };
  }
}

async function asked(client: ClusterClient, row: ClusterModel, now: Date): Promise<Seen> {
  const signal = AbortSignal.timeout(patienceMs);
  try {
    const [version, uid, controller] = await Promise.all([
      client.call<{ gitVersion: string }>({ method: 'GET', path: '/version', signal }, 'its version'),
      uidOf(client, signal),
      findController(client),
    ]);
    const found = {
      kubernetesVersion: version.gitVersion.replace(/^v/, ''),
      reachableAt: now,
      ...(controller
        ? {
            controllerVersion: controller.version,
            controllerNamespace: controller.namespace,
            controllerServiceAccount: controller.serviceAccount,
          }
        : {}),
    };
    return { ...found, ...(await identityOf(row, uid)) };
  } catch (error) {
    if (signal.aborted) return { trouble: 'The cluster does not answer.' };
    if (!(error instanceof AppError)) throw error;
    return { trouble: error.screen.happened };
  }
}

/** The namespace kube-system is there as long as its cluster, and no other cluster has one of its uid. */
async function uidOf(client: ClusterClient, signal: AbortSignal): Promise<string> {
  const path = '/api/v1/namespaces/kube-system';
  const { metadata } = await client.call<{ metadata: { uid: string } }>({ method: 'GET', path, signal }, 'its name');
  return metadata.uid;
}

/** Two names for one cluster would write the same namespaces; another cluster under a known name has none of its tenants. */
async function identityOf(row: ClusterModel, uid: string): Promise<Seen> {
  if (row.uid === uid) return { trouble: null, duplicateOf: null };
  const other = await unsafeDb().cluster.findUnique({ where: { uid }, select: { id: true } });
  if (other)
    return {
      trouble: `This is the cluster ${other.id} by another name. Nothing is placed here.`,
      duplicateOf: other.id,
    };
  const hasTenants = row.uid !== null && (await unsafeDb().tenant.count({ where: whoStandsOn(row.id) })) > 0;
  if (hasTenants) return { trouble: 'Another cluster answers than the one that the tenants here were placed on.' };
  return { trouble: null, duplicateOf: null, uid };
}

async function keep(row: ClusterModel, seen: Seen): Promise<void> {
  try {
    await unsafeDb().cluster.updateMany({ where: { id: row.id }, data: seen });
  } catch (error) {
    // Another name for it was looked at in the same moment: the next look says so.
    if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') throw error;
  }
}
