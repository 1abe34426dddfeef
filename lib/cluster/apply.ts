import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '#lib/errors.ts';
import { count } from '#lib/telemetry/index.ts';
import { type ClusterClient, ClusterRefused, fieldManager, groupPath, kinds, objectPath, type Kind } from './client.ts';
import { appliedHash, dated, fieldChanges, stamped, type FieldChange } from './compare.ts';
import { managedBy, managerRules, redacted, tenantLabel, type KubernetesObject } from './manifests.ts';
import type { ClusterView, Observed } from './view.ts';

/** Called before each write; throws when the caller may no longer write. */
export type Guard = () => Promise<void>;

const writesAtOnce = 8;

/** Whether an object that somebody else made may be made ours, fields and all. */
export type TakesOver = (object: KubernetesObject) => boolean;

export type EnsureOptions = {
  takesOver?: TakesOver;
  /** These very objects were there once: one that is not there now was taken away by somebody. */
  wereThere?: boolean;
  /** When what they follow from was decided. */
  decidedAt?: Date;
};

export type Ensured = { applied: number; unchanged: number };

/** Whether we made it, for this tenant. */
export function isOwned(object: KubernetesObject, tenant: string): boolean {
  const labels = object.metadata.labels ?? {};
  return labels['app.kubernetes.io/managed-by'] === managedBy && labels[tenantLabel] === tenant;
}

function tenantOf(object: KubernetesObject): string {
  return object.metadata.labels?.[tenantLabel] ?? '';
}

/**
 * Makes the cluster hold these objects: server-side apply, strict validation, one field manager, only for what the view
 * lacks. Namespaces first, what runs last: each needs what stands before it. Idempotent. A field that somebody else owns
 * is thrown at the end, so that one edited quota does not keep a deleted policy from being put back (F4).
 */
export async function ensureObjects(
  view: ClusterView,
  objects: readonly KubernetesObject[],
  guard: Guard,
  { takesOver = () => false, wereThere = false, decidedAt }: EnsureOptions = {},
): Promise<Ensured> {
  const missing = objects.map(stamped).filter((object) => !view.has(object));
  const conflicts: FieldConflict[] = [];
  const ensure = async (object: KubernetesObject) => {
    const { kind } = object;
    const hasDrifted = isDrift(object, view.get(object), wereThere);
    if (hasDrifted) count('driftFound', { kind });
    try {
      await view.learn(object, () =>
        ensureObject(view, dated(object, decidedAt), takesOver(object) && !view.get(object)),
      );
      if (hasDrifted) count('driftRepaired', { kind });
    } catch (error) {
      if (!(error instanceof FieldConflict)) throw error;
      conflicts.push(error);
    }
  };
  for (const stage of [0, 1, 2, 3]) {
    const batch = missing.filter((object) => (stageOf[object.kind] ?? 1) === stage);
    if (batch.length === 0) continue;
    await guard();
    await inParallel(batch, ensure);
  }
  if (conflicts[0]) throw conflicts[0];
  return { applied: missing.length, unchanged: objects.length - missing.length };
}

/** Whether somebody else made it another than we last did, or took it away; not that we want another by now. */
function isDrift(wanted: KubernetesObject, found: Observed | undefined, wereThere: boolean): boolean {
  if (!found) return wereThere;
  const hash = appliedHash(found);
  return isOwned(found, tenantOf(wanted)) && (hash === undefined || hash === appliedHash(wanted));
}

/** A namespace before what is in it, a Role before what binds it, what runs after all that it needs. */
const stageOf: Record<string, number> = { Namespace: 0, RoleBinding: 2, Deployment: 3, AutoscalingRunnerSet: 3 };

async function ensureObject(view: ClusterView, object: KubernetesObject, takeOver: boolean): Promise<Observed> {
  // A namespace is made, not applied: apply would quietly adopt one that somebody else made under that name.
  if (object.kind === 'Namespace' && !view.get(object)) return createNamespace(view.client, object);
  if (object.kind === 'RoleBinding') return applyBinding(view.client, object, false, takeOver);
  return applyObject(view.client, object, false, takeOver);
}

/** The API server checks a binding against its own cache of Roles, which may be some milliseconds behind. */
async function applyBinding(
  client: ClusterClient,
  object: KubernetesObject,
  dryRun = false,
  takeOver = false,
): Promise<Observed> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await applyObject(client, object, dryRun, takeOver);
    } catch (error) {
      if (!(error instanceof ClusterRefused) || error.refusal.status !== 404 || tries === 5) throw error;
      await sleep(20 * 2 ** tries);
    }
  }
}

async function createNamespace(client: ClusterClient, object: KubernetesObject): Promise<Observed> {
  const { name } = object.metadata;
  try {
    return await client.call<Observed>(
      { method: 'POST', path: '/api/v1/namespaces', query: { fieldManager, fieldValidation: 'Strict' }, body: object },
      `namespace ${name}`,
    );
  } catch (error) {
    if (!(error instanceof ClusterRefused) || error.refusal.reason !== 'AlreadyExists') throw error;
  }
  const existing = await readObject(client, object);
  if (existing && !isOwned(existing, tenantOf(object))) throw foreignNamespace(name);
  if (existing?.metadata.deletionTimestamp !== undefined) throw terminating(name);
  return applyObject(client, object);
}

function foreignNamespace(name: string): AppError {
  return new AppError('conflict', {
    log: `namespace ${name} exists and is not ours`,
    screen: {
      happened: `The cluster already has a namespace ${name} that the portal did not make.`,
      todo: 'The operator must rename or remove it, or the tenant must take another slug.',
    },
  });
}

function terminating(name: string): AppError {
  return new AppError('unavailable', {
    log: `namespace ${name} is terminating`,
    screen: {
      happened: `The former namespace ${name} is still being removed.`,
      todo: 'Nothing needs doing: the portal goes on when it is gone.',
    },
  });
}

/**
 * One server-side apply. A field that somebody else owns is reported; only our own former writes are overruled, unless the
 * object is taken over, as somebody approved.
 */
export async function applyObject(
  client: ClusterClient,
  object: KubernetesObject,
  dryRun = false,
  takeOver = false,
): Promise<Observed> {
  const { namespace, name } = object.metadata;
  const what = `${object.kind} ${namespace ? `${namespace}/` : ''}${name}`;
  const send = (force: boolean) =>
    client.call<Observed>(
      {
        method: 'PATCH',
        path: objectPath(object),
        query: {
          fieldManager,
          fieldValidation: 'Strict',
          force: force ? 'true' : undefined,
          dryRun: dryRun ? 'All' : undefined,
        },
        contentType: 'application/apply-patch+yaml',
        body: object,
      },
      what,
    );
  try {
    return await send(takeOver);
  } catch (error) {
    if (error instanceof ClusterRefused && error.refusal.status === 409) {
      const managers = conflictingManagers(error);
      if (managers.length > 0 && managers.every((manager) => manager === fieldManager)) return send(true);
      if (managers.length > 0) throw fieldConflict(error, what);
      // Moved on between its own read and write: what is applied says nothing of a version, so it is sent once more.
      if (error.code === 'stale') return send(false);
    }
    throw error;
  }
}

function conflictingManagers(error: ClusterRefused): string[] {
  return error.refusal.causes
    .filter((cause) => cause.reason === 'FieldManagerConflict')
    .map((cause) => /conflict with "([^"]*)"/.exec(cause.message ?? '')?.[1] ?? 'unknown');
}

class FieldConflict extends AppError {
  override name = 'FieldConflict';
}

function fieldConflict(error: ClusterRefused, what: string): FieldConflict {
  const fields = error.refusal.causes.map((cause) => `${cause.field ?? '?'} (${cause.message ?? ''})`).join(', ');
  return new FieldConflict('conflict', {
    log: `${what}: fields owned by others: ${fields}`,
    screen: {
      happened: `Somebody else changed ${what}: ${fields}.`,
      changed: 'Those fields were left as they are.',
      todo: 'The operator must undo that change or give the field up.',
    },
  });
}

/** The object as it is; undefined when there is none. */
export async function readObject(
  client: ClusterClient,
  object: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>,
): Promise<Observed | undefined> {
  try {
    return await client.call<Observed>(
      { method: 'GET', path: objectPath(object) },
      `${object.kind} ${object.metadata.name}`,
    );
  } catch (error) {
    if (error instanceof ClusterRefused && error.refusal.status === 404) return undefined;
    throw error;
  }
}

/** The same by the right to list alone, of what is watched and else never read by its name. */
export async function findObject(
  client: ClusterClient,
  object: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>,
): Promise<Observed | undefined> {
  const path = objectPath(object).replace(/\/[^/]+$/, '');
  const query = { fieldSelector: `metadata.name=${object.metadata.name}` };
  const { items } = await client.call<{ items: Observed[] }>(
    { method: 'GET', path, query },
    `the list of ${object.kind}`,
  );
  // A list says of what it is once, and not of each.
  return items.map((item) => ({ ...item, kind: object.kind, apiVersion: object.apiVersion }))[0];
}

/**
 * Asks for the end of one object of ours: with its UID, so that a namesake made since is never hit (F8), and not at all when
 * the owner label is another's. A Deployment stays until its pods are gone, so that who waits for it has waited for them;
 * a pod ends in its own time, or in as many seconds as are given. Answers whether it is gone already.
 */
export async function deleteObject(
  client: ClusterClient,
  object: Observed,
  tenant: string,
  graceSeconds?: number,
): Promise<'gone' | 'going'> {
  if (!isOwned(object, tenant)) return 'gone';
  try {
    const answer = await client.call<Observed | { kind: 'Status' }>(
      {
        method: 'DELETE',
        path: objectPath(object),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          preconditions: { uid: object.metadata.uid },
          propagationPolicy: object.kind === 'Deployment' ? 'Foreground' : 'Background',
          ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
        },
      },
      `the removal of ${object.kind} ${object.metadata.name}`,
    );
    return answer.kind === 'Status' ? 'gone' : 'going';
  } catch (error) {
    // 409: the UID is another's, so ours is gone.
    if (error instanceof ClusterRefused && (error.refusal.status === 404 || error.refusal.status === 409))
      return 'gone';
    throw error;
  }
}

// ------------------------------------------------------------------------------------------------ the plan's view

export type ObjectChange = {
  op: '+' | '~' | '-' | '=';
  kind: string;
  name: string;
  namespace?: string;
  fields: FieldChange[];
  object: KubernetesObject;
};

/** Where objects of a namespace that does not exist yet are tried: the API server's dry run needs one to be in. */
export const planNamespace = 'flywheel-plan';
const planRole = 'gha-rs-manager';

/**
 * What applying these objects would change, from the API server's own dry run: its validation, admission and defaults are
 * the real ones. Writes nothing but, once a cluster, the empty namespace in which not yet existing ones are tried.
 */
export async function dryRunObjects(
  client: ClusterClient,
  objects: readonly KubernetesObject[],
  takesOver: TakesOver = () => false,
): Promise<ObjectChange[]> {
  const absent = new Set<string>();
  for (const object of objects.filter((each) => each.kind === 'Namespace')) {
    const existing = await readObject(client, object);
    if (!existing) absent.add(object.metadata.name);
    else if (!isOwned(existing, tenantOf(object))) throw foreignNamespace(object.metadata.name);
    await ensurePlanNamespace(client, object);
  }
  const changes: ObjectChange[] = [];
  await inParallel([...objects.entries()], async ([index, object]) => {
    const isNew = absent.has(object.metadata.namespace ?? object.metadata.name);
    changes[index] = isNew ? await dryRunNew(client, object) : await dryRunExisting(client, object, takesOver(object));
  });
  return changes;
}

/** Holds nothing but one Role, since a binding can only be tried on a Role that is there. */
async function ensurePlanNamespace(client: ClusterClient, like: KubernetesObject): Promise<void> {
  const labels = { ...like.metadata.labels, [tenantLabel]: managedBy };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: planNamespace, labels } };
  if (!(await readObject(client, namespace))) await applyObject(client, namespace);
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: planRole, namespace: planNamespace, labels },
    rules: managerRules,
  };
  if (!(await readObject(client, role))) await applyObject(client, role);
}

/** Tried in the plan's namespace, and named back. */
async function dryRunNew(client: ClusterClient, object: KubernetesObject): Promise<ObjectChange> {
  await dryRunElsewhere(client, object);
  return change('+', object, fieldChanges(undefined, object));
}

async function dryRunElsewhere(client: ClusterClient, object: KubernetesObject): Promise<void> {
  if (object.kind === 'Namespace') {
    await applyObject(client, object, true);
    return;
  }
  const there = { ...object, metadata: { ...object.metadata, namespace: planNamespace } };
  const roleRef = object['roleRef'];
  if (roleRef) await applyBinding(client, { ...there, roleRef: { ...roleRef, name: planRole } }, true);
  else await applyObject(client, there, true);
}

async function dryRunExisting(
  client: ClusterClient,
  object: KubernetesObject,
  takeOver: boolean,
): Promise<ObjectChange> {
  const before = await readObject(client, object);
  if (!before && object.kind === 'RoleBinding') return dryRunNew(client, object);
  // What is ours by now is forced no more, as a pass does not: who changed it since is told of.
  const isOurs = before !== undefined && isOwned(before, tenantOf(object));
  const after = await applyObject(client, stamped(object), true, takeOver && !isOurs);
  if (!before) return change('+', object, fieldChanges(undefined, object));
  const fields = fieldChanges(before, after);
  return change(fields.length === 0 ? '=' : '~', object, fields);
}

function change(op: ObjectChange['op'], object: KubernetesObject, fields: FieldChange[]): ObjectChange {
  const { name, namespace } = object.metadata;
  return {
    op,
    kind: object.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    fields,
    object: redacted(object),
  };
}

/** The same list without a cluster to ask: everything counts as added, unchecked. */
export function uncheckedChanges(objects: readonly KubernetesObject[]): ObjectChange[] {
  return objects.map((object) => change('+', object, fieldChanges(undefined, object)));
}

/** All objects of ours of these kinds in a namespace: for the removal's list. */
export async function listObjects(
  client: ClusterClient,
  kind: Kind,
  apiVersion: string,
  namespace: string,
  labelSelector: string,
): Promise<Observed[]> {
  const path = `${groupPath(apiVersion)}/namespaces/${encodeURIComponent(namespace)}/${kinds[kind].plural}`;
  try {
    const list = await client.call<{ items: Observed[] }>(
      { method: 'GET', path, query: { labelSelector } },
      `the list of ${kind}`,
    );
    return list.items.map((item) => ({ ...item, kind, apiVersion }));
  } catch (error) {
    if (error instanceof ClusterRefused && error.refusal.status === 404) return [];
    throw error;
  }
}

/** Runs all, a few at once; the first failure is thrown when those under way have ended. */
export async function inParallel<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined && failures.length === 0; item = queue.shift()) {
      await run(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(writesAtOnce, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
