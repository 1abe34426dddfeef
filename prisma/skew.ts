// Expand, then contract: while a release is rolled out, processes of the one before it run on the new database. So what that one
// reads and writes must still be there. Each release keeps the shape of its database in prisma/releases; the migrations since are
// held to it. What is taken away after all is named in `contract.txt` beside the migration that does it, with the release since
// which no code uses it:
//
//   enrollment.runner_group 0.2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';

export interface Column {
  type: string;
  isNullable: boolean;
  hasDefault: boolean;
}
export interface Shape {
  /** The last migration of the release. */
  migration: string;
  tables: Record<string, Record<string, Column>>;
  /** Values by type. */
  enums: Record<string, string[]>;
}

export async function shapeOf(client: Pick<pg.Client, 'query'>): Promise<Shape> {
  const { rows: columns } = await client.query<Column & { table: string; column: string }>(`
    select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
           not a.attnotnull as "isNullable", a.atthasdef or a.attidentity <> '' as "hasDefault"
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and a.attnum > 0 and not a.attisdropped and c.relname not like '\\_%'
    order by 1, 2`);
  const { rows: values } = await client.query<{ type: string; value: string }>(`
    select t.typname as type, e.enumlabel as value from pg_enum e join pg_type t on t.oid = e.enumtypid order by 1, e.enumsortorder`);
  const { rows: last } = await client.query<{ name: string }>(
    'select migration_name as name from _prisma_migrations order by 1 desc limit 1',
  );
  const shape: Shape = { migration: last[0]?.name ?? '', tables: {}, enums: {} };
  for (const { table, column, ...rest } of columns) (shape.tables[table] ??= {})[column] = rest;
  for (const { type, value } of values) (shape.enums[type] ??= []).push(value);
  return shape;
}

export interface Problem {
  /** `table`, `table.column` or `Type.value`: as it is named in contract.txt. */
  what: string;
  says: string;
}

/** What processes of a release would miss, or be told of that they cannot read, in the database as it is now. */
export function shapeProblems(released: Shape, now: Shape): Problem[] {
  const found: Problem[] = [];
  for (const [table, columns] of Object.entries(released.tables)) {
    const present = now.tables[table];
    if (!present) found.push({ what: table, says: 'is gone or has another name' });
    else found.push(...columnProblems(table, columns, present));
  }
  for (const [type, values] of Object.entries(released.enums)) {
    const present = now.enums[type] ?? [];
    for (const value of values)
      if (!present.includes(value)) found.push({ what: `${type}.${value}`, says: 'is no value any more' });
    for (const value of present)
      if (!values.includes(value)) found.push({ what: `${type}.${value}`, says: 'is a value that it fails to read' });
  }
  return found;
}

function columnProblems(table: string, released: Record<string, Column>, present: Record<string, Column>): Problem[] {
  const found: Problem[] = [];
  const say = (column: string, says: string) => found.push({ what: `${table}.${column}`, says });
  for (const [column, was] of Object.entries(released)) {
    const is = present[column];
    if (!is) say(column, 'is gone or has another name');
    else if (is.type !== was.type) say(column, `was ${was.type} and is ${is.type}`);
    else if (was.isNullable && !is.isNullable) say(column, 'takes no null any more');
    else if (was.hasDefault && !is.hasDefault && !is.isNullable) say(column, 'has no default any more');
  }
  for (const [column, is] of Object.entries(present))
    if (!released[column] && !is.isNullable && !is.hasDefault)
      say(column, 'is needed in every row, and that release does not write it');
  return found;
}

// ------------------------------------------------------------------------------------------------ releases, and what they let go of

export const releasesIn = (folder: string) => join(folder, 'releases');

/** The newest release that is kept; null before the first. */
export function newestRelease(folder: string): { version: string; shape: Shape } | null {
  const [version] = releases(folder);
  if (version === undefined) return null;
  const text = readFileSync(join(releasesIn(folder), `${version}.json`), 'utf8');
  const { tables, ...kept } = JSON.parse(text) as KeptShape;
  return { version, shape: { ...kept, tables: eachColumn(tables, read) } };
}

/** A column in a word or three, so that a release is a page to read: `text`, `text null`, `integer default`. */
type KeptShape = Omit<Shape, 'tables'> & { tables: Record<string, Record<string, string>> };

function read(text: string): Column {
  const [, type = '', isNullable, hasDefault] = /^(.*?)( null)?( default)?$/.exec(text) ?? [];
  return { type, isNullable: isNullable !== undefined, hasDefault: hasDefault !== undefined };
}

function written({ type, isNullable, hasDefault }: Column): string {
  return `${type}${isNullable ? ' null' : ''}${hasDefault ? ' default' : ''}`;
}

function eachColumn<From, To>(
  tables: Record<string, Record<string, From>>,
  of: (column: From) => To,
): Record<string, Record<string, To>> {
  const columnsOf = (columns: Record<string, From>) =>
    Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, of(column)]));
  return Object.fromEntries(Object.entries(tables).map(([table, columns]) => [table, columnsOf(columns)]));
}

/** Versions, the newest first. */
function releases(folder: string): string[] {
  const place = releasesIn(folder);
  const files = existsSync(place) ? readdirSync(place) : [];
  return files.flatMap((file) => /^(\d+\.\d+\.\d+)\.json$/.exec(file)?.[1] ?? []).toSorted((a, b) => compare(b, a));
}

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  return [0, 1, 2].map((place) => (left?.[place] ?? 0) - (right?.[place] ?? 0)).find((each) => each !== 0) ?? 0;
}

export function keepRelease(folder: string, version: string, shape: Shape): string {
  mkdirSync(releasesIn(folder), { recursive: true });
  const file = join(releasesIn(folder), `${version}.json`);
  const kept: KeptShape = { ...shape, tables: eachColumn(shape.tables, written) };
  writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
  return file;
}

/** What the migrations after a release let go of, by contract.txt, with the release since which nothing uses it. */
function contracts(migrations: string, after: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(migrations).toSorted()) {
    const file = join(migrations, name, 'contract.txt');
    if (name <= after || !existsSync(file)) continue;
    for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
      const [, what, version] = /^([\w.]+) (\d+\.\d+\.\d+)$/.exec(line) ?? [];
      if (!what || !version) throw new Error(`${name}/contract.txt: "${line}" is not <table>[.<column>] <release>`);
      found.set(what, version);
    }
  }
  return found;
}

/** In sentences, what stands against a rollout of these migrations over the newest release; none is none. */
export function skewProblems(folder: string, migrations: string, now: Shape): string[] {
  const release = newestRelease(folder);
  if (!release) return [];
  const letGo = contracts(migrations, release.shape.migration);
  const problems = shapeProblems(release.shape, now);
  const said = problems
    .filter(({ what }) => !letGo.has(what))
    .map(({ what, says }) => `${what} ${says}: processes of ${release.version} use it.`);
  for (const [what, version] of letGo) {
    if (!releases(folder).includes(version))
      said.push(`contract.txt: there is no release ${version} that has done without ${what}.`);
    if (!problems.some((each) => each.what === what)) said.push(`contract.txt: ${what} was not taken away.`);
  }
  return said;
}
