import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { invalidFields } from '../errors.ts';
import { referenceKey, referencesIn } from '../model/index.ts';
import { command, type Command } from './command.ts';
import { confirm, yesOption } from './confirm.ts';
import { differenceText, type Difference } from './difference.ts';
import { filesOption, readSources, type Source } from './documents.ts';
import { yamlValues } from './local.ts';
import { urlOption } from './login.ts';
import { outputOption, write } from './output.ts';
import { accessOf, Portal } from './portal.ts';
import { exitCodes, paintFor, printable, UsageError, type ExitCode, type Terminal } from './terminal.ts';

/*
 * What operators enter by documents. Secrets are referred to: the files and variables are of whoever runs this, and what they hold is
 * sent beside the documents and shown nowhere.
 */

type Request = { documents: unknown[]; secrets: Record<string, string>; dryRun: boolean };

const Answer = z.object({
  changes: z.array(
    z.object({
      name: z.string(),
      op: z.string(),
      fields: z.array(z.object({ path: z.string(), before: z.string().nullable(), after: z.string().nullable() })),
    }),
  ),
  kept: z.boolean(),
});
type Answer = z.infer<typeof Answer>;

/** Who does it: a portal that is asked, or the process that has the portal's database. */
export type ImportDoor = (request: Request) => Promise<unknown>;

const options = {
  file: filesOption,
  'dry-run': {
    type: 'boolean',
    says: 'shows what would be changed and changes nothing; ends with 3 where something would',
  },
  yes: yesOption,
  output: outputOption,
} as const;

export const operator: Command = command(
  {
    name: 'operator',
    args: ['import'],
    choices: ['import'],
    says: 'for operators: enters clusters, pools, rate cards, forges and cache servers from documents',
    details:
      'All of it is entered or none, and nothing where nothing differs. Secrets are referred to as { file: … }, from the folder of the document, or { env: … }. It takes a token of an operator with the scopes write and operator.',
    options: { url: urlOption, ...options },
  },
  async ({ terminal, values }) => {
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    const { file, yes, output } = values;
    return importWith(terminal, { file, yes, output, dryRun: values['dry-run'] }, (request) =>
      portal.change('POST', '/operator/import', request, Answer),
    );
  },
);

/** The same without a portal: for the command of the process, which asks nobody. */
export function importCommand(program: string, door: ImportDoor): Command {
  const said = {
    name: 'import',
    program,
    args: [],
    says: 'enters clusters, pools, rate cards, forges and cache servers from documents into the portal’s database',
    options: {
      ...options,
      config: { type: 'string', value: 'FILE', says: 'the configuration, where it is not in the environment' },
    },
  } as const;
  return command(said, async ({ terminal, values: { file, output, 'dry-run': dryRun } }) =>
    importWith(terminal, { file, yes: true, output, dryRun }, door),
  );
}

type Wish = {
  file: string[] | undefined;
  yes: boolean | undefined;
  output: string | undefined;
  dryRun: boolean | undefined;
};

async function importWith(
  terminal: Terminal,
  { file, yes, output, dryRun }: Wish,
  door: ImportDoor,
): Promise<ExitCode> {
  const request = await requestOf(terminal, file);
  const seen = Answer.parse(await door({ ...request, dryRun: true }));
  const differences = seen.changes.flatMap(differenceOf);
  if (output === 'json' || output === 'yaml') write(terminal, seen, output, () => []);
  else terminal.out(differenceText(differences, paintFor(terminal, terminal.isOutTerminal)));
  const count = (op: string) => seen.changes.filter((change) => change.op === op).length;
  const [added, changed, unchanged] = [count('added'), count('changed'), count('unchanged')];
  if (added + changed === 0) {
    terminal.err(
      `Nothing differs: ${unchanged === 1 ? 'it is' : `all ${unchanged} are`} there as the documents say.\n`,
    );
    return exitCodes.done;
  }
  if (dryRun) {
    terminal.err(`${added} would be added, ${changed} changed, ${unchanged} left as they are. Nothing was changed.\n`);
    return exitCodes.differs;
  }
  await confirm(terminal, yes, `Enter this: ${added} added, ${changed} changed?`);
  await door({ ...request, dryRun: false });
  terminal.err(`${added} added, ${changed} changed, ${unchanged} left as they were.\n`);
  return exitCodes.done;
}

async function requestOf(terminal: Terminal, files: string[] | undefined): Promise<Omit<Request, 'dryRun'>> {
  const documents: unknown[] = [];
  const secrets: Record<string, string> = {};
  const passed: string[] = [];
  for (const source of await readSources(terminal, files))
    for (const value of yamlValues(source.text, source.file, { quotes: false })) {
      const kind = kindOf(value);
      if (kind === null && !source.isNamed) continue;
      if (kind === 'Tenant' || kind === 'Enrollment') passed.push(kind);
      else {
        documents.push(value);
        addTo(secrets, valuesOf(terminal, source, value));
      }
    }
  if (passed.length > 0)
    terminal.err(`Passed over, since tenants and enrollments are entered by apply: ${passed.length}.\n`);
  if (documents.length === 0) throw new UsageError('There is no document to import.');
  return { documents, secrets };
}

/** The portal knows a value by its reference alone, and the same relative path is another file in another folder. */
function addTo(secrets: Record<string, string>, values: Record<string, string>): void {
  for (const [key, value] of Object.entries(values)) {
    if (Object.hasOwn(secrets, key) && secrets[key] !== value)
      throw invalidFields(
        { [key.replace(':', ' ')]: 'is one file for one document and another for another: give them two names' },
        'Two documents refer to different files by one name.',
      );
    secrets[key] = value;
  }
}

/** Null where it is no document of ours. */
function kindOf(value: unknown): string | null {
  const { apiVersion, kind } = (value ?? {}) as { apiVersion?: unknown; kind?: unknown };
  return typeof apiVersion === 'string' && apiVersion.startsWith('flywheel/') ? String(kind) : null;
}

/** A file is looked for from the document's own folder; its last line may end or not. */
function valuesOf(terminal: Terminal, { file }: Source, document: unknown): Record<string, string> {
  const folder = file === '-' ? process.cwd() : dirname(file);
  const found = referencesIn(document).map((reference): [string, string] => {
    const key = referenceKey(reference);
    const value =
      'file' in reference
        ? textOf(resolve(folder, reference.file), reference.file)
        : terminal.environment[reference.env];
    if (value === undefined || value.trim() === '')
      throw invalidFields(
        { [key.replace(':', ' ')]: 'is not there, or is empty' },
        'What a document refers to is missing.',
      );
    return [key, value];
  });
  return Object.fromEntries(found);
}

function textOf(path: string, named: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw invalidFields(
      { [`file ${printable(named)}`]: `cannot be read (${code})` },
      'What a document refers to is missing.',
    );
  }
}

function differenceOf({ name, op, fields }: Answer['changes'][number]): Difference[] {
  if (op === 'unchanged') return [];
  const told = (side: 'before' | 'after') =>
    fields.flatMap((field) =>
      field[side] === null ? [] : [`${field.path}: ${field[side].trim().replaceAll('\n', '\n  ')}`],
    );
  const lines = (side: 'before' | 'after') => told(side).flatMap((text) => text.split('\n'));
  return [{ name, before: op === 'added' ? null : lines('before'), after: lines('after') }];
}
