/**
 * `flywheel`, the command line for people and pipelines, over the portal's REST API.
 *
 * It promises that data goes to standard output and words to standard error; that the exit code says how it ended; that a
 * change whose answer is lost is done once; that documents may be applied again and again; and that nothing that came from
 * elsewhere acts on a terminal. It may touch the network, the files that it is named, and its own file of tokens. It needs
 * no database and no generated client, and knows no rule of the portal's: what is allowed is the portal's to say.
 */
import { AppError } from '../errors.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { commandHelp, wholeHelp } from './help.ts';
import { exitCodes, paintFor, printable, UsageError, type ExitCode, type Terminal } from './terminal.ts';

export { commands } from './commands.ts';
export { importCommand } from './operator.ts';
export { helpPage } from './help.ts';
export { ownTerminal } from './own-terminal.ts';
export type { Terminal } from './terminal.ts';

/** Runs one command to its end. Never throws. */
export async function run(terminal: Terminal, args: readonly string[]): Promise<ExitCode> {
  const [name, ...words] = args;
  try {
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') return help(terminal, words[0]);
    const found = commands.find((each) => each.name === (name === '--version' ? 'version' : name));
    if (!found) throw new UsageError(`There is no command ${printable(name)}.`);
    return await found.run(terminal, words);
  } catch (error) {
    return told(terminal, error, name);
  }
}

/** The same for one command of a program of its own. */
export async function runCommand(terminal: Terminal, command: Command, words: readonly string[]): Promise<ExitCode> {
  try {
    return await command.run(terminal, words);
  } catch (error) {
    return told(terminal, error, command.program ?? command.name);
  }
}

function help(terminal: Terminal, name: string | undefined): ExitCode {
  const found = commands.find((each) => each.name === name);
  terminal.out(found ? commandHelp(found) : wholeHelp(commands));
  return exitCodes.done;
}

/** What happened, whether anything was changed, what to do. */
function told(terminal: Terminal, error: unknown, name: string | undefined): ExitCode {
  const paint = paintFor(terminal, terminal.isErrTerminal);
  if (error instanceof UsageError) {
    const known = commands.some((each) => each.name === name);
    const program = name?.includes(' ') ? name : ['flywheel', ...(known ? [name] : [])].join(' ');
    terminal.err(`${error.message}\n"${program} --help" says how it is used.\n`);
    return exitCodes.usage;
  }
  if (!(error instanceof AppError)) {
    terminal.err(`${paint('red', 'Failed:')} ${error instanceof Error ? error.message : String(error)}\n`);
    return exitCodes.refused;
  }
  const { happened, changed, todo, fields } = error.screen;
  const lines = [
    paint('red', printable(happened)),
    ...Object.entries(fields ?? {}).map(([field, message]) => `  ${printable(field)}: ${printable(message)}`),
    printable(changed),
    ...(todo === undefined ? [] : [printable(todo)]),
    ...(error.message.startsWith('request ') ? [paint('dim', error.message)] : []),
  ];
  terminal.err(`${lines.join('\n')}\n`);
  return error.code === 'unauthenticated' ? exitCodes.signedOut : exitCodes.refused;
}
