import type { Clock } from '#lib/clock.ts';
import {
  enrollmentLabel,
  poolLabel,
  tenantLabel,
  type Change,
  type ClusterView,
  type Observed,
} from '#lib/cluster/index.ts';
import { type Prisma, unsafeDb } from '#lib/db/index.ts';
import { type Measuring, sweepRunners, watchRunners } from './runners.ts';

type PodStatus = {
  phase?: string;
  startTime?: string;
  containerStatuses?: { state?: { terminated?: { finishedAt?: string } } }[];
};

/** How long a pod has run: to its containers' end where it has ended, else to now. Null before it started. */
function runSeconds(pod: Observed, now: Date): { startedAt: Date; seconds: number } | null {
  const status = pod.status as PodStatus | undefined;
  if (!status?.startTime) return null;
  const startedAt = new Date(status.startTime);
  const ends = (status.containerStatuses ?? []).map((container) => container.state?.terminated?.finishedAt);
  const isOver = ends.length > 0 && ends.every((end) => end !== undefined);
  const end = isOver ? new Date(Math.max(...ends.map((each) => Date.parse(each ?? '')))) : now;
  // A node's clock may be ahead of ours: never less than nothing.
  return { startedAt, seconds: Math.max(0, (end.getTime() - startedAt.getTime()) / 1000) };
}

type Owner = { tenantId: string; enrollmentId: string };

async function ownersOf(pods: readonly Observed[]): Promise<(pod: Observed) => Owner | undefined> {
  const slugs = [...new Set(pods.map((pod) => pod.metadata.labels?.[tenantLabel] ?? ''))];
  const rows = await unsafeDb().enrollment.findMany({
    where: { tenant: { slug: { in: slugs } }, state: { in: ['active', 'withdrawing'] } },
    select: { id: true, name: true, tenantId: true, tenant: { select: { slug: true } } },
  });
  const byName = new Map(
    rows.map((row) => [`${row.tenant.slug}/${row.name}`, { tenantId: row.tenantId, enrollmentId: row.id }]),
  );
  return (pod) => byName.get(`${pod.metadata.labels?.[tenantLabel]}/${pod.metadata.labels?.[enrollmentLabel]}`);
}

/** Appends a reading of each of these runner pods. Called again for the same instant it adds nothing. */
export async function sampleRunners(pods: readonly Observed[], now: Date): Promise<number> {
  if (pods.length === 0) return 0;
  const ownerOf = await ownersOf(pods);
  const data = pods.flatMap((pod): Prisma.RunnerReadingCreateManyInput[] => {
    const run = runSeconds(pod, now);
    const owner = ownerOf(pod);
    const poolName = pod.metadata.labels?.[poolLabel];
    if (!run || !owner || poolName === undefined) return [];
    return [
      {
        ...owner,
        podUid: pod.metadata.uid,
        observedAt: now,
        poolName,
        startedAt: run.startedAt,
        runnerSeconds: run.seconds.toFixed(3),
      },
    ];
  });
  const { count } = await unsafeDb().runnerReading.createMany({ data, skipDuplicates: true });
  return count;
}

type SetStatus = {
  currentRunners?: number;
  pendingEphemeralRunners?: number;
  runningEphemeralRunners?: number;
  failedEphemeralRunners?: number;
};

async function keepCounts(set: Observed, now: Date): Promise<void> {
  const status = (set.status ?? {}) as SetStatus;
  await unsafeDb().enrollmentPool.updateMany({
    where: { scaleSetName: set.metadata.name },
    data: {
      currentRunners: status.currentRunners ?? 0,
      pendingRunners: status.pendingEphemeralRunners ?? 0,
      runningRunners: status.runningEphemeralRunners ?? 0,
      failedRunners: status.failedEphemeralRunners ?? 0,
      observedAt: now,
    },
  });
}

/** ARC's own runner pods, which it counts itself (resourcebuilder.go of ARC 0.14.2). */
const arcPodLabel = 'actions-ephemeral-runner';
const gatherMs = 250;

type CountedPool = { tenant: string; enrollment: string; pool: string };

function countedPool(pod: Observed): CountedPool | null {
  const labels = pod.metadata.labels ?? {};
  const [tenant, enrollment, pool] = [labels[tenantLabel], labels[enrollmentLabel], labels[poolLabel]];
  if (!tenant || !enrollment || !pool || labels[arcPodLabel] !== undefined) return null;
  return { tenant, enrollment, pool };
}

/** Where no controller counts, the pods of a pool are what there is: those of GitLab's jobs, and Forgejo's runners. */
async function keepPodCounts(view: ClusterView, counted: readonly CountedPool[], now: Date): Promise<void> {
  const phases = new Map<string, string[]>();
  for (const pod of view.all('Pod')) {
    const pool = countedPool(pod);
    if (!pool || pod.metadata.deletionTimestamp !== undefined) continue;
    const key = JSON.stringify(pool);
    phases.set(key, [...(phases.get(key) ?? []), (pod.status as PodStatus | undefined)?.phase ?? 'Pending']);
  }
  for (const { tenant, enrollment, pool } of counted) {
    const found = phases.get(JSON.stringify({ tenant, enrollment, pool })) ?? [];
    const count = (phase: string) => found.filter((each) => each === phase).length;
    const [pendingRunners, runningRunners, failedRunners] = [count('Pending'), count('Running'), count('Failed')];
    await unsafeDb().enrollmentPool.updateMany({
      where: { poolName: pool, enrollment: { name: enrollment, tenant: { slug: tenant }, state: 'active' } },
      data: {
        currentRunners: pendingRunners + runningRunners,
        pendingRunners,
        runningRunners,
        failedRunners,
        observedAt: now,
      },
    });
  }
}

/**
 * What the watch tells of runners goes to the pages; a pod that ends gives its last reading at once. Counts are gathered and
 * written one after the other, or an older one could be the last.
 */
export function keepPoolCounts(view: ClusterView, clock: Clock, onError: (error: unknown) => void): void {
  const pools = new Map<string, CountedPool>();
  const sets = new Map<string, Observed>();
  let timer: NodeJS.Timeout | undefined;
  let written: Promise<void> = Promise.resolve();
  const write = async (counted: CountedPool[], told: Observed[]) => {
    await keepPodCounts(view, counted, clock.now());
    for (const set of told) await keepCounts(set, clock.now());
  };
  const gather = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      const [counted, told] = [[...pools.values()], [...sets.values()]];
      pools.clear();
      sets.clear();
      written = written.then(() => write(counted, told)).catch(onError);
    }, gatherMs);
  };
  view.onChange((change: Change) => {
    const pool = change.kind === 'Pod' ? countedPool(change.object) : null;
    if (pool) pools.set(JSON.stringify(pool), pool);
    if (change.kind === 'AutoscalingRunnerSet' && !change.deleted) sets.set(change.name, change.object);
    if (pools.size + sets.size > 0) gather();
    if (change.kind === 'Pod' && isOver(change)) sampleRunners([change.object], clock.now()).catch(onError);
  });
}

const sampleMs = 15_000;

/** All that a worker measures of a cluster, until the signal aborts: runners, counts, and readings of what runs on and on. */
export function measureRunners(view: ClusterView, { clock, signal, onError }: Measuring): void {
  keepPoolCounts(view, clock, onError);
  watchRunners(view, { clock, onError });
  const look = async () => {
    await sampleRunners([...view.all('Pod')], clock.now());
    await sweepRunners(view, clock.now());
  };
  const timer = setInterval(() => void look().catch(onError), sampleMs);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

function isOver(change: Change): boolean {
  const phase = (change.object.status as PodStatus | undefined)?.phase;
  return change.deleted || phase === 'Succeeded' || phase === 'Failed';
}
