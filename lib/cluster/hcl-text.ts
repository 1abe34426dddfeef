/* Values as HCL's native syntax has them (OpenTofu: Configuration Syntax, Expressions). */

/** An expression that stands as it is: a reference, never what came from elsewhere. */
export class Expression {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const identifier = /^[A-Za-z_][\w-]*$/;

/** A text in quotes, in which nothing is run: a `$` or `%` before a brace would begin a template there. */
export function hclString(text: string): string {
  const escaped = text
    .replaceAll('\\', () => String.raw`\\`)
    .replaceAll('"', () => String.raw`\"`)
    .replaceAll('\n', () => String.raw`\n`)
    .replaceAll('\r', () => String.raw`\r`)
    .replaceAll('\t', () => String.raw`\t`)
    .replaceAll(/[$%](?=[$%]*\{)|[\p{Cc}\p{Cf}\u2028\u2029]/gu, codePoint);
  return `"${escaped}"`;
}

function codePoint(mark: string): string {
  const code = mark.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** A value of JSON, an item a line. Throws TypeError for what HCL has no word for. */
export function hclValue(value: unknown, indent = ''): string {
  if (value instanceof Expression) return value.text;
  if (value === null) return 'null';
  if (typeof value === 'string') return hclString(value);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number' && Number.isFinite(value)) return numberText(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return `[\n${value.map((each) => `${inner}${hclValue(each, inner)},\n`).join('')}${indent}]`;
  }
  if (typeof value !== 'object') throw new TypeError(`HCL has no ${typeof value}`);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([key, each]) => `${inner}${keyText(key)} = ${hclValue(each, inner)}\n`);
  return `{\n${lines.join('')}${indent}}`;
}

function keyText(key: string): string {
  return identifier.test(key) && !['null', 'true', 'false', 'for'].includes(key) ? key : hclString(key);
}

/** Without an exponent's plus and never as `-0`. */
function numberText(value: number): string {
  return Object.is(value, -0) ? '0' : String(value).replace('e+', 'e');
}
