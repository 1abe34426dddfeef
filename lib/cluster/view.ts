import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '#lib/errors.ts';
import { type ClusterClient, ClusterRefused, groupPath, kinds, objectPath, type Kind } from './client.ts';
import { appliedHash, holds } from './compare.ts';
import { enrollmentLabel, managedBy, tenantLabel, type KubernetesObject } from './manifests.ts';

/*
 * What the cluster holds of ours, fed by list and watch. One connection a kind for the whole cluster, so that a pass that
 * changes nothing sends nothing, and 1,000 tenants cost the API server what one costs.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */

/** All kinds are listed at once, and what was parsed of each page is in memory together: about 0.5 MB of it a page. */
const pageSize = 100;
/** The server ends a watch by then; silence for longer means a connection that died unnoticed. */
const watchSeconds = 240;
const retryMsMost = 15_000;
/** A watch that ends sooner than this did not work. */
const healthyMs = 1000;

/** Doubles, with half of it random; never shorter than what the server asked for. */
async function pause(failures: number, leastMs: number, signal: AbortSignal): Promise<void> {
  const ms = Math.min(retryMsMost, 250 * 2 ** failures) * (0.5 + Math.random() / 2);
  await sleep(Math.max(ms, leastMs), undefined, { signal }).catch(() => undefined);
}

/** Whole lines as they come. Leaving ends the stream; its error is thrown here or, once we have left, nobody's. */
async function* linesOf(body: Readable): AsyncGenerator<string> {
  let rest = '';
  body.setEncoding('utf8').on('error', () => undefined);
  for await (const chunk of body) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

type ViewKind = {
  kind: Kind;
  apiVersion: string;
  /** What the portal only looks for: a cluster whose operator does not let it look has, to the portal, none of it. */
  optional?: boolean;
};

export const viewKinds: readonly ViewKind[] = [
  { kind: 'Namespace', apiVersion: 'v1' },
  { kind: 'ResourceQuota', apiVersion: 'v1' },
  { kind: 'LimitRange', apiVersion: 'v1' },
  { kind: 'NetworkPolicy', apiVersion: 'networking.k8s.io/v1' },
  { kind: 'Secret', apiVersion: 'v1' },
  { kind: 'ConfigMap', apiVersion: 'v1' },
  { kind: 'ServiceAccount', apiVersion: 'v1' },
  { kind: 'Role', apiVersion: 'rbac.authorization.k8s.io/v1' },
  { kind: 'RoleBinding', apiVersion: 'rbac.authorization.k8s.io/v1' },
  { kind: 'AutoscalingRunnerSet', apiVersion: 'actions.github.com/v1alpha1' },
  { kind: 'Deployment', apiVersion: 'apps/v1' },
  { kind: 'Service', apiVersion: 'v1' },
  { kind: 'PersistentVolumeClaim', apiVersion: 'v1' },
  { kind: 'Pod', apiVersion: 'v1' },
  { kind: 'EphemeralRunner', apiVersion: 'actions.github.com/v1alpha1', optional: true },
  { kind: 'ValidatingAdmissionPolicy', apiVersion: 'admissionregistration.k8s.io/v1', optional: true },
  { kind: 'ValidatingAdmissionPolicyBinding', apiVersion: 'admissionregistration.k8s.io/v1', optional: true },
];

export type Observed = KubernetesObject & {
  metadata: KubernetesObject['metadata'] & {
    uid: string;
    resourceVersion: string;
    deletionTimestamp?: string;
    deletionGracePeriodSeconds?: number | undefined;
    creationTimestamp?: string;
  };
  status?: Record<string, unknown>;
};

/** Kept as text, without the version: a thousand tenants' objects as live trees would be several times as large. */
type Entry = {
  kind: Kind;
  namespace: string | undefined;
  text: string;
  uid: string;
  resourceVersion: string;
  matched?: string;
};

export type Change = {
  kind: Kind;
  namespace: string | undefined;
  name: string;
  tenant: string | undefined;
  enrollment: string | undefined;
  deleted: boolean;
  /** Told by the first list of its kind: nothing may have happened but that we began to look. */
  first: boolean;
  object: Observed;
};

export class ClusterView {
  readonly client: ClusterClient;
  readonly #entries = new Map<string, Entry>();
  /** The paths within each namespace: a pass over one tenant must not read what all tenants have. */
  readonly #within = new Map<string, Set<string>>();
  readonly #synced = new Set<Kind>();
  /** Kinds of which nothing is heard at present. */
  readonly #unheard = new Set<Kind>();
  readonly #listeners: ((change: Change) => void)[] = [];
  /** Writes of ours that are under way, by path: the hash that each leaves. */
  readonly #expected = new Map<string, string | undefined>();
  #writes = 0;
  /** The version at which something ended while a write was under way, by uid: the write's answer may come after that word. */
  readonly #ended = new Map<string, string>();
  #running: Promise<unknown> = Promise.resolve();

  constructor(client: ClusterClient) {
    this.client = client;
  }

  onChange(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  /** Follows every kind until the signal aborts; a server that is away is asked again. */
  start(signal: AbortSignal, log?: (message: string, detail: Record<string, unknown>) => void): void {
    this.#running = Promise.all(viewKinds.map((kind) => this.#follow(kind, signal, log)));
  }

  async stopped(): Promise<void> {
    await this.#running;
  }

  /** Whether all kinds were listed once: before that an absence means nothing. */
  get synced(): boolean {
    return this.#synced.size === viewKinds.length;
  }

  /** Whether what the view has of this kind is what there is: it was listed, and is watched. */
  hears(kind: Kind): boolean {
    return this.#synced.has(kind) && !this.#unheard.has(kind);
  }

  async whenSynced(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const until = performance.now() + timeoutMs;
    while (!this.synced && performance.now() < until && !signal?.aborted) await sleep(20);
    return this.synced;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(object: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>): Observed | undefined {
    const entry = this.#entries.get(objectPath(object));
    return entry && observedOf(entry);
  }

  /** Whether the cluster has all of this stamped object already. */
  has(wanted: KubernetesObject): boolean {
    const entry = this.#entries.get(objectPath(wanted));
    if (!entry) return false;
    const hash = appliedHash(wanted);
    if (hash !== undefined && entry.matched === hash) return true;
    const observed = observedOf(entry);
    if (observed.metadata.deletionTimestamp !== undefined) return false;
    const same = holds(observed, wanted.kind === 'Secret' ? hashedData(wanted) : wanted);
    if (same && hash !== undefined) entry.matched = hash;
    return same;
  }

  *all(kind: Kind): Generator<Observed> {
    for (const entry of this.#entries.values()) if (entry.kind === kind) yield observedOf(entry);
  }

  *allIn(where: string | readonly string[], kind: Kind): Generator<Observed> {
    for (const namespace of [where].flat()) yield* this.named(namespace, kind, '');
  }

  /** Those whose name begins so: of a namespace that all tenants have something in, one tenant's alone are read. */
  *named(namespace: string, kind: Kind, beginning: string): Generator<Observed> {
    for (const path of this.#within.get(namespace) ?? []) {
      const entry = this.#entries.get(path);
      if (entry?.kind === kind && path.slice(path.lastIndexOf('/') + 1).startsWith(beginning)) yield observedOf(entry);
    }
  }

  /**
   * Runs a write of ours and takes in what it answers, so that the next look does not wait for the watch. Whether the watch
   * or the answer tells of it first, it is no news: whoever writes goes on looking.
   */
  async learn(wanted: KubernetesObject, write: () => Promise<Observed>): Promise<void> {
    const path = objectPath(wanted);
    this.#expected.set(path, appliedHash(wanted));
    this.#writes += 1;
    try {
      const object = await write();
      const { uid, resourceVersion } = object.metadata;
      const endedAt = this.#ended.get(uid);
      if (endedAt === undefined || isNewer(resourceVersion, endedAt)) this.#put(object.kind as Kind, object, false);
    } finally {
      this.#expected.delete(path);
      this.#writes -= 1;
      if (this.#writes === 0) this.#ended.clear();
    }
  }

  async #follow(
    { kind, apiVersion, optional = false }: ViewKind,
    signal: AbortSignal,
    log?: (message: string, detail: Record<string, unknown>) => void,
  ): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        let version: string | undefined = await this.#list(kind, apiVersion, signal);
        this.#synced.add(kind);
        this.#unheard.delete(kind);
        while (!signal.aborted && version !== undefined) {
          const startedMs = performance.now();
          const lasted = () => performance.now() - startedMs >= healthyMs;
          try {
            version = await this.#watch(kind, apiVersion, version, signal);
          } finally {
            // Only a watch that lasted shows health: a server that lists but does not watch must not be asked in a circle.
            if (lasted()) failures = 0;
          }
          if (!lasted()) await pause((failures += 1), 0, signal);
        }
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#unheard.add(kind);
        if (failures === 1)
          log?.('a watch of the cluster broke; it will be listed again', {
            kind,
            error: error instanceof Error ? error.message : String(error),
          });
        // A kind that the cluster does not have yet (ARC is not installed): nothing of ours can be of it.
        const status = error instanceof ClusterRefused ? error.refusal.status : undefined;
        if (status === 404 || (optional && status === 403)) this.#synced.add(kind);
        await pause(failures, error instanceof AppError ? (error.retryAfterMs ?? 0) : 0, signal);
      }
    }
  }

  #path(kind: Kind, apiVersion: string): string {
    return `${groupPath(apiVersion)}/${kinds[kind].plural}`;
  }

  async #list(kind: Kind, apiVersion: string, signal: AbortSignal): Promise<string> {
    const seen = new Set<string>();
    let from: string | undefined;
    for (;;) {
      const page = await this.client.call<{
        metadata: { resourceVersion: string; continue?: string };
        items: Observed[];
      }>(
        {
          method: 'GET',
          path: this.#path(kind, apiVersion),
          query: { labelSelector: selector, limit: String(pageSize), continue: from },
          signal,
        },
        `the list of ${kind}`,
      );
      for (const item of page.items) seen.add(this.#put(kind, { ...item, kind, apiVersion }, true));
      from = page.metadata.continue;
      if (!from) {
        this.#forgetUnseen(kind, seen, page.metadata.resourceVersion);
        return page.metadata.resourceVersion;
      }
    }
  }

  /** What a new list does not have was deleted while we did not watch, unless we made it since the list was taken. */
  #forgetUnseen(kind: Kind, seen: Set<string>, version: string): void {
    for (const [path, entry] of this.#entries) {
      const isSince = decimal.test(version) && isNewer(entry.resourceVersion, version);
      if (entry.kind === kind && !seen.has(path) && !isSince) this.#drop(path, entry);
    }
  }

  /** The version to go on from; undefined when the server has forgotten it (410) and a new list is due. */
  async #watch(kind: Kind, apiVersion: string, version: string, signal: AbortSignal): Promise<string | undefined> {
    const query = {
      labelSelector: selector,
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: version,
      timeoutSeconds: String(watchSeconds),
    };
    const response = await this.client.raw(
      { method: 'GET', path: this.#path(kind, apiVersion), query, signal },
      (watchSeconds + 30) * 1000,
    );
    if (response.statusCode !== 200) {
      const text = await response.body.text();
      if (response.statusCode === 410) return undefined;
      throw this.client.refused(response, text, `the watch of ${kind}`);
    }
    let last = version;
    for await (const line of linesOf(response.body)) {
      const event = JSON.parse(line) as { type: string; object: Observed };
      if (event.type === 'ERROR') return undefined;
      last = event.object.metadata.resourceVersion;
      if (event.type === 'DELETED') {
        const path = objectPath({ ...event.object, kind, apiVersion });
        const entry = this.#entries.get(path);
        const { uid } = event.object.metadata;
        if (this.#writes > 0) this.#ended.set(uid, last);
        // The end of a namesake that came before tells nothing of what is there now.
        if (entry?.uid === uid) this.#drop(path, entry);
      } else if (event.type !== 'BOOKMARK') this.#put(kind, { ...event.object, kind, apiVersion }, true);
    }
    return last;
  }

  #put(kind: Kind, object: Observed, announce: boolean): string {
    const path = objectPath(object);
    const before = this.#entries.get(path);
    const { uid, resourceVersion, namespace } = object.metadata;
    if (before && !isNewer(resourceVersion, before.resourceVersion)) return path;
    const text = JSON.stringify(compact(object));
    const isSame = before?.uid === uid && before.text === text;
    const matched = isSame ? before.matched : undefined;
    const known = { kind, namespace, uid, resourceVersion, text };
    this.#entries.set(path, matched === undefined ? known : { ...known, matched });
    if (!before && namespace !== undefined)
      this.#within.set(namespace, (this.#within.get(namespace) ?? new Set()).add(path));
    if (announce && !isSame && !this.#isExpected(path, object)) this.#announce(kind, object, false);
    return path;
  }

  /** True once a write: a second event within it is somebody else's, even where it keeps our hash. */
  #isExpected(path: string, object: Observed): boolean {
    const hash = this.#expected.get(path);
    if (hash === undefined || hash !== appliedHash(object)) return false;
    this.#expected.delete(path);
    return true;
  }

  #drop(path: string, entry: Entry): void {
    this.#entries.delete(path);
    const within = this.#within.get(entry.namespace ?? '');
    within?.delete(path);
    if (within?.size === 0) this.#within.delete(entry.namespace ?? '');
    this.#announce(entry.kind, observedOf(entry), true);
  }

  #announce(kind: Kind, object: Observed, deleted: boolean): void {
    const { name, namespace, labels } = object.metadata;
    const change = {
      kind,
      name,
      namespace,
      tenant: labels?.[tenantLabel],
      enrollment: labels?.[enrollmentLabel],
      deleted,
      first: !this.#synced.has(kind),
      object,
    };
    for (const listener of this.#listeners) listener(change);
  }
}

const decimal = /^\d{1,30}$/;

/** A late event, or a replica that lags behind, must not undo what is known. Versions are decimal numbers that grow (KEP-5504). */
function isNewer(version: string, known: string): boolean {
  return decimal.test(version) && decimal.test(known) ? BigInt(version) > BigInt(known) : version !== known;
}

const selector = `app.kubernetes.io/managed-by=${managedBy}`;

/** Secret values are kept and compared as hashes: the view holds no secret. */
function hashedData(object: KubernetesObject): KubernetesObject {
  const data = (object['data'] ?? {}) as Record<string, string>;
  const hash = (value: string) => createHash('sha256').update(value).digest('base64');
  return { ...object, data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, hash(value)])) };
}

/** A quota's status counts what runs: it changes with every runner, and nothing of ours depends on it. A runner's spec is its set's. */
function compact(object: Observed): KubernetesObject {
  const {
    managedFields: _,
    resourceVersion: __,
    ...metadata
  } = object.metadata as Observed['metadata'] & { managedFields?: unknown };
  const slim: KubernetesObject = { ...object, metadata };
  if (object.kind === 'ResourceQuota') delete slim['status'];
  if (object.kind === 'EphemeralRunner') delete slim['spec'];
  return object.kind === 'Secret' ? hashedData(slim) : slim;
}

function observedOf(entry: Entry): Observed {
  const object = JSON.parse(entry.text) as Observed;
  object.metadata.resourceVersion = entry.resourceVersion;
  return object;
}
