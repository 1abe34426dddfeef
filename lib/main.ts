/**
 * The worker: names the tasks and runs the loop. Any number of them may run, none is special, and nothing that it keeps in
 * memory is missed after a restart. Nobody imports it.
 */
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemClock } from './clock.ts';
import { readCaches, reconcileViews, viewTask } from './caching/index.ts';
import { ClusterClient, ClusterView } from './cluster/index.ts';
import { closeDb, databaseUrl, resealTexts, unsafeDb } from './db/index.ts';
import { examineEnrollment, proveEnrollment, wakeDoctor } from './doctor/index.ts';
import { budgetTask, closeDue, lookAtBudgets } from './billing/index.ts';
import {
  applySchedules,
  moveTask,
  prunePlans,
  reconcileEnrollment,
  scheduleTask,
  tellOfExpiry,
  tellOfUnknown,
  wakeOfChange,
  wakeSchedules,
} from './enrollment/index.ts';
import { jobsTask, pruneDeliveries, takeJobs } from './delivery/index.ts';
import { begin, env } from './env.ts';
import { clusterAt, clusterTask, lookAtCluster } from './fleet/index.ts';
import { DatabaseLook, neededMigrations, Probes, Turns, workerSigns } from './health.ts';
import { readShared, startBeat } from './status/index.ts';
import { log, writeOnlyLog } from './log.ts';
import { note, serveMetrics, startTracing } from './telemetry/index.ts';
import { reconcileMove, reconcileTenant } from './tenancy/index.ts';
import { deliverDue, sweepNotices, webhookFetch, webhookTask } from './notice/index.ts';
import { resealVersions } from './state/index.ts';
import { anchorChains, forgetPast, resignAnchors } from './tenant/index.ts';
import { keepRecentDays, measureRunners, mendJobs, pruneReadings } from './usage/index.ts';
import { loop, wake, type Lease, type Outcome, type Task, type Tasks } from './work/index.ts';

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

/** What is in a cluster and not in the database, as after a restore. */
const foundMs = 10 * 60_000;
/** A rotation of the key begins with new workers, which look at once; this is for what other processes seal until they have it. */
const resealMs = 3600_000;
/** A value that was changed while it was sealed anew. */
const resealChangedMs = 5_000;
const databaseRetryMs = 1_000;

begin(parseArgs({ options: { config: { type: 'string' } } }).values.config);
writeOnlyLog();
const stop = new AbortController();
const database = new DatabaseLook({ url: databaseUrl(), leases: true });
const turns = new Turns();
const probes = new Probes(workerSigns(turns, database));
const views = new Map<string, ClusterView>();

function warn(message: string) {
  return (error: unknown) => log().warn({ error: error instanceof Error ? error.message : String(error) }, message);
}

function viewOf(clusterId: string): ClusterView {
  const known = views.get(clusterId);
  if (known) return known;
  const view = new ClusterView(new ClusterClient(clusterAt(clusterId)));
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
  'plan-sweep': round(dayMs, prunePlans),
  'program-sweep': round(pruneMs, forgetPast),
  [budgetTask]: async () => ({ kind: 'done', againMs: await lookAtBudgets(systemClock.now()) }),
  'use-days': round(pruneMs, keepRecentDays),
  'invoice-close': round(pruneMs, closeDue),
  'reading-prune': round(dayMs, (now) => pruneReadings(new Date(now.getTime() - env().FLYWHEEL_READING_DAYS * dayMs))),
  'ledger-mend': round(ledgerMs, mendJobs),
  'cache-reading': round(cacheReadingMs, readCaches),
  'found-unknown': round(foundMs, () => tellOfUnknown(views.values())),
  reseal,
};

/** What another of the portal's keys sealed or signed, the present one does after this. */
async function reseal(lease: Lease): Promise<Outcome> {
  const check = () => lease.check();
  const looks = [await resealTexts(check), await resealVersions(check), await resignAnchors(check)];
  const [resealed, changed, closed] = (['resealed', 'changed', 'closed'] as const).map((each) =>
    looks.reduce((sum, look) => sum + look[each], 0),
  );
  if (resealed) log().info({ resealed }, 'sealed by the present key what another had');
  if (closed) log().error({ closed }, 'sealed by a key that was not given: npm run -s reseal:status');
  return { kind: 'done', againMs: changed ? resealChangedMs : resealMs };
}

function round(everyMs: number, look: (now: Date) => Promise<unknown>): () => Promise<Outcome> {
  return async () => {
    await look(systemClock.now());
    return { kind: 'done', againMs: everyMs };
  };
}

/** A task whose key is a tenant, which the log then says. */
function ofTenant(task: Task): Task {
  return (lease) => {
    note({ tenantId: lease.key });
    return task(lease);
  };
}

function run(tasks: Tasks, concurrency: number): Promise<void> {
  const say: Parameters<typeof loop>[0]['log'] = ({ level, message, ...detail }) => log()[level](detail, message);
  return loop({ tasks, concurrency, signal: stop.signal, onTurn: () => turns.turned(tasks), log: say });
}

/** The port for the probes, where there is one; answers what closes it. */
function answerProbes(): () => void {
  const port = env().FLYWHEEL_HEALTH_PORT;
  if (port === undefined) return () => undefined;
  const server = createServer((request, response) => {
    if (!probes.answers(request, response)) response.writeHead(404).end();
  });
  server.listen(port);
  return () => server.close();
}

/** A worker that is started before its migrations are applied, or before the database is there, begins nothing and waits. */
async function untilReady(): Promise<void> {
  let said: string | null = null;
  while (!stop.signal.aborted) {
    const problem = await database.problem();
    if (problem === null) return;
    if (problem !== said) log().warn({ problem }, 'the worker waits');
    said = problem;
    await sleep(databaseRetryMs, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}

function leave(): void {
  probes.drain();
  stop.abort();
}

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, leave);
  const closeProbes = answerProbes();
  const metrics = await serveMetrics(env().FLYWHEEL_METRICS_PORT, warn('metrics cannot be served'));
  const endTracing = await startTracing(env(), 'flywheel-worker', warn('traces cannot be sent'));
  await untilReady();
  if (!stop.signal.aborted) await work();
  closeProbes();
  await Promise.all([metrics?.stop(), endTracing()]);
  await Promise.all([closeDb(), database.close()]);
}

async function work(): Promise<void> {
  const clusters = (await unsafeDb().cluster.findMany({ select: { id: true } })).map(({ id }) => id);
  for (const id of clusters) viewOf(id);
  const timer = setInterval(() => void sweep().catch(warn('the sweep failed')), sweepMs);
  await sweep();
  await wakeSchedules();
  await wake(unsafeDb(), clusterTask, clusters);
  for (const kind of Object.keys(rounds)) await wake(unsafeDb(), kind, 'all');
  const deps = { clock: systemClock, view: viewOf, seen: new Map<string, number>() };
  log().info({ concurrency: env().FLYWHEEL_WORKER_CONCURRENCY }, 'worker started');
  const webhooks = { clock: systemClock, fetch: webhookFetch() };
  const tasks: Tasks = {
    enrollment: (lease) => reconcileEnrollment(deps, lease),
    doctor: (lease) => examineEnrollment(deps, lease),
    proof: (lease) => proveEnrollment(deps, lease),
    tenant: ofTenant((lease) => reconcileTenant(deps, lease)),
    [clusterTask]: (lease) => lookAtCluster(deps, lease),
    [moveTask]: (lease) => reconcileMove(deps, lease),
    [jobsTask]: takeJobs,
    [viewTask]: ofTenant((lease) => reconcileViews(lease)),
    [scheduleTask]: (lease) => applySchedules(deps, lease),
    ...rounds,
  };
  const toWebhooks: Tasks = { [webhookTask]: (lease) => deliverDue(webhooks, lease) };
  readShared(Object.keys({ ...tasks, ...toWebhooks }));
  const onError = warn('what this process sees could not be kept');
  const beat = startBeat({ kind: 'worker', needs: neededMigrations, onError });
  await Promise.all([run(tasks, env().FLYWHEEL_WORKER_CONCURRENCY), run(toWebhooks, webhookConcurrency)]);
  await beat.stop();
  clearInterval(timer);
  await Promise.all([...views.values()].map((view) => view.stopped()));
}

await main();
