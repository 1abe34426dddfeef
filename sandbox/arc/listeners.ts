import { setTimeout as sleep } from 'node:timers/promises';
import { isGone, isTaken, type Kube } from './kube.ts';
import {
  type AutoscalingListener,
  type EphemeralRunner,
  type EphemeralRunnerSet,
  finalizers,
  forceful,
  listenerAccount,
  listenerConfig,
  listenerPod,
  listenerRole,
  type RunningPod,
  type Secret,
} from './objects.ts';
import {
  type Credentials,
  ForgeError,
  type JobMessage,
  type ScaleSets,
  type Session,
  type Statistics,
} from './scale-sets.ts';
import { addFinalizers, dropFinalizer, type Scope, splitKey } from './scope.ts';

const conflictRetryMs = 2000;
/** Ever more seldom, as a kubelet starts again what ended with an error: a forge that is away for good is not asked all the time. */
const errorRetryMs = { first: 2000, most: 300_000 };

/** The listeners of all runner sets: their objects in the cluster, and the processes that their pods would run. */
export class Listeners {
  readonly #scope: Scope;
  readonly #processes = new Map<string, { podUid: string; stop: () => Promise<void> }>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** One look at an AutoscalingListener. */
  async look(key: string): Promise<number | undefined> {
    const listener = this.#scope.listeners.get(...splitKey(key));
    if (!listener) {
      await this.#stop(key);
      return undefined;
    }
    if (listener.metadata.deletionTimestamp) return this.#remove(key, listener);
    const { controller, namespace } = this.#scope;
    if (await addFinalizers(controller, listener, [finalizers.listener])) return undefined;
    const pod = this.#scope.controllerPods.get(namespace, listener.metadata.name);
    if (!pod) {
      await this.#stop(key);
      return this.#createAll(listener);
    }
    if (pod.metadata.deletionTimestamp) return undefined;
    await this.#run(key, listener, pod);
    return undefined;
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#processes.keys()].map((key) => this.#stop(key)));
  }

  async #createAll(listener: AutoscalingListener): Promise<undefined> {
    const { controller, forges } = this.#scope;
    const { spec } = listener;
    const credentials = await forges.credentials(spec.autoscalingRunnerSetNamespace, spec.githubConfigSecret);
    await controller.ensure(listenerAccount(listener));
    for (const object of listenerRole(listener)) await controller.ensure(object);
    // The Secret may be there from the last pod, with what the tenant's Secret said then.
    const config = listenerConfig(listener, asConfig(credentials));
    await controller.create<Secret>(config).catch(async (error: unknown) => {
      if (!isTaken(error)) throw error;
      await controller.patch(config, { stringData: config.stringData });
    });
    this.#scope.controllerPods.remember(await controller.create(listenerPod(listener)));
    this.#scope.queues.listeners.add(`${listener.metadata.namespace}/${listener.metadata.name}`);
  }

  /** The process of a pod starts once, reads the configuration that its pod mounts, and acts as its own account. */
  async #run(key: string, listener: AutoscalingListener, pod: RunningPod): Promise<void> {
    const podUid = pod.metadata.uid ?? '';
    if (this.#processes.get(key)?.podUid === podUid) return;
    await this.#stop(key);
    const { namespace, name } = splitListener(listener);
    const secret = await this.#scope.controller.get<Secret>('Secret', namespace, `${name}-config`);
    const config = secret && fromConfig(secret);
    if (!config) return;
    const forge = this.#scope.forges.with(listener.spec.githubConfigUrl, config);
    const self = this.#scope.admin.as(`system:serviceaccount:${namespace}:${name}`);
    const ending = new AbortController();
    const done = new Process(this.#scope, self, listener, pod, forge).run(ending.signal);
    this.#processes.set(key, {
      podUid,
      stop: async () => {
        ending.abort();
        await done;
      },
    });
  }

  async #stop(key: string): Promise<void> {
    const process = this.#processes.get(key);
    this.#processes.delete(key);
    await process?.stop();
  }

  async #remove(key: string, listener: AutoscalingListener): Promise<undefined> {
    await this.#stop(key);
    const { controller } = this.#scope;
    const { namespace, name } = splitListener(listener);
    const pod = this.#scope.controllerPods.get(namespace, name);
    if (pod) {
      if (!pod.metadata.deletionTimestamp) await controller.delete(pod, 0);
      return;
    }
    await controller.delete({ kind: 'Secret', metadata: { name: `${name}-config`, namespace } });
    for (const object of listenerRole(listener).toReversed()) await controller.delete(object);
    await controller.delete({ kind: 'ServiceAccount', metadata: { name, namespace } });
    await dropFinalizer(controller, listener, finalizers.listener);
  }
}

function splitListener(listener: AutoscalingListener): { namespace: string; name: string } {
  return { namespace: listener.metadata.namespace ?? '', name: listener.metadata.name };
}

function asConfig(credentials: Credentials): object {
  if ('token' in credentials) return { token: credentials.token };
  return {
    app_id: credentials.appId,
    app_installation_id: Number(credentials.installationId),
    app_private_key: credentials.privateKey,
  };
}

function fromConfig(secret: Secret): Credentials | undefined {
  const text = Buffer.from(secret.data?.['config.json'] ?? '', 'base64').toString();
  if (!text) return undefined;
  const config = JSON.parse(text) as {
    token?: string;
    app_id?: string;
    app_installation_id?: number;
    app_private_key?: string;
  };
  if (config.token !== undefined) return { token: config.token };
  return {
    appId: config.app_id ?? '',
    installationId: String(config.app_installation_id),
    privateKey: config.app_private_key ?? '',
  };
}

/** What the listener's pod runs: holds the session, takes jobs, and says how many runners are wanted. */
class Process {
  readonly #scope: Scope;
  readonly #self: Kube;
  readonly #listener: AutoscalingListener;
  readonly #pod: RunningPod;
  readonly #forge: ScaleSets;
  #patchId = Date.now() % 1_000_000_000;
  #wanted: number | undefined;
  #isRestored = false;
  /** Sessions that could not be had or held, since the last one that could. */
  #failures = 0;
  #ready: boolean | undefined;
  #said = '';
  /** Since when it is ready, or is not. */
  #since = '';

  constructor(scope: Scope, self: Kube, listener: AutoscalingListener, pod: RunningPod, forge: ScaleSets) {
    this.#scope = scope;
    this.#self = self;
    this.#listener = listener;
    this.#pod = pod;
    this.#forge = forge;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#session(signal);
      } catch (error) {
        if (signal.aborted) return;
        const isConflict = error instanceof ForgeError && error.status === 409;
        await this.#say(false, isConflict ? 'SessionConflict' : 'Error', String(error)).catch(() => undefined);
        const errorMs = Math.min(errorRetryMs.most, errorRetryMs.first * 2 ** this.#failures);
        if (!isConflict) this.#failures += 1;
        const waitMs = (isConflict ? conflictRetryMs : errorMs) * this.#scope.waitScale;
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #session(signal: AbortSignal): Promise<void> {
    const { runnerScaleSetId } = this.#listener.spec;
    let session = await this.#forge.openSession(runnerScaleSetId, this.#listener.metadata.name);
    try {
      this.#failures = 0;
      await this.#say(true, 'Running', '');
      await this.#want(session.statistics, true);
      let last = 0;
      while (!signal.aborted) {
        const message = await this.#poll(session, last, signal).catch(async (error: unknown) => {
          if (!(error instanceof ForgeError && error.status === 401)) throw error;
          session = await this.#forge.refreshSession(runnerScaleSetId, session.sessionId);
          return undefined;
        });
        if (!message) {
          await this.#restore();
          continue;
        }
        last = message.id;
        await this.#forge.acknowledge(session, message.id);
        await this.#handle(session, message.jobs);
        await this.#want(message.statistics, message.jobs.length > 0);
      }
    } finally {
      await this.#forge.closeSession(runnerScaleSetId, session.sessionId).catch(() => undefined);
    }
  }

  async #poll(session: Session, last: number, signal: AbortSignal) {
    return this.#forge.message(session, last, this.#listener.spec.maxRunners, signal);
  }

  async #handle(session: Session, jobs: JobMessage[]): Promise<void> {
    const offered = jobs.filter((job) => job.messageType === 'JobAvailable').map((job) => job.runnerRequestId);
    if (offered.length > 0) await this.#forge.acquire(this.#listener.spec.runnerScaleSetId, session, offered);
    for (const job of jobs) if (job.messageType === 'JobStarted') await this.#noteJob(job);
  }

  async #noteJob(job: JobMessage): Promise<void> {
    const status = {
      jobRequestId: job.runnerRequestId,
      jobId: job.jobId,
      jobRepositoryName: `${job.ownerName}/${job.repositoryName}`,
      workflowRunId: job.workflowRunId,
      jobWorkflowRef: job.jobWorkflowRef,
      jobDisplayName: job.jobDisplayName,
    };
    const runner = {
      apiVersion: 'actions.github.com/v1alpha1',
      kind: 'EphemeralRunner',
      metadata: { name: job.runnerName ?? '', namespace: this.#listener.spec.autoscalingRunnerSetNamespace },
    };
    await this.#self.patch<EphemeralRunner>(runner, { status }, 'status').catch((error: unknown) => {
      if (!isGone(error)) throw error;
    });
  }

  /** target = min(max, min + assigned). Each patch has a number of its own, so that the same count twice is heard twice. */
  async #want(statistics: Statistics, isNews: boolean): Promise<void> {
    const { minRunners, maxRunners } = this.#listener.spec;
    const replicas = Math.min(maxRunners, minRunners + statistics.totalAssignedJobs);
    if (!isNews && replicas === this.#wanted) return;
    this.#patchId += 1;
    await this.#patchSet(replicas, this.#patchId);
    this.#isRestored = false;
    this.#wanted = replicas;
  }

  async #patchSet(replicas: number, patchID: number): Promise<void> {
    const { ephemeralRunnerSetName: name, autoscalingRunnerSetNamespace: namespace } = this.#listener.spec;
    const set = {
      apiVersion: 'actions.github.com/v1alpha1',
      kind: 'EphemeralRunnerSet',
      metadata: { name, namespace },
    };
    await this.#self.patch<EphemeralRunnerSet>(set, { spec: { replicas, patchID } });
  }

  /**
   * A poll that brought nothing while the minimum is wanted: the word without a number is acted on whatever was counted before
   * it (`patchID` 0 of an empty batch, cmd/ghalistener/scaler). A warm runner that ended after the word that spoke of its job
   * comes back by it.
   */
  async #restore(): Promise<void> {
    if (this.#wanted !== this.#listener.spec.minRunners || this.#isRestored) return;
    await this.#patchSet(this.#wanted, forceful);
    this.#isRestored = true;
  }

  /** A kubelet's word on the listener's container: ready while the session is held, else why not. Said once. */
  async #say(ready: boolean, reason: string, message: string): Promise<void> {
    const saying = `${ready} ${reason} ${message}`;
    if (saying === this.#said) return;
    const startedAt = `${new Date().toISOString().slice(0, 19)}Z`;
    if (this.#ready !== ready) this.#since = startedAt;
    this.#ready = ready;
    const state = ready ? { running: { startedAt } } : { waiting: { reason, message: message.slice(0, 500) } };
    const container = {
      name: 'listener',
      ready,
      restartCount: 0,
      image: this.#listener.spec.image,
      imageID: '',
      state,
    };
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: this.#since }];
    await this.#scope.admin.patch(
      this.#pod,
      { status: { phase: 'Running', startTime: startedAt, conditions, containerStatuses: [container] } },
      'status',
    );
    this.#said = saying;
  }
}
