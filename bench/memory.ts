/**
 * worker-memory: what a worker process has resident at 1,000 tenants, after it has listed the cluster and looked at each of
 * them, the forge included; the highest it ever had is said beside it.
 */
import { memoryOf, startWorkerProcess } from './child.ts';
import { median, print, rounded, say, until, type Options } from './report.ts';
import { isQuiet, readyWorld, tenantsUsual } from './thousand.ts';

const limitMegabytes = 250;
const restMs = 10_000;

export async function memory(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const { world } = await readyWorld(tenants);
  const found: { now: number; most: number }[] = [];
  // A process takes long to fill, and what it then holds hardly differs: fewer runs say as much.
  for (let run = 0; run < Math.min(options.runs, 3); run += 1) {
    const worker = await startWorkerProcess(world);
    await until('all passes', 60_000 + 500 * tenants, isQuiet, 500);
    await new Promise((resolve) => setTimeout(resolve, restMs));
    const taken = memoryOf(worker.pid);
    say(`worker-memory run ${run + 1}: ${taken.now.toFixed(0)} MB now, ${taken.most.toFixed(0)} MB at most`);
    found.push(taken);
    await worker.stop();
  }
  const ours = rounded(median(found.map((each) => each.now)));
  print({
    metric: 'worker-memory',
    ours,
    limit: limitMegabytes,
    ratio: rounded(ours / limitMegabytes),
    unit: 'MB',
    most: rounded(median(found.map((each) => each.most))),
    tenants,
    runs: found.length,
  });
}
