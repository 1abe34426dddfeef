/**
 * gitlab-runner and forgejo-runner for a cluster without nodes: what their Deployments' pods do, seen from outside.
 *
 * It promises the runners' contract with whoever writes their Deployments and with their forges: a pod runs with the
 * configuration of the Secret that it mounts, in the runner's own format, and is not started without it; GitLab's manager
 * verifies its token, asks for jobs by GitLab's protocol and makes the Kubernetes executor's pod for each, as its own
 * ServiceAccount, so that quota, Pod Security and its Role judge it; Forgejo's runner declares itself and runs tasks by
 * Connect's JSON, also against a real Gitea; a program that ends is started again, later and later, as a kubelet does. What
 * it knows is in the cluster and at the forges: it may be stopped at any time.
 *
 * It does not do: containers (pods run by being said to), artifacts, caches, a job's steps (a job takes the time that it
 * says), several connections in one of Forgejo's runners, configurations that change under one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { isGone, Kube } from '#sandbox/arc/kube.ts';
import { runningStatus, waitingStatus } from '#sandbox/arc/kubelet.ts';
import type { RunningPod, Secret } from '#sandbox/arc/objects.ts';
import { Watched } from '#sandbox/arc/watched.ts';
import { ForgejoRunner } from './forgejo.ts';
import { GitlabManager } from './gitlab.ts';
import { jobPodLabel } from './job-pod.ts';
import type { Play } from './play.ts';

const systemIdFile = '.runner_system_id';
const podStartMs = 200;
const retryMs = 1000;
/** A kubelet's own: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy */
const restartMs = { first: 10_000, most: 300_000 };

export interface RunnersOptions {
  /** A path, or the configuration itself; of a cluster-admin, who acts as kubelet and lends the managers their accounts. */
  kubeconfig: string | KubeConfig;
  /** How long a job runs that does not say how long. */
  jobSeconds?: number;
  /** Multiplies the runners' and the kubelet's waits; 1 is as long as theirs. */
  waitScale?: number;
  /** Which namespaces' pods are played; all of them if left out. Elsewhere another may be at work. */
  plays?: (namespace: string) => boolean;
  /** What went wrong, each time it is tried. By default it is written to stderr. */
  onError?: (kind: string, key: string, error: unknown) => void;
}

export interface Runners {
  stop(): Promise<void>;
}

export async function startRunners(options: RunnersOptions): Promise<Runners> {
  if (process.env['NODE_ENV'] === 'production')
    throw new Error('The sandbox’s stand-ins for runners do not start in production.');
  const admin = new Kube(loadConfig(options.kubeconfig));
  const ending = new AbortController();
  const play: Play = {
    jobSeconds: options.jobSeconds ?? 5,
    waitScale: options.waitScale ?? 1,
    signal: ending.signal,
    jobPods: new Set(),
    report: options.onError ?? complain,
  };
  const pods = new Pods(admin, play, options.plays ?? (() => true));
  const runners = new Watched<RunningPod>(admin, 'Pod', {
    labels: 'app.kubernetes.io/managed-by=flywheel,app.kubernetes.io/name in (gitlab-runner,forgejo-runner)',
  });
  const jobs = new Watched<RunningPod>(admin, 'Pod', { labels: jobPodLabel });
  const places = new Watched<RunningPod>(admin, 'Pod', { labels: 'flywheel.dev/place' });
  runners.onChange((_, now, before) => pods.changed(now, before, (pod, signal) => pods.program(pod, signal)));
  jobs.onChange((_, now, before) => pods.changed(now, before, (pod) => pods.start(pod)));
  places.onChange((_, now, before) => pods.changed(now, before, (pod) => pods.start(pod)));
  await Promise.all([runners, jobs, places].map((watched) => watched.run(ending.signal)));
  return {
    stop: async () => {
      ending.abort();
      await pods.ended();
    },
  };
}

function loadConfig(given: string | KubeConfig): KubeConfig {
  if (typeof given !== 'string') return given;
  const config = new KubeConfig();
  config.loadFromFile(given);
  return config;
}

type Life = (pod: RunningPod, signal: AbortSignal) => Promise<void>;

/** Each pod's life from when it is seen until it is gone, as a kubelet and its programs would have it. */
class Pods {
  readonly #admin: Kube;
  readonly #play: Play;
  readonly #plays: (namespace: string) => boolean;
  readonly #lives = new Map<string, AbortController>();
  /** Programs may outlive their pods: a manager waits for its jobs. */
  readonly #all = new Set<Promise<void>>();

  constructor(admin: Kube, play: Play, plays: (namespace: string) => boolean) {
    this.#admin = admin;
    this.#play = play;
    this.#plays = plays;
  }

  changed(now: RunningPod | undefined, before: RunningPod | undefined, life: Life): void {
    const { uid = '', namespace = '' } = (now ?? before)?.metadata ?? {};
    if (!this.#plays(namespace)) return;
    if (!now || now.metadata.deletionTimestamp) {
      this.#lives.get(uid)?.abort();
      this.#lives.delete(uid);
    } else if (!this.#lives.has(uid) && now.status?.phase !== 'Failed' && now.status?.phase !== 'Succeeded') {
      this.#begin(uid, now, life);
    }
  }

  async ended(): Promise<void> {
    for (const ending of this.#lives.values()) ending.abort();
    await Promise.all(this.#all);
  }

  #begin(uid: string, pod: RunningPod, life: Life): void {
    const ending = new AbortController();
    const signal = AbortSignal.any([ending.signal, this.#play.signal]);
    const done: Promise<void> = this.#live(pod, life, signal).finally(() => this.#all.delete(done));
    this.#all.add(done);
    this.#lives.set(uid, ending);
  }

  /** An API server that was away ends no pod: it is gone on with. */
  async #live(pod: RunningPod, life: Life, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await life(pod, signal);
        return;
      } catch (error) {
        if (signal.aborted || isGone(error)) return;
        this.#play.report('Pod', `${pod.metadata.namespace}/${pod.metadata.name}`, error);
        await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async start(pod: RunningPod, restartCount = 0): Promise<void> {
    if (pod.status?.phase === 'Running' && restartCount === 0) return;
    await sleep(podStartMs, undefined, { signal: this.#play.signal });
    await this.#admin.patch(pod, { status: runningStatus(pod, restartCount) }, 'status');
  }

  /** The pod's one program, again and again: what a Deployment's pod ends is started anew. */
  async program(pod: RunningPod, signal: AbortSignal): Promise<void> {
    for (let restarts = 0; !signal.aborted; restarts += 1) {
      const run = await this.#programOf(pod);
      if (!run) {
        // As a kubelet has it: ContainerCreating until what is to be mounted is there.
        await sleep(retryMs * this.#play.waitScale, undefined, { signal });
        restarts -= 1;
        continue;
      }
      await this.start(pod, restarts);
      const exitCode = await run(signal);
      if (signal.aborted) return;
      await this.#admin.patch(pod, { status: waitingStatus(pod, restarts, exitCode) }, 'status');
      const waitMs = Math.min(restartMs.most, restartMs.first * 2 ** restarts) * this.#play.waitScale;
      await sleep(waitMs, undefined, { signal });
    }
  }

  async #programOf(pod: RunningPod): Promise<((signal: AbortSignal) => Promise<number>) | undefined> {
    const mounted = await this.#mounted(pod);
    const [container] = pod.spec.containers;
    if (!mounted || !container) return undefined;
    const toml = mounted['config.toml'];
    const yaml = mounted['config.yml'];
    if (toml !== undefined) {
      const account = `system:serviceaccount:${pod.metadata.namespace}:${String(pod.spec['serviceAccountName'])}`;
      const files = (mount: Record<string, string>) => ({
        config: mount['config.toml'] ?? '',
        systemId: mount[systemIdFile],
      });
      // A file that is mounted by itself stays as it was when the container started.
      const isWhole = !JSON.stringify(container['volumeMounts'] ?? []).includes('subPath');
      const again = async () => {
        const now = isWhole ? await this.#mounted(pod) : undefined;
        return now && files(now);
      };
      return (signal) => new GitlabManager(this.#admin.as(account), files(mounted), again, this.#play).run(signal);
    }
    if (yaml === undefined) return undefined;
    return (signal) => new ForgejoRunner(yaml, container['command'] as string[], this.#play).run(signal);
  }

  /** The files of the Secret that the pod mounts; undefined while there is none. */
  async #mounted(pod: RunningPod): Promise<Record<string, string> | undefined> {
    const volumes = (pod.spec['volumes'] ?? []) as { secret?: { secretName: string } }[];
    const name = volumes.find(({ secret }) => secret)?.secret?.secretName;
    const secret =
      name === undefined ? undefined : await this.#admin.get<Secret>('Secret', pod.metadata.namespace, name);
    if (!secret) return undefined;
    const files = Object.entries(secret.data ?? {});
    return Object.fromEntries(files.map(([file, value]) => [file, Buffer.from(value, 'base64').toString()]));
  }
}

function complain(kind: string, key: string, error: unknown): void {
  console.error(`runners: ${kind} ${key}: ${error instanceof Error ? error.message : String(error)}`);
}
