import pg from 'pg';
import { AppError } from '../../errors.ts';

/*
 * What Attic knows of its views and has no call to tell: its database, read and never written. Facts of its tables, as of
 * 2026-06: server/src/database/entity/*.rs; of what a retention removes: server/src/gc.rs.
 */

export type ViewStatistics = {
  view: string;
  objects: bigint;
  /** As a client would count it: each path whole. */
  logicalBytes: bigint;
  /** Compressed and stored once within the view. What other views have of the same is counted with them too. */
  storedBytes: bigint;
  lastPushedAt: Date | null;
  lastReadAt: Date | null;
  /** Paths whose NAR was given out since the time that was asked for: each once, so no more than a lower bound of its reads. */
  readSince: bigint;
};

/** What a retention period would remove at once, now. */
export type RetentionEffect = { objects: bigint; logicalBytes: bigint; storedBytes: bigint };

const statementTimeoutMs = 20_000;

/** Runs one question in a transaction that cannot write, whatever the role may. */
async function asked<Row extends pg.QueryResultRow>(url: string, sql: string, values: unknown[]): Promise<Row[]> {
  let client: pg.Client | undefined;
  try {
    // It reads the address as it is made, and refuses one that is none.
    client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + 5_000,
      application_name: 'flywheel-portal',
    });
    await client.connect();
    await client.query('begin transaction read only');
    const { rows } = await client.query<Row>(sql, values);
    await client.query('rollback');
    return rows;
  } catch (error) {
    throw away(error);
  } finally {
    await client?.end().catch(() => undefined);
  }
}

/** Never with its message: a driver may put the address, and with it the password, into it. */
function away(error: unknown): AppError {
  const code = (error as { code?: unknown }).code;
  return new AppError('unavailable', {
    log: `Attic's database could not be asked: ${typeof code === 'string' ? code : 'no code'}`,
    screen: {
      happened: 'The cache server’s database does not answer.',
      todo: 'Figures come again by themselves when it does; if this stays, the operator must check its connection.',
    },
  });
}

const statisticsSql = `
  with chosen as (
    select cache.id, cache.name from cache where cache.name = any($1) and cache.deleted_at is null
  ), held as (
    select chosen.id as cache_id, chunkref.chunk_id
    from chosen join object on object.cache_id = chosen.id join chunkref on chunkref.nar_id = object.nar_id
    where chunkref.chunk_id is not null group by 1, 2
  ), sizes as (
    select held.cache_id, sum(coalesce(chunk.file_size, chunk.chunk_size)) as stored
    from held join chunk on chunk.id = held.chunk_id group by 1
  ), counted as (
    select object.cache_id, count(*) as objects, sum(nar.nar_size) as logical,
      max(object.created_at) as pushed, max(object.last_accessed_at) as read,
      count(*) filter (where object.last_accessed_at > $2::timestamptz) as since
    from object join chosen on chosen.id = object.cache_id join nar on nar.id = object.nar_id group by 1
  )
  select chosen.name, coalesce(objects, 0)::text as objects, coalesce(logical, 0)::text as logical,
    coalesce(stored, 0)::text as stored, pushed, read, coalesce(since, 0)::text as since
  from chosen left join counted on counted.cache_id = chosen.id left join sizes on sizes.cache_id = chosen.id`;

type StatisticsRow = {
  name: string;
  objects: string;
  logical: string;
  stored: string;
  pushed: Date | null;
  read: Date | null;
  since: string;
};

/** Of these views, by name; one that the server does not have is left out. Throws `unavailable`. */
export async function readViewStatistics(
  url: string,
  views: readonly string[],
  since: Date | null = null,
): Promise<ViewStatistics[]> {
  const rows = await asked<StatisticsRow>(url, statisticsSql, [views, since]);
  return rows.map((row) => ({
    view: row.name,
    objects: BigInt(row.objects),
    logicalBytes: BigInt(row.logical),
    storedBytes: BigInt(row.stored),
    lastPushedAt: row.pushed,
    lastReadAt: row.read,
    readSince: BigInt(row.since),
  }));
}

/** Attic removes what was neither pushed nor read within the period, then the chunks that nothing refers to any more. */
const effectSql = `
  with gone as (
    select object.id, object.nar_id from object join cache on cache.id = object.cache_id
    where cache.name = $1 and cache.deleted_at is null
      and object.created_at < now() - make_interval(secs => $2)
      and (object.last_accessed_at is null or object.last_accessed_at < now() - make_interval(secs => $2))
  ), nars as (
    select distinct gone.nar_id from gone where not exists (
      select from object as kept where kept.nar_id = gone.nar_id and kept.id not in (select id from gone))
  ), chunks as (
    select distinct chunkref.chunk_id from chunkref join nars on nars.nar_id = chunkref.nar_id
    where not exists (
      select from chunkref as elsewhere where elsewhere.chunk_id = chunkref.chunk_id
        and elsewhere.nar_id not in (select nar_id from nars))
  )
  select (select count(*) from gone)::text as objects,
    (select coalesce(sum(nar.nar_size), 0) from gone join nar on nar.id = gone.nar_id)::text as logical,
    (select coalesce(sum(coalesce(chunk.file_size, chunk.chunk_size)), 0)
     from chunks join chunk on chunk.id = chunks.chunk_id)::text as stored`;

/** `periodSeconds` above 0. */
export async function readRetentionEffect(url: string, view: string, periodSeconds: number): Promise<RetentionEffect> {
  const sql = effectSql;
  const [row] = await asked<Pick<StatisticsRow, 'objects' | 'logical' | 'stored'>>(url, sql, [view, periodSeconds]);
  return {
    objects: BigInt(row?.objects ?? 0),
    logicalBytes: BigInt(row?.logical ?? 0),
    storedBytes: BigInt(row?.stored ?? 0),
  };
}

/** Whether it is Attic's database, and whether the role could write to it. Throws `unavailable` where it cannot be read. */
export async function probeStatistics(url: string): Promise<{ mayWrite: boolean }> {
  const tables = ['cache', 'object', 'nar', 'chunk', 'chunkref'];
  const [row] = await asked<{ writes: boolean }>(
    url,
    `select bool_or(has_table_privilege(name, 'INSERT') or has_table_privilege(name, 'UPDATE')
       or has_table_privilege(name, 'DELETE') or has_table_privilege(name, 'TRUNCATE')) as writes
     from unnest($1::text[]) as name`,
    [tables],
  );
  await readViewStatistics(url, []);
  return { mayWrite: row?.writes ?? true };
}
