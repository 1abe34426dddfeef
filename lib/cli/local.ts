import { readFileSync } from 'node:fs';
import { LineCounter, parseAllDocuments } from 'yaml';
import product from '../../package.json' with { type: 'json' };
import { configCommand, configUsage } from '../config/index.ts';
import { AppError } from '../errors.ts';
import { command, type Command } from './command.ts';
import { yamlText } from './output.ts';
import { exitCodes, UsageError, type ExitCode, type Terminal } from './terminal.ts';

/* What needs no portal. */

export const render = command(
  {
    name: 'render',
    args: [],
    says: 'prints every Kubernetes object that documents stand for, without a portal',
    options: { file: { type: 'string', short: 'f', value: 'FILE', says: 'the documents; "-" reads standard input' } },
  },
  async ({ terminal, values: { file } }) => {
    if (file === undefined) throw new UsageError('render: -f is missing.');
    // It brings the client of a cluster with it, which no other command needs.
    const { documentObjects } = await import('../enrollment/document.ts');
    const text = file === '-' ? await terminal.readIn() : readFileSync(file, 'utf8');
    terminal.out(documentObjects(yamlValues(text, file)).map(yamlText).join('---\n'));
    return exitCodes.done;
  },
);

/** What a file of several documents holds; throws where it is no YAML. The lines around a mistake are shown unless they may have secrets in them. */
export function yamlValues(text: string, file: string, { quotes = true } = {}): unknown[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { prettyErrors: quotes, lineCounter: lines });
  const broken = documents.flatMap((document) => ('errors' in document ? document.errors : []))[0];
  if (broken)
    throw new AppError('invalid', {
      log: broken.message,
      screen: {
        happened: `${file === '-' ? 'Standard input' : file} is not YAML: ${quotes ? broken.message : `line ${lines.linePos(broken.pos[0]).line}`}`,
      },
    });
  return documents.map((document) => document.toJS() as unknown).filter((value) => value !== null);
}

/** It reads its own arguments: it is the portal's, and not a portal's. */
export const config: Command = {
  name: 'config',
  args: ['check|print|docs'],
  choices: ['check', 'print', 'docs'],
  says: 'for who runs a portal: checks and prints its configuration',
  details: configUsage,
  options: {
    config: { type: 'string', value: 'FILE', says: 'the file of YAML, beside the environment' },
    help: { type: 'boolean', short: 'h', says: 'says how it is used' },
  },
  run: runConfig,
};

async function runConfig(terminal: Terminal, words: readonly string[]): Promise<ExitCode> {
  if (words.includes('--help') || words.includes('-h')) {
    terminal.out((await import('./help.ts')).commandHelp(config));
    return exitCodes.done;
  }
  const { out, error, exitCode } = configCommand(words, terminal.environment);
  terminal.out(out);
  terminal.err(error);
  return exitCode;
}

export const version = command(
  { name: 'version', args: [], says: 'prints the version of this program', options: {} },
  async ({ terminal }) => {
    terminal.out(`flywheel ${product.version}\n`);
    return exitCodes.done;
  },
);
