/**
 * The worker: names the tasks and runs the loop. Any number of them may run, none is special, and nothing that it keeps in
 * memory is missed after a restart. Nobody imports it.
 */
import { systemClock } from './clock.ts';
import { readCaches, reconcileViews, viewTask } from './caching/index.ts';
import { ClusterClient, clusterConnection, ClusterView } from './cluster/index.ts';
import { closeDb, unsafeDb } from './db/index.ts';
import { examineEnrollment, proveEnrollment, wakeDoctor } from './doctor/index.ts';
import { budgetTask, closeDue, lookAtBudgets } from './billing/index.ts';
import {
  applySchedules,
  reconcileEnrollment,
  scheduleTask,
  tellOfExpiry,
  wakeOfChange,
  wakeSchedules,
} from './enrollment/index.ts';
import { jobsTask, pruneDeliveries, takeJobs } from './delivery/index.ts';
import { env } from './env.ts';
import { log } from './log.ts';
import { reconcileTenant } from './tenancy/index.ts';
import { deliverDue, sweepNotices, webhookFetch, webhookTask } from './notice/index.ts';
import { anchorChains } from './tenant/index.ts';
import { keepRecentDays, measureRunners, mendJobs, pruneReadings } from './usage/index.ts';
import { loop, wake, type Outcome, type Tasks } from './work/index.ts';

/** What is cut off the end of the audit within this time, and its head mended, nobody can show. */
const anchorMs = 60_000;
const expiryMs = 6 * 3600_000;
const noticeSweepMs = 24 * 3600_000;
/** Receivers may take ten seconds to answer nothing: they hold up each other and no enrollment. */
const webhookConcurrency = 4;
/** A wake that was lost in spite of everything is made good by this. */
const sweepMs = 10 * 60_000;
const pruneMs = 3_600_000;
const dayMs = 24 * 3600_000;
/** What no delivery told of a job is made good within this time, and those ten minutes that deliveries may be late. */
const ledgerMs = 5 * 60_000;
/** A day of the caches' pages is made of some hundred readings at most. */
const cacheReadingMs = 15 * 60_000;

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
  view.onChange(wakeDoctor(warn('a sign of trouble could not be passed on')));
  const onError = warn('a count or a reading of runners could not be kept');
  measureRunners(view, { clock: systemClock, signal: stop.signal, onError });
  view.start(stop.signal, (message, detail) => log().warn(detail, message));
  views.set(clusterId, view);
  return view;
}

async function sweep(): Promise<void> {
  const rows = await unsafeDb().enrollment.findMany({
    where: { state: { in: ['active', 'withdrawing'] } },
    select: { id: true },
  });
  const ids = rows.map(({ id }) => id);
  await wake(unsafeDb(), 'enrollment', ids);
  // Each says by itself when it is due.
  await wake(unsafeDb(), 'doctor', ids);
  await wake(unsafeDb(), 'proof', ids);
}

/** Looked at again and again, by one worker at a time; each has the one key `all`. */
const rounds: Tasks = {
  'audit-anchor': round(anchorMs, anchorChains),
  'credential-expiry': round(expiryMs, tellOfExpiry),
  'notice-sweep': round(noticeSweepMs, sweepNotices),
  'delivery-sweep': round(pruneMs, pruneDeliveries),
  [budgetTask]: async () => ({ kind: 'done', againMs: await lookAtBudgets(systemClock.now()) }),
  'use-days': round(pruneMs, keepRecentDays),
  'invoice-close': round(pruneMs, closeDue),
  'reading-prune': round(dayMs, (now) => pruneReadings(new Date(now.getTime() - env().FLYWHEEL_READING_DAYS * dayMs))),
  'ledger-mend': round(ledgerMs, mendJobs),
  'cache-reading': round(cacheReadingMs, readCaches),
};

function round(everyMs: number, look: (now: Date) => Promise<unknown>): () => Promise<Outcome> {
  return async () => {
    await look(systemClock.now());
    return { kind: 'done', againMs: everyMs };
  };
}

function run(tasks: Tasks, concurrency: number): Promise<void> {
  const say: Parameters<typeof loop>[0]['log'] = ({ level, message, ...detail }) => log()[level](detail, message);
  return loop({ tasks, concurrency, signal: stop.signal, log: say });
}

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  for (const { id } of await unsafeDb().cluster.findMany({ select: { id: true } })) viewOf(id);
  const timer = setInterval(() => void sweep().catch(warn('the sweep failed')), sweepMs);
  await sweep();
  await wakeSchedules();
  for (const kind of Object.keys(rounds)) await wake(unsafeDb(), kind, 'all');
  const deps = { clock: systemClock, view: viewOf, seen: new Map<string, number>() };
  log().info({ concurrency: env().FLYWHEEL_WORKER_CONCURRENCY }, 'worker started');
  const webhooks = { clock: systemClock, fetch: webhookFetch() };
  const tasks: Tasks = {
    enrollment: (lease) => reconcileEnrollment(deps, lease),
    doctor: (lease) => examineEnrollment(deps, lease),
    proof: (lease) => proveEnrollment(deps, lease),
    tenant: (lease) => reconcileTenant(deps, lease),
    [jobsTask]: takeJobs,
    [viewTask]: (lease) => reconcileViews(lease),
    [scheduleTask]: (lease) => applySchedules(deps, lease),
    ...rounds,
  };
  await Promise.all([
    run(tasks, env().FLYWHEEL_WORKER_CONCURRENCY),
    run({ [webhookTask]: (lease) => deliverDue(webhooks, lease) }, webhookConcurrency),
  ]);
  clearInterval(timer);
  await Promise.all([...views.values()].map((view) => view.stopped()));
  await closeDb();
}

await main();
