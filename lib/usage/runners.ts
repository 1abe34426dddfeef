import type { Clock } from '#lib/clock.ts';
import type { Change, ClusterView, Observed } from '#lib/cluster/index.ts';
import { type UnsafeTx, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { type JobSeen, mendLedger, recordSeen } from '#lib/delivery/index.ts';
import { runnerSeen, type RunnerSeen } from './runner-seen.ts';

/*
 * From the watch to the table of runners, which the pages read: the API server hears of no viewer. Any number of workers may
 * write the same, and whichever writes last, the newest version of the objects is what stays.
 */

const gatherMs = 150;
const runnerApi = 'actions.github.com/v1alpha1';
const rowsMost = 500;

export type SeenAt = RunnerSeen & { seenAt: Date; goneAt: Date | null };

type Kept = JobSeen & { uid: string };

/** Writes what was seen of runners, and what they say of their jobs into the ledger. In any order, and again, it ends the same. */
export async function recordRunners(clusterId: string, runners: readonly SeenAt[]): Promise<void> {
  // Always in the same order, so that two workers cannot wait for each other.
  const sorted = runners.toSorted((a, b) => (a.uid < b.uid ? -1 : 1));
  for (let from = 0; from < sorted.length; from += rowsMost) {
    const part = sorted.slice(from, from + rowsMost);
    await unsafeTransaction(async (tx) => {
      const kept = await keepRunners(tx, clusterId, part);
      await recordSeen(tx, kept);
    });
  }
}

/** When its work ended: as its pod tells, else when it was seen to have gone. */
function endedAt({ isOver, endedAt: end, goneAt, seenAt }: SeenAt): Date | null {
  return isOver || goneAt ? (end ?? goneAt ?? seenAt) : null;
}

async function keepRunners(tx: UnsafeTx, clusterId: string, seen: readonly SeenAt[]): Promise<JobSeen[]> {
  const told = JSON.stringify(seen.map((each) => ({ ...each, endedAt: endedAt(each) })));
  type Row = Pick<Kept, 'uid' | 'connectionId' | 'tenantId' | 'enrollmentId' | 'scaleSetName'>;
  const rows = await tx.$queryRaw<Row[]>`
    with kept as (
      insert into runner (uid, cluster_id, tenant_id, enrollment_id, scale_set_name, name, state, reason, node, serves_one,
        created_at, seen_at, ended_at, version)
      select told.uid, ${clusterId}, tenant.id, enrollment.id, enrollment_pool.scale_set_name, told.name, told.state, told.reason,
        told.node, told."servesOne", told."createdAt", told."seenAt", told."endedAt", told.version
      from jsonb_to_recordset(${told}::jsonb) as told (uid text, tenant text, enrollment text, pool text, name text,
        state "RunnerState", reason text, node text, "servesOne" boolean, "createdAt" timestamptz, "seenAt" timestamptz,
        "endedAt" timestamptz, version numeric)
      -- One that moves has runners on both clusters for a while.
      join tenant on tenant.slug = told.tenant and ${clusterId} in (tenant.cluster_id, tenant.other_cluster_id)
      join enrollment on enrollment.tenant_id = tenant.id and enrollment.name = told.enrollment
        and enrollment.state in ('active', 'withdrawing')
      join enrollment_pool on enrollment_pool.enrollment_id = enrollment.id and enrollment_pool.pool_name = told.pool
      order by told.uid
      on conflict (uid) do update set
        state = case when excluded.version >= runner.version then excluded.state else runner.state end,
        reason = case when excluded.version >= runner.version then excluded.reason else runner.reason end,
        node = coalesce(runner.node, excluded.node),
        seen_at = greatest(runner.seen_at, excluded.seen_at),
        ended_at = least(runner.ended_at, excluded.ended_at),
        version = greatest(runner.version, excluded.version)
        -- Nobody but its own cluster says anything of a runner, and of no other tenant's.
        where runner.cluster_id = excluded.cluster_id and runner.tenant_id = excluded.tenant_id
      returning uid, tenant_id, enrollment_id, scale_set_name
    )
    select kept.uid, connection_id as "connectionId", kept.tenant_id as "tenantId", enrollment_id as "enrollmentId",
      scale_set_name as "scaleSetName"
    from kept join enrollment on enrollment.id = kept.enrollment_id`;
  const byUid = new Map(seen.map((each) => [each.uid, each]));
  await endStrangers(
    tx,
    clusterId,
    seen.filter((each) => !rows.some(({ uid }) => uid === each.uid)),
  );
  return rows.flatMap(({ uid, ...of }): JobSeen[] => {
    const each = byUid.get(uid);
    return each?.servesOne ? [{ ...of, ...jobSeen(each) }] : [];
  });
}

/** One whose pool was taken away meanwhile ends all the same. */
async function endStrangers(tx: UnsafeTx, clusterId: string, strangers: readonly SeenAt[]): Promise<void> {
  const ended = strangers.flatMap((each) => {
    const end = endedAt(each);
    return end ? [{ uid: each.uid, tenant: each.tenant, end }] : [];
  });
  if (ended.length === 0) return;
  await tx.$executeRaw`
    update runner set ended_at = told."end"
    from jsonb_to_recordset(${JSON.stringify(ended)}::jsonb) as told (uid text, tenant text, "end" timestamptz)
    join tenant on tenant.slug = told.tenant
    where runner.uid = told.uid and runner.tenant_id = tenant.id and runner.cluster_id = ${clusterId} and ended_at is null`;
}

function jobSeen(each: SeenAt): Pick<JobSeen, 'forgeJobId' | 'runnerName' | 'job' | 'startedAt' | 'endedAt'> {
  const { forgeJobId, name, job, seenAt } = each;
  if (!job) return { forgeJobId, runnerName: name, job: null, startedAt: null, endedAt: endedAt(each) };
  const { startedAt, ...words } = job;
  return { forgeJobId, runnerName: name, job: words, startedAt: startedAt ?? seenAt, endedAt: endedAt(each) };
}

// ------------------------------------------------------------------------------------------------ the watch

export type Measuring = { clock: Clock; signal: AbortSignal; onError: (error: unknown) => void };

type Touched = { namespace: string; name: string; gone: Partial<Record<'Pod' | 'EphemeralRunner', Observed>> };

function isOfRunner({ kind }: Change): boolean {
  return kind === 'Pod' || kind === 'EphemeralRunner';
}

/** Keeps the table as the watch tells, gathered for a moment and written one after the other. */
export function watchRunners(view: ClusterView, { clock, onError }: Pick<Measuring, 'clock' | 'onError'>): void {
  const touched = new Map<string, Touched>();
  let timer: NodeJS.Timeout | undefined;
  let written: Promise<void> = Promise.resolve();
  const write = () => {
    timer = undefined;
    const seen = [...touched.values()].flatMap((each) => seenOf(view, each, clock.now()));
    touched.clear();
    if (seen.length > 0) written = written.then(() => recordRunners(view.client.id, seen)).catch(onError);
  };
  view.onChange((change) => {
    const { namespace, name } = change;
    if (!isOfRunner(change) || namespace === undefined) return;
    const key = `${namespace}/${name}`;
    const each = touched.get(key) ?? { namespace, name, gone: {} };
    if (change.deleted) each.gone[change.kind as 'Pod' | 'EphemeralRunner'] = change.object;
    touched.set(key, each);
    timer ??= setTimeout(write, gatherMs);
  });
}

function seenOf(view: ClusterView, { namespace, name, gone }: Touched, now: Date): SeenAt[] {
  const metadata = { namespace, name };
  const there = {
    runner: view.get({ apiVersion: runnerApi, kind: 'EphemeralRunner', metadata }),
    pod: view.get({ apiVersion: 'v1', kind: 'Pod', metadata }),
  };
  // Of ARC's runners the EphemeralRunner is what lives on, and pods come and go under it.
  const lasts = there.runner ?? there.pod;
  const seen = [
    ...(gone.EphemeralRunner || (gone.Pod && !there.runner)
      ? [{ runner: gone.EphemeralRunner, pod: gone.Pod ?? there.pod, goneAt: now as Date | null }]
      : []),
    ...(lasts ? [{ runner: there.runner, pod: there.pod ?? gone.Pod, goneAt: null }] : []),
  ];
  return seen.flatMap(({ goneAt, ...objects }) => {
    const runner = runnerSeen(objects);
    return runner ? [{ ...runner, seenAt: now, goneAt }] : [];
  });
}

// ------------------------------------------------------------------------------------------------ what nobody told

const settledMs = 60_000;

/**
 * What the watch holds now against what the table says: a runner that ended while nobody watched ended when it was last seen,
 * or when somebody last looked at all, which is too early and never too late; one that could not be written is written.
 */
export async function sweepRunners(view: ClusterView, now: Date): Promise<void> {
  if (!view.synced) return;
  const seen = new Map(allRunners(view, now).map((each) => [each.uid, each]));
  const known = await unsafeDb().runner.findMany({
    where: { clusterId: view.client.id, endedAt: null },
    select: { uid: true, seenAt: true },
  });
  const gone = known.filter(({ uid, seenAt }) => !seen.has(uid) && now.getTime() - seenAt.getTime() > settledMs);
  if (gone.length > 0)
    await unsafeDb().$executeRaw`
      update runner set ended_at = greatest(seen_at, (select max(seen_until) from usage_watch
        where cluster_id = ${view.client.id} and seen_until <= ${now}))
      where ended_at is null and uid = any(${gone.map(({ uid }) => uid)})`;
  for (const { uid } of known) seen.delete(uid);
  const missing = [...seen.values()].filter(({ isOver }) => !isOver);
  if (missing.length > 0) await recordRunners(view.client.id, missing);
}

function allRunners(view: ClusterView, now: Date): SeenAt[] {
  const touched = new Map<string, Touched>();
  for (const kind of ['EphemeralRunner', 'Pod'] as const)
    for (const { metadata } of view.all(kind)) {
      const { namespace = '', name } = metadata;
      touched.set(`${namespace}/${name}`, { namespace, name, gone: {} });
    }
  return [...touched.values()].flatMap((each) => seenOf(view, each, now));
}

/** What is told late of a job finds its runner for so long. */
const keptMs = 7 * 24 * 3600_000;

/** Makes the ledger good where nobody told, and lets go of runners that ended long ago. */
export async function mendJobs(now: Date): Promise<number> {
  const mended = await unsafeTransaction((tx) => mendLedger(tx, now));
  await unsafeDb().runner.deleteMany({ where: { endedAt: { lt: new Date(now.getTime() - keptMs) } } });
  return mended;
}
