// The tables that an Attic server on Postgres has, filled from the stand-in's state: for whoever reads them and does not ask
// the server. Names and types are Attic's (server/src/database/entity, as of 2026-06); only what somebody reads is filled.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { AtticState } from './index.ts';

const tables = `
  CREATE TABLE IF NOT EXISTS cache (id BIGINT PRIMARY KEY, name TEXT NOT NULL, is_public BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL, deleted_at TIMESTAMPTZ, retention_period INTEGER);
  CREATE TABLE IF NOT EXISTS nar (id BIGINT PRIMARY KEY, nar_hash TEXT NOT NULL, nar_size BIGINT NOT NULL);
  CREATE TABLE IF NOT EXISTS object (id BIGINT PRIMARY KEY, cache_id BIGINT NOT NULL, nar_id BIGINT NOT NULL,
    store_path_hash TEXT NOT NULL, store_path TEXT NOT NULL, created_at TIMESTAMPTZ NOT NULL,
    last_accessed_at TIMESTAMPTZ, created_by TEXT);
  CREATE TABLE IF NOT EXISTS chunk (id BIGINT PRIMARY KEY, chunk_hash TEXT NOT NULL, chunk_size BIGINT NOT NULL,
    file_size BIGINT);
  CREATE TABLE IF NOT EXISTS chunkref (id BIGINT PRIMARY KEY, nar_id BIGINT NOT NULL, seq INTEGER NOT NULL,
    chunk_id BIGINT);`;

type Row = (string | number | boolean | Date | null)[];
type Rows = Record<'cache' | 'nar' | 'object' | 'chunk' | 'chunkref', Row[]>;

function rowsOf({ caches, paths, nars, chunks }: AtticState): Rows {
  const numbered = (names: string[]) => new Map(names.map((name, index) => [name, index + 1]));
  const [cacheIds, narIds, chunkIds] = [caches, nars, chunks].map((each) => numbered(Object.keys(each)));
  let refs = 0;
  return {
    cache: Object.values(caches).map(({ name, isPublic, createdAt, retentionPeriodSeconds }) => [
      cacheIds?.get(name) ?? 0,
      name,
      isPublic,
      createdAt,
      null,
      retentionPeriodSeconds,
    ]),
    nar: Object.entries(nars).map(([hash, { size }]) => [narIds?.get(hash) ?? 0, hash, size]),
    object: Object.values(paths).map((path, index) => [
      index + 1,
      cacheIds?.get(path.cache) ?? 0,
      narIds?.get(path.narHash) ?? 0,
      path.storePathHash,
      path.storePath,
      path.createdAt,
      path.lastAccessedAt ?? null,
      path.createdBy,
    ]),
    chunk: Object.entries(chunks).map(([hash, size]) => [chunkIds?.get(hash) ?? 0, hash, Number(size), Number(size)]),
    chunkref: Object.entries(nars).flatMap(([hash, { chunks: own = [] }]) =>
      own.map((chunk, seq): Row => [(refs += 1), narIds?.get(hash) ?? 0, seq, chunkIds?.get(chunk) ?? null]),
    ),
  };
}

/** Writes the state over what is there, in one transaction. */
export async function writeAtticDatabase(url: string, state: AtticState): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query(tables);
    for (const [table, rows] of Object.entries(rowsOf(state))) {
      await client.query(`DELETE FROM ${table}`);
      for (const row of rows) {
        const places = row.map((_, index) => `$${index + 1}`).join(', ');
        await client.query(`INSERT INTO ${table} VALUES (${places})`, row);
      }
    }
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
}

/** A database of Attic's beside others of a server, and a role that may read it and nothing else. */
export async function prepareAtticDatabase(
  adminUrl: string,
  name: string,
): Promise<{ ownerUrl: string; readerUrl: string }> {
  const ownerUrl = new URL(adminUrl);
  ownerUrl.pathname = `/${name}`;
  const reader = `${name}_reader`;
  const password = randomBytes(16).toString('hex');
  await queries(adminUrl, async (client) => {
    const there = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (there.rowCount === 0) await client.query(`CREATE DATABASE ${name}`);
    const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [reader]);
    await client.query(`${role.rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${reader} LOGIN PASSWORD '${password}'`);
  });
  await queries(ownerUrl.href, async (client) => {
    await client.query(tables);
    await client.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${reader}`);
  });
  const readerUrl = new URL(ownerUrl);
  readerUrl.username = reader;
  readerUrl.password = password;
  return { ownerUrl: ownerUrl.href, readerUrl: readerUrl.href };
}

async function queries(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
