/**
 * The worker: names the tasks and runs the loop. Any number of them may run, none is special, and nothing that it keeps in
 * memory is missed after a restart. Nobody imports it.
 */
import { systemClock } from './clock.ts';
import { ClusterClient, clusterConnection, ClusterView } from './cluster/index.ts';
import { closeDb, unsafeDb } from './db/index.ts';
import { pruneDeliveries } from './delivery/index.ts';
import { reconcileEnrollment, wakeOfChange } from './enrollment/index.ts';
import { env } from './env.ts';
import { log } from './log.ts';
import { reconcileTenant } from './tenancy/index.ts';
import { keepPoolCounts, sampleRunners } from './usage/index.ts';
import { loop, wake } from './work/index.ts';

const sampleMs = 15_000;
/** A wake that was lost in spite of everything is made good by this. */
const sweepMs = 10 * 60_000;
const pruneMs = 3_600_000;

const stop = new AbortController();
const views = new Map<string, ClusterView>();

function warn(message: string) {
  return (error: unknown) => log().warn({ error: error instanceof Error ? error.message : String(error) }, message);
}

function viewOf(clusterId: string): ClusterView {
  const known = views.get(clusterId);
  if (known) return known;
  const view = new ClusterView(new ClusterClient(clusterConnection(clusterId)));
  view.onChange(wakeOfChange(warn('a change of the cluster could not be passed on')));
  keepPoolCounts(view, systemClock, warn('a count of runners could not be kept'));
  view.start(stop.signal, (message, detail) => log().warn(detail, message));
  views.set(clusterId, view);
  return view;
}

async function sampleAll(): Promise<void> {
  for (const view of views.values()) await sampleRunners([...view.all('Pod')], systemClock.now());
}

async function sweep(): Promise<void> {
  const rows = await unsafeDb().enrollment.findMany({
    where: { state: { in: ['active', 'withdrawing'] } },
    select: { id: true },
  });
  await wake(
    unsafeDb(),
    'enrollment',
    rows.map(({ id }) => id),
  );
}

async function prune(): Promise<void> {
  await pruneDeliveries(systemClock.now()).catch(warn('old deliveries could not be forgotten'));
}

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  for (const { id } of await unsafeDb().cluster.findMany({ select: { id: true } })) viewOf(id);
  const timers = [
    setInterval(() => void sampleAll().catch(warn('readings could not be taken')), sampleMs),
    setInterval(() => void sweep().catch(warn('the sweep failed')), sweepMs),
    setInterval(() => void prune(), pruneMs),
  ];
  await sweep();
  void prune();
  const deps = { clock: systemClock, view: viewOf, seen: new Map<string, number>() };
  log().info({ concurrency: env().FLYWHEEL_WORKER_CONCURRENCY }, 'worker started');
  await loop({
    tasks: {
      enrollment: (lease) => reconcileEnrollment(deps, lease),
      tenant: (lease) => reconcileTenant(deps, lease),
    },
    concurrency: env().FLYWHEEL_WORKER_CONCURRENCY,
    signal: stop.signal,
    log: ({ level, message, ...detail }) => log()[level](detail, message),
  });
  timers.forEach(clearInterval);
  await Promise.all([...views.values()].map((view) => view.stopped()));
  await closeDb();
}

await main();
