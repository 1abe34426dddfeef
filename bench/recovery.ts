/**
 * P9: an enrollment whose worker is killed (SIGKILL) in mid-apply, from the kill to Ready, with a second worker there
 * that has to find it; against the same enrollment undisturbed. The second one is held still until the kill, so that it is
 * certain whose work is cut off. A kill that came too late to cut anything is not counted. ARC's part, which Ready waits for,
 * is played at once on both sides.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isGone } from '#sandbox/arc/kube.ts';
import { startWorkerProcess, type WorkerProcess } from '#sandbox/test-support/worker-process.ts';
import { median, pairs, print, quantile, rounded, say, timed, until, type Options, type Sides } from './report.ts';
import { addTenants, countWith, letRest, wakeAll, type Enrolled } from './tenants.ts';
import { registerSets } from './thousand.ts';
import { startWorld, type World } from './world.ts';

const limitSeconds = 5;
const triesEach = 4;

export async function recovery(options: Options): Promise<void> {
  const world = await startWorld({ organizations: options.runs * (triesEach + 1) + 2 });
  let worker = await startWorkerProcess(world.folder);
  await undisturbed(world, 'w');
  const found: (Sides & { requests: Sides })[] = [];
  let tooLate = 0;
  for (let pair = 0; found.length < options.runs && pair < options.runs * triesEach; pair += 1) {
    const spare = await startWorkerProcess(world.folder);
    const peer = await undisturbed(world, `u${pair}`);
    const ours = await killed(world, `k${pair}`, worker, spare);
    worker = spare;
    if (ours === undefined) {
      tooLate += 1;
      continue;
    }
    say(
      `P9 pair ${found.length + 1}: killed ${ours.seconds.toFixed(2)} s, undisturbed ${peer.seconds.toFixed(2)} s; requests ${ours.requests} and ${peer.requests}`,
    );
    found.push({ ours: ours.seconds, peer: peer.seconds, requests: { ours: ours.requests, peer: peer.requests } });
  }
  await worker.stop();
  print({
    metric: 'P9',
    ...pairs(found),
    unit: 's',
    requests: {
      ours: rounded(median(found.map((each) => each.requests.ours)), 6),
      peer: rounded(median(found.map((each) => each.requests.peer)), 6),
    },
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

/** `requests`: those of all workers to the API server and the forge, from the wake to the end, and one list of ARC's part. */
type Run = { seconds: number; requests: number };

async function counted(world: World, run: () => Promise<number>): Promise<Run> {
  const sent = async () => (await world.apiRequests()) + (await world.forgeRequests());
  const before = await sent();
  const seconds = await run();
  return { seconds, requests: (await sent()) - before };
}

async function undisturbed(world: World, prefix: string): Promise<Run> {
  const enrolled = await addTenants(prefix, 1);
  const run = await counted(world, () =>
    timed(async () => {
      await wakeAll(enrolled);
      await untilReady(world, enrolled);
    }),
  );
  await letRest(enrolled);
  return run;
}

const poolsEach = 2;

async function untilReady(world: World, enrolled: readonly Enrolled[]): Promise<void> {
  let isRegistered = false;
  const ask = async () => {
    if ((await countWith(enrolled, 'PoolsReady')) < enrolled.length) return false;
    isRegistered ||= (await registerSets(world, `runners-${enrolled[0]?.slug}`)) === poolsEach;
    return isRegistered && (await countWith(enrolled, 'Ready')) === enrolled.length;
  };
  await until('Ready', 60_000, ask, 10);
}

/** Seconds from the kill; undefined when everything stood already. */
async function killed(
  world: World,
  prefix: string,
  worker: WorkerProcess,
  spare: WorkerProcess,
): Promise<Run | undefined> {
  const enrolled = await addTenants(prefix, 1);
  let isLate = false;
  const run = await counted(world, async () => {
    process.kill(spare.pid, 'SIGSTOP');
    try {
      await wakeAll(enrolled);
      await namespaceThere(world, enrolled);
      process.kill(worker.pid, 'SIGKILL');
    } finally {
      process.kill(spare.pid, 'SIGCONT');
    }
    isLate = (await countWith(enrolled, 'PoolsReady')) === enrolled.length;
    return timed(() => untilReady(world, enrolled));
  });
  await letRest(enrolled);
  return isLate ? undefined : run;
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
