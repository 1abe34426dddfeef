import { HttpMethod, type KubeConfig, RequestContext } from '@kubernetes/client-node';
import { createInterface } from 'node:readline';
import { request, type Dispatcher } from 'undici';

/** The parts of any Kubernetes object that are looked at here. */
export interface Meta {
  name: string;
  namespace?: string;
  uid?: string;
  generation?: number;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface Obj {
  apiVersion: string;
  kind: string;
  metadata: Meta;
}

/** The API server's refusal of a request. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(what: string, status: number, reason: string, message: string) {
    super(`${what}: ${status} ${reason} ${message}`);
    this.status = status;
    this.reason = reason;
  }
}

export function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

export function isTaken(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409 && error.reason === 'AlreadyExists';
}

const collections: Record<string, [apiVersion: string, plural: string]> = {
  Namespace: ['v1', 'namespaces'],
  Pod: ['v1', 'pods'],
  Secret: ['v1', 'secrets'],
  ServiceAccount: ['v1', 'serviceaccounts'],
  Event: ['v1', 'events'],
  Role: ['rbac.authorization.k8s.io/v1', 'roles'],
  RoleBinding: ['rbac.authorization.k8s.io/v1', 'rolebindings'],
  ClusterRole: ['rbac.authorization.k8s.io/v1', 'clusterroles'],
  ClusterRoleBinding: ['rbac.authorization.k8s.io/v1', 'clusterrolebindings'],
  Deployment: ['apps/v1', 'deployments'],
  NetworkPolicy: ['networking.k8s.io/v1', 'networkpolicies'],
  CustomResourceDefinition: ['apiextensions.k8s.io/v1', 'customresourcedefinitions'],
  AutoscalingRunnerSet: ['actions.github.com/v1alpha1', 'autoscalingrunnersets'],
  AutoscalingListener: ['actions.github.com/v1alpha1', 'autoscalinglisteners'],
  EphemeralRunnerSet: ['actions.github.com/v1alpha1', 'ephemeralrunnersets'],
  EphemeralRunner: ['actions.github.com/v1alpha1', 'ephemeralrunners'],
};

export function pathOf(kind: string, namespace?: string, name?: string, subresource?: string): string {
  const found = collections[kind];
  if (!found) throw new Error(`no collection is known for ${kind}`);
  const [apiVersion, plural] = found;
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  const parts = [root, ...(namespace ? ['namespaces', namespace] : []), plural, name, subresource];
  return parts.filter((part) => part !== undefined).join('/');
}

export interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  body?: unknown;
  contentType?: string;
  signal?: AbortSignal;
}

/**
 * Requests to one API server as one identity. Connections are kept: the library's own client makes new ones each time,
 * which hundreds of runner sets would feel.
 */
export class Kube {
  readonly #config: KubeConfig;
  readonly #user: string | undefined;
  #base: Promise<{ server: string; headers: Record<string, string>; dispatcher: Dispatcher | undefined }> | undefined;

  constructor(config: KubeConfig, user?: string, base?: Kube) {
    this.#config = config;
    this.#user = user;
    this.#base = base ? base.#connect() : undefined;
  }

  /** The same connections, but as somebody else: what they may not do fails here as it would for them. */
  as(user: string): Kube {
    return new Kube(this.#config, user, this);
  }

  async get<T extends Obj>(kind: string, namespace: string | undefined, name: string): Promise<T | undefined> {
    return this.call<T>({ method: 'GET', path: pathOf(kind, namespace, name) }).catch((error: unknown) => {
      if (isGone(error)) return undefined;
      throw error;
    });
  }

  create<T extends Obj>(object: T): Promise<T> {
    return this.call<T>({ method: 'POST', path: pathOf(object.kind, object.metadata.namespace), body: object });
  }

  /** Creates, or leaves what is there. */
  async ensure(object: Obj): Promise<void> {
    await this.create(object).catch((error: unknown) => {
      if (!isTaken(error)) throw error;
    });
  }

  /** Makes the named fields so, whoever owned them. */
  apply(object: Obj): Promise<Obj> {
    const path = `${pathOf(object.kind, object.metadata.namespace, object.metadata.name)}?fieldManager=arc-stand-in&force=true`;
    return this.call({ method: 'PATCH', path, body: object, contentType: 'application/apply-patch+yaml' });
  }

  patch<T extends Obj>(of: Obj, patch: unknown, subresource?: string): Promise<T> {
    const path = pathOf(of.kind, of.metadata.namespace, of.metadata.name, subresource);
    return this.call<T>({ method: 'PATCH', path, body: patch, contentType: 'application/merge-patch+json' });
  }

  /** Deletes this very object, or nothing when another has taken its name. */
  async delete(of: { kind: string; metadata: Meta }, graceSeconds?: number): Promise<void> {
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      ...(of.metadata.uid ? { preconditions: { uid: of.metadata.uid } } : {}),
      ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
    };
    await this.call({ method: 'DELETE', path: pathOf(of.kind, of.metadata.namespace, of.metadata.name), body }).catch(
      (error: unknown) => {
        const replaced = error instanceof ApiError && error.status === 409;
        if (!isGone(error) && !replaced) throw error;
      },
    );
  }

  async call<T>(call: Call): Promise<T> {
    const response = await this.#send(call);
    const text = await response.body.text();
    if (response.statusCode < 300) return JSON.parse(text) as T;
    throw refusal(`${call.method} ${call.path}`, response.statusCode, text);
  }

  /** The lines of a watch as they come; ends when the server or the signal ends it. */
  async *lines(path: string, signal: AbortSignal): AsyncGenerator<string> {
    const response = await this.#send({ method: 'GET', path, signal });
    if (response.statusCode !== 200) throw refusal(`watch ${path}`, response.statusCode, await response.body.text());
    for await (const line of createInterface({ input: response.body })) if (line) yield line;
  }

  async #send(call: Call): Promise<Dispatcher.ResponseData> {
    const { server, headers, dispatcher } = await this.#connect();
    return request(`${server}${call.path}`, {
      method: call.method,
      headers: {
        ...headers,
        accept: 'application/json',
        ...(this.#user ? { 'impersonate-user': this.#user } : {}),
        ...(call.body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.signal ? { signal: call.signal } : {}),
      ...(dispatcher ? { dispatcher } : {}),
      headersTimeout: 60_000,
      bodyTimeout: 0,
    });
  }

  #connect(): Promise<{ server: string; headers: Record<string, string>; dispatcher: Dispatcher | undefined }> {
    this.#base ??= (async () => {
      const server = this.#config.getCurrentCluster()?.server;
      if (!server) throw new Error('the kubeconfig names no current cluster');
      const context = new RequestContext(server, HttpMethod.GET);
      await this.#config.applySecurityAuthentication(context);
      return { server, headers: context.getHeaders(), dispatcher: context.getDispatcher() };
    })();
    return this.#base;
  }
}

function refusal(what: string, status: number, text: string): ApiError {
  try {
    const { reason = '', message = '' } = JSON.parse(text) as { reason?: string; message?: string };
    return new ApiError(what, status, reason, message);
  } catch {
    return new ApiError(what, status, '', text.slice(0, 200));
  }
}
