import type { Kube, Obj } from './kube.ts';
import type {
  AutoscalingListener,
  AutoscalingRunnerSet,
  EphemeralRunner,
  EphemeralRunnerSet,
  RunningPod,
  Secret,
} from './objects.ts';
import type { Queue } from './queue.ts';
import { type Credentials, ScaleSets } from './scale-sets.ts';
import type { Watched } from './watched.ts';

/** What every controller here looks at and acts through. */
export interface Scope {
  /** As cluster-admin: only what a kubelet does. */
  admin: Kube;
  /** As the controller's ServiceAccount: everything else. */
  controller: Kube;
  namespace: string;
  /** As its Deployment is labelled: who changes the label has upgraded the controller. */
  version: string;
  /** Multiplies ARC's waits, so that a test need not sit through them. */
  waitScale: number;
  /** How long a job runs that does not say. */
  jobSeconds: number;
  signal: AbortSignal;
  sets: Watched<AutoscalingRunnerSet>;
  runnerSets: Watched<EphemeralRunnerSet>;
  runners: Watched<EphemeralRunner>;
  listeners: Watched<AutoscalingListener>;
  runnerPods: Watched<RunningPod>;
  controllerPods: Watched<RunningPod>;
  deployments: Watched<Obj>;
  queues: { sets: Queue; runnerSets: Queue; runners: Queue; listeners: Queue };
  forges: Forges;
}

/** Clients of GitHub by what they were made from, so that one token serves many calls. */
export class Forges {
  readonly #controller: Kube;
  readonly #known = new Map<string, ScaleSets>();

  constructor(controller: Kube) {
    this.#controller = controller;
  }

  /** Reads the Secret anew each time: when it or the right to read it has gone, ARC stops too. */
  async for(namespace: string, spec: { githubConfigUrl: string; githubConfigSecret: string }): Promise<ScaleSets> {
    return this.with(spec.githubConfigUrl, await this.credentials(namespace, spec.githubConfigSecret));
  }

  with(configUrl: string, credentials: Credentials): ScaleSets {
    const key = JSON.stringify([configUrl, credentials]);
    const known = this.#known.get(key) ?? new ScaleSets(configUrl, credentials);
    this.#known.delete(key);
    this.#known.set(key, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > 1000 && oldest !== undefined) this.#known.delete(oldest);
    return known;
  }

  async credentials(namespace: string, name: string): Promise<Credentials> {
    const secret = await this.#controller.get<Secret>('Secret', namespace, name);
    if (!secret) throw new Error(`Failed to find GitHub config secret: ${namespace}/${name}`);
    const value = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString();
    const [token, appId, installationId, privateKey] = [
      'github_token',
      'github_app_id',
      'github_app_installation_id',
      'github_app_private_key',
    ].map(value) as [string, string, string, string];
    if (token && appId) throw new Error('both PAT and GitHub App credentials provided. should only provide one');
    if (token) return { token };
    if (!appId) throw new Error('no credentials provided: either a PAT or GitHub App credentials should be provided');
    if (!/^\d+$/.test(installationId) || !privateKey)
      throw new Error('github_app_installation_id and github_app_private_key must be given with github_app_id');
    return { appId, installationId, privateKey };
  }
}

/** Adds finalizers that are missing; true when it had to, and the next look will see them. */
export async function addFinalizers(kube: Kube, object: Obj, names: string[]): Promise<boolean> {
  const held = object.metadata.finalizers ?? [];
  const missing = names.filter((name) => !held.includes(name));
  if (missing.length === 0) return false;
  await setFinalizers(kube, object, [...held, ...missing]);
  return true;
}

export async function dropFinalizer(kube: Kube, object: Obj, name: string): Promise<void> {
  const held = object.metadata.finalizers ?? [];
  if (held.includes(name))
    await setFinalizers(
      kube,
      object,
      held.filter((other) => other !== name),
    );
}

/** The version makes sure that nobody else's finalizer is lost; a conflict is an error that the next look heals. */
async function setFinalizers(kube: Kube, object: Obj, finalizers: string[]): Promise<void> {
  await kube.patch(object, { metadata: { finalizers, resourceVersion: object.metadata.resourceVersion } });
}

export function splitKey(key: string): [namespace: string, name: string] {
  const at = key.indexOf('/');
  return [key.slice(0, at), key.slice(at + 1)];
}
