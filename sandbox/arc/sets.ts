import { isGone, type Obj, pathOf } from './kube.ts';
import {
  type AutoscalingRunnerSet,
  changeHash,
  type EphemeralRunnerSet,
  finalizers,
  isOwnedBy,
  listenerHash,
  listenerName,
  listenerOf,
  notes,
  runnerHash,
  runnerSetOf,
  scaleSetName,
  scopeLabels,
  versionLabel,
} from './objects.ts';
import { addFinalizers, dropFinalizer, type Scope, splitKey } from './scope.ts';

/** One look at an AutoscalingRunnerSet: registered at GitHub, with one EphemeralRunnerSet and one listener, or going away. */
export async function lookAtSet(scope: Scope, key: string): Promise<number | undefined> {
  const set = scope.sets.get(...splitKey(key));
  if (!set) return undefined;
  if (set.metadata.deletionTimestamp) return remove(scope, set);
  if (!sameMinor(set.metadata.labels?.[versionLabel], scope.version)) {
    // ARC's rule, and the portal's trap: a set of another version is not left alone, it is deleted.
    await scope.controller.delete(set);
    return undefined;
  }
  if (await addFinalizers(scope.controller, set, [finalizers.set])) return undefined;
  const isOutdated =
    set.status?.phase === 'Outdated' && set.metadata.annotations?.[notes.changeHash] === changeHash(set);
  if (isOutdated) return shutDown(scope, set);
  // Another spec is another chance; what is noted of it below must not make it look as if it had failed too.
  if (set.status?.phase === 'Outdated') {
    await patchStatus(scope, set, { phase: 'Pending' });
    return undefined;
  }
  const scaleSetId = await ensureRegistered(scope, set);
  if (scaleSetId === undefined) return undefined;
  const runnerSet = await ensureRunnerSet(scope, set, scaleSetId);
  const listening = await ensureListener(scope, set, runnerSet, scaleSetId);
  await report(scope, set, runnerSet, listening);
  return undefined;
}

function sameMinor(label: string | undefined, version: string): boolean {
  const minor = (text: string): string => text.split('.').slice(0, 2).join('.');
  return label !== undefined && minor(label) === minor(version);
}

/** The id of the scale set at GitHub; undefined when it was just written and the next look will read it. */
async function ensureRegistered(scope: Scope, set: AutoscalingRunnerSet): Promise<number | undefined> {
  const { annotations = {}, namespace = '' } = set.metadata;
  const name = scaleSetName(set);
  const groupName = set.spec.runnerGroup || 'Default';
  const id = Number(annotations[notes.scaleSetId] ?? 0);
  const isSame =
    annotations[notes.scaleSetName] === name && annotations[notes.groupName]?.toLowerCase() === groupName.toLowerCase();
  const isKnown = id > 0 && isSame && annotations[notes.changeHash] === changeHash(set);
  if (isKnown) return id;
  const forge = await scope.forges.for(namespace, set.spec);
  const groupId = set.spec.runnerGroup ? await forge.group(set.spec.runnerGroup) : 1;
  if (id > 0 && isSame) return note(scope, set, id, groupName);
  if (id > 0) return note(scope, set, (await forge.change(id, name, groupId)).id, groupName);
  // One of the same name and group is taken over, whoever made it.
  const found = await forge.find(name, groupId);
  const registered = found ?? (await forge.create(name, groupId, set.spec.runnerScaleSetLabels ?? []));
  return note(scope, set, registered.id, registered.runnerGroupName);
}

async function note(scope: Scope, set: AutoscalingRunnerSet, id: number, groupName: string): Promise<undefined> {
  await scope.controller.patch(set, {
    metadata: {
      labels: scopeLabels(set.spec.githubConfigUrl),
      annotations: {
        [notes.scaleSetId]: String(id),
        [notes.groupName]: groupName,
        [notes.scaleSetName]: scaleSetName(set),
        // ARC writes the name into the spec where it was empty, which is part of what is hashed.
        [notes.changeHash]: changeHash({ ...set, spec: { ...set.spec, runnerScaleSetName: scaleSetName(set) } }),
      },
    },
    spec: { runnerScaleSetName: scaleSetName(set) },
  });
}

function runnerSetsOf(scope: Scope, set: AutoscalingRunnerSet): EphemeralRunnerSet[] {
  return [...scope.runnerSets.values()].filter((other) => isOwnedBy(other, set));
}

async function ensureRunnerSet(
  scope: Scope,
  set: AutoscalingRunnerSet,
  scaleSetId: number,
): Promise<EphemeralRunnerSet> {
  const wanted = runnerHash(set);
  const live = runnerSetsOf(scope, set).filter((other) => !other.metadata.deletionTimestamp);
  const current = live.find((other) => other.metadata.annotations?.[notes.runnerHash] === wanted);
  for (const other of live) if (other !== current) await scope.controller.delete(other);
  if (current) return current;
  const made = await scope.controller.create(runnerSetOf(set, scaleSetId));
  scope.runnerSets.remember(made);
  return made;
}

/** True while the listener holds its session. Another spec is another listener: the old one goes first. */
async function ensureListener(
  scope: Scope,
  set: AutoscalingRunnerSet,
  runnerSet: EphemeralRunnerSet,
  scaleSetId: number,
): Promise<boolean> {
  const name = listenerName(set);
  const listener = scope.listeners.get(scope.namespace, name);
  const wanted = listenerHash(set, runnerSet.metadata.name, scaleSetId);
  for (const other of listenersOf(scope, set)) if (other.metadata.name !== name) await scope.controller.delete(other);
  if (!listener) {
    const made = await scope.controller.create(
      listenerOf(set, runnerSet.metadata.name, scaleSetId, scope.namespace, scope.version),
    );
    scope.listeners.remember(made);
    return false;
  }
  if (listener.metadata.deletionTimestamp) return false;
  if (listener.metadata.annotations?.[notes.changeHash] !== wanted) {
    await scope.controller.delete(listener);
    return false;
  }
  return scope.controllerPods.get(scope.namespace, name)?.status?.containerStatuses?.[0]?.ready ?? false;
}

function listenersOf(scope: Scope, set: AutoscalingRunnerSet) {
  return [...scope.listeners.values()].filter(
    ({ spec }) =>
      spec.autoscalingRunnerSetName === set.metadata.name &&
      spec.autoscalingRunnerSetNamespace === set.metadata.namespace,
  );
}

async function report(
  scope: Scope,
  set: AutoscalingRunnerSet,
  runnerSet: EphemeralRunnerSet,
  listening: boolean,
): Promise<void> {
  const {
    currentReplicas = 0,
    pendingEphemeralRunners = 0,
    runningEphemeralRunners = 0,
    failedEphemeralRunners = 0,
    phase,
  } = runnerSet.status ?? {};
  const status = {
    currentRunners: currentReplicas,
    pendingEphemeralRunners,
    runningEphemeralRunners,
    failedEphemeralRunners,
    phase: phase === 'Outdated' ? 'Outdated' : listening ? 'Running' : 'Pending',
  };
  await patchStatus(scope, set, status);
}

export async function patchStatus(scope: Scope, object: Obj & { status?: object }, status: object): Promise<void> {
  const held = (object.status ?? {}) as Record<string, unknown>;
  const isSame = Object.entries(status).every(
    ([key, value]) => JSON.stringify(held[key] ?? null) === JSON.stringify(value ?? null),
  );
  if (!isSame) await scope.controller.patch(object, { status }, 'status');
}

/** A runner version that GitHub refuses: nothing of the pool stays, at GitHub neither, until somebody changes the spec. */
async function shutDown(scope: Scope, set: AutoscalingRunnerSet): Promise<number | undefined> {
  if (await dismantle(scope, set)) return undefined;
  const id = Number(set.metadata.annotations?.[notes.scaleSetId] ?? 0);
  if (id === 0) return undefined;
  await (await scope.forges.for(set.metadata.namespace ?? '', set.spec)).remove(id);
  await scope.controller.patch(set, { metadata: { annotations: { [notes.scaleSetId]: null } } });
  return undefined;
}

/** Lets the listener and the runners go. True while something of them is still there; its going brings the next look. */
async function dismantle(scope: Scope, set: AutoscalingRunnerSet): Promise<boolean> {
  const listeners = listenersOf(scope, set);
  for (const listener of listeners) if (!listener.metadata.deletionTimestamp) await scope.controller.delete(listener);
  if (listeners.length > 0) return true;
  const runnerSets = runnerSetsOf(scope, set);
  for (const runnerSet of runnerSets)
    if (!runnerSet.metadata.deletionTimestamp) await scope.controller.delete(runnerSet);
  return runnerSets.length > 0;
}

/**
 * Going away, in the order that ARC keeps: listener, runners, the scale set at GitHub (with the tenant's Secret: without it
 * this fails again and again), the finalizers of what the chart made, and at last one's own.
 */
async function remove(scope: Scope, set: AutoscalingRunnerSet): Promise<number | undefined> {
  if (!set.metadata.finalizers?.includes(finalizers.set)) return undefined;
  if (await dismantle(scope, set)) return undefined;
  const id = Number(set.metadata.annotations?.[notes.scaleSetId] ?? 0);
  if (id > 0) await (await scope.forges.for(set.metadata.namespace ?? '', set.spec)).remove(id);
  await releaseDependents(scope, set);
  await dropFinalizer(scope.controller, set, finalizers.set);
  return undefined;
}

/** By annotation, in ARC's order; an annotation that is not there is a step that is not made. */
const dependents: [annotation: string, kind: string][] = [
  ['cleanup-kubernetes-mode-role-binding-name', 'RoleBinding'],
  ['cleanup-kubernetes-mode-role-name', 'Role'],
  ['cleanup-kubernetes-mode-service-account-name', 'ServiceAccount'],
  ['cleanup-no-permission-service-account-name', 'ServiceAccount'],
  ['cleanup-github-secret-name', 'Secret'],
  ['cleanup-manager-role-binding', 'RoleBinding'],
  ['cleanup-manager-role-name', 'Role'],
];

async function releaseDependents(scope: Scope, set: AutoscalingRunnerSet): Promise<void> {
  for (const [annotation, kind] of dependents) {
    const name = set.metadata.annotations?.[`actions.github.com/${annotation}`];
    if (name) await release(scope, kind, set.metadata.namespace ?? '', name);
  }
}

async function release(scope: Scope, kind: string, namespace: string, name: string): Promise<void> {
  try {
    const held = await readDependent(scope, kind, namespace, name);
    if (held) await dropFinalizer(scope.controller, held, finalizers.cleanup);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/**
 * Accounts, roles and bindings are read as ARC's cache reads them, by listing, which it may do everywhere: the manager Role
 * itself is released after its binding has gone.
 */
async function readDependent(scope: Scope, kind: string, namespace: string, name: string): Promise<Obj | undefined> {
  if (kind === 'Secret') return scope.controller.get(kind, namespace, name);
  const path = `${pathOf(kind, namespace)}?fieldSelector=metadata.name%3D${name}`;
  const list = await scope.controller.call<{ apiVersion: string; items: Obj[] }>({ method: 'GET', path });
  return list.items[0] && { ...list.items[0], apiVersion: list.apiVersion, kind };
}
