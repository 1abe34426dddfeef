// Migrations through Prisma's own schema engine, as WebAssembly: nothing is downloaded, and `_prisma_migrations` comes
// out as `prisma migrate deploy` writes it, so that either may continue what the other began.
//
//   node prisma/migrate.ts             applies what is missing to DATABASE_OWNER_URL; --config FILE where it is not in the environment
//   node prisma/migrate.ts new NAME    writes prisma/migrations/<time>_NAME/migration.sql from schema.prisma, to be extended by hand
//   node prisma/migrate.ts check       fails when schema.prisma and the migrations differ, or when the release before would miss something
//   node prisma/migrate.ts release     keeps the database's shape as that of package.json's version, for the check of what comes after
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type ErrorRegistry,
  type SqlResultSet,
} from '@prisma/driver-adapter-utils';
import type { MigrationList, SchemaEngine, SchemasContainer } from '@prisma/schema-engine-wasm';
import pg from 'pg';
import { configuredBy, required } from '#lib/env.ts';
import { keepRelease, shapeOf, skewProblems, type Shape } from './skew.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const NOTHING_EXTERNAL = { externalTables: [], externalEnums: [] };
// Any fixed number: two starts at once take turns.
const MIGRATION_LOCK = 7_046_311;

interface Places {
  schema: string;
  migrations: string;
}

const PLACES: Places = { schema: join(HERE, 'schema.prisma'), migrations: join(HERE, 'migrations') };

/** Brings the database up to date and returns the names of what it applied. */
export async function migrate(ownerUrl: string, places: Places = PLACES): Promise<string[]> {
  if (!existsSync(places.migrations)) return [];
  return underLock(ownerUrl, async (client) => {
    await refuseChanged(client, places);
    return withEngine(ownerUrl, places, async (engine) => {
      const migrationsList = readMigrations(places.migrations);
      const input = { migrationsList, filters: NOTHING_EXTERNAL };
      return (await engine.applyMigrations(input)).appliedMigrationNames;
    });
  });
}

/** A migration that was applied and is another by now says nothing of what the database lacks: Prisma's own tools would only warn. */
async function refuseChanged(client: pg.Client, { migrations }: Places): Promise<void> {
  const { rows: tables } = await client.query<{ there: boolean }>(
    `select to_regclass('_prisma_migrations') is not null as there`,
  );
  if (!tables[0]?.there) return;
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'select migration_name as name, checksum from _prisma_migrations where finished_at is not null and rolled_back_at is null',
  );
  const changed = rows.filter(({ name, checksum }) => {
    const file = join(migrations, name, 'migration.sql');
    return existsSync(file) && createHash('sha256').update(readFileSync(file)).digest('hex') !== checksum;
  });
  if (changed.length === 0) return;
  const names = changed.map(({ name }) => name).join(', ');
  throw new Error(
    `Applied to this database and changed since: ${names}. Nothing was changed. Put what changed into a migration of its own, or begin anew where the data may go (npm start -- --fresh).`,
  );
}

/** The SQL that is missing between the migrations and schema.prisma; empty when they agree. `emptyUrl` is a database to use up. */
export async function difference(emptyUrl: string, places: Places = PLACES): Promise<string> {
  await migrate(emptyUrl, places);
  return withEngine(emptyUrl, places, async (engine) => {
    const schema = readSchema(places.schema);
    const result = await engine.diff({
      from: { tag: 'schemaDatasource', configDir: HERE, ...schema },
      to: { tag: 'schemaDatamodel', ...schema },
      script: true,
      exitCode: null,
      filters: NOTHING_EXTERNAL,
    });
    const sql = result.stdout ?? '';
    return sql.includes('This is an empty migration') ? '' : sql;
  });
}

async function underLock<T>(ownerUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    return await work(client);
  } finally {
    await client.end();
  }
}

async function withEngine<T>(url: string, places: Places, work: (engine: SchemaEngine) => Promise<T>): Promise<T> {
  const { SchemaEngine } = await loadEngine();
  const { files } = readSchema(places.schema);
  const pool = new CatalogPool({ connectionString: url });
  const datamodels = files.map((file): [string, string] => [file.path, file.content]);
  const adapter = adapterFor(pool);
  const engine = await SchemaEngine.new({ datamodels }, () => {}, adapter);
  try {
    return await work(engine);
  } catch (error) {
    throw readable(error, adapter.errorRegistry);
  } finally {
    engine.free();
    await pool.end();
  }
}

/**
 * Prisma's adapter for `pg`, with two of its habits changed. It cuts a script at every semicolon, which no function body
 * survives, so a script goes to the server whole. And it has no name for the one-byte type "char" of Postgres' catalog,
 * which the engine reads to compare schemas, so such columns pass through it as text and are named for what they are after it.
 */
function adapterFor(pool: CatalogPool) {
  const factory = new PrismaPg(pool, { disposeExternalPool: false });
  const connect = factory.connect.bind(factory);
  factory.connect = async () => {
    const adapter = await connect();
    const queryRaw = adapter.queryRaw.bind(adapter);
    adapter.executeScript = (script) => pool.run(script);
    adapter.queryRaw = async (query) => pool.nameCharColumns(await queryRaw(query));
    return adapter;
  };
  return bindMigrationAwareSqlAdapterFactory(factory);
}

class CatalogPool extends pg.Pool {
  // By the array of rows, which pg and the adapter hand on as it is.
  readonly #charColumns = new WeakMap<object, number[]>();

  async run(script: string): Promise<void> {
    await super.query(script);
  }

  // The overloads of query() cannot be restated in a subclass; only its promise form is used here.
  override query(...args: unknown[]): never {
    const [text, values] = args as [string, unknown[] | undefined];
    return super.query<unknown[]>(text, values).then((result) => this.#charAsText(result)) as never;
  }

  #charAsText<T extends Partial<pg.QueryArrayResult>>(result: T): T {
    const { builtins } = pg.types;
    const chars = (result.fields ?? []).flatMap((field, index) => (field.dataTypeID === builtins.CHAR ? [index] : []));
    for (const index of chars) result.fields![index]!.dataTypeID = builtins.TEXT;
    if (result.rows) this.#charColumns.set(result.rows, chars);
    return result;
  }

  nameCharColumns(result: SqlResultSet): SqlResultSet {
    for (const index of this.#charColumns.get(result.rows) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  }
}

type Glue = typeof import('@prisma/schema-engine-wasm') & { __wbg_set_wasm(exports: WebAssembly.Exports): void };
let loaded: Promise<Glue> | undefined;

/** When the engine gives up altogether, its promise never settles: its last words must end us. */
Object.assign(globalThis, {
  PRISMA_WASM_PANIC_REGISTRY: {
    set_message: (message: string) => {
      console.error(`Prisma's schema engine gave up: ${message}`);
      process.exit(1);
    },
  },
});

function loadEngine(): Promise<Glue> {
  loaded ??= instantiate();
  return loaded;
}

/** Done by hand because the package's own entry imports the .wasm file as a module, which needs a bundler. */
async function instantiate(): Promise<Glue> {
  const name = '@prisma/schema-engine-wasm/schema_engine_bg';
  const glue = (await import(name)) as Glue;
  const bytes = readFileSync(
    createRequire(import.meta.url)
      .resolve(name)
      .replace(/\.js$/, '.wasm'),
  );
  const imports = { './schema_engine_bg.js': glue as unknown as WebAssembly.ModuleImports };
  const { instance } = await WebAssembly.instantiate(bytes, imports);
  glue.__wbg_set_wasm(instance.exports);
  (instance.exports['__wbindgen_start'] as () => void)();
  return glue;
}

/** The engine names a failed statement's error by number and keeps the error itself in a register; a person wants the sentence. */
function readable(error: unknown, registry: ErrorRegistry): Error {
  const text = (error as Error | undefined)?.message ?? String(error);
  const id = /External error id#(\d+)/.exec(text)?.[1];
  const cause = id === undefined ? undefined : (registry.consumeError(Number(id))?.error as Error | undefined);
  return new Error(`Migration failed: ${cause ? `${cause.message}\n` : ''}${text}`, { cause: cause ?? error });
}

function readSchema(path: string): SchemasContainer {
  return { files: [{ path, content: readFileSync(path, 'utf8') }] };
}

function readMigrations(baseDir: string): MigrationList {
  const names = existsSync(baseDir)
    ? readdirSync(baseDir, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    : [];
  const lock = join(baseDir, 'migration_lock.toml');
  return {
    baseDir,
    lockfile: { path: 'migration_lock.toml', content: existsSync(lock) ? readFileSync(lock, 'utf8') : null },
    shadowDbInitScript: '',
    migrationDirectories: names
      .map((entry) => entry.name)
      .sort()
      .map((name) => ({
        path: name,
        migrationFile: {
          path: 'migration.sql',
          content: { tag: 'ok', value: readFileSync(join(baseDir, name, 'migration.sql'), 'utf8') },
        },
      })),
  };
}

/** A database to try the migrations on, on a Postgres of its own that is gone afterwards. */
async function onScratchDatabase<T>(work: (ownerUrl: string) => Promise<T>): Promise<T> {
  const { startPostgres } = await import('#sandbox/postgres.ts');
  const server = await startPostgres({ dataDir: join(tmpdir(), `flywheel-migrate-${process.pid}`), keepData: false });
  try {
    return await work(server.ownerUrl);
  } finally {
    await server.stop();
  }
}

function writeMigration(name: string, sql: string): string {
  const time = new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14);
  const folder = join(PLACES.migrations, `${time}_${name}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(PLACES.migrations, 'migration_lock.toml'), LOCK_FILE);
  const file = join(folder, 'migration.sql');
  writeFileSync(file, sql || '-- schema.prisma asks for nothing new; write the SQL by hand.\n');
  return file;
}

const LOCK_FILE = `# Please do not edit this file manually
# It should be added in your version-control system (e.g., Git)
provider = "postgresql"
`;

async function applyCommand(): Promise<void> {
  const applied = await migrate(required('DATABASE_OWNER_URL'));
  console.log(applied.length ? `Applied: ${applied.join(', ')}` : 'The database is up to date.');
}

async function newCommand(name: string | undefined): Promise<void> {
  if (!name || !/^[a-z0-9_]+$/.test(name)) throw new Error('Usage: node prisma/migrate.ts new NAME   (a-z, 0-9 and _)');
  console.log(`Wrote ${writeMigration(name, await onScratchDatabase((url) => difference(url)))}`);
}

async function checkCommand(): Promise<void> {
  const { sql, shape } = await onScratchDatabase(async (url) => ({
    sql: await difference(url),
    shape: await shapeAt(url),
  }));
  if (sql) throw new Error(`schema.prisma and the migrations differ. Missing from the migrations:\n\n${sql}`);
  const problems = skewProblems(HERE, PLACES.migrations, shape);
  if (problems.length > 0)
    throw new Error(
      `Processes of the release before run beside this one while it is rolled out:\n\n${problems.join('\n')}\n\nAdd first, and take away when a release has done without it: prisma/skew.ts.`,
    );
  console.log('schema.prisma and the migrations agree, and the release before can run beside.');
}

async function shapeAt(ownerUrl: string): Promise<Shape> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    return await shapeOf(client);
  } finally {
    await client.end();
  }
}

async function releaseCommand(): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(HERE, '..', 'package.json'), 'utf8')) as { version: string };
  const shape = await onScratchDatabase(async (url) => {
    await migrate(url);
    return shapeAt(url);
  });
  console.log(`Wrote ${keepRelease(HERE, version, shape)}`);
}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { config: { type: 'string' } } });
  configuredBy(values.config);
  const [command, name] = positionals;
  if (!command) return applyCommand();
  if (command === 'new') return newCommand(name);
  if (command === 'check') return checkCommand();
  if (command === 'release') return releaseCommand();
  throw new Error(`Unknown command "${command}". Known: new NAME, check, release, or none to apply.`);
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
