import { poolLabel } from './objects.ts';

/* Pods and events in the words of people, from as much of them as people may see. */

type ContainerState = {
  waiting?: { reason?: string; message?: string };
  terminated?: { exitCode: number; reason?: string };
};
type ContainerStatus = { name: string; restartCount: number; state?: ContainerState; lastState?: ContainerState };

export type KubePod = {
  metadata: {
    name: string;
    namespace: string;
    creationTimestamp: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
  };
  spec: { nodeName?: string };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string }[];
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
};

export type KubeEvent = {
  metadata: { name: string; namespace: string; creationTimestamp: string };
  type?: string;
  reason?: string;
  message?: string;
  count?: number;
  lastTimestamp?: string | null;
  eventTime?: string | null;
  series?: { count?: number; lastObservedTime?: string };
  involvedObject: { kind?: string; name?: string };
};

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Ending' | 'Unknown';

export type PodSeen = {
  name: string;
  namespace: string;
  /** The pool that it runs jobs of; null for what runs none: GitLab's managers, a cache. */
  pool: string | null;
  phase: PodPhase;
  /** Why it does not run, in a sentence; null where nothing is to be said. */
  why: string | null;
  /** It will not come right by itself, or has not in five minutes. */
  needsSomebody: boolean;
  node: string | null;
  restarts: number;
  createdAt: string;
};

export type EventSeen = {
  key: string;
  at: string;
  isWarning: boolean;
  reason: string;
  message: string;
  about: string;
  times: number;
};

/** What a kubelet and a scheduler say most often, said to somebody who runs no cluster. */
const sentences: Record<string, string> = {
  ContainerCreating: 'It is being prepared on its node.',
  PodInitializing: 'It is being prepared on its node.',
  Unschedulable: 'No node has room for it.',
  SchedulingGated: 'Something holds it back from a node.',
  ErrImagePull: 'Its image cannot be pulled.',
  ImagePullBackOff: 'Its image cannot be pulled.',
  InvalidImageName: 'The name of its image cannot be read.',
  CrashLoopBackOff: 'It ends as soon as it starts, and is started again later.',
  CreateContainerConfigError: 'Something that it is made of is missing.',
  CreateContainerError: 'Its node could not make it.',
  OOMKilled: 'It used more memory than its pool has.',
  Evicted: 'Its node made room for others.',
  DeadlineExceeded: 'It ran longer than it may.',
  Error: 'Its program failed.',
};

/** These come and go while a pod starts. */
const passing = new Set(['ContainerCreating', 'PodInitializing']);

/** A node may first have to be started. */
const roomMs = 5 * 60_000;

/** A node's own words may be long. */
const wordsMost = 300;

function said(reason: string | undefined, message: string | undefined): string | null {
  const sentence = reason === undefined ? undefined : (sentences[reason] ?? `${reason}.`);
  const words = [sentence, message?.slice(0, wordsMost)].filter(Boolean);
  return words.length === 0 ? null : words.join(' ');
}

type Reason = { why: string | null; needsSomebody: boolean };

/** The first thing that keeps it: what has ended badly, a container that waits, the scheduler. */
function reasonOf({ metadata, status = {} }: KubePod, now: Date): Reason {
  const { phase, reason, message, conditions = [], initContainerStatuses = [], containerStatuses = [] } = status;
  const all = [...initContainerStatuses, ...containerStatuses];
  if (phase === 'Succeeded') return { why: null, needsSomebody: false };
  if (phase === 'Failed') {
    const ended = all.find(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0)?.state?.terminated;
    const exit = ended ? `Exit code ${ended.exitCode}.` : undefined;
    return { why: said(reason ?? ended?.reason, message ?? exit), needsSomebody: true };
  }
  const waiting = all.find(({ state }) => state?.waiting !== undefined);
  if (waiting?.state?.waiting) {
    const { reason: because, message: words } = waiting.state.waiting;
    const last = waiting.lastState?.terminated;
    const before = last ? `Last time: ${last.reason ?? 'ended'}, exit code ${last.exitCode}.` : undefined;
    return { why: said(because, words ?? before), needsSomebody: !passing.has(because ?? '') };
  }
  const unscheduled = conditions.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  if (unscheduled) {
    const since = new Date(unscheduled.lastTransitionTime ?? metadata.creationTimestamp);
    const needsSomebody = now.getTime() - since.getTime() > roomMs;
    return { why: said(unscheduled.reason, unscheduled.message), needsSomebody };
  }
  const isPending = phase === 'Pending' || phase === undefined;
  return { why: isPending ? 'It waits for a node.' : null, needsSomebody: false };
}

const phases: readonly PodPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed'];

/** A pod as its tenant may see it: nothing of its containers but how they are. */
export function podSeen(pod: KubePod, now: Date): PodSeen {
  const { metadata, spec, status } = pod;
  const isEnding = metadata.deletionTimestamp !== undefined;
  const restarts = (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    pool: metadata.labels?.[poolLabel] ?? null,
    phase: isEnding ? 'Ending' : (phases.find((each) => each === (status?.phase ?? 'Pending')) ?? 'Unknown'),
    ...(isEnding ? { why: null, needsSomebody: false } : reasonOf(pod, now)),
    node: spec.nodeName ?? null,
    restarts,
    createdAt: metadata.creationTimestamp,
  };
}

/** Events of both forms: with a count of their own, and as a series (events.k8s.io/v1). */
export function eventSeen(event: KubeEvent): EventSeen {
  const { metadata, involvedObject, series } = event;
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    at: series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? metadata.creationTimestamp,
    isWarning: event.type === 'Warning',
    reason: event.reason ?? '',
    message: (event.message ?? '').slice(0, 2 * wordsMost),
    about: `${involvedObject.kind ?? ''} ${involvedObject.name ?? ''}`.trim(),
    times: series?.count ?? event.count ?? 1,
  };
}
