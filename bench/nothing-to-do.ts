/**
 * P3: a pass over 1,000 tenants whose objects are all as they should be, each woken once, through the real loop and
 * reconciler; against a GET of each of their objects over kept connections, sixteen at once, which is what a reconciler
 * without a watch must do to know as much. Nothing may be written.
 */
import { inParallel, objectPath, type ClusterView } from '#lib/cluster/index.ts';
import { median, pairs, print, rounded, say, timed, until, type Options, type Sides } from './report.ts';
import { wakeAll, type Enrolled } from './tenants.ts';
import { isQuiet, readyWorld, tenantsUsual } from './thousand.ts';
import { startWorker, statementsSent, type BenchWorker } from './worker.ts';
import type { World } from './world.ts';

type Pass = { seconds: number; sent: number; written: number; forge: number; statements: number; cpuMs: number };

export async function nothingToDo(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const { world, enrolled } = await readyWorld(tenants);
  const worker = await startWorker();
  // The forge is looked at once after a start; that is not what is measured.
  await pass(world, worker, enrolled);
  const paths = pathsOf(worker.view);
  const found: (Sides & { detail: Pass; peerCpuMs: number })[] = [];
  for (let pair = 0; pair < options.runs; pair += 1) {
    const detail = await pass(world, worker, enrolled);
    const { seconds: peer, cpuMs: peerCpuMs } = await getEach(world, paths);
    say(
      `P3 pair ${pair + 1}: ours ${detail.seconds.toFixed(2)} s with ${detail.sent} requests, GETs ${peer.toFixed(2)} s with ${paths.length}`,
    );
    found.push({ ours: detail.seconds, peer, detail, peerCpuMs });
  }
  await worker.stop();
  const middle = (of: (detail: Pass) => number) => rounded(median(found.map((each) => of(each.detail))), 6);
  print({
    metric: 'P3',
    ...pairs(found),
    unit: 's',
    requests: { ours: middle((each) => each.sent), peer: paths.length },
    writes: middle((each) => each.written),
    oursBesides: {
      forgeRequests: middle((each) => each.forge),
      databaseStatements: middle((each) => each.statements),
    },
    cpuMs: { ours: middle((each) => each.cpuMs), peer: rounded(median(found.map((each) => each.peerCpuMs)), 6) },
    tenants,
    objects: paths.length,
  });
}

const kinds = [
  'Namespace',
  'ResourceQuota',
  'LimitRange',
  'NetworkPolicy',
  'Secret',
  'ServiceAccount',
  'Role',
  'RoleBinding',
  'AutoscalingRunnerSet',
] as const;

/** Everything of ours that the view holds, as the paths at which it is read. */
function pathsOf(view: ClusterView): string[] {
  return kinds.flatMap((kind) => [...view.all(kind)].map((object) => objectPath(object)));
}

async function pass(world: World, worker: BenchWorker, enrolled: readonly Enrolled[]): Promise<Pass> {
  await until('quiet', 120_000, isQuiet, 250);
  worker.passes.clear();
  const before = {
    sent: total(worker),
    written: writes(worker),
    forge: await world.forgeRequests(),
    statements: statementsSent(),
  };
  const cpu = process.cpuUsage();
  const seconds = await timed(async () => {
    await wakeAll(enrolled);
    await until('a pass over all', 120_000 + 500 * enrolled.length, () => worker.passes.size === enrolled.length, 10);
  });
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds,
    sent: total(worker) - before.sent,
    written: writes(worker) - before.written,
    forge: (await world.forgeRequests()) - before.forge,
    statements: statementsSent() - before.statements,
    cpuMs: (user + system) / 1000,
  };
}

function total({ client }: BenchWorker): number {
  return Object.values(client.sent).reduce((sum, each) => sum + each, 0);
}

function writes(worker: BenchWorker): number {
  return total(worker) - worker.client.sent.GET;
}

async function getEach(world: World, paths: readonly string[]): Promise<{ seconds: number; cpuMs: number }> {
  const cpu = process.cpuUsage();
  const halves = [paths.filter((_, index) => index % 2 === 0), paths.filter((_, index) => index % 2 === 1)];
  const get = async (path: string) => void (await world.admin.call({ method: 'GET', path }));
  const seconds = await timed(() => Promise.all(halves.map((half) => inParallel(half, get))));
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuMs: (user + system) / 1000 };
}
