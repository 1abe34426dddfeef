import { createHash } from 'node:crypto';
import type { KubernetesObject } from './manifests.ts';

/** Carries the hash of what was applied, so that a field which we no longer want shows as a difference too. */
export const appliedAnnotation = 'flywheel.dev/applied';

/** The object with the hash of itself: what is really sent. */
export function stamped(object: KubernetesObject): KubernetesObject {
  const hash = createHash('sha256').update(JSON.stringify(object)).digest('hex').slice(0, 32);
  return {
    ...object,
    metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, [appliedAnnotation]: hash } },
  };
}

/** Carries when that which it is from was decided: a time that no database knows is from after its backup. */
export const decidedAnnotation = 'flywheel.dev/decided';

/** The object as it is sent: no part of the hash, so that a decision that changes nothing of it writes nothing. */
export function dated(object: KubernetesObject, decidedAt: Date | undefined): KubernetesObject {
  if (decidedAt === undefined) return object;
  const annotations = { ...object.metadata.annotations, [decidedAnnotation]: decidedAt.toISOString() };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** Whether it is from a decision after the last one that is known. */
export function isLater({ metadata }: KubernetesObject, known: Date): boolean {
  const at = Date.parse(metadata.annotations?.[decidedAnnotation] ?? '');
  return at > known.getTime();
}

export function appliedHash(object: KubernetesObject): string | undefined {
  return object.metadata.annotations?.[appliedAnnotation];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Whether everything wanted is there. What the API server or a controller added (defaults, status, its own annotations and
 * finalizers) is no difference; a list must have the same length, save finalizers, which others share.
 */
export function holds(observed: unknown, wanted: unknown, field = ''): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(observed)) return wanted.length === 0 && observed === undefined;
    if (field === 'finalizers') return wanted.every((each) => observed.includes(each));
    return wanted.length === observed.length && wanted.every((each, index) => holds(observed[index], each));
  }
  if (isMap(wanted)) {
    // An empty map that was asked for is kept by no server: absent is the same.
    if (!isMap(observed)) return observed === undefined && Object.keys(wanted).length === 0;
    return Object.entries(wanted).every(([key, value]) => holds(observed[key], value, key));
  }
  return observed === wanted;
}

export type FieldChange = { path: string; before?: string; after?: string };

/** Fields that say nothing to a person: bookkeeping of the server, of kubectl (a copy of the object, values too) and of ours. */
const unshown = [
  /^metadata\.(uid|resourceVersion|generation|creationTimestamp|managedFields|selfLink)(\.|$)/,
  /^metadata\.annotations\.(flywheel\.dev\/applied|flywheel\.dev\/decided|kubectl\.kubernetes\.io\/last-applied-configuration)$/,
  /^status(\.|$)/,
];

function leaves(value: unknown, path: string, into: Map<string, string>): void {
  if (unshown.some((pattern) => pattern.test(path))) return;
  if (isMap(value)) {
    for (const [key, each] of Object.entries(value)) leaves(each, path === '' ? key : `${path}.${key}`, into);
  } else if (Array.isArray(value)) {
    value.forEach((each, index) => leaves(each, `${path}[${index}]`, into));
  } else if (value !== undefined && value !== null) {
    into.set(path, String(value));
  }
}

/** A Secret's values masked; one that differs from the other side's says so, and no more. */
function masked(object: KubernetesObject | undefined, other?: KubernetesObject): KubernetesObject | undefined {
  if (object?.kind !== 'Secret') return object;
  const values = (object['data'] ?? {}) as Record<string, string>;
  const others = other ? ((other['data'] ?? {}) as Record<string, string>) : values;
  const mask = (key: string) =>
    others[key] === undefined || others[key] === values[key] ? '<sealed>' : '<sealed, changed>';
  return { ...object, data: Object.fromEntries(Object.keys(values).map((key) => [key, mask(key)])) };
}

/** The fields that differ, in the order of the path, Secret values as `<sealed>`. */
export function fieldChanges(before: KubernetesObject | undefined, after: KubernetesObject | undefined): FieldChange[] {
  const old = new Map<string, string>();
  const fresh = new Map<string, string>();
  leaves(masked(before), '', old);
  leaves(masked(after, before), '', fresh);
  const paths = [...new Set([...old.keys(), ...fresh.keys()])].toSorted();
  return paths.flatMap((path) => {
    const was = old.get(path);
    const is = fresh.get(path);
    if (was === is) return [];
    return [{ path, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) }];
  });
}
