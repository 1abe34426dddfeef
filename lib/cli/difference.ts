import type { Change } from './shapes.ts';
import { printable, type Paint } from './terminal.ts';

/* What differs, in the manner of `diff -u`: each object under its name, a line for each that is and each that is to be. */

export type Difference = {
  /** `cluster/NetworkPolicy/runners-acme/allow-dns`, `Enrollment/acme/app`. */
  name: string;
  /** Null where it is not there, or is not to be. */
  before: readonly string[] | null;
  after: readonly string[] | null;
};

const linesOf = (text: string): string[] => text.replace(/\n$/, '').split('\n');

const nameOf = ({ where, kind, namespace, name }: Change): string =>
  [where, kind, ...(namespace === undefined || namespace === '' ? [] : [namespace]), name].join('/');

/** A change of a plan. What is added or taken away is shown whole, of what is changed the fields. */
export function differenceOf(change: Change): Difference {
  const { op, fields, yaml } = change;
  const name = nameOf(change);
  const told = (side: 'before' | 'after') => fields.flatMap((field) => fieldLines(field.path, field[side]));
  if (op === '+') return { name, before: null, after: yaml === undefined ? told('after') : linesOf(yaml) };
  if (op === '-') return { name, before: yaml === undefined ? told('before') : linesOf(yaml), after: null };
  return { name, before: told('before'), after: told('after') };
}

function fieldLines(path: string, value: string | undefined): string[] {
  if (value === undefined) return [];
  const [first = '', ...rest] = linesOf(value);
  return rest.length === 0 ? [`${path}: ${first}`] : [`${path}:`, ...[first, ...rest].map((line) => `  ${line}`)];
}

/** Values by the path that they are at, of what YAML can say. */
function leaves(value: unknown, path = ''): Map<string, string> {
  if (value === undefined) return new Map();
  const isNest = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isNest) return new Map([[path, typeof value === 'string' ? value : JSON.stringify(value)]]);
  const inner = Object.entries(value).map(([key, each]) => {
    const step = Array.isArray(value) ? `[${key}]` : path === '' ? key : `.${key}`;
    return leaves(each, path + step);
  });
  return new Map(inner.flatMap((each) => [...each]));
}

/** The fields in which two values of one thing differ; null where they do not. */
export function fieldDifference(name: string, before: unknown, after: unknown): Difference | null {
  const [was, is] = [leaves(before), leaves(after)];
  const paths = [...new Set([...was.keys(), ...is.keys()])].filter((path) => was.get(path) !== is.get(path));
  if (paths.length === 0) return null;
  const told = (side: Map<string, string>) => paths.flatMap((path) => fieldLines(path, side.get(path)));
  return { name, before: told(was), after: told(is) };
}

/** As text; nothing where nothing differs. */
export function differenceText(differences: readonly Difference[], paint: Paint): string {
  return differences.map((each) => text(each, paint)).join('');
}

function text({ name, before, after }: Difference, paint: Paint): string {
  const shown = printable(name);
  const lines = [
    paint('bold', `--- ${before === null ? '/dev/null' : `portal: ${shown}`}`),
    paint('bold', `+++ ${after === null ? '/dev/null' : `documents: ${shown}`}`),
    ...(before ?? []).map((line) => paint('red', `-${printable(line)}`)),
    ...(after ?? []).map((line) => paint('green', `+${printable(line)}`)),
  ];
  return `${lines.join('\n')}\n`;
}
