import { deleteObject, enrollmentLabel, isOwned, type Observed } from '#lib/cluster/index.ts';
import { namespacesOf, runnersNamespacesOf } from '#lib/model/index.ts';
import type { PhaseResult } from './conditions.ts';
import { own, wait, type PassScope } from './pass.ts';

/* Taking objects away: asked for once, waited for, in the order that does not wedge. */

/** What Kubernetes puts on an object that stays until all that it made is gone. */
const waitsForPods = 'foregroundDeletion';
const cleanupProtection = 'actions.github.com/cleanup-protection';

/** By what right something of a tenant's is taken away, in which cluster. */
export type Hand = Pick<PassScope, 'view' | 'lease'> & { row: { tenant: { slug: string } } };

/** Those of a tenant's namespaces that are there and are ours. */
export function namespacesThere({ view, row }: Pick<Hand, 'view' | 'row'>): Observed[] {
  const { slug } = row.tenant;
  return Object.values(namespacesOf(slug))
    .flatMap((name) => view.get({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }) ?? [])
    .filter((namespace) => isOwned(namespace, slug));
}

export async function remove(scope: Hand, object: Observed): Promise<void> {
  if (
    object.metadata.deletionTimestamp !== undefined &&
    !(object.metadata.finalizers ?? []).includes(cleanupProtection)
  )
    return;
  await scope.lease.check();
  await deleteObject(scope.view.client, object, scope.row.tenant.slug);
}

export function stuck(what: string, object: Observed): PhaseResult {
  const { finalizers = [] } = object.metadata;
  if (finalizers.includes(waitsForPods))
    return wait('Removing', `${what} ${object.metadata.name} is being removed when its jobs have ended.`, 'cluster');
  const held = finalizers.length > 0 ? ` It is held by ${finalizers.join(', ')}.` : '';
  return wait('Removing', `${what} ${object.metadata.name} is being removed.${held}`, 'cluster');
}

const processes = ['AutoscalingRunnerSet', 'Deployment'] as const;
const around = ['RoleBinding', 'Role', 'ServiceAccount', 'NetworkPolicy'] as const;

/**
 * ARC needs the Secret and its manager Role to deregister a set, so those stay until the set is gone; GitLab's manager and
 * Forgejo's runner let their job end first, with the rights that they have.
 */
export async function removePools(
  scope: PassScope,
  matches: (object: Observed) => boolean,
): Promise<PhaseResult | null> {
  const running = processes.flatMap((kind) => own(scope, kind, matches));
  for (const object of running) await remove(scope, object);
  if (running[0]) return stuck(named[running[0].kind] ?? running[0].kind, running[0]);
  for (const kind of around) for (const object of own(scope, kind, matches)) await removeProtected(scope, object);
  const left = around.flatMap((kind) => own(scope, kind, matches));
  return left[0] ? stuck(left[0].kind, left[0]) : null;
}

const named: Record<string, string> = { AutoscalingRunnerSet: 'Runner set', Deployment: 'Runner' };

/** How long what runs may take to stop, where nobody waits for its job. */
const stopSeconds = 30;

/** Tells a pod to end now, unless it was told so already. */
export async function stopPod({ view, lease, row }: Hand, pod: Observed): Promise<void> {
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  if (deletionTimestamp !== undefined && (deletionGracePeriodSeconds ?? 0) <= stopSeconds) return;
  await lease.check();
  await deleteObject(view.client, pod, row.tenant.slug, stopSeconds);
}

/** The pods of this enrollment's processes and their jobs, which are told to end now. Returns one that is still there. */
export async function stopPods(scope: PassScope): Promise<Observed | undefined> {
  const { row, view } = scope;
  const pods = [...view.allIn(runnersNamespacesOf(row.tenant.slug), 'Pod')].filter(
    ({ metadata }) => metadata.labels?.[enrollmentLabel] === row.name,
  );
  for (const pod of pods) await stopPod(scope, pod);
  return pods[0];
}

/** What the runners read, when nothing reads it any more: Secrets, and the authority of a forge. Returns what is still there. */
export async function removeKept(
  scope: PassScope,
  matches: (object: Observed) => boolean,
): Promise<Observed | undefined> {
  const kept = (['Secret', 'ConfigMap'] as const).flatMap((kind) => own(scope, kind, matches));
  for (const object of kept) await remove(scope, object);
  return kept[0];
}

/** ARC takes its finalizer off what a set names; where ARC never saw the set, the finalizer is ours alone and we do. */
export async function removeProtected(scope: Hand, object: Observed): Promise<void> {
  if ((object.metadata.finalizers ?? []).includes(cleanupProtection)) {
    await scope.lease.check();
    await dropFinalizer(scope, object);
  }
  await remove(scope, object);
}

async function dropFinalizer(scope: Hand, object: Observed): Promise<void> {
  const { uid, resourceVersion } = object.metadata;
  const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== cleanupProtection);
  await scope.view.client.mergePatch(object, { metadata: { uid, resourceVersion, finalizers } });
}
