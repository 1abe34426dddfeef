import { createPrivateKey, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';

/** What a tenant's Secret says: an App's installation, or a personal token. */
export type Credentials = { appId: string; installationId: string; privateKey: string } | { token: string };

export interface ScaleSet {
  id: number;
  name: string;
  runnerGroupId: number;
  runnerGroupName: string;
}

export interface Statistics {
  totalAssignedJobs: number;
}

export interface JobMessage {
  messageType: 'JobAvailable' | 'JobAssigned' | 'JobStarted' | 'JobCompleted';
  runnerRequestId: number;
  repositoryName: string;
  ownerName: string;
  jobId: string;
  jobWorkflowRef: string;
  jobDisplayName: string;
  workflowRunId: number;
  runnerId?: number;
  runnerName?: string;
}

export interface Session {
  sessionId: string;
  messageQueueUrl: string;
  messageQueueAccessToken: string;
  statistics: Statistics;
}

/** GitHub's refusal; `name` is the service's name for it. */
export class ForgeError extends Error {
  readonly status: number;
  readonly exception: string;
  constructor(what: string, status: number, exception: string, message: string) {
    super(`${what}: ${status} ${exception} ${message}`);
    this.status = status;
    this.exception = exception;
  }
}

interface Admin {
  url: string;
  token: string;
  expiresAtMs: number;
}

/** The runner-scale-set service for one organization or repository, reached with one Secret's credentials. */
export class ScaleSets {
  readonly #configUrl: string;
  readonly #credentials: Credentials;
  #admin: Promise<Admin> | undefined;

  constructor(configUrl: string, credentials: Credentials) {
    this.#configUrl = configUrl.replace(/\/+$/, '');
    this.#credentials = credentials;
    scopePath(this.#configUrl);
  }

  async group(name: string): Promise<number> {
    const found = await this.#service<{ count: number; value: { id: number }[] }>(
      'GET',
      `_apis/runtime/runnergroups/?groupName=${encodeURIComponent(name)}`,
    );
    const [group] = found.value;
    if (!group)
      throw new ForgeError('runner group', 404, 'RunnerGroupNotFound', `no runner group found with name "${name}"`);
    return group.id;
  }

  async find(name: string, groupId: number): Promise<ScaleSet | undefined> {
    const query = new URLSearchParams({ runnerGroupId: String(groupId), name });
    const found = await this.#service<{ value: ScaleSet[] }>(
      'GET',
      `_apis/runtime/runnerscalesets?${query.toString()}`,
    );
    return found.value[0];
  }

  create(name: string, runnerGroupId: number, labels: string[]): Promise<ScaleSet> {
    const body = {
      name,
      runnerGroupId,
      labels: [name, ...labels].map((label) => ({ type: 'System', name: label })),
      RunnerSetting: { disableUpdate: true },
    };
    return this.#service('POST', '_apis/runtime/runnerscalesets', body);
  }

  change(id: number, name: string, runnerGroupId: number): Promise<ScaleSet> {
    return this.#service('PATCH', `_apis/runtime/runnerscalesets/${id}`, {
      name,
      runnerGroupId,
      RunnerSetting: { disableUpdate: true },
    });
  }

  async remove(id: number): Promise<void> {
    await this.#service('DELETE', `_apis/runtime/runnerscalesets/${id}`).catch(ignoreAbsent);
  }

  openSession(id: number, ownerName: string): Promise<Session> {
    return this.#service('POST', `_apis/runtime/runnerscalesets/${id}/sessions`, { ownerName });
  }

  refreshSession(id: number, sessionId: string): Promise<Session> {
    return this.#service('PATCH', `_apis/runtime/runnerscalesets/${id}/sessions/${sessionId}`);
  }

  async closeSession(id: number, sessionId: string): Promise<void> {
    await this.#service('DELETE', `_apis/runtime/runnerscalesets/${id}/sessions/${sessionId}`).catch(ignoreAbsent);
  }

  /** Waits for a message; undefined when there was none for a while. */
  async message(
    session: Session,
    last: number,
    capacity: number,
    signal: AbortSignal,
  ): Promise<{ id: number; jobs: JobMessage[]; statistics: Statistics } | undefined> {
    const url = new URL(session.messageQueueUrl);
    if (last > 0) url.searchParams.set('lastMessageId', String(last));
    const headers = { 'x-scalesetmaxcapacity': String(capacity), accept: 'application/json; api-version=6.0-preview' };
    const answer = await send<{ messageId: number; body: string; statistics: Statistics } | undefined>(
      'GET',
      url.href,
      session.messageQueueAccessToken,
      undefined,
      { headers, signal },
    );
    return (
      answer && { id: answer.messageId, jobs: JSON.parse(answer.body) as JobMessage[], statistics: answer.statistics }
    );
  }

  async acknowledge(session: Session, message: number): Promise<void> {
    const url = new URL(session.messageQueueUrl);
    url.pathname = `${url.pathname}/${message}`;
    await send('DELETE', url.href, session.messageQueueAccessToken);
  }

  async acquire(id: number, session: Session, requestIds: number[]): Promise<void> {
    const { url } = await this.#connect();
    await send(
      'POST',
      `${url}_apis/runtime/runnerscalesets/${id}/acquirejobs?api-version=6.0-preview`,
      session.messageQueueAccessToken,
      requestIds,
    );
  }

  async jitConfig(id: number, name: string): Promise<{ runnerId: number; encoded: string }> {
    const made = await this.#service<{ runner: { id: number }; encodedJITConfig: string }>(
      'POST',
      `_apis/runtime/runnerscalesets/${id}/generatejitconfig`,
      { name, workFolder: '_work' },
    );
    return { runnerId: made.runner.id, encoded: made.encodedJITConfig };
  }

  async runnerNamed(name: string): Promise<number | undefined> {
    const found = await this.#service<{ value: { id: number }[] }>(
      'GET',
      `_apis/distributedtask/pools/0/agents?agentName=${encodeURIComponent(name)}`,
    );
    return found.value[0]?.id;
  }

  /** False while the runner has a job. */
  async removeRunner(runnerId: number): Promise<boolean> {
    try {
      await this.#service('DELETE', `_apis/distributedtask/pools/0/agents/${runnerId}`);
    } catch (error) {
      if (error instanceof ForgeError && error.exception.includes('JobStillRunning')) return false;
      ignoreAbsent(error);
    }
    return true;
  }

  async #service<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { url, token } = await this.#connect();
    const versioned = `${url}${path}${path.includes('?') ? '&' : '?'}api-version=6.0-preview`;
    try {
      return await send<T>(method, versioned, token, body);
    } catch (error) {
      // A token that stopped working early: the next call asks for another.
      if (error instanceof ForgeError && error.status === 401) this.#admin = undefined;
      throw error;
    }
  }

  async #connect(): Promise<Admin> {
    const held = await this.#admin?.catch(() => undefined);
    if (!held || held.expiresAtMs < Date.now() + 60_000) this.#admin = this.#register();
    return this.#admin as Promise<Admin>;
  }

  async #register(): Promise<Admin> {
    const api = apiBase(this.#configUrl);
    const bearer = await this.#bearer(api);
    const registration = await send<{ token: string }>(
      'POST',
      `${api}${scopePath(this.#configUrl)}/actions/runners/registration-token`,
      bearer,
    );
    const headers = { authorization: `RemoteAuth ${registration.token}` };
    const admin = await send<{ url: string; token: string }>(
      'POST',
      `${api}/actions/runner-registration`,
      undefined,
      { url: this.#configUrl, runner_event: 'register' },
      { headers },
    );
    const claims = JSON.parse(Buffer.from(admin.token.split('.')[1] ?? '', 'base64url').toString()) as { exp: number };
    return { url: admin.url.replace(/\/*$/, '/'), token: admin.token, expiresAtMs: claims.exp * 1000 };
  }

  async #bearer(api: string): Promise<string> {
    if ('token' in this.#credentials) return this.#credentials.token;
    const { appId, installationId, privateKey } = this.#credentials;
    const now = Math.floor(Date.now() / 1000);
    const jwt = await new SignJWT({})
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer(appId)
      .setIssuedAt(now - 60)
      .setExpirationTime(now + 540)
      .sign(createPrivateKey(privateKey));
    return (await send<{ token: string }>('POST', `${api}/app/installations/${installationId}/access_tokens`, jwt))
      .token;
  }
}

/** `github.com` and its like have an API host; any other is an Enterprise Server with the API under /api/v3. */
function apiBase(configUrl: string): string {
  const url = new URL(configUrl);
  const hosted =
    url.host === 'github.com' ||
    url.host === 'www.github.com' ||
    url.host.endsWith('.ghe.com') ||
    url.host === 'github.localhost';
  if (!hosted) return `${url.origin}/api/v3`;
  return `${url.protocol}//api.${url.host.replace(/^www\./, '')}`;
}

function scopePath(configUrl: string): string {
  const parts = new URL(configUrl).pathname.split('/').filter(Boolean);
  if (parts.length === 1) return `/orgs/${parts[0]}`;
  if (parts.length === 2 && parts[0]?.toLowerCase() === 'enterprises') return `/enterprises/${parts[1]}`;
  if (parts.length === 2) return `/repos/${parts.join('/')}`;
  throw new Error(`${configUrl}: invalid config URL, should point to an enterprise, org, or repository`);
}

function ignoreAbsent(error: unknown): void {
  if (!(error instanceof ForgeError && error.status === 404)) throw error;
}

async function send<T>(
  method: string,
  url: string,
  bearer: string | undefined,
  body?: unknown,
  more: { headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<T> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      'user-agent': 'actions-runner-controller-stand-in',
      'x-request-id': randomUUID(),
      ...more.headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: more.signal ?? AbortSignal.timeout(60_000),
  });
  const text = await response.text();
  if (response.status === 202 || response.status === 204) return undefined as T;
  if (response.ok) return JSON.parse(text) as T;
  throw refusal(`${method} ${new URL(url).pathname}`, response.status, text);
}

function refusal(what: string, status: number, text: string): ForgeError {
  try {
    const { typeName = '', message = '' } = JSON.parse(text) as { typeName?: string; message?: string };
    return new ForgeError(what, status, typeName, message);
  } catch {
    return new ForgeError(what, status, '', text.slice(0, 200));
  }
}
