import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { tenantDb, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { reconcileEnrollment, savePools } from '#lib/enrollment/index.ts';
import { enterCluster, setClusterState, type ClusterEntry } from '#lib/fleet/index.ts';
import { tenantCtx, type PersonCtx } from '#lib/tenant/index.ts';
import { gapsOf, recordRunners } from '#lib/usage/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { addTenant, startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { approve, askForTenant, clusterRows, discardMove, planMove, reconcileMove } from './index.ts';

/* Which cluster a tenant stands on, over the database alone: a worker's looks are written by hand. */

let rows: TestRows;
let operator: PersonCtx;
beforeAll(async () => {
  rows = await startTestRows();
  operator = await person('operator', true);
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  const capacity = { capacityCpu: '100', capacityMemory: '100Gi' };
  const data = { state: 'open' as const, trouble: null, pools: [], ...capacity };
  await unsafeDb().cluster.updateMany({ data: { ...data, lookedAt: new Date() } });
  for (const id of ['main', 'east']) await unsafeDb().cluster.update({ where: { id }, data: { uid: `uid-of-${id}` } });
});

let made = 0;
const fresh = (name: string) => `${name}-${(made += 1)}`;

async function person(name: string, isOperator = false): Promise<PersonCtx> {
  const user = await unsafeDb().user.create({ data: { name } });
  const identities = [{ id: user.id, connectionId: 'forge', forge: 'github' as const, subject: user.id, login: name }];
  return { requestId: 'test', person: { userId: user.id, name, imageUrl: null, identities, isOperator } };
}

async function said(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) return `not refused: ${String(error)}`;
  return Object.entries(error.screen.fields ?? {})
    .map(([field, message]) => `${field} ${message}`)
    .concat(error.screen.happened)[0]!;
}

const placeOf = async (slug: string) => (await unsafeDb().tenant.findUniqueOrThrow({ where: { slug } })).clusterId;
const give = (id: string, cpu: string) => unsafeDb().cluster.update({ where: { id }, data: { capacityCpu: cpu } });

async function asked(cpu = '4'): Promise<{ slug: string; requestId: string }> {
  const slug = fresh('customer');
  const quota = { cpu, memory: '8Gi', runners: 2, storage: '50Gi' };
  const by = await person('asker');
  await askForTenant(by, { kind: 'managed_customer', slug, displayName: slug, quota, note: '' });
  const request = await unsafeDb().approvalRequest.findFirstOrThrow({ where: { tenant: { slug } } });
  return { slug, requestId: request.id };
}

const granted = (requestId: string, more: object = {}) =>
  approve(operator, { requestId, note: '', beyondCapacity: false, ...more });

describe('a new tenant', () => {
  test('is placed where most room is left', async () => {
    await give('main', '200');
    expect(await placeOf((await asked()).slug)).toBe('main');
    await give('east', '300');
    expect(await placeOf((await asked()).slug)).toBe('east');
  });

  test('is placed nowhere while every cluster is closed or draining', async () => {
    await setClusterState(operator, { clusterId: 'main', state: 'draining' });
    await setClusterState(operator, { clusterId: 'east', state: 'closed' });
    expect(await said(asked())).toBe('No cluster takes new tenants at present.');
    const record = await unsafeDb().audit.findFirst({ where: { action: 'cluster:state', target: 'cluster/main' } });
    expect(record).toMatchObject({ before: { state: 'open' }, after: { state: 'draining' } });
  });

  test('is placed by the operator who grants it, if they say where, and only where it is open', async () => {
    await give('main', '200');
    const { slug, requestId } = await asked();
    await setClusterState(operator, { clusterId: 'east', state: 'closed' });
    expect(await said(granted(requestId, { clusterId: 'east' }))).toBe('clusterId takes no tenants at present');
    expect(await said(granted(requestId, { clusterId: 'nowhere' }))).toBe('clusterId takes no tenants at present');
    await setClusterState(operator, { clusterId: 'east', state: 'open' });
    await granted(requestId, { clusterId: 'east' });
    expect(await placeOf(slug)).toBe('east');
  });

  test('is held to the capacity of the cluster that it is placed on', async () => {
    await give('east', '3');
    const { requestId } = await asked('4');
    expect(await said(granted(requestId, { clusterId: 'east' }))).toMatch(/does not hold 4 CPU/);
  });

  test('is placed anew when it begins, where its place has closed meanwhile', async () => {
    await give('main', '200');
    const { slug, requestId } = await asked();
    expect(await placeOf(slug)).toBe('main');
    await setClusterState(operator, { clusterId: 'main', state: 'draining' });
    await granted(requestId);
    expect(await placeOf(slug)).toBe('east');
  });

  test('goes to the cluster that has its pools when it has chosen them, and no further once it has begun', async () => {
    const { tenantId, slug, enrollmentId, userId } = await addTenant(fresh('draft'));
    const draft = { state: 'draft' as const };
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: draft });
    await unsafeDb().enrollment.update({ where: { id: enrollmentId }, data: draft });
    await unsafeDb().cluster.update({ where: { id: 'main' }, data: { pools: ['docker'] } });
    const by = await person('admin');
    const ctx = await tenantCtx({ ...by, person: { ...by.person, userId } }, slug);
    if (!ctx) throw new Error('no way in');
    const pools = [{ pool: 'nix', minRunners: 0, maxRunners: 1 }];
    await savePools(ctx, { enrollmentId, pools });
    expect(await placeOf(slug)).toBe('east');
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: { state: 'active' } });
    await unsafeDb().cluster.update({ where: { id: 'east' }, data: { pools: ['docker'] } });
    expect(await said(savePools(ctx, { enrollmentId, pools }))).toBe(
      'pools.nix is not had by the cluster east, on which this tenant is',
    );
    expect(await placeOf(slug)).toBe('east');
    // In a move that is being prepared they run on the new cluster as well.
    await unsafeDb().cluster.update({ where: { id: 'east' }, data: { pools: [] } });
    const moving = { moving: 'preparing' as const, otherClusterId: 'main' };
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: moving });
    expect(await said(savePools(ctx, { enrollmentId, pools }))).toBe(
      'pools.nix is not had by the cluster main, to which this tenant is being moved',
    );
  });
});

describe('a move is not planned', () => {
  const wish = (slug: string, toClusterId = 'east') => ({ slug, toClusterId, limitMinutes: 60, beyondCapacity: false });

  test('by who operates nothing', async () => {
    const { slug } = await addTenant(fresh('moved'));
    await expect(planMove(await person('sly'), wish(slug))).rejects.toMatchObject({ code: 'not_found' });
    expect(await unsafeDb().tenantMove.count({ where: { tenant: { slug }, state: 'planned' } })).toBe(0);
  });

  test.each<[string, object, RegExp]>([
    ['to a cluster that is closed', { state: 'closed' }, /The cluster east is closed: nothing is placed there/],
    ['to one that does not answer', { trouble: 'It is away.' }, /The cluster east does not answer as it should/],
    ['to one that is another by a second name', { duplicateOf: 'main' }, /does not answer as it should/],
    ['to one that has no room', { capacityCpu: '1' }, /The cluster east has no room for 16 CPU/],
  ])('%s', async (_, data, says) => {
    const { slug } = await addTenant(fresh('moved'));
    await unsafeDb().cluster.update({ where: { id: 'east' }, data });
    expect(await said(planMove(operator, wish(slug)))).toMatch(says);
    await unsafeDb().cluster.update({ where: { id: 'east' }, data: { duplicateOf: null } });
  });

  test('to where it is, nor for a tenant that runs where another does', async () => {
    const { slug, tenantId: parentId } = await addTenant(fresh('moved'));
    expect(await said(planMove(operator, wish(slug, 'main')))).toMatch(/is on main already/);
    const team = await addTenant(fresh('team'));
    await unsafeDb().tenant.update({ where: { id: team.tenantId }, data: { kind: 'team', parentId } });
    expect(await said(planMove(operator, wish(team.slug)))).toBe(`${team.slug} runs where ${slug} does.`);
  });
});

describe('a cluster', () => {
  const enter = (entry: ClusterEntry) => unsafeTransaction((tx) => enterCluster(tx, entry));
  const way = { kubeconfig: 'west.yaml', context: 'west' };

  test('is entered once, and what is left out stays', async () => {
    expect(await enter({ id: 'west', way, capacity: { cpu: '10', memory: '20Gi' } })).toMatchObject({ before: null });
    expect(await enter({ id: 'west', way, capacity: { cpu: '10', memory: '20Gi' } })).toBeNull();
    expect(await enter({ id: 'west', way, state: 'closed' })).toEqual({
      before: { state: 'open' },
      after: { state: 'closed' },
    });
    expect(await unsafeDb().cluster.findUnique({ where: { id: 'west' } })).toMatchObject({ capacityCpu: '10' });
    // A worker is told of it.
    expect(await unsafeDb().task.count({ where: { kind: 'cluster', key: 'west' } })).toBe(1);
  });

  test.each<[string, ClusterEntry, string]>([
    [
      'a path',
      { id: 'x', way: { kubeconfig: '../x.yaml', context: 'x' } },
      'spec.kubeconfig.file is the name of a file in',
    ],
    [
      'the way of another',
      { id: 'x', way: { kubeconfig: 'east.yaml', context: 'east' } },
      'spec.kubeconfig is that of the cluster east',
    ],
    [
      'a second one without a way',
      { id: 'x', way: null },
      'spec.kubeconfig is needed: main is the portal’s own cluster',
    ],
    ['an Attic server that is not there', { id: 'x', way, atticServerId: 'no' }, 'spec.attic is no Attic server: no'],
  ])('is not entered with %s', async (_, entry, says) => {
    expect(await said(enter({ ...entry, way: entry.way === way ? { ...way, context: 'x' } : entry.way }))).toContain(
      says,
    );
    expect(await unsafeDb().cluster.findUnique({ where: { id: 'x' } })).toBeNull();
  });

  test('tells what a worker last wrote of it, and when nobody looks any more', async () => {
    await unsafeDb().cluster.update({ where: { id: 'east' }, data: { trouble: 'It is away.' } });
    const healthAt = async (at: Date) => (await clusterRows(at)).find(({ id }) => id === 'east')?.health;
    expect(await healthAt(new Date())).toEqual({ kind: 'bad', words: 'It is away.' });
    const later = new Date(Date.now() + 10 * 60_000);
    expect(await healthAt(later)).toEqual({ kind: 'unlooked', words: 'No worker looks at it any more.' });
  });
});

describe('a tenant that moves', () => {
  const at = (hour: number) => new Date(Date.UTC(2026, 5, 1, hour));

  test('takes its part of both clusters until it has left the old one', async () => {
    const { tenantId } = await addTenant(fresh('moving'));
    const givenOf = async (id: string) =>
      Number((await clusterRows(new Date())).find((row) => row.id === id)?.given.cpu);
    const [main, east] = [await givenOf('main'), await givenOf('east')];
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: { moving: 'preparing', otherClusterId: 'east' } });
    expect([await givenOf('main'), await givenOf('east')]).toEqual([main, east + 16]);
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: { moving: null, otherClusterId: null } });
  });

  test('stands on both, on its way at either, and who has left stands nowhere', async () => {
    const { tenantId } = await addTenant(fresh('moving'));
    const counted = async () =>
      new Map((await clusterRows(new Date())).map(({ id, tenants, moving }) => [id, [tenants, moving]]));
    const before = await counted();
    const [here = 0, leaving = 0] = before.get('main') ?? [];
    const [there = 0, coming = 0] = before.get('east') ?? [];
    const set = (data: object) => unsafeDb().tenant.update({ where: { id: tenantId }, data });
    await set({ moving: 'preparing', otherClusterId: 'east' });
    const during = await counted();
    expect(during.get('main')).toEqual([here, leaving + 1]);
    expect(during.get('east')).toEqual([there + 1, coming + 1]);
    await set({ moving: null, otherClusterId: null, state: 'left', leftAt: new Date() });
    expect((await counted()).get('main')).toEqual([here - 1, leaving]);
  });

  test('is not discarded any more once its plan was applied, and who asks is told', async () => {
    const { tenantId } = await addTenant(fresh('moving'));
    const way = { fromClusterId: 'main', toClusterId: 'east', limitMinutes: 0, createdBy: 'test', plan: {} };
    const { id: moveId } = await unsafeDb().tenantMove.create({ data: { tenantId, state: 'preparing', ...way } });
    expect(await said(discardMove(operator, { moveId }))).toContain('applied or discarded meanwhile');
    const { state } = await unsafeDb().tenantMove.findUniqueOrThrow({ where: { id: moveId } });
    expect(state).toBe('preparing');
  });

  test('has its runners on both, and those of a third cluster are nobody’s', async () => {
    const { tenantId, slug } = await addTenant(fresh('moving'));
    const runner = (uid: string) => ({
      uid,
      tenant: slug,
      enrollment: slug,
      pool: 'nix',
      name: uid,
      state: 'idle' as const,
      reason: null,
      node: null,
      servesOne: true,
      createdAt: at(1),
      isOver: false,
      endedAt: null,
      forgeJobId: null,
      job: null,
      version: 1,
      seenAt: at(1),
      goneAt: null,
    });
    const record = (cluster: string, uid: string) =>
      recordRunners(cluster, [runner(uid)] as unknown as Parameters<typeof recordRunners>[1]);
    const seen = async () =>
      (await tenantDb(tenantId).runner.findMany({ orderBy: { uid: 'asc' } })).map(({ uid }) => uid);
    const before = await seen();
    await record('east', `${slug}-too-early`);
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: { moving: 'leaving', otherClusterId: 'east' } });
    await record('east', `${slug}-east`);
    await record('main', `${slug}-main`);
    await record('west', `${slug}-west`);
    expect((await seen()).filter((uid) => !before.includes(uid))).toEqual([`${slug}-east`, `${slug}-main`]);
  });

  test('is told of the gaps of the cluster that it stood on at the time', async () => {
    const { tenantId } = await addTenant(fresh('moved'));
    const looks = [
      ['main', 0, 4],
      ['main', 6, 14],
      ['main', 16, 24],
      ['east', 0, 4],
      ['east', 6, 14],
      ['east', 16, 24],
    ] as const;
    await unsafeDb().usageWatch.createMany({
      data: looks.map(([clusterId, from, to]) => ({ clusterId, beganAt: at(from), seenUntil: at(to) })),
    });
    const way = { fromClusterId: 'main', toClusterId: 'east', limitMinutes: 0, createdBy: 'test', plan: {} };
    await unsafeDb().tenantMove.create({ data: { tenantId, state: 'done', handedOverAt: at(15), ...way } });
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: { clusterId: 'east' } });
    const gaps = (await gapsOf([{ id: tenantId, clusterId: 'east' }], at(0), at(24))).get(tenantId);
    expect(gaps?.map(({ clusterId, from, to }) => [clusterId, from.slice(11, 13), to.slice(11, 13)])).toEqual([
      ['main', '04', '06'],
      ['main', '14', '15'],
      ['east', '15', '16'],
    ]);
  });

  test('changes over when nobody is in the middle of a pass, and begins none meanwhile', async () => {
    const { tenantId, enrollmentId } = await addTenant(fresh('changes'));
    const spec = { pools: [{ pool: 'nix', minRunners: 0, maxRunners: 2 }], planes: {} };
    await unsafeDb().enrollment.update({ where: { id: enrollmentId }, data: { spec, state: 'active' } });
    const way = { fromClusterId: 'main', toClusterId: 'east', limitMinutes: 0, createdBy: 'test', plan: {} };
    const { id: moveId } = await unsafeDb().tenantMove.create({ data: { tenantId, state: 'closing', ...way } });
    await unsafeDb().tenant.update({ where: { id: tenantId }, data: { moving: 'closing', otherClusterId: 'east' } });
    const deps = {
      clock: systemClock,
      view: (id: string): never => {
        throw new Error(`asked ${id}`);
      },
      seen: new Map<string, number>(),
    };
    const lease = (key: string): Lease => {
      const nothing = async () => {};
      return { key, attempts: 1, signal: new AbortController().signal, check: nothing, fence: nothing };
    };
    expect(await reconcileEnrollment(deps, lease(enrollmentId))).toMatchObject({ kind: 'wait', waitingFor: 'portal' });
    const stateOf = async () => (await unsafeDb().tenantMove.findUniqueOrThrow({ where: { id: moveId } })).state;
    const task = { kind_key: { kind: 'enrollment', key: enrollmentId } };
    const held = { leaseUntil: new Date(Date.now() + 60_000) };
    await unsafeDb().task.upsert({
      where: task,
      create: { kind: 'enrollment', key: enrollmentId, ...held },
      update: held,
    });
    await reconcileMove(deps, lease(moveId));
    expect([
      await stateOf(),
      (await unsafeDb().tenant.findUniqueOrThrow({ where: { id: tenantId } })).clusterId,
    ]).toEqual(['closing', 'main']);
    await unsafeDb().task.update({ where: task, data: { leaseUntil: null } });
    await reconcileMove(deps, lease(moveId));
    expect(await unsafeDb().tenant.findUniqueOrThrow({ where: { id: tenantId } })).toMatchObject({
      clusterId: 'east',
      otherClusterId: 'main',
      moving: 'leaving',
    });
    expect(await stateOf()).toBe('leaving');
  });
});
