import type { UnsafeTx } from '../db/index.ts';
import { insertJobs, mergeKnown, type Pool } from './job-rows.ts';
import type { JobReading } from './job-state.ts';

/*
 * Jobs as the cluster's watch saw them: the other witness of the ledger, for when a forge's word is late or lost.
 *
 * What it saw is one more reading of the same job, so that only the name is to be found: a runner of ARC's has one job in its
 * life, and its name is in the forge's event; the pod of a GitLab job bears the job's id. Until the forge has spoken, the job
 * stands under a name that leads to it by the primary key, and its row is taken in as soon as there is the forge's.
 */

const seenPrefix = 'runner:';

/** Where a job stands that the watch alone has seen; `known` is its runner's name, or its id where its pod bears it. */
function seenId(enrollmentId: string, known: string): string {
  return `${seenPrefix}${enrollmentId}/${known}`;
}

export type JobSeen = Pool & {
  connectionId: string;
  /** The forge's own id of the job, where the pod bears it. */
  forgeJobId: string | null;
  runnerName: string;
  /** What the runner says of its job, and when it was first seen with it. Null where it never said: then only its end counts. */
  job: Pick<JobReading, 'repository' | 'runId' | 'workflow' | 'name'> | null;
  startedAt: Date | null;
  endedAt: Date | null;
};

/** The forge's row of a job, and by what else the watch may know it. */
type Told = Pick<Pool, 'enrollmentId'> &
  Pick<JobReading, 'state' | 'runnerName'> & { externalId: string; jobId: string };

/** Both witnesses of a job take turns, or each could miss the other's row. A queued job has no runner to be seen. */
export function turnsOf({ enrollmentId, state, runnerName, jobId }: Told): string[] {
  if (state === 'queued') return [];
  return [jobId, ...(runnerName === null ? [] : [runnerName])].map((name) => `${enrollmentId}/${name}`);
}

export async function takeTurns(tx: UnsafeTx, turns: readonly string[]): Promise<void> {
  if (turns.length === 0) return;
  // Always in the same order, so that two who share some cannot wait for each other.
  const sorted = [...new Set(turns)].toSorted();
  await tx.$queryRaw`
    select count(pg_advisory_xact_lock(hashtextextended(turn, 7046312)))
    from (select turn from unnest(${sorted}::text[]) with ordinality as t (turn, place) order by place) as ordered`;
}

type Watched = {
  externalId: string;
  state: JobReading['state'];
  queuedAt: Date;
  startedAt: Date | null;
  completedAt: Date | null;
};

/** The forge's words are better than the watch's: of these, only how far it got and when counts. */
function wordless({ state, queuedAt, startedAt, completedAt }: Omit<Watched, 'externalId'>): JobReading {
  const nothing = { repository: '', runId: null, workflow: null, name: null, conclusion: null, runnerName: null };
  return { ...nothing, state, queuedAt, startedAt, completedAt };
}

/** Takes rows that the watch alone wrote into the forge's. */
export async function absorbSeen(tx: UnsafeTx, connectionId: string, told: readonly Told[]): Promise<void> {
  const ran = told.filter(({ state }) => state !== 'queued');
  if (ran.length === 0) return;
  const names = ran.flatMap(({ externalId, enrollmentId, jobId, runnerName }) =>
    [jobId, ...(runnerName === null ? [] : [runnerName])].map((known) => ({
      externalId,
      seenId: seenId(enrollmentId, known),
    })),
  );
  const rows = await tx.$queryRaw<Watched[]>`
    with gone as (
      delete from job using jsonb_to_recordset(${JSON.stringify(names)}::jsonb) as told ("externalId" text, "seenId" text)
      where job.connection_id = ${connectionId} and job.external_id = told."seenId"
      returning told."externalId", job.state, job.queued_at, job.started_at, job.completed_at
    )
    select "externalId", state, queued_at as "queuedAt", started_at as "startedAt", completed_at as "completedAt" from gone`;
  await mergeKnown(tx, connectionId, new Map(rows.map(({ externalId, ...row }) => [externalId, wordless(row)])));
}

/** Takes what the watch saw of jobs into their rows. Called again with the same it changes nothing. */
export async function recordSeen(tx: UnsafeTx, seen: readonly JobSeen[]): Promise<void> {
  const turns = seen.flatMap(({ enrollmentId, runnerName, forgeJobId }) =>
    [runnerName, ...(forgeJobId === null ? [] : [forgeJobId])].map((name) => `${enrollmentId}/${name}`),
  );
  await takeTurns(tx, turns);
  for (const [connectionId, group] of Map.groupBy(seen, (each) => each.connectionId))
    await recordSeenAt(tx, connectionId, group);
}

async function recordSeenAt(tx: UnsafeTx, connectionId: string, seen: readonly JobSeen[]): Promise<void> {
  const told = await toldOf(tx, connectionId, seen);
  const merging = new Map<string, JobReading>();
  const own: [string, Pool & JobReading][] = [];
  for (const each of seen) {
    const { job, runnerName, startedAt, endedAt, tenantId, enrollmentId, scaleSetName } = each;
    const id = seenId(enrollmentId, each.forgeJobId ?? runnerName);
    const queuedAt = startedAt ?? endedAt;
    if (!queuedAt) continue;
    const state = endedAt ? ('completed' as const) : ('running' as const);
    const reading = wordless({ state, queuedAt, startedAt, completedAt: endedAt });
    const externalId = told.get(id);
    if (externalId !== undefined) merging.set(externalId, reading);
    else if (job) own.push([id, { tenantId, enrollmentId, scaleSetName, ...reading, ...job, runnerName }]);
  }
  const sorted = own.toSorted(([a], [b]) => (a < b ? -1 : 1));
  const fresh = sorted.length > 0 ? await insertJobs(tx, connectionId, sorted) : new Set<string>();
  for (const [externalId, row] of sorted) if (!fresh.has(externalId)) merging.set(externalId, row);
  await mergeKnown(tx, connectionId, merging);
}

/** The forge's rows of these jobs, by where they would stand if there were none. */
async function toldOf(tx: UnsafeTx, connectionId: string, seen: readonly JobSeen[]): Promise<Map<string, string>> {
  const known = JSON.stringify(
    seen.map(({ enrollmentId, runnerName, forgeJobId }) => ({
      id: seenId(enrollmentId, forgeJobId ?? runnerName),
      enrollmentId,
      runnerName,
      forgeJobId,
    })),
  );
  const rows = await tx.$queryRaw<{ id: string; externalId: string }[]>`
    with told as (
      select * from jsonb_to_recordset(${known}::jsonb) as told (id text, "enrollmentId" uuid, "runnerName" text, "forgeJobId" text)
    ), named as (
      select told.id, job.external_id from told join job on job.enrollment_id = told."enrollmentId"
        and job.runner_name = told."runnerName"
      where job.connection_id = ${connectionId} and job.external_id not like ${`${seenPrefix}%`}
      union
      select told.id, job.external_id from told join job on job.connection_id = ${connectionId}
        and job.external_id in (told."forgeJobId", told."enrollmentId" || ':' || told."forgeJobId")
      where job.enrollment_id = told."enrollmentId"
    )
    select id, external_id as "externalId" from named order by external_id desc`;
  return new Map(rows.map(({ id, externalId }) => [id, externalId]));
}

// ------------------------------------------------------------------------------------------------ what was lost

/** Deliveries are this late at most, or they are taken for lost. */
const lateMs = 10 * 60_000;
/** A job that no runner took in this time was given up by its forge: GitHub, GitLab and Forgejo all wait a day. */
const queuedMsMost = 24 * 3600_000;
/** GitHub ends a self-hosted job after five days, and nothing of ours outlives that. */
const ranMsMost = 5 * 24 * 3600_000;

/**
 * Makes good what no delivery told (F18), from what was seen and what time has passed. Answers how many rows it corrected.
 * A job whose end nobody told has no conclusion: it ended, and how is not known.
 */
export async function mendLedger(tx: UnsafeTx, now: Date): Promise<number> {
  return (await pairQueued(tx, now)) + (await endWithRunner(tx)) + (await endOverdue(tx, now));
}

type Pair = { connectionId: string; enrollmentId: string; externalId: string; runnerName: string };

/**
 * The forge told that a job was queued and never that it began, and a runner was seen with a job of that name and run. Where
 * a run has several of one name (it was run again), the first queued is the first begun.
 */
async function pairQueued(tx: UnsafeTx, now: Date): Promise<number> {
  const until = new Date(now.getTime() - lateMs);
  const pairs = await tx.$queryRaw<Pair[]>`
    with seen as (
      select *, row_number() over (partition by enrollment_id, run_id, name order by started_at, external_id) as nth
      from job where external_id like ${`${seenPrefix}%`} and run_id is not null
        and queued_at > ${new Date(now.getTime() - queuedMsMost)} and queued_at < ${until}
    ), told as (
      select job.*, row_number() over (partition by enrollment_id, run_id, name order by queued_at, external_id) as nth
      from job where state = 'queued' and runner_name is null
        and (enrollment_id, run_id) in (select enrollment_id, run_id from seen)
    )
    select told.connection_id as "connectionId", told.enrollment_id as "enrollmentId", told.external_id as "externalId",
      seen.runner_name as "runnerName"
    from told join seen using (enrollment_id, run_id, name, nth)
    where told.queued_at <= seen.started_at + interval '1 minute'
    order by told.external_id`;
  await takeTurns(
    tx,
    pairs.map(({ enrollmentId, runnerName }) => `${enrollmentId}/${runnerName}`),
  );
  if (pairs.length === 0) return 0;
  await tx.$executeRaw`
    update job set runner_name = told."runnerName"
    from jsonb_to_recordset(${JSON.stringify(pairs)}::jsonb) as told ("connectionId" text, "externalId" text, "runnerName" text)
    where job.connection_id = told."connectionId" and job.external_id = told."externalId" and job.runner_name is null`;
  for (const [connectionId, own] of Map.groupBy(pairs, (pair) => pair.connectionId)) {
    const told = own.map((pair) => ({ ...pair, jobId: '', state: 'running' as const }));
    await absorbSeen(tx, connectionId, told);
  }
  return pairs.length;
}

/** The forge told that a job began, and not that it ended; the runner that had it has gone. */
async function endWithRunner(tx: UnsafeTx): Promise<number> {
  return tx.$executeRaw`
    update job set state = 'completed', completed_at = greatest(job.started_at, least(job.completed_at, runner.ended_at))
    from runner where job.state = 'running' and runner.enrollment_id = job.enrollment_id
      and runner.name = job.runner_name and runner.serves_one and runner.ended_at is not null`;
}

async function endOverdue(tx: UnsafeTx, now: Date): Promise<number> {
  const waited = tx.$executeRaw`
    update job set state = 'completed', completed_at = queued_at + ${queuedMsMost / 1000} * interval '1 second'
    where state = 'queued' and queued_at < ${new Date(now.getTime() - queuedMsMost)}`;
  const count = await waited;
  return (
    count +
    (await tx.$executeRaw`
      update job set state = 'completed', completed_at = started_at + ${ranMsMost / 1000} * interval '1 second'
      where state = 'running' and started_at < ${new Date(now.getTime() - ranMsMost)}`)
  );
}
