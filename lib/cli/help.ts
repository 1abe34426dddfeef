import type { Command, Option } from './command.ts';
import { exitCodes, exitCodeWords } from './terminal.ts';

type Shown = Omit<Command, 'run'>;

function usageOf({ name, args, choices, program = `flywheel ${name}` }: Shown): string {
  const shown = args.map((arg, at) => (at === 0 && choices ? choices.join('|') : arg));
  return [program, ...shown].join(' ');
}

function optionUsage(name: string, { short, type, value }: Option): string {
  const long = `${short ? `-${short}, ` : '    '}--${name}`;
  if (type === 'boolean') return long;
  return `${long} ${typeof value === 'object' ? value.join('|') : (value ?? 'VALUE')}`;
}

/** Two columns: what is written, and what it means. */
function columns(rows: readonly (readonly [string, string])[], width: number): string {
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}

const wrapAt = 100;

/** Lines of at most this width, those after the first set in; what is set in already is a list and stays. */
function wrapped(text: string, width = wrapAt, indent = ''): string {
  return text
    .split('\n')
    .map((line) => {
      if (line.startsWith(' ')) return line;
      const lines: string[] = [];
      for (const word of line.split(' ')) {
        const last = lines.at(-1);
        if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
        else lines.push(word);
      }
      return lines.join(`\n${indent}`);
    })
    .join('\n');
}

const optionWidthMost = 32;

function optionLines(options: Shown['options']): string {
  const rows = Object.entries(options).map(([name, option]) => [optionUsage(name, option), option.says] as const);
  const width = Math.min(optionWidthMost, Math.max(...rows.map(([left]) => left.length)));
  const indent = ' '.repeat(width + 4);
  return rows
    .map(([left, right]) => {
      const words = wrapped(right, wrapAt - indent.length, indent);
      return left.length > width ? `  ${left}\n${indent}${words}\n` : `  ${left.padEnd(width)}  ${words}\n`;
    })
    .join('');
}

export function commandHelp(shown: Shown): string {
  const { says, details, options } = shown;
  const parts = [
    `${wrapped(`${says[0]?.toUpperCase()}${says.slice(1)}.`)}\n`,
    `  ${usageOf(shown)} [OPTIONS]\n`,
    ...(details ? [`${wrapped(details)}\n`] : []),
    optionLines(options),
  ];
  return parts.join('\n');
}

export function exitCodeLines(): string {
  const rows = Object.entries(exitCodes).map(
    ([name, code]) => [String(code), exitCodeWords[name as keyof typeof exitCodes]] as const,
  );
  return columns(rows, 1);
}

export function wholeHelp(commands: readonly Shown[]): string {
  const rows = commands.map((each) => [each.name, each.says] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  return `flywheel COMMAND [OPTIONS]

${columns(rows, width)}
"flywheel COMMAND --help" says more of each.

FLYWHEEL_TOKEN and FLYWHEEL_URL stand for who signed in, and are taken before it. Data goes to standard output; progress,
questions and errors to standard error. It ends with

${exitCodeLines()}`;
}

/** The part of docs/cli.md that is made of this. */
export function helpPage(commands: readonly Shown[]): string {
  const each = commands.map((shown) => `### ${shown.name}\n\n\`\`\`text\n${commandHelp(shown)}\`\`\`\n`);
  return each.join('\n');
}
