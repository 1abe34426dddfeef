import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { anchorChains } from '#lib/tenant/index.ts';
import { addTenant, startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { newestRelease, shapeOf, skewProblems, type Shape } from './skew.ts';

/*
 * F27: the database of now, and processes of the release before. That release's own code is not run: what it would send is
 * played by the columns that it knows. Foreign keys and triggers are left out, CHECKs, uniqueness and NOT NULL are in.
 */

const folder = fileURLToPath(new URL('.', import.meta.url));
let rows: TestRows;
let client: pg.Client;
let now: Shape;
const release = newestRelease(folder);

beforeAll(async () => {
  rows = await startTestRows();
  await addTenant('acme');
  await unsafeDb().task.create({ data: { kind: 'look', key: 'acme' } });
  expect(await anchorChains(new Date())).toBeGreaterThan(0);
  client = new pg.Client({ connectionString: rows.database.adminUrl });
  await client.connect();
  now = await shapeOf(client);
});
afterAll(async () => {
  await client?.end();
  await rows?.stop();
});

function changedTables(): string[] {
  const shape = release?.shape;
  if (!shape) throw new Error('there is no release');
  return Object.keys(shape.tables).filter((table) =>
    Object.keys(now.tables[table] ?? {}).some((column) => !shape.tables[table]?.[column]),
  );
}

test('the check holds the migrations to the newest release', () => {
  expect(skewProblems(folder, `${folder}migrations`, now)).toEqual([]);
  expect(Object.keys(release?.shape.tables ?? {}).length).toBeGreaterThan(40);
});

test('rows as that release writes them are taken, and its columns are read, in every table that has changed since', async () => {
  const changed = changedTables();
  for (const table of changed) {
    const columns = Object.keys(release?.shape.tables[table] ?? {})
      .map((column) => `"${column}"`)
      .join(', ');
    await client.query('begin');
    try {
      await client.query(`set local session_replication_role = replica`);
      await client.query(`create temp table before on commit drop as select ${columns} from "${table}"`);
      const { rowCount } = await client.query(`delete from "${table}"`);
      expect([table, rowCount ?? 0], 'give the test a row of it').not.toEqual([table, 0]);
      const again = await client.query(`insert into "${table}" (${columns}) select ${columns} from before`);
      expect([table, again.rowCount]).toEqual([table, rowCount]);
    } finally {
      await client.query('rollback');
    }
  }
});

describe('what the shape is read from', () => {
  test('says what a table lacks and what a type has besides', async () => {
    await client.query('begin');
    // Tables that the test has no rows of, so that nothing stands against it.
    await client.query('alter table enrollment drop column runner_group');
    await client.query('alter table session alter column user_agent set not null');
    await client.query('alter table session add column needed text not null');
    await client.query(`alter type "PlanState" add value 'paused'`);
    const shape = await shapeOf(client);
    await client.query('rollback');
    const found = skewProblems(folder, `${folder}migrations`, shape).join('\n');
    expect(found).toContain('enrollment.runner_group is gone');
    expect(found).toContain('session.user_agent takes no null any more');
    expect(found).toContain('session.needed is needed in every row');
    expect(found).toContain('PlanState.paused is a value that it fails to read');
  });

  test('a value that a newer process writes is one that a released client fails to read: hence the check', async () => {
    const plan = await unsafeDb().plan.findFirstOrThrow();
    await client.query(`alter type "PlanState" add value 'paused'`);
    await client.query(`update plan set state = 'paused' where id = $1`, [plan.id]);
    await expect(unsafeDb().plan.findMany()).rejects.toThrow(/paused/);
  });
});
