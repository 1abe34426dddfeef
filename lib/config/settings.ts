import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { gather, type Gathered, type Problem } from './gather.ts';
import { Env, keys } from './keys.ts';
import { readFile, unreadable } from './file.ts';

export type Settings = Gathered & {
  /** What counts, by default or as given; null where something is wrong. */
  env: Env | null;
  /** The file that was read; null where none was named. */
  path: string | null;
};

/** Everything that was given, and everything that is wrong with it. Throws where the file itself cannot be read. */
export function settingsOf(environment: Record<string, string | undefined>, configPath?: string): Settings {
  const named = configPath ?? environment['FLYWHEEL_CONFIG'];
  const path = named === undefined || named === '' ? null : resolve(named);
  const file = path === null ? null : readFile(path);
  const readSecret = (from: string, source: 'environment' | 'file') =>
    readFileSync(source === 'file' && path !== null ? resolve(dirname(path), from) : resolve(from), 'utf8').trim();
  const gathered = gather({ environment, file, readSecret: (...of) => orReason(() => readSecret(...of)) });
  const result = Env.safeParse(gathered.values);
  const problems = [...gathered.problems, ...(result.success ? [] : problemsOf(result.error.issues, gathered))];
  return { ...gathered, path, problems, env: result.success && problems.length === 0 ? result.data : null };
}

function orReason(read: () => string): { value: string } | { reason: string } {
  try {
    return { value: read() };
  } catch (error) {
    return { reason: unreadable(error) };
  }
}

/** One a setting: the first says enough. */
function problemsOf(issues: readonly { path: PropertyKey[]; message: string }[], { from }: Gathered): Problem[] {
  return keys.flatMap((key) => {
    const issue = issues.find(({ path }) => path[0] === key);
    return issue ? [{ key, says: issue.message, at: from[key] ?? '' }] : [];
  });
}
