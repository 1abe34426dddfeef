import { ApiError, isTaken } from './kube.ts';
import {
  type EphemeralRunner,
  type EphemeralRunnerSet,
  finalizers,
  forceful,
  isOwnedBy,
  jitSecretOf,
  podOf,
  type RunningPod,
  runnerOf,
  type Secret,
} from './objects.ts';
import { ForgeError } from './scale-sets.ts';
import { addFinalizers, dropFinalizer, type Scope, splitKey } from './scope.ts';
import { patchStatus } from './sets.ts';

const quotaRetryMs = 30_000;
const quotaPatienceMs = 600_000;
const failureBackoffSeconds = [0, 5, 10, 20, 40, 80];
const busyRetryMs = 2000;
/** No listener's word has this number. */
const forNothing = -1;

/**
 * Scales runner sets. A runner that did its job is gone before GitHub has told the listener to want fewer, so what was spent
 * since the listener last spoke counts as there: otherwise each job would be followed by a runner for nobody.
 */
export class RunnerSets {
  readonly #scope: Scope;
  /** By set: the runners that were let go, each with the number of the listener's word then. */
  readonly #spent = new Map<string, Map<string, number>>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  async look(key: string): Promise<number | undefined> {
    const set = this.#scope.runnerSets.get(...splitKey(key));
    if (!set) {
      this.#spent.delete(key);
      return undefined;
    }
    const runners = [...this.#scope.runners.values()].filter((runner) => isOwnedBy(runner, set));
    if (set.metadata.deletionTimestamp) return this.#remove(set, runners);
    if (await addFinalizers(this.#scope.controller, set, [finalizers.runner])) return undefined;
    if (runners.some((runner) => runner.status?.phase === 'Outdated')) return this.#outdate(set, runners);
    const spent = await this.#collect(key, set, runners);
    const live = runners.filter((runner) => !runner.metadata.deletionTimestamp && runner.status?.phase !== 'Succeeded');
    const againMs = await this.#scale(set, live, spent);
    await this.#report(set, live);
    return againMs;
  }

  /**
   * Lets finished runners go at once and counts those of the listener's present word; one that failed for good makes room for
   * another. One that is going already was counted for an earlier word, or was retired and had no job: counted again, it would
   * stand for a runner that is now wanted, and the job would wait for ever.
   */
  async #collect(key: string, set: EphemeralRunnerSet, runners: EphemeralRunner[]): Promise<number> {
    const spent = this.#spent.get(key) ?? new Map<string, number>();
    this.#spent.set(key, spent);
    for (const runner of runners) {
      const { phase, reason } = runner.status ?? {};
      const { uid = '', deletionTimestamp } = runner.metadata;
      const isOver = phase === 'Succeeded' || (phase === 'Failed' && reason === 'TooManyPodFailures');
      if (!isOver || deletionTimestamp || spent.has(uid)) continue;
      spent.set(uid, phase === 'Succeeded' && set.spec.patchID !== forceful ? set.spec.patchID : forNothing);
      await this.#scope.controller.delete(runner);
    }
    const present = new Set(runners.map((runner) => runner.metadata.uid));
    for (const [uid, patchId] of spent) if (patchId !== set.spec.patchID && !present.has(uid)) spent.delete(uid);
    return [...spent.values()].filter((patchId) => patchId === set.spec.patchID).length;
  }

  async #scale(set: EphemeralRunnerSet, live: EphemeralRunner[], spent: number): Promise<number | undefined> {
    const wanted = set.spec.replicas ?? 0;
    for (let count = live.length + spent; count < wanted; count += 1) {
      this.#scope.runners.remember(await this.#scope.controller.create(runnerOf(set)));
    }
    const surplus = live.length - wanted;
    if (surplus <= 0) return undefined;
    const idle = live.filter((runner) => !runner.status?.jobId && runner.status?.phase !== 'Failed');
    let refused = false;
    for (const runner of idle.slice(0, surplus)) if (!(await this.#retire(runner))) refused = true;
    return refused ? busyRetryMs : undefined;
  }

  /** Deletes a runner that GitHub agrees has no job. */
  async #retire(runner: EphemeralRunner): Promise<boolean> {
    const { runnerId } = runner.status ?? {};
    if (runnerId !== undefined) {
      const forge = await this.#scope.forges.for(runner.metadata.namespace ?? '', runner.spec);
      if (!(await forge.removeRunner(runnerId))) return false;
    }
    await this.#scope.controller.delete(runner);
    return true;
  }

  async #report(set: EphemeralRunnerSet, live: EphemeralRunner[]): Promise<void> {
    const count = (...phases: (string | undefined)[]): number =>
      live.filter((runner) => phases.includes(runner.status?.phase)).length;
    await patchStatus(this.#scope, set, {
      currentReplicas: live.length,
      pendingEphemeralRunners: count(undefined, 'Pending'),
      runningEphemeralRunners: count('Running'),
      failedEphemeralRunners: count('Failed'),
      phase: 'Running',
    });
  }

  async #outdate(set: EphemeralRunnerSet, runners: EphemeralRunner[]): Promise<undefined> {
    for (const runner of runners)
      if (!runner.status?.jobId && !runner.metadata.deletionTimestamp && runner.status?.phase !== 'Outdated')
        await this.#scope.controller.delete(runner);
    await patchStatus(this.#scope, set, { currentReplicas: runners.length, phase: 'Outdated' });
  }

  /** Runners with a job may end it; the rest go now. */
  async #remove(set: EphemeralRunnerSet, runners: EphemeralRunner[]): Promise<number | undefined> {
    if (runners.length === 0) {
      await dropFinalizer(this.#scope.controller, set, finalizers.runner);
      return undefined;
    }
    let busy = false;
    for (const runner of runners) {
      if (runner.metadata.deletionTimestamp) continue;
      const isOver = ['Succeeded', 'Failed', 'Outdated'].includes(runner.status?.phase ?? '');
      if (isOver) await this.#scope.controller.delete(runner);
      else if (!(await this.#retire(runner))) busy = true;
    }
    return busy ? busyRetryMs : undefined;
  }
}

/** One look at an EphemeralRunner: registered, its Secret and pod there, its status that of the pod. */
export async function lookAtRunner(scope: Scope, key: string): Promise<number | undefined> {
  const runner = scope.runners.get(...splitKey(key));
  if (!runner) return undefined;
  if (runner.metadata.deletionTimestamp) return removeRunner(scope, runner);
  const { phase, runnerId } = runner.status ?? {};
  if (phase === 'Succeeded' || phase === 'Failed' || phase === 'Outdated') return undefined;
  if (await addFinalizers(scope.controller, runner, [finalizers.runner, finalizers.registration])) return undefined;
  if (runnerId === undefined) return registerRunner(scope, runner);
  const pod = scope.runnerPods.get(runner.metadata.namespace, runner.metadata.name);
  if (!pod) return createPod(scope, runner);
  if (pod.metadata.deletionTimestamp) return undefined;
  return followPod(scope, runner, pod);
}

async function registerRunner(scope: Scope, runner: EphemeralRunner): Promise<undefined> {
  const { name, namespace = '' } = runner.metadata;
  const forge = await scope.forges.for(namespace, runner.spec);
  const jit = await forge.jitConfig(runner.spec.runnerScaleSetId, name).catch(async (error: unknown) => {
    // A former pass got this far and could not write it down: its configuration is lost, so that runner is too.
    if (!(error instanceof ForgeError && error.exception.includes('AgentExists'))) throw error;
    const lost = await forge.runnerNamed(name);
    if (lost !== undefined) await forge.removeRunner(lost);
    return forge.jitConfig(runner.spec.runnerScaleSetId, name);
  });
  const secret = jitSecretOf(runner, jit);
  await scope.controller.create<Secret>(secret).catch(async (error: unknown) => {
    if (!isTaken(error)) throw error;
    await scope.controller.delete(secret);
    await scope.controller.create<Secret>(secret);
  });
  await patchStatus(scope, runner, { phase: 'Pending', runnerId: jit.runnerId, runnerName: name });
}

async function createPod(scope: Scope, runner: EphemeralRunner): Promise<number | undefined> {
  const failures = Object.values(runner.status?.failures ?? {});
  const waitMs = (failureBackoffSeconds[failures.length] ?? 80) * 1000 * scope.waitScale;
  const lastMs = Math.max(0, ...failures.map((at) => Date.parse(at)));
  const leftMs = lastMs + waitMs - Date.now();
  if (failures.length > 0 && leftMs > 0) return leftMs;
  try {
    scope.runnerPods.remember(await scope.controller.create(podOf(runner)));
  } catch (error) {
    if (isTaken(error)) return 1000;
    if (!(error instanceof ApiError) || (error.status !== 403 && error.status !== 422)) throw error;
    if (error.message.includes('exceeded quota')) return waitForQuota(scope, runner, error);
    // A role that is missing answers 403 as well; ARC does not tell the two apart.
    await patchStatus(scope, runner, {
      phase: 'Failed',
      reason: 'InvalidPod',
      message: `Failed to create the pod: ${error.message}`,
    });
  }
  return undefined;
}

async function waitForQuota(scope: Scope, runner: EphemeralRunner, error: ApiError): Promise<number | undefined> {
  const sinceMs = Date.now() - Date.parse(runner.metadata.creationTimestamp ?? '');
  if (sinceMs > quotaPatienceMs * scope.waitScale) {
    await scope.controller.delete(runner);
    return undefined;
  }
  await patchStatus(scope, runner, { phase: 'Pending', reason: 'QuotaExceeded', message: error.message });
  return quotaRetryMs * scope.waitScale;
}

async function followPod(scope: Scope, runner: EphemeralRunner, pod: RunningPod): Promise<undefined> {
  const { phase } = pod.status ?? {};
  const state = pod.status?.containerStatuses?.find((c) => c.name === 'runner');
  if (phase === 'Failed') return podFailed(scope, runner, pod, state?.state.terminated?.exitCode ?? 1);
  if (phase === 'Succeeded')
    return patchStatus(scope, runner, { phase: 'Succeeded', ready: false }) as Promise<undefined>;
  if (phase === 'Running')
    await patchStatus(scope, runner, { phase: 'Running', ready: state?.ready ?? false, reason: null, message: null });
}

async function podFailed(scope: Scope, runner: EphemeralRunner, pod: RunningPod, exitCode: number): Promise<undefined> {
  const deprecatedRunner = 7;
  if (exitCode === deprecatedRunner) {
    await patchStatus(scope, runner, { phase: 'Outdated', reason: 'Outdated', message: 'Runner is deprecated' });
    return;
  }
  const failures = {
    ...runner.status?.failures,
    [pod.metadata.uid ?? '']: `${new Date().toISOString().slice(0, 19)}Z`,
  };
  if (Object.keys(failures).length > 5) {
    await patchStatus(scope, runner, {
      phase: 'Failed',
      reason: 'TooManyPodFailures',
      message: 'Pod has failed to start more than 5 times',
    });
    return;
  }
  await patchStatus(scope, runner, { phase: 'Pending', ready: false, failures });
  await scope.controller.delete(pod, 0);
}

async function removeRunner(scope: Scope, runner: EphemeralRunner): Promise<number | undefined> {
  const { name, namespace = '', finalizers: held = [] } = runner.metadata;
  if (held.includes(finalizers.registration)) {
    const { runnerId, phase } = runner.status ?? {};
    if (runnerId !== undefined && phase !== 'Succeeded') {
      const forge = await scope.forges.for(namespace, runner.spec);
      if (!(await forge.removeRunner(runnerId))) return busyRetryMs;
    }
    await dropFinalizer(scope.controller, runner, finalizers.registration);
    return undefined;
  }
  const pod = scope.runnerPods.get(namespace, name);
  if (pod) {
    if (!pod.metadata.deletionTimestamp) await scope.controller.delete(pod, 0);
    return undefined;
  }
  await scope.controller.delete({ kind: 'Secret', metadata: { name, namespace } });
  await dropFinalizer(scope.controller, runner, finalizers.runner);
  return undefined;
}
