import { Decimal } from 'decimal.js';
import type { Clock } from '#lib/clock.ts';
import {
  enrollmentLabel,
  poolLabel,
  tenantLabel,
  type Change,
  type ClusterView,
  type Observed,
} from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { cpuMillicores, memoryBytes, runnersNamespacesOf } from '#lib/model/index.ts';
import { keepReadings, keepSources, type GivenSource } from './keep.ts';
import { keepLook } from './looks.ts';
import type { GivenReading } from './meter.ts';
import { keepPodMetrics, readPodMetrics } from './metrics.ts';
import { runnerSeen } from './runner-seen.ts';
import { type Measuring, sweepRunners, watchRunners } from './runners.ts';
import { sampleStorage } from './storage.ts';

type PodStatus = {
  phase?: string;
  startTime?: string;
  containerStatuses?: { state?: { terminated?: { finishedAt?: string } } }[];
};

type Run = { startedAt: Date; endedAt: Date | null; readAt: Date; seconds: number };

/** How long a pod has run: to its containers' end where it has ended, else to now. Null before it started. */
function runOf(pod: Observed, now: Date): Run | null {
  const status = pod.status as PodStatus | undefined;
  if (!status?.startTime) return null;
  const startedAt = new Date(status.startTime);
  const ends = (status.containerStatuses ?? []).map((container) => container.state?.terminated?.finishedAt);
  const isOver = ends.length > 0 && ends.every((end) => end !== undefined);
  const endedAt = isOver ? new Date(Math.max(...ends.map((each) => Date.parse(each ?? '')))) : null;
  const end = endedAt ?? now;
  // Read at its end, however late we look: it is the same reading each time. A node's clock may be ahead of ours.
  const readAt = new Date(
    Math.max(Math.min(end.getTime(), now.getTime()), Math.min(startedAt.getTime(), now.getTime())),
  );
  return { startedAt, endedAt, readAt, seconds: Math.max(0, (end.getTime() - startedAt.getTime()) / 1000) };
}

type Owner = { tenantId: string; enrollmentId: string };

/** Whose a pod is: of the enrollment that its labels name, in the namespace of the tenant that they name, where that tenant stands. */
async function ownersOf(pods: readonly Observed[], clusterId: string): Promise<(pod: Observed) => Owner | undefined> {
  const slugs = [...new Set(pods.map((pod) => pod.metadata.labels?.[tenantLabel] ?? ''))];
  const rows = await unsafeDb().enrollment.findMany({
    where: {
      tenant: { slug: { in: slugs }, OR: [{ clusterId }, { otherClusterId: clusterId }] },
      state: { in: ['active', 'withdrawing'] },
    },
    select: { id: true, name: true, tenantId: true, tenant: { select: { slug: true } } },
  });
  const byName = new Map(
    rows.map((row) => [`${row.tenant.slug}/${row.name}`, { tenantId: row.tenantId, enrollmentId: row.id }]),
  );
  return ({ metadata: { labels = {}, namespace } }) =>
    runnersNamespacesOf(labels[tenantLabel] ?? '').includes(namespace ?? '')
      ? byName.get(`${labels[tenantLabel]}/${labels[enrollmentLabel]}`)
      : undefined;
}

type Containers = Record<'containers' | 'initContainers', ContainerAsks[] | undefined>;
type ContainerAsks = {
  restartPolicy?: string;
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
};

/** What a pod asked for while it ran, sidecars among it, as decimals; a quantity that cannot be read counts as none. */
function askedFor(pod: Observed): Pick<GivenSource, 'cpuCores' | 'memoryGib' | 'gpuCount'> {
  const { containers = [], initContainers = [] } = (pod['spec'] ?? {}) as Partial<Containers>;
  const running = [...containers, ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always')];
  const all = running.flatMap(({ resources }) => Object.entries({ ...resources?.limits, ...resources?.requests }));
  const sum = (wanted: (name: string) => boolean, amount: (quantity: string) => bigint) =>
    all.reduce((total, [name, quantity]) => (wanted(name) ? total + read(amount, quantity) : total), 0n);
  const millicores = sum((name) => name === 'cpu', cpuMillicores);
  const bytes = sum((name) => name === 'memory', memoryBytes);
  const gpus = sum((name) => /^[a-z.-]+\/gpu$/.test(name), BigInt);
  return {
    cpuCores: new Decimal(millicores.toString()).div(1000).toFixed(3),
    memoryGib: new Decimal(bytes.toString()).div(1024 ** 3).toFixed(6),
    gpuCount: Number(gpus),
  };
}

function read(amount: (quantity: string) => bigint, quantity: string): bigint {
  try {
    return amount(quantity);
  } catch {
    return 0n;
  }
}

/** Appends a reading of each of these runner pods. Called again for the same instant, or after a pod's end, it adds nothing. */
export async function sampleRunners(pods: readonly Observed[], now: Date, clusterId = 'main'): Promise<number> {
  const runners = pods.filter((pod) => pod.metadata.labels?.[poolLabel] !== undefined);
  if (runners.length === 0) return 0;
  const ownerOf = await ownersOf(runners, clusterId);
  const sources: GivenSource[] = [];
  const readings: GivenReading[] = [];
  for (const pod of runners) {
    const run = runOf(pod, now);
    if (!run) continue;
    const { uid: id, labels } = pod.metadata;
    const runner = runnerSeen({ pod });
    const phase = (pod.status as PodStatus | undefined)?.phase;
    sources.push({
      id,
      clusterId,
      name: runner?.name ?? pod.metadata.name,
      forgeJobId: runner?.forgeJobId ?? null,
      servesOne: runner?.servesOne ?? true,
      kind: 'runner',
      poolName: labels?.[poolLabel] ?? null,
      ...(ownerOf(pod) ?? {
        tenantId: null,
        enrollmentId: null,
      }),
      ...askedFor(pod),
      startedAt: run.startedAt,
      endedAt: run.endedAt,
      endedItself: run.endedAt === null ? null : phase === 'Succeeded',
    });
    readings.push({ sourceId: id, meter: 'runnerSeconds', observedAt: run.readAt, quantity: run.seconds.toFixed(3) });
  }
  await keepSources(sources);
  return (await keepReadings(readings, now)).kept;
}

type SetStatus = {
  currentRunners?: number;
  pendingEphemeralRunners?: number;
  runningEphemeralRunners?: number;
  failedEphemeralRunners?: number;
};

/** Of the cluster that the tenant stands on: in a move there is a set of that name on another one too. */
async function keepCounts(set: Observed, now: Date, clusterId: string): Promise<void> {
  const status = (set.status ?? {}) as SetStatus;
  await unsafeDb().enrollmentPool.updateMany({
    where: { scaleSetName: set.metadata.name, enrollment: { tenant: { clusterId } } },
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
async function keepPodCounts(
  view: ClusterView,
  counted: readonly CountedPool[],
  now: Date,
  clusterId: string,
): Promise<void> {
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
      where: { poolName: pool, enrollment: { name: enrollment, tenant: { slug: tenant, clusterId }, state: 'active' } },
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
export function keepPoolCounts(
  view: ClusterView,
  clock: Clock,
  onError: (error: unknown) => void,
  clusterId = 'main',
): void {
  const pools = new Map<string, CountedPool>();
  const sets = new Map<string, Observed>();
  let timer: NodeJS.Timeout | undefined;
  let written: Promise<void> = Promise.resolve();
  const write = async (counted: CountedPool[], told: Observed[]) => {
    await keepPodCounts(view, counted, clock.now(), clusterId);
    for (const set of told) await keepCounts(set, clock.now(), clusterId);
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
    if (change.kind === 'Pod' && isOver(change)) sampleRunners([change.object], clock.now(), clusterId).catch(onError);
  });
}

const sampleMs = 15_000;
const metricsMs = 60_000;
const withoutMetricsMs = 10 * 60_000;

/** All that a worker measures of a cluster, until the signal aborts: runners, counts, and readings of what runs on and on. */
export function measureRunners(view: ClusterView, { clock, signal, onError }: Measuring): void {
  const clusterId = view.client.id;
  keepPoolCounts(view, clock, onError, clusterId);
  watchRunners(view, { clock, onError });
  const look = async () => {
    // While the cluster is away, what the view has is old: nobody looks.
    if (!view.hears('Pod')) return;
    const now = clock.now();
    await sampleRunners([...view.all('Pod')], now, clusterId);
    await sweepRunners(view, now);
    await sampleStorage([...view.all('PersistentVolumeClaim')], now, clusterId);
    await keepLook(clusterId, now);
  };
  let metricsAfter = 0;
  const measure = async () => {
    const now = clock.now();
    if (now.getTime() < metricsAfter) return;
    const found = await readPodMetrics(view.client, signal);
    // A cluster without the metrics API is asked again now and then: it may get one.
    metricsAfter = now.getTime() + (found === null ? withoutMetricsMs : metricsMs);
    if (found !== null) await keepPodMetrics(found, [...view.all('Pod')], now);
  };
  const both = async () => {
    await look();
    await measure();
  };
  const timer = setInterval(() => void both().catch(onError), sampleMs);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

function isOver(change: Change): boolean {
  const phase = (change.object.status as PodStatus | undefined)?.phase;
  return change.deleted || phase === 'Succeeded' || phase === 'Failed';
}
