import { Prisma, unsafeDb } from '#lib/db/index.ts';
import { oldestUnsent } from '#lib/notice/index.ts';
import { withoutSecrets } from '#lib/telemetry/index.ts';
import { meteringLags } from '#lib/usage/index.ts';
import { queueNow } from '#lib/work/index.ts';
import {
  ProcessFacts,
  type Allowance,
  type ClusterSeen,
  type DatabaseSeen,
  type FailingKey,
  type ForgeSeen,
  type ProcessSeen,
  type Standing,
  type StatusFacts,
} from './facts.ts';
import { limits } from './judge.ts';

/* The page's one source is the database: no cluster and no forge hears of who looks. */

const failingShown = 50;
/** Deliveries are looked for within so long: older ones are no sign of life. */
const deliveryDays = 7;

export async function readStatus(): Promise<StatusFacts> {
  // Alone, so that it is timed beside no other of our questions.
  const database = await readDatabase();
  const [reports, queue, failing, lags, unsent, applied] = await Promise.all([
    readReports(),
    queueNow(),
    readFailing(),
    meteringLags(),
    oldestUnsent(),
    appliedMigrations(),
  ]);
  const told = reports.map(({ facts }) => facts);
  const [clusters, forges] = await Promise.all([
    readClusters(reports, new Map(lags.map(({ clusterId, seconds }) => [clusterId, seconds]))),
    readForges(told.map((facts) => facts.forges)),
  ]);
  return {
    at: new Date().toISOString(),
    processes: reports.map((report) => processOf(report, applied.done)),
    queue: queue.map(({ kind: task, ...each }) => ({ task, ...each })),
    failing,
    clusters,
    forges,
    unsent: unsent && { tenant: unsent.tenantSlug, ...unsent },
    database: { ...database, lastMigration: applied.last, unfinishedMigrations: applied.unfinished },
  };
}

// ------------------------------------------------------------------------------------------------ what processes tell

type Report = {
  id: string;
  kind: string;
  host: string;
  startedAt: Date;
  seenAt: Date;
  silentSeconds: number;
  isStopped: boolean;
  facts: ProcessFacts;
};

async function readReports(): Promise<Report[]> {
  const rows = await unsafeDb().$queryRaw<(Omit<Report, 'facts'> & { facts: unknown })[]>`
    select id, kind, host, started_at as "startedAt", seen_at as "seenAt", stopped_at is not null as "isStopped",
      greatest(0, extract(epoch from clock_timestamp() - seen_at))::float as "silentSeconds", facts
    from process_report order by stopped_at is not null, seen_at desc limit 200`;
  // What another version tells in another form is nothing to this one.
  return rows.flatMap((row) => {
    const facts = ProcessFacts.safeParse(row.facts);
    return facts.success ? [{ ...row, facts: facts.data }] : [];
  });
}

function processOf({ facts, kind, startedAt, seenAt, ...rest }: Report, applied: ReadonlySet<string>): ProcessSeen {
  return {
    ...rest,
    kind: kind === 'worker' ? 'worker' : 'web',
    startedAt: startedAt.toISOString(),
    seenAt: seenAt.toISOString(),
    memoryBytes: facts.memoryBytes,
    missingMigrations: rest.isStopped ? [] : facts.needs.filter((name) => !applied.has(name)),
  };
}

/** What all of them saw of one other: its newest answer, and its newest failure with the words of it. */
export function together(standings: readonly (Standing | undefined)[]): Standing {
  const all = standings.filter((each) => each !== undefined);
  const answered = all.flatMap(({ answeredAt }) => answeredAt ?? []);
  const failed = all
    .filter(({ failedAt }) => failedAt !== null)
    .toSorted((a, b) => (b.failedAt ?? 0) - (a.failedAt ?? 0));
  return {
    answeredAt: answered.length > 0 ? Math.max(...answered) : null,
    failedAt: failed[0]?.failedAt ?? null,
    failure: failed[0]?.failure ?? null,
  };
}

/** Workers ask each cluster all the time: one whose own last word of it is a failure, for a while, does not reach it. */
function cutOffFrom(clusterId: string, report: Report): ClusterSeen['cutOff'] {
  const { kind, host, startedAt, isStopped, silentSeconds, facts } = report;
  const seen = facts.clusters[clusterId];
  if (kind !== 'worker' || isStopped || silentSeconds > limits.silentSeconds || !seen || seen.failedAt === null)
    return [];
  const forMs = seen.failedAt - (seen.answeredAt ?? startedAt.getTime());
  return forMs < limits.cutOffSeconds * 1000 ? [] : [{ host, failure: seen.failure ?? 'It does not answer.' }];
}

/** Of the windows that are not over, the one with the least share left. */
function tightest(allowances: readonly (Allowance | null | undefined)[], now: number): Allowance | null {
  const open = allowances
    .filter((each) => each !== null && each !== undefined)
    .filter(({ resetsAt }) => resetsAt > now);
  return open.toSorted((a, b) => a.remaining / a.limit - b.remaining / b.limit)[0] ?? null;
}

// ------------------------------------------------------------------------------------------------ clusters and forges

async function readClusters(reports: readonly Report[], lags: ReadonlyMap<string, number>): Promise<ClusterSeen[]> {
  const rows = await unsafeDb().$queryRaw<
    { id: string; name: string; version: string | null; seenAt: Date | null; enrollments: number; atGithub: number }[]
  >`
    select cluster.id, cluster.name, controller_version as version, reachable_at as "seenAt",
      count(enrollment.id)::int as enrollments, count(enrollment.id) filter (where connection.kind = 'github')::int as "atGithub"
    from cluster
    -- One that moves has runners on both clusters for a while.
    left join tenant on cluster.id in (tenant.cluster_id, tenant.other_cluster_id)
    left join enrollment on enrollment.tenant_id = tenant.id and enrollment.state in ('active', 'withdrawing')
    left join forge_connection as connection on connection.id = enrollment.connection_id
    group by cluster.id order by cluster.id`;
  return rows.map(({ id, name, version, seenAt, enrollments, atGithub }) => ({
    ...together(reports.map(({ facts }) => facts.clusters[id])),
    id,
    name,
    controllerVersion: version,
    controllerSeenAt: seenAt?.toISOString() ?? null,
    enrollments,
    needsController: atGithub > 0,
    meteringSeconds: lags.get(id) ?? null,
    cutOff: reports.flatMap((report) => cutOffFrom(id, report)),
  }));
}

async function readForges(told: readonly ProcessFacts['forges'][]): Promise<ForgeSeen[]> {
  const rows = await unsafeDb().$queryRaw<
    { id: string; name: string; kind: string; deliveredAt: Date | null; enrollments: number }[]
  >`
    select connection.id, connection.name, connection.kind::text as kind, delivered.at as "deliveredAt",
      (select count(*)::int from enrollment where connection_id = connection.id and state in ('active', 'withdrawing')) as enrollments
    from forge_connection as connection
    left join lateral (
      select received_at as at from delivery
      where connection_id = connection.id and received_at > now() - ${deliveryDays} * interval '1 day'
      order by received_at desc limit 1) as delivered on true
    order by connection.id`;
  return rows.map(({ id, name, kind, deliveredAt, enrollments }) => ({
    ...together(told.map((forges) => forges[id])),
    id,
    name,
    kind,
    allowance: tightest(
      told.map((forges) => forges[id]?.allowance),
      Date.now(),
    ),
    lastDeliveryAt: deliveredAt?.toISOString() ?? null,
    enrollments,
  }));
}

// ------------------------------------------------------------------------------------------------ keys that fail

type FailingRow = {
  kind: string;
  key: string;
  attempts: number;
  reason: string;
  nextAt: Date;
  tenant: string | null;
  enrollment: string | null;
  enrollmentId: string | null;
};

async function readFailing(): Promise<StatusFacts['failing']> {
  // The key of a task is an enrollment, a tenant, a connection or `all`: what it names, where it names one.
  const [rows, count] = await Promise.all([
    unsafeDb().$queryRaw<FailingRow[]>`
      select task.kind, task.key, task.attempts, task.last_error as reason, task.due_at as "nextAt",
        tenant.slug as tenant, enrollment.name as enrollment, enrollment.id as "enrollmentId"
      from task
      left join enrollment on enrollment.id::text = task.key
      left join tenant on tenant.id = enrollment.tenant_id or tenant.id::text = task.key
      where task.last_error is not null and (task.lease_until is null or task.lease_until < now())
      order by task.attempts desc, task.kind, task.key limit ${failingShown}`,
    unsafeDb().task.count({
      where: { lastError: { not: null }, OR: [{ leaseUntil: null }, { leaseUntil: { lt: new Date() } }] },
    }),
  ]);
  return { count, shown: rows.map(failingKey) };
}

function failingKey({ kind, key, attempts, reason, nextAt, tenant, enrollment, enrollmentId }: FailingRow): FailingKey {
  return {
    task: kind,
    key,
    name: tenant === null ? null : [tenant, enrollment].filter(Boolean).join(' / '),
    href: tenant === null ? null : enrollmentId ? `/t/${tenant}/enrollments/${enrollmentId}` : `/t/${tenant}`,
    attempts,
    reason: withoutSecrets(reason),
    nextAt: nextAt.toISOString(),
  };
}

// ------------------------------------------------------------------------------------------------ the database

async function readDatabase(): Promise<Omit<DatabaseSeen, 'lastMigration' | 'unfinishedMigrations'>> {
  const began = performance.now();
  await unsafeDb().$queryRaw`select 1`;
  const answerMs = performance.now() - began;
  const [row] = await unsafeDb().$queryRaw<{ connections: number; most: number; bytes: bigint; isReadOnly: boolean }[]>`
    select (select count(*)::int from pg_stat_activity where datid is not null) as connections,
      current_setting('max_connections')::int as most, pg_database_size(current_database()) as bytes,
      pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on' as "isReadOnly"`;
  return {
    answerMs,
    connections: row?.connections ?? 0,
    connectionsMost: row?.most ?? 1,
    sizeBytes: Number(row?.bytes ?? 0),
    isReadOnly: row?.isReadOnly ?? false,
  };
}

/** By the tool that applies them; a process of whatever version compares what it needs with these. */
async function appliedMigrations(): Promise<{ done: ReadonlySet<string>; last: string | null; unfinished: string[] }> {
  const rows = await unsafeDb().$queryRaw<{ name: string; finishedAt: Date | null }[]>(Prisma.sql`
    select migration_name as name, finished_at as "finishedAt" from _prisma_migrations
    where rolled_back_at is null order by migration_name`);
  const done = rows.filter(({ finishedAt }) => finishedAt !== null).map(({ name }) => name);
  const unfinished = rows.filter(({ name, finishedAt }) => finishedAt === null && !done.includes(name));
  return { done: new Set(done), last: done.at(-1) ?? null, unfinished: unfinished.map(({ name }) => name) };
}
