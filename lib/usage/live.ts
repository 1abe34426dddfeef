import { setTimeout as sleep } from 'node:timers/promises';
import { placeSuffix } from '#lib/cluster/index.ts';
import { type TenantDb, unsafeDb } from '#lib/db/index.ts';
import type { RunnerState } from './runner-seen.ts';

export type LivePool = {
  pool: string;
  label: string;
  enrollmentId: string;
  minRunners: number;
  maxRunners: number;
  /** Jobs that the forge told of and that have no runner yet. */
  queued: number;
  /** Runners that are being started, have a job, and wait for one. */
  pending: number;
  running: number;
  idle: number;
  /** Held for jobs where no runner waits for one. */
  places: number;
  failed: number;
  /** When the worker last heard of it from the cluster; null before the first time. */
  observedAt: string | null;
};

/** A place holds what a job's runner will need, and never has a job itself. */
type LiveState = RunnerState | 'place';

export type LiveRunner = {
  uid: string;
  name: string;
  /** The pool's. */
  label: string;
  state: LiveState;
  /** Why it does not run, in the cluster's words. */
  reason: string | null;
  node: string | null;
  createdAt: string;
  job: { repository: string; workflow: string | null; name: string | null; startedAt: string | null } | null;
};

export type LiveUsage = { pools: LivePool[]; runners: LiveRunner[] };
/** `tag` is another whenever anything in it is. */
export type TaggedUsage = LiveUsage & { tag: string };

/** A page that lists more is of no use to anybody; the counts of the pools are of all. */
const runnersMost = 500;

type Rows = Awaited<ReturnType<typeof readRows>>;

async function readRows(db: TenantDb, enrollmentId: string | undefined) {
  const where = enrollmentId === undefined ? {} : { enrollmentId };
  return Promise.all([
    db.enrollmentPool.findMany({ where, orderBy: { scaleSetName: 'asc' } }),
    db.runner.findMany({ where: { ...where, endedAt: null }, orderBy: [{ createdAt: 'asc' }, { uid: 'asc' }] }),
    db.job.findMany({
      where: { ...where, state: { in: ['queued', 'running'] } },
      select: {
        scaleSetName: true,
        state: true,
        runnerName: true,
        repository: true,
        workflow: true,
        name: true,
        startedAt: true,
      },
    }),
  ]);
}

/** What runs now in each pool of a tenant, as the worker's watch and the forge's deliveries last told. */
export async function liveUsage(ctx: { db: TenantDb }, enrollmentId?: string): Promise<LiveUsage> {
  return usageOf(await readRows(ctx.db, enrollmentId));
}

export async function livePools(ctx: { db: TenantDb }, enrollmentId?: string): Promise<LivePool[]> {
  return (await liveUsage(ctx, enrollmentId)).pools;
}

/** A moment that nobody notices, for which one reading serves all who look at the same tenant. */
const sharedMs = 250;
type Reading = Promise<TaggedUsage>;
const shared = new Map<string, { usage: Reading; untilMs: number }>();
/** What nobody has looked at for so long is let go. */
const forgottenMs = 30_000;

/** One statement, which is all that most moments cost: what is shown comes from these rows and from nothing else. */
async function tagOf(tenantId: string): Promise<string> {
  const [row] = await unsafeDb().$queryRaw<{ tag: string }[]>`
    select md5(concat(
      (select string_agg(enrollment_pool::text, '' order by scale_set_name) from enrollment_pool where tenant_id = ${tenantId}::uuid),
      (select string_agg(runner::text, '' order by uid) from runner where tenant_id = ${tenantId}::uuid and ended_at is null),
      (select string_agg(job::text, '' order by connection_id, external_id) from job
        where tenant_id = ${tenantId}::uuid and state in ('queued', 'running')))) as tag`;
  return row?.tag ?? '';
}

/** What is read after the tag may be newer than it: the next tag is then another, and it is read again. */
async function readAgain(tenantId: string, ctx: { db: TenantDb }, before: Reading | undefined): Promise<TaggedUsage> {
  const tag = await tagOf(tenantId);
  const last = await before?.catch(() => undefined);
  return last?.tag === tag ? last : { ...(await liveUsage(ctx)), tag };
}

/** How long a question is held while nothing changes: who looks is asked for anew after it. */
const heldMs = 8000;

/**
 * `liveUsage` of a whole tenant for whoever has it as it was under the tag `since`: the answer is held until there is
 * another, or for eight seconds. However many wait for it, Postgres is asked once a moment.
 */
export async function usageAfter(tenantId: string, ctx: { db: TenantDb }, since: string | null): Promise<TaggedUsage> {
  const untilMs = performance.now() + heldMs;
  for (;;) {
    const usage = await sharedUsage(tenantId, ctx);
    if (usage.tag !== since || performance.now() > untilMs) return usage;
    await sleep(sharedMs);
  }
}

/** A thousand viewers cost the database what one costs. */
export function sharedUsage(tenantId: string, ctx: { db: TenantDb }): Promise<TaggedUsage> {
  const nowMs = performance.now();
  const known = shared.get(tenantId);
  if (known && nowMs < known.untilMs) return known.usage;
  for (const [id, { untilMs }] of shared) if (untilMs + forgottenMs <= nowMs) shared.delete(id);
  const usage = readAgain(tenantId, ctx, known?.usage);
  shared.set(tenantId, { usage, untilMs: nowMs + sharedMs });
  // A failure is not kept: the next to ask tries again.
  usage.catch(() => shared.delete(tenantId));
  return usage;
}

type Counts = Record<LiveState | 'queued' | 'unplaced', number>;

function stateOfIdle({ name, scaleSetName }: Rows[1][number], hasJob: boolean): LiveState {
  if (hasJob) return 'running';
  return name.startsWith(`${scaleSetName}${placeSuffix}`) ? 'place' : 'idle';
}

function usageOf([pools, rows, jobs]: Rows): LiveUsage {
  const running = jobs.filter(({ state }) => state === 'running');
  const byRunner = new Map(running.map((job) => [`${job.scaleSetName}/${job.runnerName}`, job]));
  const counts = new Map<string, Counts>();
  const of = (label: string) => {
    const known = counts.get(label) ?? {
      starting: 0,
      idle: 0,
      place: 0,
      running: 0,
      failed: 0,
      queued: 0,
      unplaced: 0,
    };
    counts.set(label, known);
    return known;
  };
  const runners = rows.map((row): LiveRunner => {
    const key = `${row.scaleSetName}/${row.name}`;
    const job = byRunner.get(key);
    byRunner.delete(key);
    const state = row.state === 'idle' ? stateOfIdle(row, job !== undefined) : row.state;
    of(row.scaleSetName)[state] += 1;
    return {
      uid: row.uid,
      name: row.name,
      label: row.scaleSetName,
      state,
      reason: row.reason,
      node: row.node,
      createdAt: row.createdAt.toISOString(),
      job: job
        ? {
            repository: job.repository,
            workflow: job.workflow,
            name: job.name,
            startedAt: job.startedAt?.toISOString() ?? null,
          }
        : null,
    };
  });
  for (const job of jobs) if (job.state === 'queued') of(job.scaleSetName).queued += 1;
  for (const job of byRunner.values()) of(job.scaleSetName).unplaced += 1;
  return {
    runners: runners.slice(0, runnersMost),
    pools: pools.map((row) => {
      const { starting, idle, place, running: busy, failed, queued, unplaced } = of(row.scaleSetName);
      // A job whose runner goes by another name has one of those that seem to wait.
      const hidden = Math.min(unplaced, idle);
      return {
        pool: row.poolName,
        label: row.scaleSetName,
        enrollmentId: row.enrollmentId,
        minRunners: row.minRunners,
        maxRunners: row.maxRunners,
        queued,
        pending: starting,
        running: busy + hidden,
        idle: idle - hidden,
        places: place,
        failed,
        observedAt: row.observedAt?.toISOString() ?? null,
      };
    }),
  };
}
