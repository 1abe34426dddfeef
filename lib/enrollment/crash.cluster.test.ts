import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { ClusterClient, ClusterView } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Lease } from '#lib/work/index.ts';
import { kubeConfigFrom, startFaultyProxy, type FaultyProxy } from '#sandbox/test-support/cluster.ts';
import { approve, drafted, worldOf, type Enrolled, type World } from '#sandbox/test-support/crash-world.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { startResetProxy, type Moment, type ResetProxy } from '#sandbox/test-support/reset-proxy.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { reconcileEnrollment } from './index.ts';

/*
 * F1, I1, I2, I4: the worker dies at each external effect of enrolling and of withdrawing, on all three sides, before it is
 * sent and after it took effect, and another begins with nothing in memory. Each time the world must end as in an undisturbed
 * run, and then a third has nothing to do.
 */

class Crash extends Error {
  override name = 'Crash';
}

/** Where a life ends: at its k-th write to one side, or never. Who survives loses only the connection. */
type Death = { side: Side; write: number; moment: Moment; survives?: boolean } | null;
type Side = 'cluster' | 'forge' | 'cache';
type Writes = Record<Side, number>;

/**
 * A worker's hand at the cluster; after its death nothing is sent any more, as from a dead process. It goes over HTTP/1.1:
 * undici 8.12 throws where nobody can catch when an HTTP/2 session idles out on which a request was aborted as it began.
 */
class MortalClient extends ClusterClient {
  writes = 0;
  isDead = false;
  readonly #death: Death;

  constructor(death: Death) {
    super({ id: 'main', kubeConfig: () => kubeConfigFrom(cluster.kubeconfig) });
    this.#death = death?.side === 'cluster' ? death : null;
  }

  override async call<T>(asked: Parameters<ClusterClient['call']>[0], what: string): Promise<T> {
    if (asked.method === 'GET') return super.call<T>(asked, what);
    this.assertAlive();
    this.writes += 1;
    const isLast = this.#death?.write === this.writes;
    if (isLast && this.#death?.moment === 'before') this.isDead = true;
    this.assertAlive();
    const answer = await super.call<T>(asked, what);
    if (isLast) this.isDead = true;
    this.assertAlive();
    return answer;
  }

  assertAlive(): void {
    if (this.isDead) throw new Crash();
  }
}

let portal: TestPortal;
let cluster: FaultyProxy;
let proxies: Record<Exclude<Side, 'cluster'>, ResetProxy>;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
  cluster = await startFaultyProxy((await testCluster({ arc: true })).portalKubeconfigPath);
  proxies = {
    forge: await startResetProxy(portal.github.url, (_, path) => path.includes('/runner-groups')),
    cache: await startResetProxy(portal.attic.url),
  };
  await unsafeDb().forgeConnection.update({ where: { id: 'github' }, data: { baseUrl: proxies.forge.url } });
  await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { url: proxies.cache.url } });
}, 180_000);
afterAll(async () => {
  await portal?.stop();
  await Promise.all([cluster?.stop(), proxies?.forge.stop(), proxies?.cache.stop()]);
});

type Life = { crashed: boolean; writes: Writes };

/** One worker's life for one key: passes until it is settled, or until it dies. A dead one writes nothing to the database. */
async function live({ id, slug }: Enrolled, death: Death): Promise<Life> {
  const stop = new AbortController();
  const client = new MortalClient(death);
  const onHit = death?.survives ? undefined : () => (client.isDead = true);
  for (const side of ['forge', 'cache'] as const) proxies[side].arm(death?.side === side ? death : null, onHit);
  const before = { forge: proxies.forge.writesAt(slug), cache: proxies.cache.writesAt(slug) };
  const view = new ClusterView(client);
  view.start(stop.signal);
  const alive = () => Promise.resolve(client.assertAlive());
  const lease: Lease = { key: id, attempts: 1, signal: stop.signal, check: alive, fence: alive };
  const deps = { clock: systemClock, view: () => view, seen: new Map<string, number>() };
  const life = (crashed: boolean): Life => ({
    crashed,
    writes: {
      cluster: client.writes,
      forge: proxies.forge.writesAt(slug) - before.forge,
      cache: proxies.cache.writesAt(slug) - before.cache,
    },
  });
  try {
    await passes(() => reconcileEnrollment(deps, lease));
    return life(false);
  } catch (error) {
    if (error instanceof Crash) return life(true);
    const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
    throw new Error(`never settled: ${JSON.stringify(row.conditions)}`, { cause: error });
  } finally {
    stop.abort();
    await view.stopped();
  }
}

async function passes(pass: () => ReturnType<typeof reconcileEnrollment>): Promise<void> {
  const until = performance.now() + 60_000;
  while (performance.now() < until) {
    const outcome = await pass().catch((error: unknown) => {
      if (error instanceof AppError) return null;
      throw error;
    });
    if (outcome && outcome.kind !== 'wait') return;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  throw new Error('too many passes');
}

/** Each is a tenant of its own, and most of its time waits for Kubernetes to empty a namespace. */
const storiesAtOnce = 4;
const nothing: Writes = { cluster: 0, forge: 0, cache: 0 };
const sides = ['cluster', 'forge', 'cache'] as const;
const moments: Moment[] = ['before', 'after'];
const flows = ['enroll', 'withdraw'] as const;
type Flow = (typeof flows)[number];
/** What each flow wrote, and what it left, when nothing came in between. */
type Undisturbed = { effects: Writes; world: World };
let undisturbed: Record<Flow, Undisturbed>;

const world = (tenant: Enrolled) => worldOf(portal, tenant, proxies.forge.url);

/** What came of a death: whether it came, what is there when another has taken over, and what a third then writes. */
type Outcome = { isReached: boolean; world: World; repeated: Side[]; further: Writes };
/** The flows that have a write of that number. */
function flowsOf({ side, write }: NonNullable<Death>): Flow[] {
  return flows.filter((flow) => write <= undisturbed[flow].effects[side]);
}

function asUndisturbed(death: NonNullable<Death>): Map<Flow, Outcome> {
  const outcomeOf = (flow: Flow): Outcome => ({
    isReached: true,
    world: undisturbed[flow].world,
    repeated: [],
    further: nothing,
  });
  return new Map(flowsOf(death).map((flow) => [flow, outcomeOf(flow)]));
}

/** An enrollment that is made with one death and taken away with another, where its flow has a write of that number. */
async function story(death: NonNullable<Death>): Promise<Map<Flow, Outcome>> {
  const tenant = await drafted(portal);
  const outcomes = new Map<Flow, Outcome>();
  for (const flow of flows) {
    await approve(portal, tenant, flow);
    if (flowsOf(death).includes(flow)) outcomes.set(flow, await dies(tenant, flow, death));
    else await live(tenant, null);
  }
  return outcomes;
}

async function dies(tenant: Enrolled, flow: Flow, death: NonNullable<Death>): Promise<Outcome> {
  const { effects } = undisturbed[flow];
  const first = await live(tenant, death);
  const second = death.survives ? first : await live(tenant, null);
  const left = await world(tenant);
  // Who lives on has asked once more for what it got no answer to.
  const most = death.survives ? 1 : 0;
  return {
    isReached: first.crashed === !death.survives,
    world: left,
    repeated: sides.filter((side) => second.writes[side] > effects[side] + most),
    further: (await live(tenant, null)).writes,
  };
}

beforeAll(async () => {
  const tenant = await drafted(portal);
  const settled = async (flow: Flow) => {
    await approve(portal, tenant, flow);
    return { effects: (await live(tenant, null)).writes, world: await world(tenant) };
  };
  undisturbed = { enroll: await settled('enroll'), withdraw: await settled('withdraw') };
}, 180_000);

test.each(flows)('an undisturbed run of %s leaves what was asked for', (flow) => {
  const { effects, world: left } = undisturbed[flow];
  expect(effects.cluster).toBeGreaterThan(flow === 'enroll' ? 20 : 10);
  expect({ ...effects, cluster: 0 }).toEqual({ cluster: 0, forge: 1, cache: 1 });
  expect({ ...left, objects: Object.keys(left.objects) }).toMatchSnapshot();
});

test.each(moments)(
  'dying %s each write to the cluster',
  async (moment) => {
    const most = Math.max(...flows.map((flow) => undisturbed[flow].effects.cluster));
    const writes = Array.from({ length: most }, (_, index) => index + 1).values();
    const inTurn = async () => {
      for (const write of writes) {
        const death = { side: 'cluster', write, moment } as const;
        expect(await story(death), `write ${write}`).toEqual(asUndisturbed(death));
      }
    };
    await Promise.all(Array.from({ length: storiesAtOnce }, inTurn));
  },
  1_500_000,
);

test.each(
  (['forge', 'cache'] as const).flatMap((side) =>
    moments.flatMap((moment) => [true, false].map((survives) => ({ side, moment, survives }))),
  ),
)(
  'the write to the $side: the connection is lost $moment it took effect, who wrote lives on: $survives',
  async (lost) => {
    const death = { ...lost, write: 1 };
    expect(asUndisturbed(death).size).toBe(flows.length);
    expect(await story(death)).toEqual(asUndisturbed(death));
  },
  90_000,
);
