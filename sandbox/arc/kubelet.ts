import { setTimeout as sleep } from 'node:timers/promises';
import { isGone } from './kube.ts';
import type { Container, RunningPod, Secret } from './objects.ts';
import type { Scope } from './scope.ts';

const podStartMs = 200;
const retryMs = 1000;

interface RunnerJob {
  durationSeconds: number | null;
  repository?: string;
}

/**
 * There are no nodes in the sandbox. This marks pods as running, and plays the program in a runner's pod: with the JIT
 * configuration from the pod's environment it waits for one job, lets its time pass, and ends.
 *
 * An image that ends in `:crash` fails at once; one that ends in `:deprecated` ends as a runner that GitHub no longer takes;
 * one that ends in `:gone` cannot be pulled. A pod that asks for nodes labelled `nowhere` finds none.
 */
export class Kubelet {
  readonly #scope: Scope;
  readonly #pods = new Map<string, AbortController>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** Follows one pod from when it is seen until it is gone; what a former process began is gone on with. */
  see(pod: RunningPod, run: (pod: RunningPod, signal: AbortSignal) => Promise<void>): void {
    const uid = pod.metadata.uid ?? '';
    const isOver = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (this.#pods.has(uid) || isOver || pod.metadata.deletionTimestamp) return;
    const ending = new AbortController();
    this.#pods.set(uid, ending);
    run(pod, ending.signal).catch((error: unknown) => {
      if (ending.signal.aborted) return;
      // The pod has gone, or the API server has: in the second case the pod is seen again when it is back.
      this.#pods.delete(uid);
      if (!isGone(error)) setTimeout(() => this.#again(pod, run), retryMs).unref();
    });
  }

  gone(pod: RunningPod): void {
    const uid = pod.metadata.uid ?? '';
    this.#pods.get(uid)?.abort();
    this.#pods.delete(uid);
  }

  stop(): void {
    for (const pod of this.#pods.values()) pod.abort();
  }

  /** A pod of no interest but that it runs: the controller's own. */
  runPlain = async (pod: RunningPod): Promise<void> => {
    if (pod.status?.phase !== 'Running') await this.#markRunning(pod);
  };

  runRunner = async (pod: RunningPod, signal: AbortSignal): Promise<void> => {
    if (pod.status?.phase !== 'Running') {
      await sleep(podStartMs, undefined, { signal });
      const pending = pendingStatus(pod);
      if (pending) return this.#markPending(pod, pending);
      await this.#markRunning(pod);
    }
    const runner = pod.spec.containers.find((container) => container.name === 'runner');
    const exitCode = runner ? await this.#program(pod, runner, signal) : 1;
    if (!signal.aborted) await this.#markEnded(pod, exitCode);
  };

  #again(pod: RunningPod, run: (pod: RunningPod, signal: AbortSignal) => Promise<void>): void {
    if (this.#scope.signal.aborted) return;
    const now =
      this.#scope.runnerPods.get(pod.metadata.namespace, pod.metadata.name) ??
      this.#scope.controllerPods.get(pod.metadata.namespace, pod.metadata.name);
    if (now?.metadata.uid === pod.metadata.uid) this.see(now as RunningPod, run);
  }

  async #program(pod: RunningPod, container: Container, signal: AbortSignal): Promise<number> {
    if (container.image?.endsWith(':crash')) return 1;
    if (container.image?.endsWith(':deprecated')) return 7;
    const config = await this.#jitConfig(pod, container);
    return config ? new RunnerProgram(config, this.#scope.jobSeconds).run(signal) : 1;
  }

  async #jitConfig(pod: RunningPod, container: Container): Promise<string | undefined> {
    const variable = container.env?.find((entry) => entry.name === 'ACTIONS_RUNNER_INPUT_JITCONFIG');
    const from = variable?.valueFrom?.secretKeyRef;
    if (!from) return variable?.value;
    const secret = await this.#scope.admin.get<Secret>('Secret', pod.metadata.namespace, from.name);
    const encoded = secret?.data?.[from.key];
    return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString();
  }

  /** It stays so until somebody removes it. */
  async #markPending(pod: RunningPod, status: Record<string, unknown>): Promise<void> {
    await this.#scope.admin.patch(pod, { status }, 'status');
  }

  async #markRunning(pod: RunningPod): Promise<void> {
    await this.#scope.admin.patch(pod, { status: runningStatus(pod) }, 'status');
  }

  async #markEnded(pod: RunningPod, exitCode: number): Promise<void> {
    const finishedAt = stamp();
    const now = this.#scope.runnerPods.get(pod.metadata.namespace, pod.metadata.name);
    const startedAt = now?.status?.startTime ?? finishedAt;
    const reason = exitCode === 0 ? 'Completed' : 'Error';
    const containerStatuses = pod.spec.containers.map((container) => ({
      ...describe(container),
      ready: false,
      started: false,
      state: { terminated: { exitCode, reason, startedAt, finishedAt } },
    }));
    const conditions = ['ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'False',
      reason: 'PodCompleted',
      lastTransitionTime: finishedAt,
    }));
    await this.#scope.admin.patch(
      pod,
      { status: { phase: exitCode === 0 ? 'Succeeded' : 'Failed', conditions, containerStatuses } },
      'status',
    );
  }
}

/** What a scheduler or a kubelet says of a pod that does not come to run; undefined of one that does. */
function pendingStatus(pod: RunningPod): Record<string, unknown> | undefined {
  const nodeSelector = (pod.spec['nodeSelector'] ?? {}) as Record<string, string>;
  const lastTransitionTime = stamp();
  if (Object.values(nodeSelector).includes('nowhere')) {
    const message = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.";
    const unscheduled = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message, lastTransitionTime };
    return { phase: 'Pending', conditions: [unscheduled] };
  }
  const gone = pod.spec.containers.find(({ image }) => image?.endsWith(':gone'));
  if (!gone) return undefined;
  const message = `Back-off pulling image "${gone.image}": not found`;
  return {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime }],
    containerStatuses: pod.spec.containers.map((container) => ({
      ...describe(container),
      ready: false,
      started: false,
      state: { waiting: { reason: 'ImagePullBackOff', message } },
    })),
  };
}

/** The status of a pod whose containers run, as a kubelet writes it; containers that come before them have ended well. */
export function runningStatus(pod: RunningPod, restartCount = 0): Record<string, unknown> {
  const startedAt = pod.status?.startTime ?? stamp();
  const status = (container: Container) => ({
    ...describe(container),
    restartCount,
    ready: true,
    started: true,
    state: { running: { startedAt: stamp() } },
  });
  const inits = (pod.spec.initContainers ?? []).map((container) =>
    container.restartPolicy === 'Always'
      ? status(container)
      : {
          ...describe(container),
          ready: true,
          state: { terminated: { exitCode: 0, reason: 'Completed', startedAt, finishedAt: startedAt } },
        },
  );
  return {
    phase: 'Running',
    startTime: startedAt,
    conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: stamp(),
    })),
    ...(inits.length > 0 ? { initContainerStatuses: inits } : {}),
    containerStatuses: pod.spec.containers.map(status),
  };
}

/** The status of a pod whose containers have ended and are to be started again, but not yet. */
export function waitingStatus(pod: RunningPod, restartCount: number, exitCode: number): Record<string, unknown> {
  const finishedAt = stamp();
  const startedAt = pod.status?.startTime ?? finishedAt;
  return {
    phase: 'Running',
    conditions: ['ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'False',
      reason: 'ContainersNotReady',
      lastTransitionTime: finishedAt,
    })),
    containerStatuses: pod.spec.containers.map((container) => ({
      ...describe(container),
      restartCount,
      ready: false,
      started: false,
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: {
        terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', startedAt, finishedAt },
      },
    })),
  };
}

function describe(container: Container) {
  return { name: container.name, image: container.image ?? '', imageID: '', restartCount: 0 };
}

function stamp(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}

/** The runner's side of GitHub's service, as the sandbox's GitHub has it (see sandbox/github/actions-service.ts). */
class RunnerProgram {
  readonly #base: string;
  readonly #token: string;
  readonly #jobSeconds: number;

  constructor(config: string, jobSeconds: number) {
    const unpack = (text: string | undefined): Record<string, unknown> =>
      JSON.parse(Buffer.from(text ?? '', 'base64').toString()) as Record<string, unknown>;
    const files = unpack(config) as Record<string, string>;
    const settings = unpack(files['.runner']) as { serverUrl: string; agentId: number };
    const credentials = unpack(files['.credentials']) as { data: { token: string } };
    this.#base = `${settings.serverUrl}_sandbox/runners/${settings.agentId}`;
    this.#token = credentials.data.token;
    this.#jobSeconds = jobSeconds;
  }

  /** The exit code: the runner ends well however its job ends, and when its registration has gone. */
  async run(signal: AbortSignal): Promise<number> {
    while (!signal.aborted) {
      const waited = await this.#post('job', signal);
      if (waited?.status === 401) return 0;
      if (waited?.status !== 200) {
        if (waited?.status !== 202) await sleep(retryMs, undefined, { signal }).catch(() => undefined);
        continue;
      }
      const job = (await waited.json()) as RunnerJob;
      await sleep((job.durationSeconds ?? this.#jobSeconds) * 1000, undefined, { signal }).catch(() => undefined);
      while (!signal.aborted) {
        const ended = await this.#post('finish', signal);
        if (ended && (ended.ok || ended.status === 401)) return 0;
        await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
    return 0;
  }

  async #post(what: 'job' | 'finish', signal: AbortSignal): Promise<Response | undefined> {
    const headers = { authorization: `Bearer ${this.#token}` };
    return fetch(`${this.#base}/${what}`, { method: 'POST', headers, signal }).catch(() => undefined);
  }
}
