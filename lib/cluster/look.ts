import { namespacesOf } from '#lib/model/index.ts';
import { clusterAway, type ClusterClient } from './client.ts';
import { managedBy, tenantLabel } from './objects.ts';
import { eventSeen, podSeen, type EventSeen, type KubeEvent, type KubePod, type PodSeen } from './pod-seen.ts';

/** What a tenant's namespaces hold, as people may see it: no environment, no Secret, no log. */
export type Look = {
  namespaces: { name: string; leaving: boolean }[];
  /** Those that need somebody first, then the newest. */
  pods: PodSeen[];
  /** The newest first. */
  events: EventSeen[];
  /** More is there than is read at once. */
  isPart: boolean;
};

/** One page of each: a namespace holds as many pods as its quota, and an hour of events. */
const readMost = 500;
const eventsMost = 50;

type List<T> = { items: T[]; metadata: { continue?: string } };
type Namespace = { metadata: { name: string; deletionTimestamp?: string } };

/** Somebody waits for the page: a cluster that takes longer is as good as away. */
const patienceMs = 5_000;

type Read = <T>(path: string, labelSelector?: string) => Promise<List<T>>;

function reader(client: ClusterClient, signal: AbortSignal): Read {
  return (path, labelSelector) => {
    const query = { limit: String(readMost), labelSelector };
    const what = `the list of ${path.split('/').at(-1)}`;
    return client.call<List<never>>({ method: 'GET', path, query, signal }, what).catch((error: unknown) => {
      throw signal.aborted ? clusterAway(client.id, error) : error;
    });
  };
}

/**
 * Reads the namespaces that bear this tenant's owner label, whatever else bears a name like theirs. Two requests a namespace
 * and one more; `AppError` of code unavailable when the cluster does not answer in time.
 */
export async function lookAtTenant(
  client: ClusterClient,
  slug: string,
  now: Date,
  timeoutMs = patienceMs,
): Promise<Look> {
  const list = reader(client, AbortSignal.timeout(timeoutMs));
  const ours = `app.kubernetes.io/managed-by=${managedBy},${tenantLabel}=${slug}`;
  const { items } = await list<Namespace>('/api/v1/namespaces', ours);
  const known = new Set(Object.values(namespacesOf(slug)));
  const own = items.map(({ metadata }) => metadata).filter(({ name }) => known.has(name));
  const within = await Promise.all(
    own.map(async ({ name }) => {
      const path = `/api/v1/namespaces/${encodeURIComponent(name)}`;
      const [pods, events] = await Promise.all([list<KubePod>(`${path}/pods`), list<KubeEvent>(`${path}/events`)]);
      return { pods, events };
    }),
  );
  return {
    namespaces: own.map(({ name, deletionTimestamp }) => ({ name, leaving: deletionTimestamp !== undefined })),
    pods: within.flatMap(({ pods }) => pods.items.map((pod) => podSeen(pod, now))).toSorted(byNeed),
    events: within
      .flatMap(({ events }) => events.items.map(eventSeen))
      .toSorted((a, b) => b.at.localeCompare(a.at))
      .slice(0, eventsMost),
    isPart: within.some(({ pods, events }) => Boolean(pods.metadata.continue) || Boolean(events.metadata.continue)),
  };
}

function byNeed(a: PodSeen, b: PodSeen): number {
  return Number(b.needsSomebody) - Number(a.needsSomebody) || b.createdAt.localeCompare(a.createdAt);
}
