/** One field that a change touched, by its path. `null` is a field that was not there; values are JSON in one line. */
export type FieldChange = { path: string; before: string | null; after: string | null };

type Leaves = Map<string, string>;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** A list of plain values is read as one: what was added to it shows better in a line than in a line an item. */
function isPlainList(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each !== 'object' || each === null);
}

function collect(value: unknown, path: string, into: Leaves): void {
  if (isPlainList(value)) {
    into.set(path, value.map(textOf).join(', '));
    return;
  }
  const entries = isObject(value) ? Object.entries(value) : Array.isArray(value) ? [...value.entries()] : null;
  if (entries === null || entries.length === 0) {
    into.set(path, textOf(value));
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
