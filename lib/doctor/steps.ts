import {
  fieldManager,
  isOwned,
  objectPath,
  readObject,
  type ClusterClient,
  type KubernetesObject,
  type Observed,
} from '#lib/cluster/index.ts';
import { AppError } from '#lib/errors.ts';
import { runnersNamespacesOf } from '#lib/model/index.ts';
import type { Offer, RepairKind } from './facts.ts';

/*
 * What a repair does, as a list that is made the same way for the plan and for the worker: the plan sends the requests as dry
 * runs, the worker sends them. Nothing is deleted or changed but what bears the tenant's owner label, and each request names
 * the object by its UID.
 */

/** One line of a repair's plan. */
export type RepairChange = {
  where: 'cluster' | 'catalog' | 'forge' | 'portal';
  op: '~' | '-' | '+';
  what: string;
  from?: string;
  to?: string;
};

type Sent = { method: 'DELETE' | 'PATCH'; object: Observed; body: object };

export type Steps = {
  changes: RepairChange[];
  requests: Sent[];
  /** What is set in the catalog and in this enrollment; the others get it by a rollout. */
  catalog?: { pool: string; image: string } | { pool: string; placement: null };
};

export type Position = { tenant: string; controllerNamespace: string; forgeName: string };

type Make = (client: ClusterClient, at: Position, params: Offer['params']) => Promise<Steps>;

const text = (value: string | string[] | undefined): string => (typeof value === 'string' ? value : '');
const list = (value: string | string[] | undefined): string[] => (Array.isArray(value) ? value : []);

const group = 'actions.github.com/v1alpha1';

async function present(client: ClusterClient, { tenant }: Position, object: KubernetesObject): Promise<Observed[]> {
  const found = await readObject(client, object);
  return found && isOwned(found, tenant) ? [{ ...found, kind: object.kind, apiVersion: object.apiVersion }] : [];
}

function removal(object: Observed): Sent {
  const { uid } = object.metadata;
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid }, propagationPolicy: 'Background' };
  return { method: 'DELETE', object, body };
}

/** A merge patch that hits this very object as it was read. */
function patch(object: Observed, metadata: object): Sent {
  const { uid, resourceVersion } = object.metadata;
  return { method: 'PATCH', object, body: { metadata: { uid, resourceVersion, ...metadata } } };
}

const nameOf = ({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.name}`;

async function removeAll(
  client: ClusterClient,
  at: Position,
  objects: KubernetesObject[],
  isMeant: (found: Observed) => boolean = () => true,
): Promise<Steps> {
  const there = (await Promise.all(objects.map((object) => present(client, at, object)))).flat();
  const found = there.filter(isMeant);
  return {
    changes: found.map((object) => ({ where: 'cluster', op: '-', what: nameOf(object) })),
    requests: found.map(removal),
  };
}

/** The object of that name wherever the tenant's runners are: a set's name is one in both. */
const whereRunnersAre = ({ tenant }: Position, apiVersion: string, kind: string, name: string): KubernetesObject[] =>
  runnersNamespacesOf(tenant).map((namespace) => ({ apiVersion, kind, metadata: { name, namespace } }));

const removeOrphans: Make = (client, at, { pods }) =>
  removeAll(
    client,
    at,
    list(pods).flatMap((name) => whereRunnersAre(at, 'v1', 'Pod', name)),
  );

const hasJob = (object: Observed) => {
  const { jobId, jobRequestId } = (object.status ?? {}) as { jobId?: unknown; jobRequestId?: unknown };
  return Boolean(jobId ?? jobRequestId);
};

/** One that has a job by now is left to it. */
const restartRunners: Make = (client, at, { runners }) =>
  removeAll(
    client,
    at,
    list(runners).flatMap((name) => whereRunnersAre(at, group, 'EphemeralRunner', name)),
    (found) => !hasJob(found),
  );

const restartListener: Make = (client, at, { pod }) =>
  removeAll(client, at, [
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: text(pod), namespace: at.controllerNamespace } },
  ]);

/** The portal makes the set again as soon as it is gone, as it does with whatever somebody deletes. */
const registerAnew: Make = async (client, at, { set }) => {
  const steps = await removeAll(client, at, whereRunnersAre(at, group, 'AutoscalingRunnerSet', text(set)));
  return {
    ...steps,
    changes: [
      ...steps.changes,
      {
        where: 'forge',
        op: '-',
        what: `Scale set ${text(set)} at ${at.forgeName}, with its session, where it is there`,
      },
      { where: 'forge', op: '+', what: `Scale set ${text(set)} at ${at.forgeName}` },
      { where: 'cluster', op: '+', what: `AutoscalingRunnerSet ${text(set)}` },
    ],
  };
};

/** The controller may have deleted the set by now, and the portal made it again: the plan is of the label alone. */
const stampVersion: Make = async (client, at, { set, from, to }) => {
  const sets = whereRunnersAre(at, group, 'AutoscalingRunnerSet', text(set));
  const found = (await Promise.all(sets.map((each) => present(client, at, each)))).flat();
  const what = `AutoscalingRunnerSet ${text(set)}: label app.kubernetes.io/version`;
  return {
    changes: [{ where: 'cluster', op: '~', what, from: text(from) === '' ? 'missing' : text(from), to: text(to) }],
    requests: found
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map((each) => patch(each, { labels: { 'app.kubernetes.io/version': text(to) } })),
  };
};

const dropFinalizer: Make = async (client, at, { kind, apiVersion, name, namespace, finalizers }) => {
  const object = {
    apiVersion: text(apiVersion),
    kind: text(kind),
    metadata: { name: text(name), namespace: text(namespace) },
  };
  const dropped = list(finalizers);
  const found = (await present(client, at, object)).filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
  return {
    changes: found.flatMap((each) => [
      ...dropped.map((finalizer): RepairChange => ({
        where: 'cluster',
        op: '~',
        what: `${nameOf(each)}: finalizer`,
        from: finalizer,
        to: 'taken off',
      })),
      { where: 'cluster', op: '-', what: nameOf(each) } as const,
    ]),
    requests: found.map((each) =>
      patch(each, { finalizers: (each.metadata.finalizers ?? []).filter((held) => !dropped.includes(held)) }),
    ),
  };
};

const setImage: Make = (_client, _at, { pool, image, to }) =>
  Promise.resolve({
    changes: [{ where: 'catalog', op: '~', what: `Pool ${text(pool)}: image`, from: text(image), to: text(to) }],
    requests: [],
    catalog: { pool: text(pool), image: text(to) },
  });

const clearPlacement: Make = (_client, _at, { pool }) =>
  Promise.resolve({
    changes: [
      { where: 'catalog', op: '~', what: `Pool ${text(pool)}: placement`, from: 'certain nodes', to: 'any node' },
    ],
    requests: [],
    catalog: { pool: text(pool), placement: null },
  });

const lookAgain: Make = (_client, { forgeName }) =>
  Promise.resolve({
    changes: [
      { where: 'portal', op: '~', what: `What is known of the installation at ${forgeName}`, to: 'asked anew' },
    ],
    requests: [],
  });

/** `fit-maximum` is a change of the enrollment itself, and goes the way of every such change. */
const makers: Record<Exclude<RepairKind, 'fit-maximum'>, Make> = {
  'remove-orphans': removeOrphans,
  'restart-runners': restartRunners,
  'restart-listener': restartListener,
  'register-anew': registerAnew,
  'stamp-version': stampVersion,
  'drop-finalizer': dropFinalizer,
  'set-image': setImage,
  'clear-placement': clearPlacement,
  'look-again': lookAgain,
};

export async function stepsOf(
  client: ClusterClient,
  at: Position,
  { kind, params }: Pick<Offer, 'kind' | 'params'>,
): Promise<Steps> {
  if (kind === 'fit-maximum') throw new Error('a change of pools is planned and approved like any other');
  return makers[kind](client, at, params);
}

function sendOf(method: Sent['method'], body: object) {
  if (method !== 'PATCH') return { body };
  // In the portal's name: what another held, its next pass could not apply.
  return { body, contentType: 'application/merge-patch+json', query: { fieldManager } };
}

/** Of a deletion's options those of the query are not read where there is a body (k8s.io/apiserver, handlers/delete.go). */
function tryOf(method: Sent['method'], body: object) {
  if (method === 'DELETE') return { body: { ...body, dryRun: ['All'] } };
  const sent = sendOf(method, body);
  return { ...sent, query: { ...sent.query, dryRun: 'All' } };
}

/** Sends the requests, or has the API server try them. What is gone already is as it should be. */
export async function send(
  client: ClusterClient,
  requests: readonly Sent[],
  { dryRun }: { dryRun: boolean },
): Promise<void> {
  for (const { method, object, body } of requests) {
    const what = `${method === 'DELETE' ? 'the removal' : 'the change'} of ${nameOf(object)}`;
    await client
      .call({ method, path: objectPath(object), ...(dryRun ? tryOf(method, body) : sendOf(method, body)) }, what)
      .catch((error: unknown) => {
        if (!(error instanceof AppError && error.code === 'not_found')) throw error;
      });
  }
}
