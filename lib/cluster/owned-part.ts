import type { KubernetesObject } from './objects.ts';

/*
 * The part of an object that one field manager has applied. Kubernetes keeps who owns which field beside each object, as
 * `fieldsV1`: `f:<name>` is a field, `k:<keys>` an item of a list by its keys, `v:<value>` an item by its value, `i:<place>` one by its
 * place, `.` the field itself, and an empty tree a value that is owned whole (structured-merge-diff, fieldpath/serialize.go).
 */

type Fields = { [step: string]: Fields };

export type ManagedObject = KubernetesObject & {
  metadata: { managedFields?: { manager?: string; subresource?: string; fieldsV1?: Fields }[] };
};

/** What the manager owns of an object, as it would have applied it; null where it owns nothing. */
export function ownedPart(object: ManagedObject, manager: string): KubernetesObject | null {
  const entries = (object.metadata.managedFields ?? []).filter(
    (entry) => entry.manager === manager && !entry.subresource && entry.fieldsV1,
  );
  if (entries.length === 0) return null;
  const fields = entries.map(({ fieldsV1 = {} }) => fieldsV1).reduce(united);
  const { metadata, status: _, ...rest } = owned(object, fields) as Record<string, unknown>;
  const { labels, annotations, finalizers } = (metadata ?? {}) as Partial<KubernetesObject['metadata']>;
  const { name, namespace } = object.metadata;
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
    },
    ...rest,
  };
}

/** Two trees of the same manager, which may have made an object and applied it since. A value owned whole stays whole. */
function united(a: Fields, b: Fields): Fields {
  if (isWhole(a) || isWhole(b)) return {};
  const both = { ...a };
  for (const [step, fields] of Object.entries(b)) both[step] = step in a ? united(a[step] ?? {}, fields) : fields;
  return both;
}

function isWhole(fields: Fields): boolean {
  return Object.keys(fields).length === 0;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function owned(value: unknown, fields: Fields): unknown {
  if (isWhole(fields)) return value;
  if (Array.isArray(value)) return ownedItems(value, fields);
  if (!isMap(value)) return value;
  const names = Object.keys(value).filter((name) => `f:${name}` in fields);
  return Object.fromEntries(names.map((name) => [name, owned(value[name], fields[`f:${name}`] ?? {})]));
}

/** In the order in which they are: lists by keys have one, and it counts for some. */
function ownedItems(items: readonly unknown[], fields: Fields): unknown[] {
  const steps = Object.entries(fields);
  return items.flatMap((item, index) => {
    const step = steps.find(([name]) => isItem(name, item, index));
    if (!step) return [];
    const [name, inner] = step;
    const part = owned(item, inner);
    return [isMap(part) && name.startsWith('k:') ? { ...keysOf(name), ...part } : part];
  });
}

function keysOf(step: string): Record<string, unknown> {
  return JSON.parse(step.slice(2)) as Record<string, unknown>;
}

function isItem(step: string, item: unknown, index: number): boolean {
  if (step.startsWith('i:')) return step === `i:${index}`;
  if (step.startsWith('v:')) return JSON.stringify(JSON.parse(step.slice(2))) === JSON.stringify(item);
  if (!step.startsWith('k:') || !isMap(item)) return false;
  return Object.entries(keysOf(step)).every(([key, value]) => item[key] === value);
}
