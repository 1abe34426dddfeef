/** A form as the object that its field names describe: `pools.docker.maxRunners` nests, `planes[]` is a list. */
export type FormObject = { [name: string]: FormValue };
export type FormValue = string | string[] | FormObject;

const depthMost = 5;
const fieldsMost = 5_000;
const forbidden = new Set(['__proto__', 'constructor', 'prototype']);

/** Null where the names are not a form of ours: too deep, too many, or reaching for a prototype. Files are left out. */
export function formObject(form: FormData): FormObject | null {
  const root: FormObject = Object.create(null) as FormObject;
  let fields = 0;
  for (const [name, value] of form) {
    // React's own fields, which say which action is meant.
    if (name.startsWith('$ACTION') || typeof value !== 'string') continue;
    fields += 1;
    if (fields > fieldsMost || !put(root, name, value)) return null;
  }
  return root;
}

function put(root: FormObject, name: string, value: string): boolean {
  const isList = name.endsWith('[]');
  const parts = (isList ? name.slice(0, -2) : name).split('.');
  if (parts.length > depthMost || parts.some((part) => part === '' || forbidden.has(part))) return false;
  const last = parts.pop() ?? '';
  let at = root;
  for (const part of parts) {
    const next = (at[part] ??= Object.create(null) as FormObject);
    if (typeof next === 'string' || Array.isArray(next)) return false;
    at = next;
  }
  const before = at[last];
  if (!isList) {
    if (before !== undefined) return false;
    at[last] = value;
    return true;
  }
  if (before !== undefined && !Array.isArray(before)) return false;
  at[last] = [...(before ?? []), value];
  return true;
}

/** Fields that are never sent back to the browser, whatever form they are in: they are typed again. */
const secret = /(^|\.)(privateKey|token|secret|clientSecret|password)$/;

/** What was typed, by field name, so that an error loses nothing of it but secrets. */
export function typedValues(form: FormData): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of form) {
    if (typeof value !== 'string' || name.startsWith('$ACTION') || forbidden.has(name) || secret.test(name)) continue;
    values[name] = value;
  }
  return values;
}
