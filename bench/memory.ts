/**
 * worker-memory: what a worker process has resident at 1,000 tenants, after it has listed the cluster and looked at each of
 * them, the forge included; the highest it ever had is said beside it.
 */
import { startWorkerProcess } from '#sandbox/test-support/worker-process.ts';
import { memoryOf } from './child.ts';
import { median, print, rounded, say, until, type Options } from './report.ts';
import { isQuiet, readyWorld, tenantsUsual } from './thousand.ts';

const limitMegabytes = 250;
const restMs = 10_000;

export async function memory(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const { world } = await readyWorld(tenants);
  const found: { now: number; most: number; requests: number }[] = [];
  // A process takes long to fill, and what it then holds hardly differs: fewer runs say as much.
  for (let run = 0; run < Math.min(options.runs, 3); run += 1) {
    const requests = async () => (await world.apiRequests()) + (await world.forgeRequests());
    const before = await requests();
    const worker = await startWorkerProcess(world.folder);
    await until('all passes', 60_000 + 500 * tenants, isQuiet, 500);
    await new Promise((resolve) => setTimeout(resolve, restMs));
    const taken = { ...memoryOf(worker.pid), requests: (await requests()) - before };
    say(`worker-memory run ${run + 1}: ${taken.now.toFixed(0)} MB now, ${taken.most.toFixed(0)} MB at most`);
    found.push(taken);
    await worker.stop();
  }
  const ours = rounded(median(found.map((each) => each.now)));
  print({
    metric: 'worker-memory',
    ours,
    // The limit is what it is held against: nobody else holds a thousand tenants in one process to be measured beside it.
    peer: limitMegabytes,
    limit: limitMegabytes,
    ratio: rounded(ours / limitMegabytes),
    unit: 'MB',
    requests: { ours: rounded(median(found.map((each) => each.requests)), 6), peer: 0 },
    most: rounded(median(found.map((each) => each.most))),
    tenants,
    runs: found.length,
  });
}
