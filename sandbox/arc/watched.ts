import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type Kube, type Obj, pathOf } from './kube.ts';

interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T & { code?: number; message?: string };
}

interface List<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[];
}

const pageSize = 500;
const watchSeconds = 240;

export function keyOf(object: Obj): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/**
 * All objects of one kind, kept current by a watch. `changed` hears of every object that came, changed or went, also of
 * those that did so while the API server was away. What is read here may lag: whoever acts on absence must bear being told no.
 */
export class Watched<T extends Obj> {
  readonly #kube: Kube;
  readonly #kind: string;
  readonly #namespace: string | undefined;
  readonly #labels: string | undefined;
  readonly #objects = new Map<string, T>();
  readonly #listeners: ((key: string, now: T | undefined, before: T | undefined) => void)[] = [];

  constructor(kube: Kube, kind: string, where: { namespace?: string; labels?: string } = {}) {
    this.#kube = kube;
    this.#kind = kind;
    this.#namespace = where.namespace;
    this.#labels = where.labels;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(`${namespace ?? ''}/${name}`);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  onChange(listener: (key: string, now: T | undefined, before: T | undefined) => void): void {
    this.#listeners.push(listener);
  }

  /** One's own write, so that the next pass does not act on what was before it. The watch brings it again. */
  remember(object: T): void {
    const before = this.#objects.get(keyOf(object));
    if (!before || newer(object, before)) this.#objects.set(keyOf(object), object);
  }

  /** Resolves when the first list is in; watches until the signal. */
  run(signal: AbortSignal): Promise<void> {
    return new Promise((ready) => {
      void this.#loop(signal, ready);
    });
  }

  async #loop(signal: AbortSignal, ready: () => void): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (version === undefined) {
          version = await this.#list(signal);
          ready();
        }
        version = await this.#watch(version, signal);
        failures = 0;
      } catch {
        if (signal.aborted) return;
        // Whatever happened in between, and whoever gave up on the server meanwhile: everything is looked at again.
        version = undefined;
        failures += 1;
        await sleep(Math.min(5000, 100 * 2 ** failures), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<string> {
    const seen = new Set<string>();
    let from: string | undefined;
    for (;;) {
      const list: List<T> = await this.#kube.call({
        method: 'GET',
        path: this.#path({ limit: String(pageSize), ...(from ? { continue: from } : {}) }),
        signal,
      });
      // Items of a list come without their kind.
      for (const item of list.items) {
        const object = { ...item, kind: this.#kind };
        seen.add(keyOf(object));
        this.#set(object);
      }
      from = list.metadata.continue;
      if (!from) {
        for (const [key, object] of this.#objects) if (!seen.has(key)) this.#drop(object);
        return list.metadata.resourceVersion;
      }
    }
  }

  async #watch(from: string, signal: AbortSignal): Promise<string> {
    let version = from;
    const path = this.#path({
      watch: '1',
      resourceVersion: from,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(watchSeconds),
    });
    for await (const line of this.#kube.lines(path, signal)) {
      const { type, object } = JSON.parse(line) as WatchEvent<T>;
      if (type === 'ERROR') throw new ApiError(`watch ${this.#kind}`, object.code ?? 410, 'Gone', object.message ?? '');
      version = object.metadata.resourceVersion ?? version;
      if (type === 'ADDED' || type === 'MODIFIED') this.#set(object);
      if (type === 'DELETED') this.#drop(object);
    }
    return version;
  }

  #set(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before && before.metadata.uid === object.metadata.uid && newer(before, object)) return;
    this.#objects.set(key, object);
    for (const listener of this.#listeners) listener(key, object, before);
  }

  #drop(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    this.#objects.delete(key);
    for (const listener of this.#listeners) listener(key, undefined, before ?? object);
  }

  #path(query: Record<string, string>): string {
    const all = new URLSearchParams({ ...query, ...(this.#labels ? { labelSelector: this.#labels } : {}) });
    return `${pathOf(this.#kind, this.#namespace)}?${all.toString()}`;
  }
}

/** Versions of one server are numbers that grow, which Kubernetes promises since 1.35. */
function newer(a: Obj, b: Obj): boolean {
  return Number(a.metadata.resourceVersion ?? 0) > Number(b.metadata.resourceVersion ?? 0);
}
