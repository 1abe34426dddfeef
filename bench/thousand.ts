/** A world with many tenants that are all ready, for what is measured at rest. */
import type { Obj } from '#sandbox/arc/kube.ts';
import { inParallel } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { say, timed, until } from './report.ts';
import { addTenants, countWith, wakeAll, type Enrolled } from './tenants.ts';
import { startWorker } from './worker.ts';
import { startWorld, type World } from './world.ts';

export const tenantsUsual = 1000;

type ReadyWorld = { world: World; enrolled: Enrolled[] };
let ready: Promise<ReadyWorld> | undefined;

/** One a process: filling it takes longer than what is then measured. */
export function readyWorld(tenants: number): Promise<ReadyWorld> {
  ready ??= fill(tenants);
  return ready;
}

async function fill(tenants: number): Promise<ReadyWorld> {
  const world = await startWorld({ organizations: tenants });
  const enrolled = await addTenants('t', tenants);
  const worker = await startWorker();
  const seconds = await timed(async () => {
    await wakeAll(enrolled);
    await untilAll(enrolled, 'PoolsReady');
  });
  say(`enrolled ${tenants} tenants in ${seconds.toFixed(1)} s`);
  await registerSets(world);
  await untilAll(enrolled, 'Ready');
  await worker.stop();
  return { world, enrolled };
}

const sayEveryMs = 30_000;

export async function untilAll(enrolled: readonly Enrolled[], condition: string): Promise<void> {
  let saidAt = performance.now();
  const ask = async () => {
    const count = await countWith(enrolled, condition);
    if (performance.now() - saidAt > sayEveryMs) {
      say(`${count} of ${enrolled.length} tenants are ${condition}`);
      saidAt = performance.now();
    }
    return count === enrolled.length;
  };
  await until(`all to be ${condition}`, 120_000 + 2000 * enrolled.length, ask, 500);
}

/** Says what ARC's controller says of a runner set that it registered and whose listener runs; answers of how many. */
export async function registerSets(world: World, namespace?: string): Promise<number> {
  const within = namespace === undefined ? '' : `namespaces/${namespace}/`;
  const path = `/apis/actions.github.com/v1alpha1/${within}autoscalingrunnersets`;
  const { items } = await world.admin.call<{ items: Obj[] }>({ method: 'GET', path });
  await inParallel([...items.entries()], async ([index, item]) => {
    const set = { ...item, kind: 'AutoscalingRunnerSet' };
    await world.admin.patch(set, { metadata: { annotations: { 'runner-scale-set-id': String(index + 1) } } });
    await world.admin.patch(set, { status: { phase: 'Running' } }, 'status');
  });
  return items.length;
}

/** Whether nobody has anything to look at for a while: the benches' worker takes up no doctor's and no proof's keys. */
export async function isQuiet(): Promise<boolean> {
  const busy = await unsafeDb().$queryRaw<unknown[]>`
    select 1 from task
    where (due_at <= now() + interval '1 second' or lease_until is not null) and kind not in ('doctor', 'proof') limit 1`;
  return busy.length === 0;
}
