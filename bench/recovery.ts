/**
 * P9: an enrollment whose worker is killed (SIGKILL) in mid-apply, from the kill to PoolsReady, with a second worker there
 * that has to find it; against the same enrollment undisturbed. The second one is held still until the kill, so that it is
 * certain whose work is cut off. A kill that came too late to cut anything is not counted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isGone } from '#sandbox/arc/kube.ts';
import { startWorkerProcess, type WorkerProcess } from './child.ts';
import { pairs, print, quantile, rounded, say, timed, until, type Options, type Sides } from './report.ts';
import { addTenants, countWith, letRest, wakeAll, type Enrolled } from './tenants.ts';
import { startWorld, type World } from './world.ts';

const limitSeconds = 5;
const triesEach = 4;

export async function recovery(options: Options): Promise<void> {
  const world = await startWorld({ organizations: options.runs * (triesEach + 1) + 2 });
  let worker = await startWorkerProcess(world);
  await undisturbed('w');
  const found: Sides[] = [];
  let tooLate = 0;
  for (let pair = 0; found.length < options.runs && pair < options.runs * triesEach; pair += 1) {
    const spare = await startWorkerProcess(world);
    const peer = await undisturbed(`u${pair}`);
    const ours = await killed(world, `k${pair}`, worker, spare);
    worker = spare;
    if (ours === undefined) {
      tooLate += 1;
      continue;
    }
    say(`P9 pair ${found.length + 1}: killed ${ours.toFixed(2)} s, undisturbed ${peer.toFixed(2)} s`);
    found.push({ ours, peer });
  }
  await worker.stop();
  print({
    metric: 'P9',
    ...pairs(found),
    unit: 's',
    limit: limitSeconds,
    slowest: rounded(
      quantile(
        found.map((each) => each.ours),
        1,
      ),
    ),
    tooLate,
  });
}

async function undisturbed(prefix: string): Promise<number> {
  const enrolled = await addTenants(prefix, 1);
  const seconds = await timed(async () => {
    await wakeAll(enrolled);
    await untilReady(enrolled);
  });
  await letRest(enrolled);
  return seconds;
}

function untilReady(enrolled: readonly Enrolled[]): Promise<void> {
  return until('the pools', 60_000, async () => (await countWith(enrolled, 'PoolsReady')) === enrolled.length, 10);
}

/** Seconds from the kill; undefined when everything stood already. */
async function killed(
  world: World,
  prefix: string,
  worker: WorkerProcess,
  spare: WorkerProcess,
): Promise<number | undefined> {
  const enrolled = await addTenants(prefix, 1);
  process.kill(spare.pid, 'SIGSTOP');
  try {
    await wakeAll(enrolled);
    await namespaceThere(world, enrolled);
    process.kill(worker.pid, 'SIGKILL');
  } finally {
    process.kill(spare.pid, 'SIGCONT');
  }
  const seconds = await timed(() => untilReady(enrolled));
  await letRest(enrolled);
  return seconds < 0.05 ? undefined : seconds;
}

/** The first object is there, the last ones are not: the middle of an apply. */
async function namespaceThere(world: World, [enrolled]: readonly Enrolled[]): Promise<void> {
  const path = `/api/v1/namespaces/runners-${enrolled?.slug}`;
  for (let tries = 0; tries < 10_000; tries += 1) {
    try {
      return void (await world.admin.call({ method: 'GET', path }));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    await sleep(2);
  }
  throw new Error('no namespace came');
}
