import { nearest } from './nearest.ts';
import { aboutKey, fileKeys, keys, type Key } from './keys.ts';

/* What was given, from where, and what is not to be understood of it. Values are texts, as in the environment. */

/** `at` is where it stands, in words; nothing where it is missing. */
export type Problem = { key: string; says: string; at: string };

export type FileGiven = {
  path: string;
  entries: { name: string; value: unknown; line: number }[];
  problems: { line: number; says: string }[];
};

type Sources = {
  environment: Record<string, string | undefined>;
  file: FileGiven | null;
  /** Reads a secret's file, by its path as it was given. */
  readSecret: (path: string, source: 'environment' | 'file') => { value: string } | { reason: string };
};

export type Gathered = {
  values: Partial<Record<Key, string>>;
  /** Where each that was given comes from. */
  from: Partial<Record<Key, string>>;
  problems: Problem[];
};

export function problemLines(problems: readonly Problem[]): string {
  return problems.map(({ key, says, at }) => `${key}${at === '' ? '' : ` (${at})`}: ${says}.\n`).join('');
}

type Given = { name: string; text: string; at: string; source: 'environment' | 'file' };

export function gather({ environment, file, readSecret }: Sources): Gathered {
  const problems: Problem[] = (file?.problems ?? []).map(({ line, says }) => ({
    key: file?.path ?? '',
    says,
    at: `line ${line}`,
  }));
  const inFile = (file?.entries ?? []).flatMap((entry) => given(entry, problems));
  const inEnvironment = [...keys, ...fileKeys.keys()].flatMap((name): Given[] => {
    const text = environment[name];
    return text === undefined || text === '' ? [] : [{ name, text, at: 'environment', source: 'environment' }];
  });
  const gathered: Gathered = { values: {}, from: {}, problems };
  // In this order, so that the environment wins.
  for (const layer of [inFile, inEnvironment]) {
    refuseTwice(layer, problems);
    for (const each of layer) take(gathered, each, readSecret);
  }
  return gathered;
}

function take({ values, from, problems }: Gathered, each: Given, readSecret: Sources['readSecret']): void {
  const { name, text, at, source } = each;
  const secret = fileKeys.get(name);
  const key = secret ?? (name as Key);
  const read = secret ? readSecret(text, source) : { value: text };
  // Its path is not repeated: somebody may have put the secret there.
  if ('reason' in read) problems.push({ key: name, says: `names a file that ${read.reason}`, at });
  else if (read.value === '') problems.push({ key: name, says: 'names a file that is empty', at });
  else {
    values[key] = read.value;
    from[key] = secret ? `${at}, by the file ${text}` : at;
  }
}

/** A secret and its file at once: nobody can tell which was meant. */
function refuseTwice(layer: readonly Given[], problems: Problem[]): void {
  for (const { name, at } of layer) {
    const key = fileKeys.get(name);
    if (key !== undefined && layer.some((other) => other.name === key))
      problems.push({ key: name, says: `is given beside ${key}: give one of them`, at });
  }
}

function given({ name, value, line }: FileGiven['entries'][number], problems: Problem[]): Given[] {
  const at = `line ${line}`;
  const key = fileKeys.get(name) ?? keys.find((known) => known === name);
  const text = key === undefined ? null : textOf(value, fileKeys.has(name) ? undefined : aboutKey(key).kind);
  if (text !== null && typeof text === 'object') problems.push({ key: name, says: text.says, at });
  else if (text !== null) return [{ name, text, at, source: 'file' }];
  else problems.push({ key: name, says: unknown(name), at });
  return [];
}

function unknown(name: string): string {
  const near = nearest(name, [...keys, ...fileKeys.keys()]);
  return near === null ? 'is no setting' : `is no setting; ${near} is`;
}

/** A value of YAML as the text that it would be in the environment. */
function textOf(value: unknown, kind: 'list' | 'flag' | undefined): string | { says: string } {
  if (value === null || value === '') return { says: 'has no value' };
  if (kind === 'flag' && typeof value === 'boolean') return value ? '1' : '0';
  if (kind === 'list' && Array.isArray(value) && value.every(isPlain)) return value.join(',');
  if (isPlain(value)) return String(value);
  return { says: kind === 'list' ? 'is to be a list of texts' : 'is to be a single value' };
}

function isPlain(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

/** Names of the environment that nobody reads and that one of ours was probably meant by. */
export function misspelled(environment: Record<string, string | undefined>): Problem[] {
  const known = new Set<string>([...keys, ...fileKeys.keys(), 'FLYWHEEL_CONFIG', ...forCommandLine]);
  return Object.keys(environment).flatMap((name) => {
    if (known.has(name) || forTests.test(name)) return [];
    const near = nearest(name, [...known]);
    const isMeant = name.startsWith('FLYWHEEL_') || (near !== null && environment[near] === undefined);
    if (!isMeant) return [];
    return [{ key: name, says: near === null ? 'is no setting' : `is no setting; ${near} is`, at: 'environment' }];
  });
}

/** Of whoever asks a portal from the command line, and no setting of one. */
const forCommandLine = ['FLYWHEEL_TOKEN', 'FLYWHEEL_URL'];

/** What tests and tools call theirs. */
const forTests = /^FLYWHEEL_(TEST_|E2E_|CHROMIUM$)/;
