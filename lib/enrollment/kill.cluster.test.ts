import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { startFaultyProxy, type FaultyProxy } from '#sandbox/test-support/cluster.ts';
import { approve, drafted, worldOf, type Enrolled } from '#sandbox/test-support/crash-world.ts';
import { logTail } from '#sandbox/process.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { startWorkerProcess, type WorkerProcess } from '#sandbox/test-support/worker-process.ts';

/*
 * F1, I4, with real processes: two workers run lib/main.ts, and whichever has the key gets SIGKILL between a write and its
 * answer. What it leaves in the task table is a lease that ends by itself; the other takes the key over and ends the work.
 */

type Worker = { process: WorkerProcess; proxy: FaultyProxy };

let portal: TestPortal;
let folder: string;
const workers: Worker[] = [];

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
  folder = mkdtempSync(join(tmpdir(), 'flywheel-kill-'));
  await Promise.all([startWorker(), startWorker()]);
}, 240_000);
afterAll(async () => {
  await Promise.all(workers.map(({ process: { stop } }) => stop()));
  await Promise.all(workers.map(({ proxy }) => proxy.stop()));
  if (folder) rmSync(folder, { recursive: true });
  await portal?.stop();
});

/** A worker whose every request to the cluster comes by here. */
async function startWorker(): Promise<void> {
  const { portalKubeconfigPath } = await testCluster({ arc: true });
  const proxy = await startFaultyProxy(portalKubeconfigPath);
  const path = join(folder, `kubeconfig-${workers.length}-${Math.random()}`);
  writeFileSync(path, proxy.kubeconfig, { mode: 0o600 });
  workers.push({ proxy, process: await startWorkerProcess(folder, { KUBECONFIG: path }) });
}

/** Whoever sends the tenant's k-th write dies of it: the server does it, and nobody hears the answer. */
function killAt({ slug }: Enrolled, write: number): Promise<Worker> {
  let seen = 0;
  return new Promise((resolve) => {
    for (const worker of workers)
      worker.proxy.fault = ({ method, path }) => {
        if (method === 'GET' || !path.includes(slug) || (seen += 1) !== write) return undefined;
        process.kill(worker.process.pid, 'SIGKILL');
        resolve(worker);
        return { kind: 'reset after' };
      };
  });
}

type TaskRow = { leaseToken: bigint; isLeased: boolean };

async function taskOf({ id }: Enrolled): Promise<TaskRow | undefined> {
  const [row] = await unsafeDb().$queryRaw<TaskRow[]>`
    select lease_token as "leaseToken", lease_until is not null as "isLeased" from task
    where kind = 'enrollment' and key = ${id}`;
  return row;
}

async function isDone({ id }: Enrolled): Promise<boolean> {
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  return row.state === 'withdrawn' || (row.state === 'active' && row.observedGeneration === row.generation);
}

/** What there is in its place, for the failure to tell. */
async function stood({ id }: Enrolled): Promise<unknown> {
  const task = await unsafeDb().$queryRaw`select *, now() from task where key = ${id}`;
  const { state, generation, observedGeneration, conditions } = await unsafeDb().enrollment.findUniqueOrThrow({
    where: { id },
  });
  const told = workers.map(({ process: { isRunning, logFile } }) => ({ runs: isRunning(), log: logTail(logFile) }));
  return { task, state, generation, observedGeneration, conditions, told };
}

/** Kills the worker that has it in the middle, sees what the dead one left, and waits for the other. */
async function cutOff(tenant: Enrolled, flow: 'enroll' | 'withdraw', write: number): Promise<void> {
  const killed = killAt(tenant, write);
  await approve(portal, tenant, flow);
  const { process: dead } = await killed;
  expect(await dead.exited).toBe('signal SIGKILL');
  const left = await taskOf(tenant);
  expect(left?.isLeased, 'the dead worker’s lease is still there').toBe(true);
  expect(await isDone(tenant), 'the kill came in the middle').toBe(false);
  await eventually(
    'the other worker to end it',
    () => isDone(tenant),
    120_000,
    () => stood(tenant),
  );
  // A key that is withdrawn is forgotten; else somebody else has had it since.
  const leaseToken = (await taskOf(tenant))?.leaseToken ?? Infinity;
  expect(leaseToken > (left?.leaseToken ?? 0n), 'another lease came after').toBe(true);
}

async function undisturbed(tenant: Enrolled, flow: 'enroll' | 'withdraw'): Promise<void> {
  await approve(portal, tenant, flow);
  await eventually(`${flow}, undisturbed`, () => isDone(tenant), 60_000);
}

test('a worker that is killed in mid-enrolment, and one in mid-withdrawal, leave what an undisturbed one leaves', async () => {
  const world = (each: Enrolled) => worldOf(portal, each, portal.github.url);
  const [cut, whole] = [await drafted(portal), await drafted(portal)];
  await undisturbed(whole, 'enroll');
  await cutOff(cut, 'enroll', 9);
  expect(await world(cut)).toEqual(await world(whole));
  // The other kept on telling the pages what runs, too.
  const counted = () => unsafeDb().enrollmentPool.count({ where: { enrollmentId: cut.id, observedAt: { not: null } } });
  await eventually('the counts of both pools', async () => (await counted()) === 2);

  await startWorker();
  await undisturbed(whole, 'withdraw');
  await cutOff(cut, 'withdraw', 6);
  expect(await world(cut)).toEqual(await world(whole));
}, 420_000);
