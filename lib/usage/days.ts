import { Prisma, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { belongsTo, reckoned, type UseQuery } from './reckon.ts';

/*
 * Days that are long over, as they were reckoned once: what a month of cost is read from. A day is kept by whoever asks for it
 * first, or by the worker; what comes late lets go of it in the database itself, whoever writes it, so that what is kept is
 * always what would be reckoned now.
 */

const dayMs = 24 * 3600_000;
/** A day later than the triggers of the database think, so that clocks may differ. */
const settledMs = 3 * dayMs;
/** The same as in the triggers, which hold it together, and whoever reckons alone. */
const daysLock = 7_046_313;

function dayOf(ms: number): Date {
  return new Date(Math.floor(ms / dayMs) * dayMs);
}

/** To where whole days may be kept of a window; null where none may, or what is asked for is finer than a day's lines. */
export function keptDaysUntil({ from, to, bucket, detail }: Omit<UseQuery, 'tenantIds'>): Date | null {
  if (bucket === 'hour' || detail === 'job' || from.getTime() % dayMs !== 0) return null;
  const until = dayOf(Math.min(to.getTime(), Date.now() - settledMs));
  return from < until ? until : null;
}

function tenantsOf(tenantIds: readonly string[] | null): Prisma.Sql {
  return tenantIds === null ? Prisma.sql`true` : Prisma.sql`tenant.id = any(${tenantIds}::uuid[])`;
}

/** Whether all these days of all these tenants are kept, as an expression. */
export function areKept(tenantIds: readonly string[] | null, from: Date, until: Date): Prisma.Sql {
  const days = (until.getTime() - from.getTime()) / dayMs;
  return Prisma.sql`(select count(*) from tenant join use_day on use_day.tenant_id = tenant.id and day >= ${from} and day < ${until}
    where ${tenantsOf(tenantIds)}) = ${days} * (select count(*) from tenant where ${tenantsOf(tenantIds)})`;
}

/** More tenants than this whose days are not kept are not waited for: the worker keeps them. */
const keptAtOnceMost = 8;

/** Keeps the days that are missing of a few tenants; false where they are missing of too many to wait for. */
export async function keepMissingDays(tenantIds: readonly string[] | null, from: Date, until: Date): Promise<boolean> {
  const missing = await missingOf(tenantIds, from, until);
  if (missing.length > keptAtOnceMost) return false;
  for (const tenantId of missing) await keepDays(tenantId, from, until);
  return true;
}

async function missingOf(tenantIds: readonly string[] | null, from: Date, until: Date): Promise<string[]> {
  const days = (until.getTime() - from.getTime()) / dayMs;
  const rows = await unsafeDb().$queryRaw<{ id: string }[]>`
    select id from tenant where ${tenantsOf(tenantIds)} and ${days} > (
      select count(*) from use_day where tenant_id = tenant.id and day >= ${from} and day < ${until}) order by id`;
  return rows.map(({ id }) => id);
}

/** Reckons a tenant's days from the first that is missing, and keeps them. Who writes of such a day at the same time waits, or is waited for. */
async function keepDays(tenantId: string, from: Date, until: Date): Promise<void> {
  await unsafeTransaction(async (tx) => {
    await tx.$queryRaw`select count(pg_advisory_xact_lock(hashtextextended(${tenantId}, ${daysLock})))`;
    const [missing] = await tx.$queryRaw<{ first: Date | null }[]>`
      select min(series.day) as first
      from generate_series(${from}::timestamptz, ${until}::timestamptz - interval '1 day', '24 hours') as series (day)
      where not exists (select from use_day where tenant_id = ${tenantId}::uuid and use_day.day = series.day)`;
    const first = missing?.first;
    if (!first) return;
    await tx.$executeRaw`delete from use_day where tenant_id = ${tenantId}::uuid and day >= ${first} and day < ${until}`;
    await tx.$executeRaw`
      insert into use_day (tenant_id, day)
      select ${tenantId}::uuid, day from generate_series(${first}::timestamptz, ${until}::timestamptz - interval '1 day', '24 hours') as day`;
    await tx.$executeRaw`
      with ${reckoned(belongsTo([tenantId]), { from: first, to: until, bucket: 'day', detail: 'workflow' })}
      insert into use_day_line (tenant_id, day, position, kind, pool_name, meter, repository, workflow, has_failed, quantity, cores, gib, gpus)
      select tenant_id, at, row_number() over (partition by at order by kind, pool_name, meter, repository, workflow, has_failed),
        kind, pool_name, meter, repository, workflow, has_failed, quantity, cores, gib, gpus from lines`;
  });
}

/** Keeps the days of this month and the one before of all tenants, where they are not kept yet; answers of how many tenants. */
export async function keepRecentDays(now: Date): Promise<number> {
  const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1));
  const until = dayOf(now.getTime() - settledMs);
  const missing = await missingOf(null, from, until);
  for (const tenantId of missing) await keepDays(tenantId, from, until);
  return missing.length;
}
