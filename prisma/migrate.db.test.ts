import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { withDatabase } from '#sandbox/postgres.ts';
import { difference, migrate } from './migrate.ts';

const SCHEMA = `
generator client {
  provider = "prisma-client"
  output   = "./generated"
}
datasource db {
  provider = "postgresql"
}
model Thing {
  id   String @id @db.Uuid
  name String
  @@map("thing")
}
`;
// Everything that Prisma has no words for, and semicolons where a script must not be cut.
const FIRST = `
CREATE TABLE "thing" ("id" UUID NOT NULL, "name" TEXT NOT NULL, CONSTRAINT "thing_pkey" PRIMARY KEY ("id"));
CREATE FUNCTION answer() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 42; END $$;
ALTER TABLE "thing" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "thing" FORCE ROW LEVEL SECURITY;
CREATE POLICY "all" ON "thing" USING (name = current_setting('x.name', true));
CREATE INDEX "part" ON "thing" ("name") WHERE "name" <> '';
CREATE INDEX "expression" ON "thing" (lower("name"));
`;

const folder = mkdtempSync(join(tmpdir(), 'flywheel-migrate-'));
const places = { schema: join(folder, 'schema.prisma'), migrations: join(folder, 'migrations') };
let url: string;

beforeEach(async () => {
  rmSync(places.migrations, { recursive: true, force: true });
  writeFileSync(places.schema, SCHEMA);
  addMigration('20260101000000_first', FIRST);
  const name = `migrate_${randomBytes(6).toString('hex')}`;
  await ask(process.env['FLYWHEEL_TEST_DATABASE_ADMIN_URL'] ?? '', `CREATE DATABASE ${name} OWNER flywheel_owner`);
  url = withDatabase(process.env['FLYWHEEL_TEST_DATABASE_OWNER_URL'] ?? '', name);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function addMigration(name: string, sql: string): void {
  mkdirSync(join(places.migrations, name), { recursive: true });
  writeFileSync(join(places.migrations, 'migration_lock.toml'), 'provider = "postgresql"\n');
  writeFileSync(join(places.migrations, name, 'migration.sql'), sql);
}

async function ask(target: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: target });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('applies what is missing, once, also when two start at the same time', async () => {
  const both = await Promise.all([migrate(url, places), migrate(url, places)]);
  expect(both.flat()).toEqual(['20260101000000_first']);
  expect(await ask(url, 'select answer()')).toEqual([{ answer: 42 }]);
  addMigration('20260102000000_second', 'ALTER TABLE "thing" ADD COLUMN "size" INT;');
  expect(await migrate(url, places)).toEqual(['20260102000000_second']);
});

test('refuses a migration that was applied and is another now, with its name', async () => {
  await migrate(url, places);
  addMigration('20260101000000_first', `${FIRST}ALTER TABLE "thing" ADD COLUMN "late" INT;`);
  addMigration('20260102000000_second', 'ALTER TABLE "thing" ADD COLUMN "size" INT;');
  await expect(migrate(url, places)).rejects.toThrow(/changed since: 20260101000000_first\. Nothing was changed\./);
  const columns = `select column_name from information_schema.columns where table_name = 'thing' order by 1`;
  expect((await ask(url, columns)).map(({ column_name }) => column_name)).toEqual(['id', 'name']);
});

test('keeps the record that Prisma itself keeps', async () => {
  await migrate(url, places);
  const rows = await ask(
    url,
    'select migration_name, length(checksum) as checksum, finished_at is not null as finished, applied_steps_count from _prisma_migrations',
  );
  expect(rows).toEqual([
    { migration_name: '20260101000000_first', checksum: 64, finished: true, applied_steps_count: 1 },
  ]);
});

test('says what is wrong with a statement, and refuses to go on until somebody has looked', async () => {
  addMigration('20260102000000_broken', 'ALTER TABLE "thing" ADD COLUMN "size" INT; SELECT 1/0;');
  await expect(migrate(url, places)).rejects.toThrow(/division by zero[^]*20260102000000_broken/);
  await expect(migrate(url, places)).rejects.toThrow(/failed migrations/);
  // The whole migration is undone, not the half that came before the fault.
  expect(await ask(url, `select 1 from information_schema.columns where column_name = 'size'`)).toEqual([]);
});

test('compares schema and migrations, leaving alone what Prisma has no words for', async () => {
  expect(await difference(url, places)).toBe('');
  writeFileSync(places.schema, SCHEMA.replace('name String', 'name String\n  size Int?'));
  expect(await difference(url, places)).toContain('ALTER TABLE "thing" ADD COLUMN     "size" INTEGER');
});
