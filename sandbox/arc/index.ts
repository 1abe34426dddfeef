/**
 * Actions Runner Controller 0.14 for a cluster without nodes: what it does to AutoscalingRunnerSets, seen from outside.
 *
 * It promises ARC's contract with whoever writes runner sets: its definitions, labels and annotations; a set of another version is
 * deleted; scale sets are registered, taken over, renamed and removed at GitHub by GitHub's own protocol with the tenant's Secret; a
 * listener, its Secret, Role and pod exist for each set and are made anew when the spec or the values hash changes; runners
 * come and go with jobs, each with a pod that quota and Pod Security judge; and a set goes away in ARC's order or, where the
 * Secret or the manager Role has gone first, not at all. It acts as the controller's ServiceAccount, so that a right that a
 * tenant's namespace does not grant is missed. What it knows is in the cluster and at GitHub: it may be stopped at any time.
 *
 * It does not do: containers (a kubelet is played: pods run by being said to), metrics, proxies, vaults, TLS to a GitHub with
 * its own authority, one watched namespace, the eventual update strategy.
 */
import { KubeConfig } from '@kubernetes/client-node';
import { install } from './install.ts';
import { Kube, type Obj } from './kube.ts';
import { Kubelet } from './kubelet.ts';
import { Listeners } from './listeners.ts';
import type {
  AutoscalingListener,
  AutoscalingRunnerSet,
  EphemeralRunner,
  EphemeralRunnerSet,
  RunningPod,
} from './objects.ts';
import { runnerPodLabel, versionLabel } from './objects.ts';
import { Queue } from './queue.ts';
import { lookAtRunner, RunnerSets } from './runners.ts';
import { Forges, type Scope } from './scope.ts';
import { lookAtSet } from './sets.ts';
import { Watched } from './watched.ts';

export interface ArcOptions {
  /** A path, or the configuration itself; of a cluster-admin, since the definitions are made first. */
  kubeconfig: string | KubeConfig;
  namespace?: string;
  version?: string;
  /** How long a job runs that does not say how long. */
  jobSeconds?: number;
  /** Multiplies ARC's own waits (quota, failed pods, sessions); 1 is as long as ARC's. */
  waitScale?: number;
  /** What went wrong with an object, each time it is tried. By default it is written to stderr. */
  onError?: (kind: string, key: string, error: unknown) => void;
}

export interface Arc {
  stop(): Promise<void>;
}

export async function startArc(options: ArcOptions): Promise<Arc> {
  if (process.env['NODE_ENV'] === 'production')
    throw new Error("The sandbox's stand-in for ARC does not start in production.");
  const { namespace = 'arc-systems', version = '0.14.2' } = options;
  const admin = new Kube(loadConfig(options.kubeconfig));
  const controller = admin.as(await install(admin, namespace, version));
  const ending = new AbortController();
  const scope = makeScope(options, { admin, controller, namespace, version, signal: ending.signal });
  const runnerSets = new RunnerSets(scope);
  const listeners = new Listeners(scope);
  const kubelet = new Kubelet(scope);
  const report = options.onError ?? complain;
  const queue = (kind: string, look: (key: string) => Promise<number | undefined>): Queue =>
    new Queue(look, (key, error) => report(kind, key, error));
  scope.queues = {
    sets: queue('AutoscalingRunnerSet', (key) => lookAtSet(scope, key)),
    runnerSets: queue('EphemeralRunnerSet', (key) => runnerSets.look(key)),
    runners: queue('EphemeralRunner', (key) => lookAtRunner(scope, key)),
    listeners: queue('AutoscalingListener', (key) => listeners.look(key)),
  };
  connect(scope, kubelet);
  // Nothing is looked at before everything is known: a runner set whose runners are not yet listed would make new ones.
  const watched = [
    scope.runnerPods,
    scope.controllerPods,
    scope.deployments,
    scope.runners,
    scope.runnerSets,
    scope.listeners,
    scope.sets,
  ];
  await Promise.all(watched.map((kind) => kind.run(ending.signal)));
  for (const each of Object.values(scope.queues)) each.start();
  return {
    stop: async () => {
      const queues = Object.values(scope.queues).map((queue) => queue.stop());
      kubelet.stop();
      ending.abort();
      await listeners.stopAll();
      await Promise.all(queues);
    },
  };
}

function loadConfig(given: string | KubeConfig): KubeConfig {
  if (typeof given !== 'string') return given;
  const config = new KubeConfig();
  config.loadFromFile(given);
  return config;
}

function makeScope(
  options: ArcOptions,
  base: Pick<Scope, 'admin' | 'controller' | 'namespace' | 'version' | 'signal'>,
): Scope {
  const { controller, admin, namespace } = base;
  const idle = new Queue(
    () => Promise.resolve(undefined),
    () => undefined,
  );
  return {
    ...base,
    waitScale: options.waitScale ?? 1,
    jobSeconds: options.jobSeconds ?? 5,
    sets: new Watched<AutoscalingRunnerSet>(controller, 'AutoscalingRunnerSet'),
    runnerSets: new Watched<EphemeralRunnerSet>(controller, 'EphemeralRunnerSet'),
    runners: new Watched<EphemeralRunner>(controller, 'EphemeralRunner'),
    listeners: new Watched<AutoscalingListener>(controller, 'AutoscalingListener'),
    runnerPods: new Watched<RunningPod>(controller, 'Pod', { labels: `${runnerPodLabel}=True` }),
    controllerPods: new Watched<RunningPod>(admin, 'Pod', { namespace }),
    deployments: new Watched<Obj>(admin, 'Deployment', {
      namespace,
      labels: 'app.kubernetes.io/part-of=gha-rs-controller',
    }),
    queues: { sets: idle, runnerSets: idle, runners: idle, listeners: idle },
    forges: new Forges(controller),
  };
}

/** Who looks again when what has changed. */
function connect(scope: Scope, kubelet: Kubelet): void {
  const { queues } = scope;
  const addOwner = (queue: Queue, kind: string, object: EphemeralRunner | EphemeralRunnerSet | undefined): void => {
    const owner = object?.metadata.ownerReferences?.find((reference) => reference.kind === kind);
    if (owner) queue.add(`${object?.metadata.namespace}/${owner.name}`);
  };
  const setOf = (listener: AutoscalingListener | undefined): void => {
    if (listener)
      queues.sets.add(`${listener.spec.autoscalingRunnerSetNamespace}/${listener.spec.autoscalingRunnerSetName}`);
  };
  scope.sets.onChange((key) => queues.sets.add(key));
  scope.deployments.onChange((_, now) => {
    const version = now?.metadata.labels?.[versionLabel];
    if (version === undefined || version === scope.version) return;
    scope.version = version;
    for (const { metadata } of scope.sets.values()) queues.sets.add(`${metadata.namespace}/${metadata.name}`);
  });
  scope.runnerSets.onChange((key, now, before) => {
    queues.runnerSets.add(key);
    addOwner(queues.sets, 'AutoscalingRunnerSet', now ?? before);
  });
  scope.runners.onChange((key, now, before) => {
    queues.runners.add(key);
    addOwner(queues.runnerSets, 'EphemeralRunnerSet', now ?? before);
  });
  scope.listeners.onChange((key, now, before) => {
    queues.listeners.add(key);
    setOf(now ?? before);
  });
  scope.runnerPods.onChange((key, now, before) => {
    if (now) kubelet.see(now, kubelet.runRunner);
    else if (before) kubelet.gone(before);
    queues.runners.add(key);
  });
  scope.controllerPods.onChange((key, now) => {
    const [listener] = now?.metadata.ownerReferences ?? [];
    if (now && listener?.kind !== 'AutoscalingListener') return kubelet.see(now, kubelet.runPlain);
    queues.listeners.add(key);
    setOf(scope.listeners.get(...(key.split('/') as [string, string])));
  });
}

function complain(kind: string, key: string, error: unknown): void {
  console.error(`arc: ${kind} ${key}: ${error instanceof Error ? error.message : String(error)}`);
}
