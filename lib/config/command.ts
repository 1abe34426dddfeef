import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { misspelled, problemLines } from './gather.ts';
import { aboutKey, defaultOf, keys, type Key } from './keys.ts';
import { configurationPage } from './page.ts';
import { productionProblems } from './production.ts';
import { settingsOf, type Settings } from './settings.ts';

export type CommandAnswer = { out: string; error: string; exitCode: 0 | 1 | 2 };

export const configUsage = `flywheel config check [--config FILE]    names every mistake: exit 0 where there is none, 1 where there is, 2 where FILE cannot be read
flywheel config print [--config FILE]    what counts and where it comes from, secrets hidden
flywheel config docs                     docs/configuration.md, from the schema`;

/** `flywheel config …`. The environment is handed in; FILE, and what it names, is read. No secret is in what it answers. */
export function configCommand(args: readonly string[], environment: Record<string, string | undefined>): CommandAnswer {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: 'string' } },
    });
    const [what, ...more] = positionals;
    const command = more.length === 0 ? commands[what ?? ''] : undefined;
    return command ? command(environment, values.config) : { out: '', error: `${configUsage}\n`, exitCode: 2 };
  } catch (error) {
    return { out: '', error: `${error instanceof Error ? error.message : String(error)}\n`, exitCode: 2 };
  }
}

type Command = (environment: Record<string, string | undefined>, config: string | undefined) => CommandAnswer;

const commands: Record<string, Command> = {
  check: (environment, config) => {
    const settings = settingsOf(environment, config);
    const problems = [...settings.problems, ...misspelled(environment), ...productionProblems(settings)];
    if (problems.length === 0) return { out: `${goodWords(settings)}\n`, error: '', exitCode: 0 };
    return { out: problemLines(problems), error: '', exitCode: 1 };
  },
  print: (environment, config) => {
    const settings = settingsOf(environment, config);
    const out = keys.map((key) => `${printed(key, settings)}\n`).join('');
    const { problems } = settings;
    return { out, error: problemLines(problems), exitCode: problems.length === 0 ? 0 : 1 };
  },
  docs: () => ({ out: configurationPage(), error: '', exitCode: 0 }),
};

function goodWords({ from, path }: Settings): string {
  const given = Object.values(from);
  const ofFile = given.filter((at) => at.startsWith('line ')).length;
  const file = path === null ? 'and there is no file' : `${ofFile} by ${path}`;
  return `The configuration would do: ${given.length - ofFile} set by the environment, ${file}; the rest is as by default.`;
}

/** As it may stand in the file; a secret, and what nothing is known of, as a comment. */
function printed(key: Key, { values, from }: Settings): string {
  const value = values[key] ?? defaultOf(key);
  const where = from[key] ?? 'by default';
  if (aboutKey(key).secret) return `# ${key}: ${values[key] === undefined ? 'not set' : `hidden, ${where}`}`;
  if (value === null) return `# ${key}: not set`;
  return `${stringify({ [key]: value }).trimEnd()} # ${where}`;
}
