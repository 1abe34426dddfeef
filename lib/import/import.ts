import { z } from 'zod';
import { unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { appendAudit, appendSystemAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { kinds, operatorKinds, type Entry, type Said } from './kinds.ts';
import { resolved } from './secrets.ts';

const documentsMost = 500;

export const ImportInput = z.strictObject({
  documents: z
    .array(z.unknown())
    .min(1, 'are missing')
    .max(documentsMost, `are at most ${documentsMost} at once`)
    .describe('Documents of the kinds Cluster, Pool, RateCard, Forge and CacheServer.'),
  secrets: z
    .record(z.string().max(520), z.string().max(100_000))
    .default({})
    .describe('What the documents refer to, by `file:` or `env:` and the name that stands in them.'),
  dryRun: z.boolean().default(false).describe('Says what would be changed, and keeps nothing.'),
});
export type ImportInput = z.output<typeof ImportInput>;

const field = z.object({ path: z.string(), before: z.string().nullable(), after: z.string().nullable() });
export const ImportAnswer = z.object({
  changes: z.array(
    z.object({ name: z.string(), op: z.enum(['added', 'changed', 'unchanged']), fields: z.array(field) }),
  ),
  kept: z.boolean().describe('False for a dry run, and where nothing differs.'),
});
export type ImportAnswer = z.output<typeof ImportAnswer>;

type Change = ImportAnswer['changes'][number];
type Named = Entry & { name: string; order: number };

/** By an operator, or with nobody asking: by whoever has the portal's database and its key. */
export async function importDocuments(by: PersonCtx | null, input: ImportInput, now: Date): Promise<ImportAnswer> {
  if (by && !by.person.isOperator) throw notFound();
  const entries = entriesOf(input).toSorted((a, b) => a.order - b.order);
  for (const entry of entries) await at(entry.name, () => entry.attempt?.());
  const changes = await entered(by, entries, input.dryRun, now);
  const differs = changes.some(({ op }) => op !== 'unchanged');
  if (!input.dryRun) for (const { kept } of entries) kept?.();
  return { changes, kept: differs && !input.dryRun };
}

// ------------------------------------------------------------------------------------------------ what was given

const Document = z.strictObject({
  apiVersion: z.literal('flywheel/v1', 'is flywheel/v1'),
  kind: z.string(),
  metadata: z.strictObject({ name: z.string() }),
  spec: z.record(z.string(), z.unknown()),
});

/** All that is wrong with all of them is said at once. */
function entriesOf({ documents, secrets }: ImportInput): Named[] {
  const problems: Record<string, string> = {};
  const entries = documents.flatMap((value, index): Named[] => {
    const name = nameOf(value) ?? `document ${index + 1}`;
    const fields = fieldsOf(() => entryOf(value, secrets));
    if ('entry' in fields) return [{ ...fields.entry, name }];
    for (const [path, message] of Object.entries(fields.problems)) problems[`${name}: ${path}`] = message;
    return [];
  });
  const names = entries.map(({ name }) => name);
  for (const name of names.filter((each, place) => names.indexOf(each) !== place))
    problems[name] = 'is there more than once';
  if (Object.keys(problems).length > 0) throw invalidFields(problems, 'The documents do not fit.');
  return entries;
}

function nameOf(value: unknown): string | null {
  const { data } = Document.pick({ kind: true, metadata: true }).loose().safeParse(value);
  return data ? `${data.kind}/${data.metadata.name}` : null;
}

function entryOf(value: unknown, secrets: ImportInput['secrets']): Entry & { order: number } {
  const { kind: name, metadata, spec } = Document.parse(value);
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (!kind) throw invalidFields({ kind: `is one of ${operatorKinds.join(', ')}` });
  const said = z.object({ metadata: z.object({ name: kind.name }) }).parse({ metadata });
  const given = prefixed('spec', () => resolved(spec, kind, secrets));
  const entry = prefixed('spec', () => kind.read(said.metadata.name, given));
  // One that shares the server of another cluster comes when that is there.
  const isLast = name === 'Cluster' && typeof spec['attic'] === 'string';
  return { ...entry, order: isLast ? operatorKinds.length : kind.order };
}

function prefixed<T>(prefix: string, run: () => T): T {
  const fields = fieldsOf(run);
  if ('entry' in fields) return fields.entry;
  const problems = Object.entries(fields.problems).map(([path, message]) => [
    path === whole ? prefix : `${prefix}.${documentField(path)}`,
    message,
  ]);
  throw invalidFields(Object.fromEntries(problems) as Record<string, string>);
}

/** A field of a page by the name that it has in a document. */
function documentField(path: string): string {
  const names: Record<string, string> = { name: 'title', kind: 'forge', clusterId: 'cluster' };
  return names[path] ?? path.replace(/^spec\./, '');
}

/** What no field alone is to blame for. */
const whole = '(all)';

function fieldsOf<T>(run: () => T): { entry: T } | { problems: Record<string, string> } {
  try {
    return { entry: run() };
  } catch (error) {
    if (error instanceof z.ZodError)
      return {
        problems: Object.fromEntries(error.issues.map(({ path, message }) => [path.join('.') || whole, message])),
      };
    if (error instanceof AppError && error.screen.fields) return { problems: error.screen.fields };
    throw error;
  }
}

// ------------------------------------------------------------------------------------------------ entering

/** What one document is refused for, under its name. */
async function at<T>(name: string, run: () => Promise<T> | T): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { fields, happened, todo } = error.screen;
    if (!fields)
      throw new AppError(error.code, {
        log: error.message,
        screen: { happened: `${name}: ${happened}`, ...(todo ? { todo } : {}) },
      });
    const named = Object.entries(fields).map(([path, message]) => [`${name}: spec.${documentField(path)}`, message]);
    throw invalidFields(Object.fromEntries(named) as Record<string, string>, happened);
  }
}

/** Thrown where nothing is to be kept, so that the transaction ends as if it had not been. */
class DryRun extends Error {
  readonly changes: Change[];

  constructor(changes: Change[]) {
    super('a dry run');
    this.changes = changes;
  }
}

async function entered(by: PersonCtx | null, entries: readonly Named[], dryRun: boolean, now: Date): Promise<Change[]> {
  try {
    return await unsafeTransaction(async (tx) => {
      // Two at once are one after the other.
      await tx.$queryRaw`select pg_advisory_xact_lock(hashtextextended('import', 0))::text`;
      const changes: Change[] = [];
      for (const entry of entries) changes.push(await at(entry.name, () => enteredOne(tx, by, entry, now)));
      if (dryRun) throw new DryRun(changes);
      return changes;
    });
  } catch (error) {
    if (error instanceof DryRun) return error.changes;
    throw error;
  }
}

async function enteredOne(
  tx: UnsafeTx,
  by: PersonCtx | null,
  { name, target, enter }: Named,
  now: Date,
): Promise<Change> {
  const said = await enter(tx, now);
  if (!said) return { name, op: 'unchanged', fields: [] };
  const op = said.before === null ? 'added' : 'changed';
  const action = `${target.slice(0, target.indexOf('/'))}:${op === 'added' ? 'add' : 'change'}`;
  const record = { action, target, before: said.before, after: said.after };
  await (by ? appendAudit(tx, by, null, record) : appendSystemAudit(tx, null, record, 'import'));
  return { name, op, fields: changedFields(said) };
}

function changedFields({ before, after }: Said): Change['fields'] {
  const [was, is] = [before ?? {}, after].map(
    (side) => new Map(Object.entries(side).map(([key, value]) => [key, shown(value)])),
  );
  const paths = [...new Set([...(was?.keys() ?? []), ...(is?.keys() ?? [])])];
  return paths
    .map((path) => ({ path, before: was?.get(path) ?? null, after: is?.get(path) ?? null }))
    .filter((each) => each.before !== each.after);
}

function shown(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
