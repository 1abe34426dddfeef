import { problemLines, productionProblems, settingsOf, type Env } from './config/index.ts';

/* The only reader of the environment. What there is to set, and the file beside it, is lib/config's. */

export type { Env } from './config/index.ts';

let read: Env | undefined;

export function env(): Env {
  if (read) return read;
  const { env: settings, problems } = settingsOf(process.env);
  if (!settings) throw new Error(`Configuration:\n${problemLines(problems)}`);
  read = settings;
  return read;
}

/** A variable that this part cannot do without. */
export function required<Name extends keyof Env>(name: Name): NonNullable<Env[Name]> {
  const value = env()[name];
  if (value === undefined || value === null || value === '') throw new Error(`Configuration: ${name} is not set.`);
  return value;
}

/** `--config FILE` of a command: all that runs in this process reads it. */
export function configuredBy(path: string | undefined): void {
  if (path !== undefined) process.env['FLYWHEEL_CONFIG'] = path;
}

/** For web and worker as they begin: in production nothing starts that could not go on. */
export function begin(configPath?: string): void {
  configuredBy(configPath);
  const { NODE_ENV, FLYWHEEL_SANDBOX } = env();
  if (NODE_ENV !== 'production' || FLYWHEEL_SANDBOX === '1') return;
  const problems = productionProblems(settingsOf(process.env));
  if (problems.length > 0) throw new Error(`Configuration:\n${problemLines(problems)}`);
}

/** As it is, for the command that says what is wrong with it. */
export function environment(): Record<string, string | undefined> {
  return process.env;
}
