/**
 * workers: tenants that one, two and four worker processes enrol in a second, over one Postgres and one API server. The peer is
 * the one. Beside each stands the processor time of the workers and of the servers, and how much of the machine both had: where
 * that is near all of it, the machine is the limit and not the number of workers.
 */
import { availableParallelism, loadavg } from 'node:os';
import { startWorkerProcess } from '#sandbox/test-support/worker-process.ts';
import { groupsMs } from './cpu.ts';
import { median, print, rounded, say, timed, until, type Options } from './report.ts';
import { addTenants, countWith, letRest, wakeAll } from './tenants.ts';
import { startWorld, type World } from './world.ts';

const counts = [1, 2, 4] as const;
const tenantsUsual = 100;
const warmUp = 10;

type Run = { perSecond: number; workersCpu: number; serversCpu: number; used: number; requests: number };

export async function workers(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const runs = Math.min(options.runs, 5);
  const world = await startWorld({ organizations: (tenants + warmUp) * counts.length * runs });
  const [loadBefore] = loadavg();
  const found = new Map<number, Run[]>(counts.map((count) => [count, []]));
  // All of them in each round: a machine that is slower for a while is so for each.
  for (let run = 0; run < runs; run += 1)
    for (const count of counts) {
      const one = await enrolBy(world, { count, prefix: `n${run}w${count}`, tenants });
      say(
        `workers run ${run + 1}, ${count}: ${one.perSecond.toFixed(2)} tenants/s, ${(one.used * 100).toFixed(0)} % of the machine`,
      );
      found.get(count)?.push(one);
    }
  const middle = (count: number, of: (run: Run) => number) => rounded(median((found.get(count) ?? []).map(of)));
  const one = middle(1, (run) => run.perSecond);
  print({
    metric: 'workers',
    unit: 'tenants/s',
    tenants,
    runs,
    processors: availableParallelism(),
    loadBefore: rounded(loadBefore ?? 0),
    by: counts.map((count) => ({
      workers: count,
      perSecond: middle(count, (run) => run.perSecond),
      ratio: rounded(middle(count, (run) => run.perSecond) / one),
      workersCpuSeconds: middle(count, (run) => run.workersCpu),
      serversCpuSeconds: middle(count, (run) => run.serversCpu),
      shareOfMachine: middle(count, (run) => run.used),
      requests: middle(count, (run) => run.requests),
    })),
  });
}

type Wish = { count: number; prefix: string; tenants: number };

async function enrolBy(world: World, { count, prefix, tenants }: Wish): Promise<Run> {
  const processes = await Promise.all(Array.from({ length: count }, () => startWorkerProcess(world.folder)));
  const pids = processes.map(({ pid }) => pid);
  try {
    // Code is compiled, connections are open.
    await enrolled(await addTenants(`${prefix}u`, warmUp));
    const added = await addTenants(prefix, tenants);
    const before = { workers: groupsMs(pids), servers: world.cpuMs().servers, requests: await world.apiRequests() };
    const seconds = await timed(() => enrolled(added));
    const workersCpu = (groupsMs(pids) - before.workers) / 1000;
    const serversCpu = (world.cpuMs().servers - before.servers) / 1000;
    const requests = (await world.apiRequests()) - before.requests;
    await letRest(added);
    const used = (workersCpu + serversCpu) / (seconds * availableParallelism());
    return { perSecond: tenants / seconds, workersCpu, serversCpu, used, requests };
  } finally {
    await Promise.all(processes.map((each) => each.stop()));
  }
}

async function enrolled(added: Awaited<ReturnType<typeof addTenants>>): Promise<void> {
  await wakeAll(added);
  const isDone = async () => (await countWith(added, 'PoolsReady')) === added.length;
  await until('the pools', 60_000 + 2000 * added.length, isDone, 50);
}
