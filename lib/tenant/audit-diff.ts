/** One field that a change touched, by its path. `null` is a field that was not there; values are JSON in one line. */
export type FieldChange = { path: string; before: string | null; after: string | null };

type Leaves = Map<string, string>;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function collect(value: unknown, path: string, into: Leaves): void {
  const entries = isObject(value) ? Object.entries(value) : Array.isArray(value) ? [...value.entries()] : null;
  if (entries === null || entries.length === 0) {
    into.set(path, typeof value === 'string' ? value : JSON.stringify(value));
    return;
  }
  for (const [key, each] of entries) {
    const step = typeof key === 'number' ? `[${key}]` : path === '' ? key : `.${key}`;
    collect(each, `${path}${step}`, into);
  }
}

function leavesOf(value: unknown): Leaves {
  const leaves: Leaves = new Map();
  if (value !== null && value !== undefined) collect(value, '', leaves);
  return leaves;
}

/** What differs between two values of JSON, field by field, in the order of the later one. */
export function fieldChanges(before: unknown, after: unknown): FieldChange[] {
  const [old, now] = [leavesOf(before), leavesOf(after)];
  return [...new Set([...now.keys(), ...old.keys()])].flatMap((path): FieldChange[] => {
    const change = { path, before: old.get(path) ?? null, after: now.get(path) ?? null };
    return change.before === change.after ? [] : [change];
  });
}
