import { enrollmentLabel, poolLabel, runnerPrefix, tenantLabel, type Observed } from '#lib/cluster/index.ts';
import { runnersNamespacesOf } from '#lib/model/index.ts';

/*
 * A runner as the cluster shows it. Pure: objects of the API server in, a value out.
 *
 * Facts: EphemeralRunner's status of ARC 0.14.2 (apis/actions.github.com/v1alpha1/ephemeralrunner_types.go), whose pod has its
 * name; gitlab-runner's labels and annotations of a job's pod (docs.gitlab.com/runner/executors/kubernetes, 16 and later);
 * Forgejo's pods are this portal's own (lib/cluster/forgejo-objects.ts).
 */

export type RunnerState = 'starting' | 'idle' | 'running' | 'failed';

export type RunnerSeen = {
  uid: string;
  tenant: string;
  enrollment: string;
  pool: string;
  /** As the forge calls it; of GitLab, whose runners have no names of their own, the pod's. */
  name: string;
  state: RunnerState;
  /** Why it does not run, in the cluster's words. */
  reason: string | null;
  node: string | null;
  /** It ends with its one job. */
  servesOne: boolean;
  createdAt: Date;
  /** Its work is done, though its object may still be there. */
  isOver: boolean;
  /** When its containers ended, where the pod tells. */
  endedAt: Date | null;
  /** The job's id at the forge, where the pod bears it (GitLab). */
  forgeJobId: string | null;
  /** Null while it has none, or where only the forge tells. `startedAt` is null where the cluster tells no time. */
  job: RunnerJob | null;
  /** The newest resource version that this is from; decimal digits. */
  version: string;
};

export type RunnerJob = {
  repository: string;
  runId: string | null;
  workflow: string | null;
  name: string | null;
  startedAt: Date | null;
};

type Ended = { finishedAt?: string; reason?: string; message?: string; exitCode?: number };
type Container = {
  state?: { terminated?: Ended; waiting?: { reason?: string; message?: string }; running?: object };
};
type PodStatus = {
  phase?: string;
  reason?: string;
  message?: string;
  startTime?: string;
  containerStatuses?: Container[];
  initContainerStatuses?: Container[];
  conditions?: { type: string; status: string; reason?: string; message?: string }[];
};
type RunnerStatus = {
  phase?: string;
  reason?: string;
  message?: string;
  jobRequestId?: number;
  jobId?: string;
  jobRepositoryName?: string;
  jobWorkflowRef?: string;
  jobDisplayName?: string;
  workflowRunId?: number;
};

const arcPodLabel = 'actions-ephemeral-runner';
const gitlabPodLabel = 'job.runner.gitlab.com/pod';
const annotationOf = (name: string) => `job.runner.gitlab.com/${name}`;
const reasonMost = 300;

const textOf = (...parts: (string | undefined)[]) => {
  const text = parts.filter((part) => part !== undefined && part !== '').join(': ');
  return text === '' ? null : text.slice(0, reasonMost);
};
const dateOf = (text: string | undefined) => (text === undefined ? null : new Date(text));

type Objects = {
  /** ARC's EphemeralRunner, where there is one. */
  runner?: Observed | undefined;
  pod?: Observed | undefined;
};

/** The runner that these objects of one name are; null where they are none of a pool's. */
export function runnerSeen({ runner, pod }: Objects): RunnerSeen | null {
  const main = runner ?? pod;
  const labels = main?.metadata.labels ?? {};
  const [tenant, enrollment, pool] = [labels[tenantLabel], labels[enrollmentLabel], labels[poolLabel]];
  if (!main || !tenant || !enrollment || !pool) return null;
  // Whoever may make pods in one tenant's namespace may write another's name on them.
  if (!runnersNamespacesOf(tenant).includes(main.metadata.namespace ?? '')) return null;
  const common = {
    uid: uidOf(main),
    tenant,
    enrollment,
    pool,
    name: main.metadata.name,
    node: ((pod?.['spec'] as { nodeName?: string } | undefined)?.nodeName ?? null) || null,
    createdAt: new Date(main.metadata.creationTimestamp ?? 0),
    endedAt: pod ? endOf(pod.status ?? {}) : null,
    version: versionOf(runner, pod),
    servesOne: true,
    forgeJobId: null,
    job: null,
  };
  if (runner) return { ...common, ...ofEphemeralRunner(runner, pod) };
  const status = (pod?.status ?? {}) as PodStatus;
  if (labels[arcPodLabel] !== undefined) return { ...common, ...ofPod(status, 'idle') };
  if (labels[gitlabPodLabel] !== undefined && pod) return { ...common, ...ofGitlab(pod, status) };
  const instance = labels['app.kubernetes.io/instance'];
  const name = instance === undefined ? common.name : `${runnerPrefix}${instance}`;
  return { ...common, name, servesOne: false, ...ofPod(status, 'idle') };
}

/** A pod of ARC's is known by its EphemeralRunner, also where only the pod may be looked at. */
function uidOf({ metadata }: Observed): string {
  const owners = (metadata as { ownerReferences?: { kind: string; uid: string }[] }).ownerReferences ?? [];
  return owners.find(({ kind }) => kind === 'EphemeralRunner')?.uid ?? metadata.uid;
}

function versionOf(...objects: (Observed | undefined)[]): string {
  const versions = objects.map((object) => object?.metadata.resourceVersion ?? '0');
  const numbers = versions.map((version) => (/^\d{1,30}$/.test(version) ? BigInt(version) : 0n));
  return String(numbers.reduce((most, each) => (each > most ? each : most), 0n));
}

function endOf(status: PodStatus): Date | null {
  const ends = (status.containerStatuses ?? []).map(({ state }) => state?.terminated?.finishedAt);
  if (ends.length === 0 || ends.some((end) => end === undefined)) return null;
  return new Date(Math.max(...ends.map((end) => Date.parse(end ?? ''))));
}

type Told = Partial<RunnerSeen> & Pick<RunnerSeen, 'state' | 'reason' | 'isOver'>;

function ofEphemeralRunner(runner: Observed, pod: Observed | undefined): Told {
  const status = (runner.status ?? {}) as RunnerStatus;
  const job = jobOf(status);
  const isOver = status.phase === 'Succeeded' || status.phase === 'Outdated';
  if (status.phase === 'Failed') return { state: 'failed', reason: textOf(status.reason, status.message), isOver, job };
  if (status.phase === 'Running' || isOver) return { state: job ? 'running' : 'idle', reason: null, isOver, job };
  const reason = textOf(status.reason, status.message) ?? (pod ? waitingFor(pod.status ?? {}) : null);
  return { state: 'starting', reason, isOver, job };
}

function jobOf(status: RunnerStatus): RunnerJob | null {
  const { jobRepositoryName: repository, jobDisplayName, jobWorkflowRef, workflowRunId } = status;
  if (!repository) return null;
  return {
    repository,
    runId: workflowRunId ? String(workflowRunId) : null,
    // `owner/name/.github/workflows/ci.yml@refs/heads/main`: the file, since its title is not told here.
    workflow: /^[^/]+\/[^/]+\/([^@]+)@/.exec(jobWorkflowRef ?? '')?.[1] ?? null,
    name: jobDisplayName || null,
    startedAt: null,
  };
}

/** What keeps a pod from running. */
function waitingFor(status: PodStatus): string | null {
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const waiting = all.find(({ state }) => state?.waiting !== undefined)?.state?.waiting;
  if (waiting) return textOf(waiting.reason, waiting.message);
  const unscheduled = status.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  return unscheduled ? textOf(unscheduled.reason, unscheduled.message) : null;
}

function ofPod(status: PodStatus, up: 'idle' | 'running'): Told {
  const { phase } = status;
  if (phase === 'Failed') return { state: 'failed', reason: textOf(status.reason, status.message), isOver: false };
  if (phase === 'Succeeded') return { state: up, reason: null, isOver: true };
  const isUp = phase === 'Running' && (status.containerStatuses ?? []).every(({ state }) => !state?.waiting);
  return { state: isUp ? up : 'starting', reason: isUp ? null : waitingFor(status), isOver: false };
}

/** A pod of GitLab's is made for its job, and however that ends, it is over with it. */
function ofGitlab(pod: Observed, status: PodStatus): Told {
  const noted = (pod.metadata as { annotations?: Record<string, string> }).annotations ?? {};
  const forgeJobId = noted[annotationOf('id')] ?? null;
  const project = pod.metadata.labels?.['project.runner.gitlab.com/id'];
  const path = /^\/?(.+)\/-\/jobs\/\d+$/.exec(URL.parse(noted[annotationOf('url')] ?? '')?.pathname ?? '')?.[1];
  const isOver = status.phase === 'Failed' || status.phase === 'Succeeded';
  const told = isOver ? { state: 'running' as const, reason: null } : ofPod(status, 'running');
  const job: RunnerJob = {
    repository: path ?? `project ${project ?? 'unknown'}`,
    runId: null,
    workflow: null,
    name: noted[annotationOf('name')] || null,
    startedAt: dateOf(status.startTime),
  };
  return { ...told, isOver, forgeJobId, job: forgeJobId === null ? null : job };
}
