import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { ClusterClient, ClusterView, listObjects } from '#lib/cluster/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import {
  approvePlan,
  enrollmentView,
  makePlan,
  reconcileEnrollment,
  savePlanes,
  savePools,
} from '#lib/enrollment/index.ts';
import { clusterTask, enterCluster } from '#lib/fleet/index.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';
import { wake, type Lease } from '#lib/work/index.ts';
import { clusterClient, kubeConfigFrom, startFaultyProxy, type FaultyProxy } from '#sandbox/test-support/cluster.ts';
import { approve, clusterOf, drafted, worldOf, type Enrolled } from '#sandbox/test-support/crash-world.ts';
import { approvedScope, type EnrolledScope } from '#sandbox/test-support/enrolled.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { startSecondCluster, type SecondCluster } from '#sandbox/test-support/second-cluster.ts';
import { MovePlan } from './move-plan.ts';
import { applyMove, callOffMove, planMove, reconcileMove } from './index.ts';

/*
 * Tenants on two clusters, which are two API servers: placed, moved by a plan, and moved by workers that die at each write. What is
 * registered at the forge is registered once, before, within and after (F15).
 */

let portal: TestPortal;
let second: SecondCluster;
/** What the last test's own workers do. */
const byHand = new Set<string>();
let operator: PersonCtx;
let here: ClusterClient;
let there: ClusterClient;
let github: Enrolled;
let forgejo: EnrolledScope;

beforeAll(async () => {
  const starting = startSecondCluster();
  portal = await startTestPortal({ arc: true, operators: 'github:1005', runnersOf: ['move-lab'] });
  operator = await portal.person('olive-operator');
  here = clusterClient((await testCluster({ arc: true })).kubeconfigPath);
  portal.startWorker((key) => byHand.has(key));
  // Enrolled on the one while the other starts.
  [second, github, forgejo] = await Promise.all([starting, enrolled(), enrolledAtForgejo()]);
  there = clusterClient(second.kubeconfigPath);
}, 180_000);
afterAll(async () => {
  await portal?.stop();
  await second?.[Symbol.asyncDispose]();
});

const clusterRow = (id: string) => unsafeDb().cluster.findUniqueOrThrow({ where: { id } });
const moveRow = (id: string) => unsafeDb().tenantMove.findUniqueOrThrow({ where: { id } });

async function tenantRow(slug: string) {
  return unsafeDb().tenant.findUniqueOrThrow({ where: { slug } });
}

/** The ids of the tenant's scale sets at GitHub, by name. */
function scaleSets(slug: string): Record<string, number> {
  const own = Object.values(portal.github.state.scaleSets).filter(({ name }) => name.startsWith(`${slug}-`));
  return Object.fromEntries(own.map(({ name, id }) => [name, id]));
}

async function ready({ id, slug }: Enrolled): Promise<void> {
  const ctx = await portal.member('ada-tinyland', slug);
  await eventually('ready', async () => (await enrollmentView(ctx, id)).ready, 30_000);
}

async function enrolled(): Promise<Enrolled> {
  const tenant = await drafted(portal);
  await approve(portal, tenant, 'enroll');
  await ready(tenant);
  return tenant;
}

async function enrolledAtForgejo(): Promise<EnrolledScope> {
  const at = { forge: 'forgejo', level: 'repository', path: 'tinyland/lab' } as const;
  const scope = await approvedScope(portal, { ...at, by: 'ada-tinyland', slug: 'move-lab' });
  await eventually('ready', async () => (await enrollmentView(scope.ctx, scope.id)).ready, 30_000);
  return scope;
}

async function move(slug: string, toClusterId: string, { isByHand = false } = {}): Promise<string> {
  const moveId = await planMove(operator, { slug, toClusterId, limitMinutes: 60, beyondCapacity: false });
  if (isByHand) byHand.add(moveId);
  await applyMove(operator, { moveId });
  return moveId;
}

async function done(moveId: string, state: 'done' | 'called_off' = 'done'): Promise<void> {
  await eventually(`a move that is ${state}`, async () => (await moveRow(moveId)).state === state, 40_000).catch(
    async (error: unknown) => {
      throw new Error(JSON.stringify(await moveRow(moveId)), { cause: error });
    },
  );
}

/** As an operator enters it for a cluster that has no Attic server of its own. */
async function shareAttic(): Promise<void> {
  await unsafeTransaction((tx) => enterCluster(tx, { id: 'east', way: second.way, atticServerId: 'attic' }));
}

async function refusal(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof AppError ? error.screen.happened : `not refused: ${String(error)}`;
}

test('a cluster that is added is looked at without a restart, and one under a second name is found out', async () => {
  await unsafeTransaction((tx) => enterCluster(tx, { id: 'east', name: 'East', way: second.way }));
  await eventually('a look at east', async () => (await clusterRow('east')).uid !== null);
  expect(await clusterRow('east')).toMatchObject({
    kubernetesVersion: '1.37.2',
    controllerVersion: '0.14.2',
    trouble: null,
    state: 'open',
  });
  await wake(unsafeDb(), clusterTask, 'main');
  await eventually('a look at main', async () => (await clusterRow('main')).uid !== null);
  // The same API server by another file would be given the same namespaces.
  copyFileSync(join(second.folder, 'east.yaml'), join(second.folder, 'again.yaml'));
  const again = { id: 'again', way: { kubeconfig: 'again.yaml', context: 'other' } };
  const troubleOf = async () => (await clusterRow('again')).trouble;
  await unsafeTransaction((tx) => enterCluster(tx, again));
  await eventually('what is wrong with it', troubleOf);
  expect(await troubleOf()).toBe('The kubeconfig again.yaml has no context other.');
  await unsafeTransaction((tx) => enterCluster(tx, { ...again, way: { ...again.way, context: 'sandbox' } }));
  await eventually('which cluster it is', async () => (await clusterRow('again')).duplicateOf !== null);
  expect(await troubleOf()).toBe('This is the cluster east by another name. Nothing is placed here.');
  expect(
    await refusal(planMove(operator, { slug: 'cmux', toClusterId: 'again', limitMinutes: 0, beyondCapacity: false })),
  ).toBe('The cluster again does not answer as it should.');
});

test.concurrent('a job under way ends where it runs, the next one runs on the new cluster, and nothing is registered twice', async () => {
  const tenant = github;
  const { slug } = tenant;
  const registered = scaleSets(slug);
  const before = await clusterOf(slug, here);
  const label = `${slug}-docker`;
  portal.github.addRepo({ owner: slug, name: 'app', private: true });
  const long = portal.github.queueJob({ repository: `${slug}/app`, labels: [label], durationSeconds: 0, held: true });
  const podOf = async (client: ClusterClient) =>
    (await listObjects(client, 'Pod', 'v1', `runners-${slug}`, 'actions-ephemeral-runner=True')).length;
  await eventually('a runner on main', async () => (await podOf(here)) === 1);

  const wish = { slug, toClusterId: 'east', limitMinutes: 60, beyondCapacity: false };
  expect(await refusal(planMove(operator, wish))).toMatch('another Attic server');
  await shareAttic();
  const moveId = await planMove(operator, wish);
  const plan = MovePlan.parse((await moveRow(moveId)).plan);
  expect(plan.arrivingChecked && plan.leavingChecked).toBe(true);
  const named = (changes: MovePlan['arriving']) => changes.map(({ kind, name }) => `${kind} ${name}`).toSorted();
  expect(named(plan.arriving)).toEqual(
    expect.arrayContaining([`AutoscalingRunnerSet ${label}`, `Namespace bazel-${slug}`]),
  );
  expect(named(plan.leaving)).toEqual(
    expect.arrayContaining([`AutoscalingRunnerSet ${label}`, `Namespace bazel-${slug}`]),
  );
  expect((await clusterOf(slug, there)).namespaces).toEqual([]);

  await applyMove(operator, { moveId });
  const ctx = await portal.member('ada-tinyland', slug);
  const withdrawal = await makePlan(ctx, { enrollmentId: tenant.id, kind: 'withdraw' });
  expect(await refusal(approvePlan(ctx, withdrawal))).toBe('This tenant is being moved to another cluster.');
  await eventually('east to take over', async () => (await tenantRow(slug)).clusterId === 'east', 30_000);
  // The job goes on where it began; what comes now runs on the new cluster.
  expect(await podOf(here)).toBe(1);
  const next = portal.github.queueJob({ repository: `${slug}/app`, labels: [label], durationSeconds: 1 });
  const jobOf = ({ id }: { id: number }) => portal.github.state.jobs[id];
  await eventually('a runner on east', async () => (await podOf(there)) > 0, 20_000);
  await eventually('the next job', () => jobOf(next)?.phase === 'completed', 20_000);
  expect((await moveRow(moveId)).state).toBe('leaving');
  long.held = false;
  await done(moveId);
  expect(jobOf(long)).toMatchObject({ phase: 'completed', conclusion: 'success' });
  await ready(tenant);

  expect(scaleSets(slug)).toEqual(registered);
  expect(await clusterOf(slug, here)).toEqual({ namespaces: [], objects: {} });
  expect(await clusterOf(slug, there)).toEqual(before);
  expect(await tenantRow(slug)).toMatchObject({ clusterId: 'east', moving: null, otherClusterId: null });
}, 90_000);

test.concurrent('a registration of Forgejo’s is used by one process at a time', async () => {
  const scope = forgejo;
  const runnersAt = () => Object.values(portal.forgejo.state.runners).length;
  const before = runnersAt();
  const moveId = await move('move-lab', 'east');
  const deployments = async (client: ClusterClient) =>
    (await listObjects(client, 'Deployment', 'apps/v1', 'runners-move-lab', '')).map(
      (object) => (object['spec'] as { replicas: number }).replicas,
    );
  const both: string[] = [];
  await eventually(
    'the move, and never two processes at once',
    async () => {
      const [old, fresh] = [await deployments(here), await deployments(there)];
      if (old.length > 0 && fresh.some((replicas) => replicas > 0)) both.push(`${String(old)}/${String(fresh)}`);
      return (await moveRow(moveId)).state === 'done';
    },
    40_000,
  );
  expect(both).toEqual([]);
  await eventually('ready', async () => (await enrollmentView(scope.ctx, scope.id)).ready, 30_000);
  expect(runnersAt()).toBe(before);
  expect(await deployments(there)).toEqual([1]);
}, 90_000);

// ------------------------------------------------------------------------------------------------ workers that die

class Crash extends Error {
  override name = 'Crash';
}

/**
 * A worker's hands at both clusters: it dies of its first write at the one that is left, and of its sixth at the other, where things
 * are made as in every enrollment; before the write is sent, or after it took effect.
 */
class Hands {
  writes = 0;
  isDead = false;
  readonly dies: 'before' | 'after' | null;
  readonly #left: Record<string, number> = { main: 1, east: 6 };

  constructor(dies: 'before' | 'after' | null) {
    this.dies = dies;
  }

  assertAlive(): void {
    if (this.isDead) throw new Crash();
  }

  isLastAt(id: string): boolean {
    const left = (this.#left[id] ?? 1) - 1;
    this.#left[id] = left;
    return left <= 0;
  }

  at(id: string, proxy: FaultyProxy): ClusterClient {
    // oxlint-disable-next-line typescript/no-this-alias
    const hands = this;
    return new (class extends ClusterClient {
      override async call<T>(asked: Parameters<ClusterClient['call']>[0], what: string): Promise<T> {
        if (asked.method === 'GET') return super.call<T>(asked, what);
        hands.assertAlive();
        hands.writes += 1;
        const isLast = hands.isLastAt(id);
        if (isLast && hands.dies === 'before') hands.isDead = true;
        hands.assertAlive();
        const answer = await super.call<T>(asked, what);
        if (isLast && hands.dies === 'after') hands.isDead = true;
        hands.assertAlive();
        return answer;
      }
    })({ id, kubeConfig: () => kubeConfigFrom(proxy.kubeconfig) });
  }
}

type Proxies = { main: FaultyProxy; east: FaultyProxy };

/** One worker's life: passes over the enrollment and the move until both are settled, or until it dies. */
async function live(proxies: Proxies, enrollmentId: string, moveId: string | null, dies: 'before' | 'after' | null) {
  const stop = new AbortController();
  const hands = new Hands(dies);
  const views = new Map(
    (['main', 'east'] as const).map((id) => [id as string, new ClusterView(hands.at(id, proxies[id]))]),
  );
  for (const view of views.values()) view.start(stop.signal);
  const alive = () => Promise.resolve(hands.assertAlive());
  const lease = (key: string): Lease => ({ key, attempts: 1, signal: stop.signal, check: alive, fence: alive });
  const viewOf = (id: string) => views.get(id) ?? raise(id);
  const deps = { clock: systemClock, view: viewOf, seen: new Map<string, number>() };
  try {
    await eventually(
      'a settled world',
      async () => {
        const outcome = await reconcileEnrollment(deps, lease(enrollmentId)).catch(unlessLater);
        const moved = moveId === null ? null : await reconcileMove(deps, lease(moveId)).catch(unlessLater);
        return outcome?.kind === 'done' && (moveId === null || moved?.kind === 'gone');
      },
      30_000,
    );
    return { isDead: false, writes: hands.writes };
  } catch (error) {
    if (error instanceof Crash) return { isDead: true, writes: hands.writes };
    throw error;
  } finally {
    stop.abort();
    await Promise.all([...views.values()].map((view) => view.stopped()));
  }
}

function raise(id: string): never {
  throw new Error(`no view of ${id}`);
}

function unlessLater(error: unknown): null {
  if (error instanceof AppError) return null;
  throw error;
}

test.concurrent('workers that each die of a write move a tenant all the same, and one of them leaves it to be called off', async () => {
  const [main, east] = await Promise.all([
    startFaultyProxy((await testCluster({ arc: true })).portalKubeconfigPath),
    startFaultyProxy(second.portalKubeconfigPath),
  ]);
  const proxies = { main, east };
  try {
    const tenant = await drafted(portal);
    const { id, slug } = tenant;
    const ctx = await portal.member('ada-tinyland', slug);
    await savePools(ctx, { enrollmentId: id, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
    await savePlanes(ctx, { enrollmentId: id, planes: { attic: { public: false } } });
    byHand.add(id);
    await approve(portal, tenant, 'enroll');
    await live(proxies, id, null, null);
    const registered = scaleSets(slug);
    const before = await worldOf(portal, tenant, portal.github.url, here);

    await eventually(
      'one Attic server for both',
      async () => (await clusterRow('east')).atticServerId !== null,
      60_000,
    );

    // Called off in the middle: what was made there goes, and nothing of it is missed here.
    const calledOff = await move(slug, 'east', { isByHand: true });
    await live(proxies, id, calledOff, 'after');
    expect((await clusterOf(slug, there)).namespaces).not.toEqual([]);
    await callOffMove(operator, { moveId: calledOff });
    await live(proxies, id, calledOff, null);
    expect((await moveRow(calledOff)).state).toBe('called_off');
    expect(await clusterOf(slug, there)).toEqual({ namespaces: [], objects: {} });
    expect(scaleSets(slug)).toEqual(registered);
    expect(await worldOf(portal, tenant, portal.github.url, here)).toEqual(before);

    const moveId = await move(slug, 'east', { isByHand: true });
    let lives = 0;
    for (; lives < 100; lives += 1) {
      const { isDead } = await live(proxies, id, moveId, lives === 0 ? 'before' : 'after');
      if (!isDead) break;
    }
    expect(lives).toBeGreaterThan(5);
    expect((await moveRow(moveId)).state).toBe('done');
    expect(scaleSets(slug)).toEqual(registered);
    expect(await clusterOf(slug, here)).toEqual({ namespaces: [], objects: {} });
    expect(await worldOf(portal, tenant, portal.github.url, there)).toEqual(before);
    expect((await live(proxies, id, null, null)).writes).toBe(0);
  } finally {
    await Promise.all([main.stop(), east.stop()]);
  }
}, 240_000);
