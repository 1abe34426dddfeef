import { HttpMethod, type KubeConfig, RequestContext } from '@kubernetes/client-node';
import { request, type Dispatcher } from 'undici';
import { AppError, type ErrorCode } from '#lib/errors.ts';
import { overQuota } from '#lib/model/index.ts';
import { count, observe, sawCluster, span, stopwatch } from '#lib/telemetry/index.ts';
import type { KubernetesObject } from './manifests.ts';

/*
 * KubernetesObjectApi.patch of @kubernetes/client-node 2.0 offers no `fieldValidation` and makes a new agent, so a new TLS
 * handshake, for every call. The library loads the configuration and the credentials; requests go over kept connections.
 */

export const fieldManager = 'flywheel';
const credentialsMs = 60_000;
const requestMs = 30_000;

/** A cluster as a value: where it is and by what right. Nothing of it is kept in the database. */
export type ClusterConnection = { id: string; kubeConfig: () => KubeConfig | Promise<KubeConfig> };

/** The API server's own answer to a request that it refused (metav1.Status). */
export type Refusal = {
  status: number;
  reason: string;
  message: string;
  causes: { field?: string; message?: string; reason?: string }[];
  /** The beginning of the answer, for the log. */
  raw: string;
};

const changed = 'Other objects of this enrollment may have been changed.';
const byItself = 'Nothing needs doing: the portal tries again by itself.';

/** What a person reads of it. The server's own words only where it answers what was asked, never for what passes by itself. */
function said(code: ErrorCode, status: number, what: string, message: string): { happened: string; todo?: string } {
  if (status === 429) return { happened: `The cluster is busy and asked to wait before ${what}.`, todo: byItself };
  if (code === 'stale') return { happened: `Somebody else changed ${what} at the same moment.`, todo: byItself };
  if (code === 'unavailable' && status >= 500)
    return { happened: `The cluster failed at ${what} (it answered ${status}).`, todo: byItself };
  if (code === 'unavailable') return { happened: `The cluster does not know ${what} yet.`, todo: byItself };
  return { happened: `The cluster refused ${what}: ${message === '' ? `it answered ${status}` : message}` };
}

export class ClusterRefused extends AppError {
  override name = 'ClusterRefused';
  readonly refusal: Refusal;
  /** What was asked for, such as `Secret runners-cmux/cmux-github`. */
  readonly what: string;
  constructor(code: ErrorCode, refusal: Refusal, what: string, retryAfterMs?: number) {
    super(code, {
      log: `${what}: ${refusal.status} ${refusal.reason} ${refusal.message === '' ? refusal.raw : refusal.message}`,
      screen: { ...said(code, refusal.status, what, refusal.message), changed },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
    this.refusal = refusal;
    this.what = what;
  }

  /** By a ResourceQuota, whichever. */
  get isOverQuota(): boolean {
    return this.refusal.status === 403 && overQuota.test(this.refusal.message);
  }
}

/** Gone meanwhile, or moved on: the next look sees which. */
export function unlessMoved(error: unknown): undefined {
  if (error instanceof ClusterRefused && (error.refusal.status === 404 || error.refusal.status === 409))
    return undefined;
  throw error;
}

export function clusterAway(id: string, cause: unknown): AppError {
  return new AppError('unavailable', {
    log: `cluster ${id} is away: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
    screen: {
      happened: 'The cluster does not answer.',
      changed: 'Nothing was changed by this attempt.',
      todo: 'Nothing needs doing: the portal tries again by itself.',
    },
  });
}

const codeOf: Record<number, ErrorCode> = {
  400: 'invalid',
  401: 'forbidden',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  413: 'too_large',
  422: 'invalid',
  429: 'rate_limited',
};

type Credentials = {
  server: string;
  headers: Record<string, string>;
  dispatcher: Dispatcher | undefined;
  untilMs: number;
};

export type ApiRequest = {
  method: 'GET' | 'PATCH' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  query?: Record<string, string | undefined>;
  body?: unknown;
  contentType?: string;
  signal?: AbortSignal | undefined;
};

/** One API server: its requests, counted, and its refusals as typed errors. */
export class ClusterClient {
  readonly id: string;
  /** Requests sent since the start, for the benches and for the operator. */
  readonly sent = { GET: 0, PATCH: 0, POST: 0, PUT: 0, DELETE: 0 };
  readonly #connection: ClusterConnection;
  #credentials: Credentials | undefined;

  constructor(connection: ClusterConnection) {
    this.id = connection.id;
    this.#connection = connection;
  }

  /** The parsed body; `AppError` of code unavailable when nothing answers, ClusterRefused when the server says no. */
  async call<T = KubernetesObject>(asked: ApiRequest, what: string): Promise<T> {
    const { method, path } = asked;
    const attributes = { 'http.request.method': method, 'url.path': path, 'flywheel.cluster.id': this.id };
    return span(`cluster ${method}`, { kind: 'client', attributes }, async (set) => {
      const response = await this.raw(asked, requestMs);
      set({ 'http.response.status_code': response.statusCode });
      return this.#bodyOf<T>(response, what);
    });
  }

  async #bodyOf<T>(response: Dispatcher.ResponseData, what: string): Promise<T> {
    const text = await response.body.text().catch((error: unknown) => {
      throw clusterAway(this.id, error);
    });
    if (response.statusCode < 300) return JSON.parse(text) as T;
    if (response.statusCode === 401) this.#credentials = undefined;
    throw this.refused(response, text, what);
  }

  /** With the version that was read it never hits a newer object: undefined where the object moved on, or has gone. */
  async mergePatch<T = KubernetesObject>(
    object: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>,
    patch: object,
  ): Promise<T | undefined> {
    const asked: ApiRequest = {
      method: 'PATCH',
      path: objectPath(object),
      query: { fieldManager },
      contentType: 'application/merge-patch+json',
      body: patch,
    };
    return this.call<T>(asked, `${object.kind} ${object.metadata.name}`).catch(unlessMoved);
  }

  /** The response itself, for streams. */
  async raw(asked: ApiRequest, timeoutMs: number): Promise<Dispatcher.ResponseData> {
    const tell = teller(this.id, asked);
    try {
      const response = await this.#send(asked, timeoutMs);
      tell(response.statusCode);
      return response;
    } catch (error) {
      const isCancelled = asked.signal?.aborted === true;
      tell(isCancelled ? 'cancelled' : 'none');
      throw isCancelled ? asked.signal?.reason : clusterAway(this.id, error);
    }
  }

  async #send(asked: ApiRequest, timeoutMs: number): Promise<Dispatcher.ResponseData> {
    const { server, headers, dispatcher } = await this.#ready();
    const url = new URL(server + asked.path);
    for (const [name, value] of Object.entries(asked.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, value);
    this.sent[asked.method] += 1;
    return request(url, {
      method: asked.method,
      headers: {
        ...headers,
        accept: 'application/json',
        ...(asked.body === undefined ? {} : { 'content-type': asked.contentType ?? 'application/json' }),
      },
      body: asked.body === undefined ? null : JSON.stringify(asked.body),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      ...(dispatcher ? { dispatcher } : {}),
      ...(asked.signal ? { signal: asked.signal } : {}),
    });
  }

  async #ready(): Promise<Credentials> {
    if (this.#credentials && performance.now() < this.#credentials.untilMs) return this.#credentials;
    const kubeConfig = await this.#connection.kubeConfig();
    const server = kubeConfig.getCurrentCluster()?.server;
    if (!server) throw new Error('the kubeconfig names no cluster');
    refuseForeignCode(kubeConfig);
    const context = new RequestContext(server, HttpMethod.GET);
    await kubeConfig.applySecurityAuthentication(context);
    const previous = this.#credentials;
    const headers = context.getHeaders();
    // The agent is kept as long as the server is the same; a new one would drop the open connections.
    const dispatcher = previous?.server === server ? previous.dispatcher : context.getDispatcher();
    this.#credentials = { server, headers, dispatcher, untilMs: performance.now() + credentialsMs };
    return this.#credentials;
  }

  /** What an answer that is not a success means. */
  refused(response: Dispatcher.ResponseData, text: string, what: string): ClusterRefused {
    const refusal = refusalOf(response.statusCode, text);
    const seconds = Number(response.headers['retry-after']);
    const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
    // A 404 with no reason is the path's and not the object's: the cluster has no such kind (yet).
    const isUnknownKind = refusal.status === 404 && refusal.reason === '';
    // Server-side apply answers 500 to a field that the schema lacks; no retry heals that.
    const isUnknownField = refusal.status === 500 && refusal.message.includes('field not declared in schema');
    // The object moved on between a read and a write; no field of it is another manager's, and nothing has that name.
    const isTaken = refusal.reason === 'AlreadyExists' || refusal.causes.length > 0;
    const isMoved = refusal.status === 409 && !isTaken;
    const code = isUnknownKind
      ? 'unavailable'
      : isUnknownField
        ? 'invalid'
        : isMoved
          ? 'stale'
          : (codeOf[refusal.status] ?? 'unavailable');
    return new ClusterRefused(code, refusal, what, retryAfterMs);
  }
}

/** Counts a request, and what its answer says of the cluster. Nobody is to blame for what we cancelled ourselves. */
function teller(clusterId: string, asked: ApiRequest): (code: number | 'none' | 'cancelled') => void {
  const isWatch = asked.query?.['watch'] === 'true';
  const took = stopwatch();
  return (code) => {
    const verb = isWatch ? 'WATCH' : asked.method;
    count('clusterRequests', { verb, code: String(code) });
    if (code === 'cancelled') return;
    if (!isWatch) observe('clusterSeconds', { verb }, took());
    sawCluster(clusterId, { failure: failureOf(asked.path, code) });
  };
}

/** What an API server is that answers so; null for one that works. One that is added to it may be away by itself. */
function failureOf(path: string, code: number | 'none'): string | null {
  if (code === 'none') return 'It does not answer, or its kubeconfig cannot be read.';
  if (code === 401) return 'It refuses the portal’s credentials (401).';
  return code >= 500 && !path.startsWith('/apis/metrics.k8s.io/') ? `It answers ${code}.` : null;
}

/** A kubeconfig may name programs to run; an operator's file is trusted to name a server, not to run code in the portal. */
function refuseForeignCode(kubeConfig: KubeConfig): void {
  const user = kubeConfig.getCurrentUser();
  if (user?.exec || user?.authProvider) throw new Error('a kubeconfig with exec or auth-provider is not accepted');
}

function refusalOf(status: number, text: string): Refusal {
  const raw = text.slice(0, 500);
  try {
    const body = JSON.parse(text) as { reason?: string; message?: string; details?: { causes?: Refusal['causes'] } };
    return {
      status,
      reason: body.reason ?? '',
      message: body.message ?? '',
      causes: body.details?.causes ?? [],
      raw,
    };
  } catch {
    // Not the API server's own: a proxy's page says nothing to a person.
    return { status, reason: '', message: '', causes: [], raw };
  }
}

type KindInfo = { plural: string; namespaced: boolean };

/** The kinds that the portal writes or watches. A closed list: discovery would be a request a kind and a cluster. */
export const kinds = {
  Namespace: { plural: 'namespaces', namespaced: false },
  ResourceQuota: { plural: 'resourcequotas', namespaced: true },
  LimitRange: { plural: 'limitranges', namespaced: true },
  NetworkPolicy: { plural: 'networkpolicies', namespaced: true },
  Secret: { plural: 'secrets', namespaced: true },
  ConfigMap: { plural: 'configmaps', namespaced: true },
  ServiceAccount: { plural: 'serviceaccounts', namespaced: true },
  Role: { plural: 'roles', namespaced: true },
  RoleBinding: { plural: 'rolebindings', namespaced: true },
  AutoscalingRunnerSet: { plural: 'autoscalingrunnersets', namespaced: true },
  Deployment: { plural: 'deployments', namespaced: true },
  Service: { plural: 'services', namespaced: true },
  PersistentVolumeClaim: { plural: 'persistentvolumeclaims', namespaced: true },
  Pod: { plural: 'pods', namespaced: true },
  EphemeralRunner: { plural: 'ephemeralrunners', namespaced: true },
  ValidatingAdmissionPolicy: { plural: 'validatingadmissionpolicies', namespaced: false },
  ValidatingAdmissionPolicyBinding: { plural: 'validatingadmissionpolicybindings', namespaced: false },
} as const satisfies Record<string, KindInfo>;
export type Kind = keyof typeof kinds;

export function groupPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/** The API path of an object, each part encoded: a name can never reach another resource. */
export function objectPath(object: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>): string {
  const info: KindInfo | undefined = kinds[object.kind as Kind];
  if (!info) throw new Error(`the portal does not handle ${object.kind}`);
  const { name, namespace } = object.metadata;
  if (info.namespaced !== (namespace !== undefined))
    throw new Error(`${object.kind} ${name}: namespace ${namespace ?? 'missing'}`);
  const within = info.namespaced ? `/namespaces/${encodeURIComponent(namespace ?? '')}` : '';
  return `${groupPath(object.apiVersion)}${within}/${info.plural}/${encodeURIComponent(name)}`;
}
