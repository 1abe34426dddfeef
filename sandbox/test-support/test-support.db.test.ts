import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { testDatabase } from '#sandbox/test-support/index.ts';

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('the embedded Postgres', () => {
  test('gives each test a migrated database of its own', async () => {
    await using one = await testDatabase();
    await using two = await testDatabase();
    await ask(one.ownerUrl, 'create table only_here (id int)');
    const find = `select tablename from pg_tables where tablename in ('only_here', 'tenant') order by 1`;
    expect(await ask(one.ownerUrl, find)).toEqual([{ tablename: 'only_here' }, { tablename: 'tenant' }]);
    expect(await ask(two.ownerUrl, find)).toEqual([{ tablename: 'tenant' }]);
  });

  test('gives the portal a role that owns nothing and bypasses nothing (CIS PostgreSQL 4.7)', async () => {
    await using db = await testDatabase();
    const [role] = await ask(
      db.appUrl,
      'select rolsuper, rolbypassrls, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user',
    );
    expect(role).toEqual({ rolsuper: false, rolbypassrls: false, rolcreatedb: false, rolcreaterole: false });
    const owned =
      'select relname from pg_class where relowner = (select oid from pg_roles where rolname = current_user)';
    expect(await ask(db.appUrl, owned)).toEqual([]);
  });
});
