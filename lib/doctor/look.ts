import {
  enrollmentLabel,
  findController,
  holdsPlace,
  poolLabel,
  type ClusterView,
  type ControllerInput,
  type Observed,
} from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { approvedPools, parsedConditions, poolsByName, specOf, type EnrollmentRow } from '#lib/enrollment/index.ts';
import { imageReference, labelKey, labelOf, runnersNamespacesOf } from '#lib/model/index.ts';
import type {
  DeploymentFact,
  EndingFact,
  Facts,
  ListenerFact,
  PodFact,
  RunnerFact,
  SetFact,
  StrayFact,
} from './facts.ts';

/*
 * The facts of one enrollment, from what is observed anyway: the worker's watch-fed view, the enrollment's conditions, and the
 * jobs that the forge told of. Asked for besides: which controller is installed, a few times a minute a cluster; and the end
 * of a listener's log, while it is not ready and says nothing else.
 */

const controllerMs = 15_000;
const controllers = new Map<string, { found: Promise<ControllerInput | null>; atMs: number }>();

async function controllerOf({ client }: ClusterView): Promise<ControllerInput | null> {
  const known = controllers.get(client.id);
  if (known && performance.now() - known.atMs < controllerMs) return known.found;
  const found = findController(client).catch((error: unknown) => {
    if (error instanceof AppError) return null;
    throw error;
  });
  controllers.set(client.id, { found, atMs: performance.now() });
  return found;
}

/** A job waits a day at most at its forge. */
const strayMs = 24 * 3600_000;
const straysMost = 100;

export async function lookAt(row: EnrollmentRow, view: ClusterView, now: Date): Promise<Facts> {
  const namespaces = runnersNamespacesOf(row.tenant.slug);
  const isGithub = row.connection.kind === 'github';
  const controller = isGithub ? await controllerOf(view) : null;
  const own = (kind: Parameters<ClusterView['allIn']>[1]) =>
    [...view.allIn(namespaces, kind)].filter(({ metadata }) => metadata.labels?.[enrollmentLabel] === row.name);
  const runners = own('EphemeralRunner');
  const sets = own('AutoscalingRunnerSet');
  return {
    now,
    forge: row.connection.kind,
    forgeName: row.connection.name,
    path: row.path === '' ? row.connection.name : row.path,
    labelKey: labelKey[row.connection.kind],
    controllerVersion: controller?.version ?? null,
    pools: await poolFacts(row),
    sets: sets.map(setFact),
    listeners: controller ? await listenerFacts(view, controller.namespace, sets) : [],
    runners: runners.map(runnerFact),
    // Places give way to jobs, so that one that waits or is refused is no fault.
    pods: own('Pod')
      .filter((pod) => !holdsPlace(pod))
      .map((pod) => podFact(pod, isGithub ? new Set(runners.map(uidOf)) : null, now)),
    deployments: own('Deployment')
      .filter((each) => !holdsPlace(each))
      .flatMap(deploymentFact),
    ending: endingFacts(row, view, namespaces, runners),
    conditions: parsedConditions(row.conditions).filter((each) => each.observedGeneration === row.generation),
    strays: await strayFacts(row, now),
  };
}

const uidOf = ({ metadata }: Observed) => metadata.uid;

async function poolFacts(row: EnrollmentRow): Promise<Facts['pools']> {
  const chosen = specOf(row)?.pools.map(({ pool }) => pool) ?? [];
  const known = approvedPools(row, await poolsByName());
  return chosen.flatMap((name) => {
    const pool = known.get(name);
    if (!pool) return [];
    // What was taken over keeps its own pods, whatever the catalog says.
    const isAdopted = row.pools.some(({ poolName, adopted }) => poolName === name && adopted !== null);
    // A privileged daemon never leaves the nodes that are its own.
    const isPlaced = pool.placement !== undefined && pool.securityClass !== 'dind';
    return [{ pool: name, label: labelOf(row.tenant, name), image: imageReference(pool), isPlaced, isAdopted }];
  });
}

function setFact({ metadata, status }: Observed): SetFact {
  const { phase } = (status ?? {}) as { phase?: string };
  return {
    name: metadata.name,
    version: metadata.labels?.['app.kubernetes.io/version'] ?? null,
    phase: phase ?? null,
    isEnding: metadata.deletionTimestamp !== undefined,
  };
}

// ------------------------------------------------------------------------------------------------ listeners

type ContainerState = {
  waiting?: { reason?: string; message?: string };
  terminated?: { exitCode?: number; reason?: string; message?: string };
};
type PodStatus = {
  phase?: string;
  conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string }[];
  containerStatuses?: ContainerStatus[];
  initContainerStatuses?: ContainerStatus[];
};
type ContainerStatus = { name: string; ready?: boolean; restartCount?: number; state?: ContainerState };
type ContainerSpec = { name: string; image?: string; restartPolicy?: string };

const statusOf = (pod: Observed) => (pod.status ?? {}) as PodStatus;

/** A listener's pod bears its set's labels and begins with its name (ARC 0.14.2, resourcebuilder.go). */
async function listenerFacts(view: ClusterView, namespace: string, sets: readonly Observed[]): Promise<ListenerFact[]> {
  const found = sets.flatMap(({ metadata: set }) =>
    [...view.named(namespace, 'Pod', `${set.name}-`)]
      .filter(({ metadata: { labels = {}, deletionTimestamp } }) => {
        const isOfSet = labels['actions.github.com/scale-set-name'] === set.name;
        return isOfSet && labels['actions.github.com/scale-set-namespace'] === set.namespace && !deletionTimestamp;
      })
      .map((pod) => ({ set: set.name, pod })),
  );
  return Promise.all(found.map(({ set, pod }) => listenerFact(view, set, pod)));
}

async function listenerFact(view: ClusterView, set: string, pod: Observed): Promise<ListenerFact> {
  const { phase, conditions = [], containerStatuses = [] } = statusOf(pod);
  const startedAt = pod.metadata.creationTimestamp ?? '';
  const listener = containerStatuses.find(({ name }) => name === 'listener');
  const { waiting, terminated } = listener?.state ?? {};
  const isReady = listener?.ready ?? false;
  const told = waiting?.message ?? terminated?.message ?? '';
  const isStarting = phase === undefined || phase === 'Pending';
  return {
    set,
    pod: pod.metadata.name,
    isReady,
    reason: waiting?.reason ?? terminated?.reason ?? null,
    message: told === '' && !isReady && !isStarting ? await endOfLog(view, pod) : told,
    restarts: listener?.restartCount ?? 0,
    startedAt,
    since: conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? startedAt,
  };
}

const logMs = 3_000;
const saidMost = 500;

/** The last line that speaks of an error; nothing where the log cannot be had. */
async function endOfLog({ client }: ClusterView, { metadata }: Observed): Promise<string> {
  const path = `/api/v1/namespaces/${encodeURIComponent(metadata.namespace ?? '')}/pods/${encodeURIComponent(metadata.name)}/log`;
  try {
    const asked = { method: 'GET', path, query: { tailLines: '20', container: 'listener' } } as const;
    const response = await client.raw(asked, logMs);
    const text = await response.body.text();
    if (response.statusCode !== 200) return '';
    return (
      text
        .split('\n')
        .findLast((line) => /error|failed|conflict/i.test(line))
        ?.slice(0, saidMost) ?? ''
    );
  } catch {
    return '';
  }
}

// ------------------------------------------------------------------------------------------------ runners and pods

type RunnerStatus = {
  phase?: string;
  ready?: boolean;
  reason?: string;
  message?: string;
  failures?: Record<string, string>;
};

function runnerFact({ metadata, status }: Observed): RunnerFact {
  const { phase, ready, reason, message, failures } = (status ?? {}) as RunnerStatus;
  return {
    name: metadata.name,
    isReady: ready === true,
    set: metadata.labels?.['actions.github.com/scale-set-name'] ?? '',
    pool: metadata.labels?.[poolLabel] ?? null,
    phase: phase ?? null,
    reason: reason ?? null,
    message: (message ?? '').slice(0, saidMost),
    failedAt: Object.values(failures ?? {}),
    createdAt: metadata.creationTimestamp ?? '',
  };
}

/** The pod and its owner come by two watches, and either may be first. */
const orphanMs = 10_000;

function podFact(pod: Observed, runnerUids: ReadonlySet<string> | null, now: Date): PodFact {
  const { metadata } = pod;
  const { phase, conditions = [], containerStatuses = [], initContainerStatuses = [] } = statusOf(pod);
  // What is before a container says why it is not there yet: of the others a kubelet says no more than that they wait.
  const held = [...initContainerStatuses, ...containerStatuses].find(
    ({ state }) => state?.waiting?.reason !== undefined && state.waiting.reason !== 'PodInitializing',
  );
  const waiting = held?.state?.waiting;
  const unscheduled = conditions.find(
    ({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable',
  );
  const { containers = [], initContainers = [] } = (pod['spec'] ?? {}) as {
    containers?: ContainerSpec[];
    initContainers?: ContainerSpec[];
  };
  const of = [...initContainers, ...containers].find(({ name }) => name === held?.name) ?? containers[0];
  const isOver = phase === 'Succeeded' || phase === 'Failed' || metadata.deletionTimestamp !== undefined;
  const createdAt = metadata.creationTimestamp ?? '';
  return {
    name: metadata.name,
    pool: metadata.labels?.[poolLabel] ?? null,
    image: of?.image ?? null,
    createdAt,
    waiting:
      waiting && !isOver
        ? {
            reason: waiting.reason ?? '',
            message: (waiting.message ?? '').slice(0, saidMost),
            isDaemon: of?.restartPolicy === 'Always',
          }
        : null,
    unschedulable:
      unscheduled && !isOver
        ? {
            since: unscheduled.lastTransitionTime ?? createdAt,
            message: (unscheduled.message ?? '').slice(0, saidMost),
          }
        : null,
    isOrphan:
      runnerUids !== null &&
      !isOver &&
      now.getTime() - Date.parse(createdAt) > orphanMs &&
      ownersOf(pod).every(({ kind, uid }) => kind === 'EphemeralRunner' && !runnerUids.has(uid)),
  };
}

function ownersOf({ metadata }: Observed): { kind: string; uid: string }[] {
  return (metadata as { ownerReferences?: { kind: string; uid: string }[] }).ownerReferences ?? [];
}

type DeploymentStatus = {
  conditions?: { type: string; status: string; message?: string; lastTransitionTime?: string }[];
};

function deploymentFact({ metadata, status }: Observed): DeploymentFact[] {
  const { conditions = [] } = (status ?? {}) as DeploymentStatus;
  return conditions
    .filter(({ type, status: is }) => type === 'ReplicaFailure' && is === 'True')
    .map(({ message, lastTransitionTime }) => ({
      name: metadata.name,
      pool: metadata.labels?.[poolLabel] ?? null,
      said: (message ?? '').slice(0, saidMost),
      at: lastTransitionTime ?? null,
    }));
}

// ------------------------------------------------------------------------------------------------ the rest

const endingKinds = [
  'AutoscalingRunnerSet',
  'EphemeralRunner',
  'Deployment',
  'ServiceAccount',
  'Role',
  'RoleBinding',
  'Secret',
  'ConfigMap',
  'NetworkPolicy',
] as const;

const foreground = 'foregroundDeletion';

/** Of this enrollment's own, and of what the tenant's enrollments share. */
function endingFacts(
  row: EnrollmentRow,
  view: ClusterView,
  namespaces: readonly string[],
  runners: readonly Observed[],
): EndingFact[] {
  const runs = ({ status }: Observed) => (status as RunnerStatus | undefined)?.phase === 'Running';
  const isBusy = (name: string) =>
    runners.some((each) => each.metadata.labels?.['actions.github.com/scale-set-name'] === name && runs(each));
  return endingKinds.flatMap((kind) =>
    [...view.allIn(namespaces, kind)].flatMap(({ apiVersion, metadata }) => {
      const of = metadata.labels?.[enrollmentLabel];
      if (metadata.deletionTimestamp === undefined || (of !== undefined && of !== row.name)) return [];
      return [
        {
          kind,
          apiVersion,
          name: metadata.name,
          namespace: metadata.namespace ?? '',
          since: metadata.deletionTimestamp,
          // Kubernetes' own mark goes when the pods have: what is deleted in the foreground lets its jobs end.
          finalizers: (metadata.finalizers ?? []).filter((each) => each !== foreground),
          isBusy:
            (kind === 'AutoscalingRunnerSet' && isBusy(metadata.name)) ||
            (kind === 'EphemeralRunner' && runners.some((each) => each.metadata.uid === metadata.uid && runs(each))),
        },
      ];
    }),
  );
}

async function strayFacts({ id }: EnrollmentRow, now: Date): Promise<StrayFact[]> {
  const since = new Date(now.getTime() - strayMs);
  return unsafeDb()
    .strayJob.findMany({
      where: { enrollmentId: id, queuedAt: { gt: since } },
      orderBy: { queuedAt: 'asc' },
      take: straysMost,
      select: { repository: true, workflow: true, name: true, labels: true, queuedAt: true },
    })
    .then((rows) => rows.map((each) => ({ ...each, queuedAt: each.queuedAt.toISOString() })));
}
