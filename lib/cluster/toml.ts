/**
 * TOML 1.0 as far as a runner's configuration needs it (https://toml.io/en/v1.0.0): tables, arrays of tables, strings, whole
 * numbers, booleans and lists of strings. Whatever a string holds, it stays within its quotes (A16).
 */
export type TomlTable = { readonly [key: string]: TomlValue | undefined };
export type TomlValue = string | number | boolean | readonly string[] | TomlTable | readonly TomlTable[];

/** A basic string. Its escapes are JSON's, and DEL besides; half a surrogate pair is no character there. */
function text(value: string): string {
  return JSON.stringify(value.toWellFormed()).replaceAll('\u007f', '\\u007f');
}

function keyText(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : text(key);
}

function scalar(value: string | number | boolean): string {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new RangeError(`not a whole number: ${value}`);
  return String(value);
}

function isTable(value: TomlValue | undefined): value is TomlTable {
  return typeof value === 'object' && !Array.isArray(value);
}

/** A list of strings, empty or not; an empty list of tables would be one of these as well, and says the same. */
function isList(value: TomlValue | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/** The fields of a table first, since after a sub-table's heading they would be its. */
function lines(table: TomlTable, path: readonly string[]): string[] {
  const own: string[] = [];
  const within: string[] = [];
  for (const [key, value] of Object.entries(table)) {
    if (value === undefined) continue;
    const at = [...path, keyText(key)];
    if (isTable(value)) within.push('', `[${at.join('.')}]`, ...lines(value, at));
    else if (isList(value)) own.push(`${keyText(key)} = [${value.map(text).join(', ')}]`);
    else if (typeof value === 'object')
      within.push(...value.flatMap((each) => ['', `[[${at.join('.')}]]`, ...lines(each, at)]));
    else own.push(`${keyText(key)} = ${scalar(value)}`);
  }
  return [...own, ...within];
}

export function toml(table: TomlTable): string {
  return `${lines(table, []).join('\n')}\n`;
}
