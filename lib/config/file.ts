import { readFileSync } from 'node:fs';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { FileGiven } from './gather.ts';

/** The file's settings with the line that each stands on. Throws where it cannot be read; what is not YAML is a problem of it. */
export function readFile(path: string): FileGiven {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`The configuration file ${path} ${unreadable(error)}.`, { cause: error });
  }
  return { path, ...parseFile(text) };
}

export function parseFile(text: string): Omit<FileGiven, 'path'> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineOf = (offset: number | undefined) => (offset === undefined ? 1 : lines.linePos(offset).line);
  // The library quotes what stands there, which may be a secret: only where it is is said.
  const problems = document.errors.map(({ code, pos }) => ({
    line: lineOf(pos[0]),
    says: code === 'DUPLICATE_KEY' ? 'names a setting that was named before' : 'is no YAML',
  }));
  const { contents } = document;
  if (problems.length > 0 || contents === null) return { entries: [], problems };
  if (!isMap(contents)) return { entries: [], problems: [{ line: 1, says: 'is to be settings by name' }] };
  const entries = contents.items.map(({ key, value }) => ({
    name: isScalar(key) ? String(key.value) : '',
    value: value === null ? null : (value as { toJS(of: typeof document): unknown }).toJS(document),
    line: lineOf(isScalar(key) ? key.range?.[0] : undefined),
  }));
  return { entries, problems };
}

export function unreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return { ENOENT: 'is not there', EACCES: 'may not be read', EISDIR: 'is a folder' }[code] ?? 'cannot be read';
}
