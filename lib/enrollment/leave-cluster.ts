import { appliedHash, handOverSet, isOwned, type ClusterView, type Kind, type Observed } from '#lib/cluster/index.ts';
import { runnersNamespacesOf } from '#lib/model/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { untilGone } from './planes.ts';
import { namespacesThere, remove, removeProtected, stopPod, type Hand } from './removal.ts';

/*
 * What a tenant has in a cluster that it does not run in, or not any more, taken away without touching what is registered at its
 * forges: that serves it where it is now. It looks at the cluster and at nothing else, so that it ends the same whoever began it.
 */

const viewWaitMs = 5_000;
const processes: readonly Kind[] = ['AutoscalingRunnerSet', 'Deployment'];
const around: readonly Kind[] = ['RoleBinding', 'Role', 'ServiceAccount'];

export type Departure = {
  view: ClusterView;
  lease: Lease;
  slug: string;
  /** Whether jobs that still run are ended; else they are waited for. */
  endJobs: boolean;
};

/** One look. Answers what is waited for, in a sentence; null when nothing of the tenant is left there. */
export async function leaveCluster({ view, lease, slug, endJobs }: Departure): Promise<string | null> {
  if (!(await view.whenSynced(viewWaitMs, lease.signal))) return `The cluster ${view.client.id} does not answer.`;
  const hand: Hand = { view, lease, row: { tenant: { slug } } };
  const running = processes.flatMap((kind) => own(hand, kind));
  for (const object of running) await end(hand, object);
  if (running.length > 0) {
    if (endJobs) for (const pod of podsOf(hand)) await stopPod(hand, pod);
    return waitWords(hand, running, endJobs);
  }
  for (const kind of around) for (const object of own(hand, kind)) await removeProtected(hand, object);
  const [held] = around.flatMap((kind) => own(hand, kind));
  if (held) return `${held.kind} ${held.metadata.name} is being removed from ${view.client.id}.`;
  return namespacesGone(hand);
}

/**
 * What we applied where jobs run; what controllers made of it goes with it. The tenant's Bazel cache serves jobs to the end, and
 * goes with its namespace.
 */
function own({ view, row }: Hand, kind: Kind): Observed[] {
  const { slug } = row.tenant;
  return [...view.allIn(runnersNamespacesOf(slug), kind)].filter(
    (object) => appliedHash(object) !== undefined && isOwned(object, slug),
  );
}

async function end(hand: Hand, object: Observed): Promise<void> {
  if (object.kind === 'AutoscalingRunnerSet') await handOverSet(hand.view.client, object, () => hand.lease.check());
  else await remove(hand, object);
}

function podsOf({ view, row }: Hand): Observed[] {
  return [...view.allIn(runnersNamespacesOf(row.tenant.slug), 'Pod')];
}

function waitWords({ view }: Hand, running: readonly Observed[], endJobs: boolean): string {
  const names = running.map(({ metadata }) => metadata.name);
  const shown = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');
  const what = endJobs ? 'were told to end' : 'end when their jobs have ended';
  return `On ${view.client.id} ${shown} ${what}.`;
}

async function namespacesGone(hand: Hand): Promise<string | null> {
  const present = () => namespacesThere(hand);
  for (const namespace of present()) await remove(hand, namespace);
  await untilGone(hand, present);
  const [left] = present();
  return left ? `The namespace ${left.metadata.name} is being removed from ${hand.view.client.id}.` : null;
}

/** Whether a process of this name may still be at work there, so that its namesake must not begin. */
export function mayStillRun(view: ClusterView, object: Pick<Observed, 'apiVersion' | 'kind' | 'metadata'>): boolean {
  if (!view.synced) return true;
  const there = view.get(object);
  if (!there) return false;
  // A manager of GitLab's that was told to end takes no more jobs; a runner of Forgejo's is one registration, held until it is gone.
  const { selector } = there['spec'] as { selector?: { matchLabels?: Record<string, string> } };
  const isManager = selector?.matchLabels?.['app.kubernetes.io/name'] === 'gitlab-runner';
  return !(isManager && there.metadata.deletionTimestamp !== undefined);
}
