import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '#sandbox/process.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { startWorkerProcess, type WorkerProcess } from '#sandbox/test-support/worker-process.ts';
import { DatabaseLook } from './health.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database?.drop());

async function asked(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** The database takes nobody in, and lets those go who are in it: as a server that is away, for this database alone. */
async function close(isClosed: boolean): Promise<void> {
  const name = new URL(database.appUrl).pathname.slice(1);
  const server = new URL(database.adminUrl);
  server.pathname = '/postgres';
  await asked(server.href, `alter database ${name} allow_connections ${!isClosed}`);
  if (isClosed)
    await asked(server.href, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
}

async function look(url: string, leases = true): Promise<string | null> {
  const looking = new DatabaseLook({ url, leases });
  const problem = await looking.problem();
  await looking.close();
  return problem;
}

const newest = 'migration_name = (select max(migration_name) from _prisma_migrations)';

describe('what a look at the database says', () => {
  test('all is there', async () => {
    expect(await look(database.appUrl)).toBeNull();
    expect(await look(database.appUrl, false)).toBeNull();
  });

  test('the server has not even the role yet', async () => {
    const url = new URL(database.appUrl);
    url.searchParams.set('options', '-c role=flywheel_not_yet');
    expect(await look(url.href)).toBe('migrations are missing');
  });

  test.each([
    ['one is missing', `update _prisma_migrations set migration_name = 'x' where ${newest}`, 'migrations are missing'],
    [
      'one is half applied',
      `update _prisma_migrations set finished_at = null where ${newest}`,
      'migrations are missing',
    ],
    [
      'one was taken back',
      `update _prisma_migrations set rolled_back_at = now() where ${newest}`,
      'migrations are missing',
    ],
    [
      'a later version has added its own',
      `insert into _prisma_migrations (id, checksum, migration_name, finished_at) values ('1', '', '29991231000000_later', now())`,
      null,
    ],
    ['nothing was ever applied', 'alter table _prisma_migrations rename to other', 'migrations are missing'],
  ])('F27: of migrations, %s', async (_, sql, says) => {
    await using own = await testDatabase();
    await asked(own.ownerUrl, sql);
    expect(await look(own.appUrl)).toBe(says);
  });

  test('a server that may only be read gives no lease, and pages all the same', async () => {
    await using own = await testDatabase();
    const name = new URL(own.appUrl).pathname.slice(1);
    await asked(own.ownerUrl, `alter database ${name} set default_transaction_read_only = on`);
    expect(await look(own.appUrl)).toBe('the database is read-only');
    expect(await look(own.appUrl, false)).toBeNull();
  });

  test('F10: a server that takes the connection and says nothing is away, after a stated time', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `postgresql://a:b@127.0.0.1:${(silent.address() as AddressInfo).port}/c`;
    const began = performance.now();
    expect(await look(url)).toBe('the database does not answer');
    expect(performance.now() - began).toBeLessThan(10_000);
    silent.close();
  });

  test('one look serves all who ask at the same time', async () => {
    const looking = new DatabaseLook({ url: database.appUrl, leases: true });
    const name = new URL(database.appUrl).pathname.slice(1);
    const all = await Promise.all(Array.from({ length: 50 }, () => looking.problem()));
    expect(new Set(all)).toEqual(new Set([null]));
    const connections = `select count(*)::int as n from pg_stat_activity where datname = '${name}' and usename = 'flywheel_app'`;
    expect(await asked(database.adminUrl, connections)).toEqual([{ n: 1 }]);
    await looking.close();
  });

  test('who runs the portal reads which migrations there are, and writes none', async () => {
    const rights = `select has_table_privilege('flywheel_system', '_prisma_migrations', 'insert, update, delete, truncate') as system,
                           has_table_privilege('flywheel_app', '_prisma_migrations', 'select, insert, update, delete') as app`;
    expect(await asked(database.ownerUrl, rights)).toEqual([{ system: false, app: false }]);
  });
});

describe('a worker process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flywheel-health-'));
  let worker: WorkerProcess | undefined;
  afterAll(async () => {
    await close(false);
    await worker?.stop();
    rmSync(folder, { recursive: true });
  });

  test('begins nothing before its migrations are there; is alive with its database away, and ready again with it', async () => {
    const port = await freePort();
    const status = (path: string) => fetch(`http://127.0.0.1:${port}/api/${path}`).then(({ status: code }) => code);
    await asked(database.ownerUrl, `update _prisma_migrations set finished_at = null where ${newest}`);
    const starting = startWorkerProcess(folder, {
      DATABASE_URL: database.appUrl,
      FLYWHEEL_HEALTH_PORT: String(port),
      KUBECONFIG: join(folder, 'none'),
    });
    const state = () => Promise.all([status('healthz'), status('readyz')]).catch(() => null);
    await eventually('a worker that waits', async () => String(await state()) === '200,503', 60_000);
    await asked(database.ownerUrl, `update _prisma_migrations set finished_at = now() where ${newest}`);
    worker = await starting;
    expect(await state()).toEqual([200, 200]);
    await close(true);
    await eventually('not ready', async () => (await status('readyz')) === 503);
    await sleep(500);
    expect(await state()).toEqual([200, 503]);
    await close(false);
    await eventually('ready', async () => (await status('readyz')) === 200);
    await worker.stop();
    expect(await worker.exited).toBe('exit code 0');
  }, 60_000);
});
