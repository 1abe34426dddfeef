import { z } from 'zod';
import { csvLine, download } from '#lib/csv.ts';
import { type Prisma, type TenantDb, unsafeDb } from '#lib/db/index.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { containing } from '#lib/tenant/index.ts';

/* The ledger of jobs as people read it and take it away: searched, filtered, in pages, and as CSV. */

const text = z.string().trim().max(200).catch('');
const day = z.iso.date().or(z.literal('')).catch('');

/** How a job stands, in a word: where it has ended, how. `unknown`: that it ended is known, and how nobody told. */
export const jobStandings = ['queued', 'running', 'success', 'failure', 'cancelled', 'other', 'unknown'] as const;
export type JobStanding = (typeof jobStandings)[number];

/** What the address says; a part that is no filter counts as none. Days are in UTC, the last included. */
export const JobQuery = z.object({
  /** In the repository, the workflow, the job's own name or its runner's. */
  q: text.default(''),
  repository: text.default(''),
  workflow: text.default(''),
  /** A pool's label. */
  pool: text.default(''),
  standing: z
    .enum(['', ...jobStandings])
    .catch('')
    .default(''),
  from: day.default(''),
  to: day.default(''),
  /** Of the operators' page alone. */
  tenant: TenantSlug.or(z.literal('')).catch('').default(''),
  /** The last job of the page before this one. */
  before: z.string().max(400).catch('').default(''),
});
export type JobQuery = z.infer<typeof JobQuery>;

export type JobRow = {
  key: string;
  repository: string;
  workflow: string | null;
  name: string | null;
  /** The pool's label. */
  label: string;
  standing: JobStanding;
  /** The forge's own word of how it ended. */
  conclusion: string | null;
  runner: string | null;
  /** Null where only the cluster told of it: when it was queued is not known then. */
  queuedAt: string | null;
  startedAt: string | null;
  completedAt: string | null;
  waitSeconds: number | null;
  runSeconds: number | null;
  /** On the operators' page: whose it is. */
  tenant?: { slug: string; displayName: string } | null;
};

export type JobPage = { rows: JobRow[]; next: string | null };

const pageSize = 100;
const exportPageSize = 500;
const dayMs = 24 * 3600_000;

type Reader = Pick<TenantDb, 'job'>;
type JobRecord = Prisma.JobGetPayload<object>;

/** A job that took too long, or could not begin, has failed as well. */
const failed = ['failure', 'timed_out', 'startup_failure'];

const standings: Record<Exclude<JobQuery['standing'], ''>, Prisma.JobWhereInput> = {
  queued: { state: 'queued' },
  running: { state: 'running' },
  success: { state: 'completed', conclusion: 'success' },
  failure: { state: 'completed', conclusion: { in: failed } },
  cancelled: { state: 'completed', conclusion: 'cancelled' },
  unknown: { state: 'completed', conclusion: null },
  other: { state: 'completed', conclusion: { notIn: ['success', 'cancelled', ...failed] } },
};

function whereOf({ q, repository, workflow, pool, standing, from, to }: JobQuery): Prisma.JobWhereInput {
  const anywhere = (['repository', 'workflow', 'name', 'runnerName'] as const).map((field) => ({
    [field]: containing(q),
  }));
  return {
    ...(q === '' ? {} : { OR: anywhere }),
    ...(repository === '' ? {} : { repository: containing(repository) }),
    ...(workflow === '' ? {} : { workflow: containing(workflow) }),
    ...(pool === '' ? {} : { scaleSetName: pool }),
    ...(standing === '' ? {} : standings[standing]),
    queuedAt: {
      ...(from === '' ? {} : { gte: new Date(from) }),
      ...(to === '' ? {} : { lt: new Date(new Date(to).getTime() + dayMs) }),
    },
  };
}

// Postgres keeps no NUL, and refuses to be asked for one.
const Part = z.string().regex(/^[^\0]*$/);
const Cursor = z.tuple([z.iso.datetime(), Part, Part]);

function cursorOf({ queuedAt, externalId, connectionId }: JobRecord): string {
  return Buffer.from(JSON.stringify([queuedAt.toISOString(), externalId, connectionId])).toString('base64url');
}

function readCursor(cursor: string): z.ZodSafeParseResult<z.infer<typeof Cursor>> {
  return Cursor.safeParse(jsonOf(Buffer.from(cursor, 'base64url').toString()));
}

/** For programs, which would walk in a circle where one that cannot be read is the beginning. */
export function isJobCursor(cursor: string): boolean {
  return readCursor(cursor).success;
}

/** What comes after a place in the order. One that cannot be read is the beginning. */
function after(cursor: string): Prisma.JobWhereInput {
  const parsed = readCursor(cursor);
  if (!parsed.success) return {};
  const [queuedAt, externalId, connectionId] = parsed.data;
  const at = new Date(queuedAt);
  return {
    // Said twice, so that the index is read from there on.
    queuedAt: { lte: at },
    OR: [
      { queuedAt: { lt: at } },
      { queuedAt: at, externalId: { lt: externalId } },
      { queuedAt: at, externalId, connectionId: { lt: connectionId } },
    ],
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Newest first. */
async function recordsOf(db: Reader, where: Prisma.JobWhereInput, before: string, take: number): Promise<JobRecord[]> {
  return db.job.findMany({
    where: { AND: [where, after(before)] },
    orderBy: [{ queuedAt: 'desc' }, { externalId: 'desc' }, { connectionId: 'desc' }],
    take,
  });
}

function standingOf({ state, conclusion }: JobRecord): JobStanding {
  if (state !== 'completed') return state;
  if (conclusion === null) return 'unknown';
  if (failed.includes(conclusion)) return 'failure';
  return conclusion === 'success' || conclusion === 'cancelled' ? conclusion : 'other';
}

/** Two clocks may disagree by a little: never less than nothing. */
function secondsFrom(from: Date | null, to: Date | null): number | null {
  return from && to ? Math.max(0, (to.getTime() - from.getTime()) / 1000) : null;
}

function rowOf(record: JobRecord): JobRow {
  const { connectionId, externalId, repository, workflow, name, conclusion, startedAt, completedAt } = record;
  const isTold = !externalId.startsWith('runner:');
  return {
    key: `${connectionId}/${externalId}`,
    repository,
    workflow,
    name,
    label: record.scaleSetName,
    standing: standingOf(record),
    conclusion,
    runner: record.runnerName,
    queuedAt: isTold ? record.queuedAt.toISOString() : null,
    startedAt: startedAt?.toISOString() ?? null,
    completedAt: completedAt?.toISOString() ?? null,
    waitSeconds: isTold ? secondsFrom(record.queuedAt, startedAt) : null,
    runSeconds: secondsFrom(startedAt, completedAt),
  };
}

async function pageOf(db: Reader, where: Prisma.JobWhereInput, before: string, size = pageSize) {
  const records = await recordsOf(db, where, before, size + 1);
  const shown = records.slice(0, size);
  const last = shown.at(-1);
  return { shown, next: records.length > size && last ? cursorOf(last) : null };
}

/** A tenant's own jobs. */
export async function listJobs(ctx: { db: TenantDb }, query: JobQuery, size?: number): Promise<JobPage> {
  const { shown, next } = await pageOf(ctx.db, whereOf(query), query.before, size);
  return { rows: shown.map(rowOf), next };
}

/** What its jobs may ask for. */
export async function poolLabels(ctx: { db: TenantDb }): Promise<string[]> {
  const pools = await ctx.db.enrollmentPool.findMany({
    select: { scaleSetName: true },
    orderBy: { scaleSetName: 'asc' },
  });
  return pools.map(({ scaleSetName }) => scaleSetName);
}

/** Jobs of all tenants. The door in front of it is an operator's. */
export async function listAllJobs(query: JobQuery): Promise<JobPage> {
  const where = { AND: [await scopeOf(query), whereOf(query)] };
  const { shown, next } = await pageOf(unsafeDb(), where, query.before);
  const known = await unsafeDb().tenant.findMany({
    where: { id: { in: [...new Set(shown.map(({ tenantId }) => tenantId))] } },
    select: { id: true, slug: true, displayName: true },
  });
  const byId = new Map(known.map(({ id, slug, displayName }) => [id, { slug, displayName }]));
  const rows = shown.map((record) => ({ ...rowOf(record), tenant: byId.get(record.tenantId) ?? null }));
  return { rows, next };
}

async function scopeOf({ tenant }: JobQuery): Promise<Prisma.JobWhereInput> {
  if (tenant === '') return {};
  const row = await unsafeDb().tenant.findUnique({ where: { slug: tenant }, select: { id: true } });
  // A tenant that there is not has no jobs, and least of all everybody's.
  return row ? { tenantId: row.id } : { tenantId: { in: [] } };
}

// ---------------------------------------------------------------------------------------------------------- exports

type Owner = { db: TenantDb; tenant: { slug: string } };

/** Everything that the filter leaves, as a file that is written while it is read. */
export function exportJobs(ctx: Owner, asked: URLSearchParams, now: Date): Response {
  const where = whereOf(JobQuery.parse(Object.fromEntries(asked)));
  const { slug } = ctx.tenant;
  const slugOf = () => Promise.resolve(slug);
  return download(lines(allRecords(ctx.db, where), slugOf), 'csv', `jobs-${slug}-${now.toISOString().slice(0, 10)}`);
}

/** The same over all tenants. */
export async function exportAllJobs(asked: URLSearchParams, now: Date): Promise<Response> {
  const query = JobQuery.parse(Object.fromEntries(asked));
  const where = { AND: [await scopeOf(query), whereOf(query)] };
  return download(lines(allRecords(unsafeDb(), where), slugs()), 'csv', `jobs-${now.toISOString().slice(0, 10)}`);
}

async function* allRecords(db: Reader, where: Prisma.JobWhereInput): AsyncGenerator<JobRecord> {
  for (let before = ''; ;) {
    const page = await recordsOf(db, where, before, exportPageSize);
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < exportPageSize) return;
    before = cursorOf(last);
  }
}

function slugs(): (tenantId: string) => Promise<string> {
  const known = new Map<string, string>();
  return async (tenantId) => {
    const slug =
      known.get(tenantId) ??
      (await unsafeDb().tenant.findUnique({ where: { id: tenantId }, select: { slug: true } }))?.slug ??
      tenantId;
    known.set(tenantId, slug);
    return slug;
  };
}

const columns = [
  'tenant',
  'repository',
  'workflow',
  'job',
  'label',
  'standing',
  'conclusion',
  'queued_at',
  'started_at',
];
const measures = ['completed_at', 'wait_seconds', 'run_seconds', 'runner', 'forge', 'job_id'];

async function* lines(
  records: AsyncIterable<JobRecord>,
  slugOf: (tenantId: string) => Promise<string>,
): AsyncGenerator<string> {
  yield csvLine([...columns, ...measures]);
  for await (const record of records) {
    const row = rowOf(record);
    const { repository, workflow, name, label, standing, conclusion, queuedAt, startedAt, completedAt } = row;
    const whose = [await slugOf(record.tenantId), repository, workflow, name, label, standing, conclusion];
    const when = [queuedAt, startedAt, completedAt, row.waitSeconds, row.runSeconds];
    yield csvLine([...whose, ...when, row.runner, record.connectionId, record.externalId]);
  }
}
