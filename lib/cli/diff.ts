import { command } from './command.ts';
import { differenceText } from './difference.ts';
import { filesOption, readDocuments } from './documents.ts';
import { lookAt, type Look } from './look.ts';
import { urlOption } from './login.ts';
import { outputOption, yamlText } from './output.ts';
import { accessOf, Portal } from './portal.ts';
import { exitCodes, paintFor, printable, type ExitCode, type Terminal } from './terminal.ts';

export const diff = command(
  {
    name: 'diff',
    args: [],
    says: 'shows what differs between documents and what there is, at forge, cluster and cache',
    details:
      'It changes nothing and keeps nothing: a token of the scope read will do. It ends with 0 where nothing differs, and with 3 where something does. An enrollment that is not there yet is shown as its document.',
    options: { url: urlOption, file: filesOption, output: outputOption },
  },
  async ({ terminal, values }) => {
    const documents = await readDocuments(terminal, values.file);
    const look = await lookAt(new Portal(terminal, accessOf(terminal, values.url)), documents);
    tellNotes(terminal, look);
    const differences = differencesOf(look);
    if (values.output === 'json') terminal.out(`${JSON.stringify(differences, null, 2)}\n`);
    else if (values.output === 'yaml') terminal.out(yamlText(differences));
    else terminal.out(differenceText(differences, paintFor(terminal, terminal.isOutTerminal)));
    if (tellRefusals(terminal, look)) return exitCodes.refused;
    return differences.length > 0 ? exitCodes.differs : exitCodes.done;
  },
);

/** A tenant that is not there yet is shown as its document, too. */
export function differencesOf({ tenants, enrollments }: Look) {
  const ofTenants = tenants.flatMap(({ document, present, quota }) => {
    if (quota) return [quota];
    if (present || !document) return [];
    return [
      { name: `Tenant/${document.metadata.name}`, before: null, after: yamlText(document).trimEnd().split('\n') },
    ];
  });
  return [...ofTenants, ...enrollments.flatMap(({ differences }) => differences)];
}

export function tellNotes(terminal: Terminal, { notes, enrollments, extra }: Look, isPruned = false): void {
  for (const note of notes) terminal.err(`${printable(note)}\n`);
  for (const { name, isUnderWay } of enrollments)
    if (isUnderWay) terminal.err(`${name} is being applied as it is here.\n`);
  if (extra.length > 0 && !isPruned)
    terminal.err(`In no document, and left alone: ${extra.map(({ name }) => name).join(', ')}.\n`);
}

/** Whether there was any. */
export function tellRefusals(terminal: Terminal, { tenants, enrollments }: Look): boolean {
  const refusals = [...tenants, ...enrollments].flatMap((each) =>
    each.refusal ? [{ name: 'slug' in each ? each.slug : each.name, error: each.refusal }] : [],
  );
  for (const { name, error } of refusals) tellRefusal(terminal, name, error);
  return refusals.length > 0;
}

export function tellRefusal(
  terminal: Terminal,
  name: string,
  { screen }: NonNullable<Look['tenants'][number]['refusal']>,
): ExitCode {
  const fields = Object.entries(screen.fields ?? {}).map(([field, message]) => `  ${field}: ${message}`);
  const lines = [
    `${name}: ${screen.happened}`,
    ...fields,
    screen.changed,
    ...(screen.todo === undefined ? [] : [screen.todo]),
  ];
  terminal.err(lines.map((line) => `${printable(line)}\n`).join(''));
  return exitCodes.refused;
}
