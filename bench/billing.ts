/**
 * P5: readings kept, each validated against its source, attributed, kept once and rolled up, against a COPY of the same rows
 * into a table with the same key. P7: a tenant's month by day, pool, repository and workflow, priced and attributed, against
 * SQL written by hand for just this on the roll-up, and on the raw rows; all three must come to the same sum. `export`: a
 * month of all tenants in the FOCUS form, and how the memory for it stays.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { exportFocus, monthCosts } from '#lib/billing/index.ts';
import { closeDb, unsafeDb } from '#lib/db/index.ts';
import { keepReadings, keepSources, type GivenReading, type GivenSource } from '#lib/usage/index.ts';
import { startPostgres, withDatabase, type Postgres } from '#sandbox/postgres.ts';
import { makeUsage } from '#sandbox/usage-month.ts';
import { migrate } from '../prisma/migrate.ts';
import { seedNowhere } from './portal.ts';
import { connectionId } from '../prisma/seed.ts';
import { pairs, print, quantile, rounded, say, timed, type Options, type Sides } from './report.ts';
import { addTenants } from './tenants.ts';

const readingsAtOnce = 10_000;
const readingsEach = 100_000;
const defaultTenants = 50;
const days = 31;
/** 50 tenants of these are 10 million readings. */
const runnersADay = 65;
const readingsOfOne = 100;
const from = new Date('2026-08-01T00:00:00Z');
const to = new Date('2026-09-01T00:00:00Z');
const period = '2026-08';

type Place = { postgres: Postgres; admin: pg.Client; folder: string };

/** A Postgres that syncs to disk, with the catalog and its prices. */
async function withPlace(use: (place: Place) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'flywheel-bench-'));
  // The server reads a file from it, as another user.
  chmodSync(folder, 0o755);
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), keepData: true });
  const admin = new pg.Client({
    connectionString: withDatabase(postgres.adminUrl, new URL(postgres.ownerUrl).pathname.slice(1)),
  });
  try {
    await migrate(postgres.ownerUrl);
    const FLYWHEEL_SECRET_KEY = randomBytes(32).toString('base64');
    Object.assign(process.env, { DATABASE_URL: postgres.appUrl, FLYWHEEL_SECRET_KEY, LOG_LEVEL: 'silent' });
    await seedNowhere('x');
    await admin.connect();
    await use({ postgres, admin, folder });
  } finally {
    await admin.end();
    await closeDb();
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
    rmSync(postgres.dataDir, { recursive: true, force: true });
  }
}

// ------------------------------------------------------------------------------------------------ P5

function readingsOf(sources: readonly GivenSource[]): GivenReading[] {
  const each = readingsEach / sources.length;
  return sources.flatMap(({ id, startedAt }) =>
    Array.from({ length: each }, (_, index): GivenReading => {
      const second = 15 * (index + 1);
      const observedAt = new Date(startedAt.getTime() + second * 1000);
      return { sourceId: id, meter: 'runnerSeconds', observedAt, quantity: second.toFixed(3) };
    }),
  );
}

export async function ingest(options: Options): Promise<void> {
  await withPlace(async ({ admin, folder }) => {
    await addTenants('p', 20);
    const owners = await unsafeDb().enrollment.findMany({ select: { id: true, tenantId: true } });
    await admin.query(
      'create table raw_reading (source_id text, meter text, observed_at timestamptz(3), quantity numeric(24,6), primary key (source_id, meter, observed_at))',
    );
    const found: Sides[] = [];
    for (let pair = 0; pair < options.runs; pair += 1) {
      const sources = Array.from({ length: 1000 }, (_, index): GivenSource => {
        const owner = owners[index % owners.length];
        const size = { cpuCores: '4', memoryGib: '8', gpuCount: 0, endedAt: null, endedItself: null };
        const whose = { tenantId: owner?.tenantId ?? null, enrollmentId: owner?.id ?? null, clusterId: 'main' };
        const id = `run-${pair}-${String(index).padStart(4, '0')}`;
        return { ...size, ...whose, id, name: id, kind: 'runner', poolName: 'nix', startedAt: from };
      });
      const readings = readingsOf(sources);
      const now = new Date(from.getTime() + 86_400_000);
      const ours = await timed(async () => {
        await keepSources(sources);
        for (let start = 0; start < readings.length; start += readingsAtOnce) {
          const { kept } = await keepReadings(readings.slice(start, start + readingsAtOnce), now);
          if (kept !== readingsAtOnce) throw new Error(`${kept} of ${readingsAtOnce} readings were kept`);
        }
      });
      const file = join(folder, 'rows.csv');
      const lines = readings.map(
        (each) => `${each.sourceId},${each.meter},${each.observedAt.toISOString()},${each.quantity}`,
      );
      writeFileSync(file, lines.join('\n'), { mode: 0o644 });
      const peer = await timed(() => admin.query(`copy raw_reading from '${file}' csv`));
      const perSecond = (seconds: number) => readings.length / seconds;
      say(`P5 pair ${pair + 1}: ${perSecond(ours).toFixed(0)} and ${perSecond(peer).toFixed(0)} rows/s`);
      found.push({ ours: perSecond(ours), peer: perSecond(peer) });
    }
    const kept = await unsafeDb().usageReading.count();
    if (kept !== options.runs * readingsEach) throw new Error(`${kept} readings are kept`);
    print({ metric: 'P5', ...pairs(found), unit: 'rows/s', rows: readingsEach, target: '>= 0.2' });
  });
}

// ------------------------------------------------------------------------------------------------ P7

/** What each pool's second costs, as the seed has it. */
const prices = `(values ('docker', 0.000027777778), ('nix', 0.000055555556), ('nix-heavy', 0.000111111111)) as p(pool, price)`;

/** The month of one tenant by hand: nothing that this month does not need. */
const byHand = `
  with used as (
    select source_id, hour, highest - coalesce(lag(highest) over (partition by source_id order by hour), 0) as seconds
    from usage_hour where tenant_id = $1 and hour >= $2 and hour < $3 and meter = 'runnerSeconds'
  ), split as (
    select u.source_id, u.hour, u.seconds, s.pool_name, j.repository, j.workflow, least(u.seconds, greatest(0, extract(epoch from
      least(j.completed_at, u.hour + interval '1 hour') - greatest(j.started_at, u.hour)))) as busy
    from used u join usage_source s on s.id = u.source_id left join job j on j.tenant_id = s.tenant_id and j.enrollment_id = s.enrollment_id and j.runner_name = s.name
  )
  select date_trunc('day', hour, 'UTC') as day, pool_name, repository, workflow, sum(coalesce(busy, 0) * price)::text as busy,
    sum((seconds - coalesce(busy, 0)) * price)::text as idle
  from split join ${prices} on p.pool = pool_name group by 1, 2, 3, 4`;

const onRaw = `
  select sum(seconds * price)::text as total from (
    select s.pool_name, max(r.quantity) as seconds from usage_reading r join usage_source s on s.id = r.source_id
    where s.tenant_id = $1 and r.meter = 'runnerSeconds' and r.observed_at >= $2 and r.observed_at < $3 group by s.id, s.pool_name
  ) as used join ${prices} on p.pool = pool_name`;

async function fill(admin: pg.Client, count: number): Promise<{ tenants: string[]; rows: number }> {
  await addTenants('m', count);
  const tenants = await unsafeDb().tenant.findMany({ where: { slug: { startsWith: 'm-' } }, orderBy: { slug: 'asc' } });
  await admin.query('set role flywheel_system');
  const given = { connectionId, from, days, runners: runnersADay, readings: readingsOfOne };
  let rows = 0;
  for (const tenant of tenants) {
    rows += await makeUsage(admin, { ...given, tenants: [tenant], tag: `m${rows}` });
    if (rows % 1_000_000 < days * runnersADay * readingsOfOne) say(`P7: ${rows} readings`);
  }
  await admin.query('reset role');
  await admin.query('analyze');
  return { tenants: tenants.map(({ id }) => id), rows };
}

async function oursOf(tenantId: string): Promise<string> {
  const [month] = await monthCosts({ tenantIds: [tenantId], period, detail: 'workflow' });
  return month?.contractedCost.toFixed() ?? '';
}

export async function monthOfCost(options: Options): Promise<void> {
  await withPlace(async ({ admin }) => {
    const { tenants, rows } = await fill(admin, options.tenants ?? defaultTenants);
    const asked = (tenantId: string) => [tenantId, from, to];
    const found: Sides[] = [];
    const rounds = Math.max(options.runs, 20);
    // A month that is over is reckoned once, by the worker or by who asks first; that is told apart.
    const firsts: number[] = [];
    for (const tenantId of tenants) firsts.push((await timed(() => oursOf(tenantId))) * 1000);
    for (let round = 0; round < rounds; round += 1) {
      const tenantId = tenants[round % tenants.length] ?? '';
      const times = { ours: 0, peer: 0 };
      times.ours = await timed(() => oursOf(tenantId));
      times.peer = await timed(() => admin.query(byHand, asked(tenantId)));
      found.push(times);
    }
    const [tenantId = ''] = tenants;
    const ours = await oursOf(tenantId);
    const hand = await admin.query<{ busy: string; idle: string }>(byHand, asked(tenantId));
    const [sums] = (
      await admin.query<{ total: string }>('select sum(x)::text as total from unnest($1::numeric[]) as x', [
        hand.rows.flatMap(({ busy, idle }) => [busy, idle]),
      ])
    ).rows;
    let raw = '';
    const rawSeconds = await timed(async () => {
      raw = (await admin.query<{ total: string }>(onRaw, asked(tenantId))).rows[0]?.total ?? '';
    });
    const all = [ours, sums?.total ?? '', raw].map((text) => text.replace(/\.?0+$/, ''));
    if (new Set(all).size !== 1) throw new Error(`the sums differ: ${all.join(', ')}`);
    const milliseconds = found.map((each) => ({ ours: each.ours * 1000, peer: each.peer * 1000 }));
    print({
      metric: 'P7',
      ...pairs(milliseconds),
      p95: {
        ours: rounded(
          quantile(
            milliseconds.map((each) => each.ours),
            0.95,
          ),
        ),
        peer: rounded(
          quantile(
            milliseconds.map((each) => each.peer),
            0.95,
          ),
        ),
      },
      unit: 'ms',
      first: rounded(quantile(firsts, 0.5)),
      raw: { rows, milliseconds: rounded(rawSeconds * 1000) },
      sum: all[0],
      target: '<= 1.5',
    });
    await exporting();
  });
}

// ------------------------------------------------------------------------------------------------ the export

async function exporting(): Promise<void> {
  for (const format of ['csv', 'parquet']) {
    const { body } = exportFocus({ tenantId: null, name: 'all' }, new URLSearchParams({ period, format }), new Date());
    if (!body) throw new Error('the export is empty');
    const peaks: number[] = [];
    let bytes = 0;
    let lines = 0;
    const seconds = await timed(async () => {
      for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        if (format === 'csv') for (const byte of chunk) if (byte === 10) lines += 1;
        peaks.push(process.memoryUsage().rss / 1e6);
      }
    });
    const half = Math.ceil(peaks.length / 2);
    print({
      metric: `export ${format}`,
      seconds: rounded(seconds),
      megabytes: rounded(bytes / 1e6),
      ...(format === 'csv' ? { rows: lines - 1, rowsPerSecond: rounded((lines - 1) / seconds) } : {}),
      rssMegabytes: {
        firstHalf: rounded(Math.max(...peaks.slice(0, half))),
        secondHalf: rounded(Math.max(...peaks.slice(half), 0)),
      },
    });
  }
}
