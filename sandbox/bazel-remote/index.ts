/**
 * Bazel caches for the sandbox and for tests: one bazel-remote for each tenant, all on one port, at `/<namespace>/…`.
 *
 * It promises bazel-remote's own decisions (2.6.2): `/cas/<sha256>` and `/ac/<key>` by GET, HEAD and PUT, content checked
 * against its name; a password file whose every login may write, read anew at each request; with unauthenticated reads a GET
 * wants no login and a PUT does; a password file that is missing or malformed resets the connection; `/status` for anybody,
 * `/metrics` for whoever may read; the least recently used goes when it is full.
 *
 * It does not do: gRPC, compression, instance names, disk, {bcrypt} passwords.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Reply, startService, type Answer, type Ask } from '#sandbox/stand-in/index.ts';

/** How one instance is started; asked anew at each request, as the mounted file is read anew. */
export interface Instance {
  /** The password file's text; undefined where it is missing. */
  htpasswd: string | undefined;
  allowUnauthenticatedReads: boolean;
  maxBytes: number;
}

export interface BazelRemotesOptions {
  port: number;
  /** The instance of a namespace; undefined where there is none. */
  instanceOf(namespace: string): Instance | undefined | Promise<Instance | undefined>;
  now?: () => Date;
}

export interface BazelRemotes {
  /** With `{namespace}` in it. */
  url: string;
  urlOf(namespace: string): string;
  /** As a process that starts anew on the same disk: counters are zero, entries stay. */
  restart(namespace: string): void;
  stop(): Promise<void>;
}

export async function startBazelRemotes(options: BazelRemotesOptions): Promise<BazelRemotes> {
  const stores = new Map<string, Store>();
  const now = options.now ?? (() => new Date());
  const service = await startService('bazel-remote', options.port, async (ask, socket) => {
    const [, namespace = '', path = ''] = /^\/([a-z0-9-]+)(\/.*)$/.exec(ask.path) ?? [];
    const instance = await options.instanceOf(namespace);
    if (!instance) return { status: 502, body: 'no such host' };
    const store = stores.get(namespace) ?? new Store();
    stores.set(namespace, store);
    const drop = (): never => {
      socket.destroy();
      throw new Reply({ status: 500 });
    };
    return answer({ ...ask, path }, instance, store, now(), drop);
  });
  return {
    url: `${service.url}/{namespace}`,
    urlOf: (namespace) => `${service.url}/${namespace}`,
    restart: (namespace) => stores.get(namespace)?.forgetCounts(),
    stop: () => service.stop(),
  };
}

const denied: Answer = {
  status: 401,
  headers: { 'www-authenticate': 'Basic realm="Bazel remote cache"' },
  body: '401 Unauthorized\n',
};

function answer(ask: Ask, instance: Instance, store: Store, at: Date, drop: () => never): Answer {
  if (ask.path === '/status') return { status: 200, body: store.status(instance, at) };
  const isRead = ask.method === 'GET' || ask.method === 'HEAD';
  const isOpen = isRead && instance.allowUnauthenticatedReads && ask.headers.authorization === undefined;
  if (!isOpen && !isLoggedIn(ask.headers.authorization, instance.htpasswd, drop)) return denied;
  if (ask.path === '/metrics')
    return { status: 200, headers: { 'content-type': 'text/plain' }, body: store.metrics(instance, at) };
  const [, kind, key] = /^\/(cas|ac)\/([0-9a-f]{64})$/.exec(ask.path) ?? [];
  if (kind === undefined || key === undefined) return { status: 400, body: 'Bad request\n' };
  if (isRead) return store.read(`${kind}/${key}`, ask.method, at);
  if (ask.method !== 'PUT') return { status: 405 };
  if (kind === 'cas' && createHash('sha256').update(ask.rawBody).digest('hex') !== key)
    return { status: 400, body: "hashsums don't match\n" };
  return store.write(`${kind}/${key}`, ask.rawBody, instance.maxBytes, at);
}

/** Each line must be read before any is believed. */
function isLoggedIn(header: string | undefined, htpasswd: string | undefined, drop: () => never): boolean {
  const logins = htpasswd === undefined ? undefined : loginsOf(htpasswd);
  if (!logins) return drop();
  const [, encoded = ''] = /^Basic (.+)$/i.exec(header ?? '') ?? [];
  const pair = Buffer.from(encoded, 'base64').toString();
  const split = pair.indexOf(':');
  const wanted = logins.get(pair.slice(0, Math.max(0, split)));
  if (split < 1 || wanted === undefined) return false;
  const given = createHash('sha1')
    .update(pair.slice(split + 1))
    .digest();
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function loginsOf(text: string): Map<string, Buffer> | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const logins = new Map<string, Buffer>();
  for (const line of lines) {
    const [, user, hash] = /^([^:]+):\{SHA\}([A-Za-z0-9+/=]+)$/.exec(line) ?? [];
    if (user === undefined || hash === undefined) return undefined;
    logins.set(user, Buffer.from(hash, 'base64'));
  }
  return logins;
}

interface Entry {
  bytes: Buffer;
  usedAtMs: number;
}

/** One tenant's disk, and what its process has counted. */
class Store {
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #requests = new Map<string, number>();
  #size = 0;
  #evicted = 0;

  forgetCounts(): void {
    this.#requests = new Map();
    this.#evicted = 0;
  }

  read(key: string, method: string, at: Date): Answer {
    const entry = this.#entries.get(key);
    const kind = key.startsWith('ac/') ? 'ac' : 'cas';
    const labels = `method="${method === 'HEAD' ? 'contains' : 'get'}",kind="${kind}",status="${entry ? 'hit' : 'miss'}"`;
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1);
    if (!entry) return { status: 404, body: 'Not found\n' };
    this.#entries.delete(key);
    this.#entries.set(key, { ...entry, usedAtMs: at.getTime() });
    return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body: entry.bytes };
  }

  write(key: string, bytes: Buffer, maxBytes: number, at: Date): Answer {
    if (bytes.length > maxBytes) return { status: 507, body: 'Insufficient Storage\n' };
    this.#drop(key);
    this.#entries.set(key, { bytes, usedAtMs: at.getTime() });
    this.#size += bytes.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#size <= maxBytes) break;
      this.#evicted += this.#drop(oldest);
    }
    return { status: 200 };
  }

  #drop(key: string): number {
    const size = this.#entries.get(key)?.bytes.length ?? 0;
    this.#entries.delete(key);
    this.#size -= size;
    return size;
  }

  status({ maxBytes }: Instance, at: Date): object {
    return {
      CurrSize: this.#size,
      UncompressedSize: this.#size,
      ReservedSize: 0,
      MaxSize: maxBytes,
      NumFiles: this.#entries.size,
      ServerTime: Math.floor(at.getTime() / 1000),
      GitCommit: '',
      NumGoroutines: 9,
    };
  }

  metrics({ maxBytes }: Instance, at: Date): string {
    const [oldest] = this.#entries.values();
    const idleSeconds = oldest ? (at.getTime() - oldest.usedAtMs) / 1000 : 0;
    const cache = 'bazel_remote_disk_cache';
    return [
      '# HELP bazel_remote_incoming_requests_total The number of incoming cache requests',
      '# TYPE bazel_remote_incoming_requests_total counter',
      ...[...this.#requests].map(([labels, count]) => `bazel_remote_incoming_requests_total{${labels}} ${count}`),
      `# TYPE ${cache}_size_bytes gauge`,
      `${cache}_size_bytes ${this.#size}`,
      `${cache}_size_bytes_limit{type="evict"} ${maxBytes}`,
      `${cache}_logical_bytes ${this.#size}`,
      `${cache}_evicted_bytes_total ${this.#evicted}`,
      `${cache}_longest_item_idle_time_seconds ${idleSeconds}`,
      '',
    ].join('\n');
  }
}
