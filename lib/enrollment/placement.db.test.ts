import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { placements } from '#sandbox/test-support/placements.ts';
import { startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { catalog } from './catalog.ts';

/* Operators write the catalog's table: what the schema refuses, the table refuses too, so that no pass ever reads it. */

let rows: TestRows;
let owner: pg.Client;
beforeAll(async () => {
  rows = await startTestRows();
  owner = new pg.Client({ connectionString: rows.database.ownerUrl });
  await owner.connect();
});
afterAll(async () => {
  await owner?.end();
  await rows?.stop();
});

/** The name of a pool that somebody writes into the table by hand. */
async function write(placement: unknown): Promise<string> {
  const name = `p${randomUUID().slice(0, 8)}`;
  await owner.query(
    `insert into pool (name, description, image, position, cpu, memory, placement) values ($1, '', 'image', 9, '1', '1Gi', $2)`,
    [name, JSON.stringify(placement)],
  );
  return name;
}

test.each(placements.filter(([, , isRight]) => isRight))('%s: %j is kept', async (_, placement) => {
  const name = await write(placement);
  expect((await catalog()).find((pool) => pool.name === name)).toMatchObject({ placement });
});

test.each(placements.filter(([, , isRight]) => !isRight))('%s: %j is refused', async (_, placement) => {
  const before = await unsafeDb().pool.count();
  await expect(write(placement)).rejects.toThrow('pool_placement');
  expect(await unsafeDb().pool.count()).toBe(before);
});

test('a pool without a placement has none', async () => {
  await owner.query(`insert into pool (name, description, image, position) values ('plain', '', 'image', 9)`);
  expect((await catalog()).find((pool) => pool.name === 'plain')?.placement).toBeUndefined();
});
