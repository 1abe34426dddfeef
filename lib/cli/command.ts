import { parseArgs } from 'node:util';
import { exitCodes, UsageError, type ExitCode, type Terminal } from './terminal.ts';

/* What the command line can do, as values: the same table is run, helped with, completed and written down. */

export type Option = {
  type: 'string' | 'boolean';
  short?: string;
  multiple?: true;
  /** What stands for its value in the help; of a few fixed ones, those. */
  value?: string | readonly string[];
  says: string;
};
type Options = Readonly<Record<string, Option>>;

type Value<O extends Option> = O['type'] extends 'boolean' ? boolean : O extends { multiple: true } ? string[] : string;
type Values<O extends Options> = { [Name in keyof O]?: Value<O[Name]> };

export type Call<O extends Options> = { terminal: Terminal; values: Values<O>; args: readonly string[] };

type Said<O extends Options> = {
  name: string;
  /** What it takes, as in `TENANT/ENROLLMENT`; in brackets where it may be left out. */
  args: readonly string[];
  /** Of a first argument with a few fixed values, those. */
  choices?: readonly string[];
  says: string;
  /** How it is called, where it is no command of `flywheel`. */
  program?: string;
  /** More, in sentences. */
  details?: string;
  options: O;
};

export type Command = Said<Options> & { run: (terminal: Terminal, words: readonly string[]) => Promise<ExitCode> };

const help = { type: 'boolean', short: 'h', says: 'says how it is used' } as const satisfies Option;

export function command<const O extends Options>(said: Said<O>, run: (call: Call<O>) => Promise<ExitCode>): Command {
  const options: Options = { ...said.options, help };
  return {
    ...said,
    options,
    run: async (terminal, words) => {
      const { values, positionals } = parsed(options, words);
      if (values['help'] === true) {
        // Imported here, since the help is made of all commands.
        terminal.out((await import('./help.ts')).commandHelp({ ...said, options }));
        return exitCodes.done;
      }
      refuseCount(said, positionals);
      refuseValues(options, values);
      return run({ terminal, values: values as Values<O>, args: positionals });
    },
  };
}

type Parsed = { values: Record<string, string | boolean | (string | boolean)[] | undefined>; positionals: string[] };

function parsed(options: Options, words: readonly string[]): Parsed {
  const given = Object.entries(options).map(([name, { type, short, multiple }]) => [
    name,
    { type, ...(short ? { short } : {}), ...(multiple ? { multiple } : {}) },
  ]);
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: Object.fromEntries(given) as Record<string, { type: 'string' | 'boolean' }>,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function refuseCount({ name, args, choices }: Omit<Said<Options>, 'options'>, given: readonly string[]): void {
  const least = args.filter((arg) => !arg.startsWith('[')).length;
  if (given.length < least) throw new UsageError(`${name}: ${args[given.length]} is missing.`);
  if (given.length > args.length) throw new UsageError(`${name}: ${given[args.length]} is one too many.`);
  const [first] = given;
  if (choices && first !== undefined && !choices.includes(first))
    throw new UsageError(`${name}: ${first} is none of ${choices.join(', ')}.`);
}

function refuseValues(options: Options, values: Parsed['values']): void {
  for (const [name, { value: allowed }] of Object.entries(options)) {
    const value = values[name];
    if (typeof allowed === 'object' && typeof value === 'string' && !allowed.includes(value))
      throw new UsageError(`--${name} is one of ${allowed.join(', ')}.`);
  }
}

/** A whole number of an option, within bounds. */
export function wholeNumber(name: string, text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= most) return value;
  throw new UsageError(`--${name} is a whole number, ${most} at most.`);
}
