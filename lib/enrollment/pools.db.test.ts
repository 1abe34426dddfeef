import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { Prisma, tenantDb, unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { definitionOf, EnrollmentSpec, warmAt, type PoolChoice, type WarmSchedule } from '#lib/model/index.ts';
import type { Ctx, PersonCtx } from '#lib/tenant/index.ts';
import type { LivePool } from '#lib/usage/index.ts';
import { loop, wake, type Lease } from '#lib/work/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { catalog } from './catalog.ts';
import {
  applySchedules,
  changePool,
  operatorPool,
  PoolFields,
  scheduleTask,
  setSharing,
  sharingOf,
  wakeSchedules,
} from './index.ts';
import { approvedOf, sumsOf } from './pools-now.ts';

let rows: TestRows;
let acme: TenantRows;
let olive: PersonCtx;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  const person = { userId: acme.userId, name: 'Olive', imageUrl: null, identities: [], isOperator: true };
  olive = { requestId: 'test', person };
});
afterAll(() => rows?.stop());

function inTenant(of: TenantRows): Ctx {
  return { ...olive, role: 'admin', tenant: { id: of.tenantId, slug: of.slug } } as unknown as Ctx;
}

async function refusal(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error('nothing was refused', { cause: error });
  return [error.screen.happened, ...Object.values(error.screen.fields ?? {})].join(' ');
}

// ------------------------------------------------------------------------------------------------ the catalog

const form = {
  name: 'nix',
  description: 'Nix builds',
  cpu: '2',
  memory: '4Gi',
  storage: '20Gi',
  image: 'runner',
  imageDigest: '',
  imageBuiltAt: '',
  devices: '',
  runtimeClass: '',
  nodeSelector: '',
  tolerations: '',
  securityClass: 'restricted',
  runnersMost: '',
};

function fields(over: object): PoolFields {
  return PoolFields.parse({ ...form, ...over });
}

function problems(over: object): Record<string, string> {
  const result = PoolFields.safeParse({ ...form, ...over });
  return Object.fromEntries((result.error?.issues ?? []).map(({ path, message }) => [path.join('.'), message]));
}

describe('what an operator enters', () => {
  test('is a pool, with devices and a place', () => {
    const { pool } = fields({
      name: 'gpu',
      needsDevice: 'yes',
      devices: 'nvidia.com/gpu=2\n\n devices.kubevirt.io/kvm=1 ',
      runtimeClass: 'nvidia',
      nodeSelector: 'flywheel.dev/class=gpu',
      tolerations: 'nvidia.com/gpu=present:NoSchedule\nflywheel.dev/class\nother.example/x:NoExecute',
      imageDigest: `sha256:${'ab'.repeat(32)}`,
      imageBuiltAt: '2026-11-01',
      runnersMost: '3',
    });
    expect(pool).toMatchObject({
      devices: { 'nvidia.com/gpu': 2, 'devices.kubevirt.io/kvm': 1 },
      placement: {
        runtimeClass: 'nvidia',
        nodeSelector: { 'flywheel.dev/class': 'gpu' },
        tolerations: [
          { key: 'nvidia.com/gpu', value: 'present', effect: 'NoSchedule' },
          { key: 'flywheel.dev/class' },
          { key: 'other.example/x', effect: 'NoExecute' },
        ],
      },
      runnersMost: 3,
      imageBuiltAt: new Date('2026-11-01T00:00:00Z'),
    });
  });

  test.each<[object, string]>([
    [{ cpu: '-1' }, 'cpu'],
    [{ memory: '1Ei' }, 'memory'],
    [{ image: 'runner@sha256:00' }, 'image'],
    [{ imageDigest: 'latest' }, 'imageDigest'],
    [{ devices: 'nvidia.com/gpu' }, 'devices'],
    [{ devices: 'nvidia.com/gpu=0' }, 'devices'],
    [{ devices: 'nvidia.com/gpu=half' }, 'devices'],
    [{ devices: 'cpu=4' }, 'devices'],
    [{ devices: 'kubernetes.io/batteries=1' }, 'devices'],
    [{ nodeSelector: 'kubernetes.io/os=windows' }, 'nodeSelector'],
    [{ tolerations: 'node-role.kubernetes.io/control-plane' }, 'tolerations'],
    [{ tolerations: '=x' }, 'tolerations'],
    [{ runtimeClass: 'No Class' }, 'runtimeClass'],
    [{ runnersMost: '0' }, 'runnersMost'],
    [{ securityClass: 'any' }, 'securityClass'],
  ])('%j is refused at its field', (over, field) => expect(Object.keys(problems(over))).toEqual([field]));
});

describe('a pool that an operator changes', () => {
  test('stays as it was for who has it, and is new for who comes', async () => {
    await changePool(olive, fields({ cpu: '3', image: 'runner:2' }));
    const held = await unsafeDb().enrollmentPool.findUniqueOrThrow({ where: { scaleSetName: 'acme-nix' } });
    expect(held.definition).toMatchObject({ cpu: '2', image: 'runner' });
    const pool = await operatorPool('nix', new Date());
    expect(pool).toMatchObject({ cpu: '3', image: 'runner:2', behind: 1 });
    expect(pool.users.map(({ tenant, changes }) => [tenant, changes])).toEqual([
      [
        'acme',
        [
          { path: 'cpu', before: '2', after: '3' },
          { path: 'image', before: 'runner', after: 'runner:2' },
        ],
      ],
    ]);
  });

  test('what tenants read of it alone makes nobody fall behind', async () => {
    const before = (await operatorPool('nix', new Date())).behind;
    await changePool(olive, fields({ cpu: '3', image: 'runner:2', description: 'Other words' }));
    expect((await operatorPool('nix', new Date())).behind).toBe(before);
  });

  test('is known to whoever asks next, and leaves a record', async () => {
    await changePool(olive, fields({ cpu: '4' }));
    expect((await catalog()).find(({ name }) => name === 'nix')?.cpu).toBe('4');
    const told = await unsafeDb().audit.findMany({
      where: { action: 'pool:change' },
      orderBy: { id: 'desc' },
      take: 1,
    });
    expect(told[0]).toMatchObject({ target: 'pool/nix', before: { cpu: '3' }, after: { cpu: '4' } });
  });

  test('one of that name is not added twice, and one that is not there is not changed', async () => {
    expect(await refusal(changePool(olive, fields({ isNew: 'yes' })))).toContain('in the catalog already');
    expect(await refusal(changePool(olive, fields({ name: 'nowhere' })))).toContain('not');
  });

  test('one that needs a device is ready when it has one', async () => {
    const gpu = { name: 'gpu', isNew: 'yes', needsDevice: 'yes' };
    await changePool(olive, fields(gpu));
    expect((await operatorPool('gpu', new Date())).unready).toContain('no device');
    await changePool(olive, fields({ ...gpu, isNew: undefined, devices: 'nvidia.com/gpu=1' }));
    expect((await operatorPool('gpu', new Date())).unready).toBeNull();
  });
});

// ------------------------------------------------------------------------------------------------ shares

async function specIs(of: { enrollmentId: string }, pools: PoolChoice[]): Promise<void> {
  const spec = EnrollmentSpec.parse({ pools });
  await unsafeDb().enrollment.update({ where: { id: of.enrollmentId }, data: { spec } });
}

describe('a tenant that several accounts share', () => {
  let shared: TenantRows;
  let second: string;

  beforeAll(async () => {
    shared = await addTenant('shared');
    await specIs(shared, [{ pool: 'nix', minRunners: 0, maxRunners: 2 }]);
    const { tenantId } = shared;
    const scope = { level: 'organization' as const, path: 'second-org', scopeId: 'second-org', ownerId: 'second-org' };
    const pools = [{ pool: 'docker', minRunners: 0, maxRunners: 8 }];
    const row = await unsafeDb().enrollment.create({
      data: { tenantId, name: 'second', connectionId: 'forge', state: 'active', spec: { pools, planes: {} }, ...scope },
    });
    second = row.id;
    const own = { tenantId, enrollmentId: second, scaleSetName: 'shared-docker', poolName: 'docker' };
    await unsafeDb().enrollmentPool.create({ data: { ...own, minRunners: 0, maxRunners: 8 } });
  });

  const sizes = async () =>
    Object.fromEntries(
      (await sharingOf(inTenant(shared))).shares.map(({ label, asked, granted }) => [label, [asked, granted]]),
    );

  test('has fair shares as soon as it is shared: together they never take more than the quota', async () => {
    // 4 CPU a nix runner, 2 a docker one, of 16: two of nix are 8, and eight of docker would be 16 more.
    await setSharing(inTenant(shared), { sharing: 'shared' });
    expect(await sizes()).toEqual({ 'shared-nix': [2, 2], 'shared-docker': [8, 4] });
    const told = await unsafeDb().audit.findMany({ where: { tenantId: shared.tenantId, action: 'pool:share' } });
    expect(told.map(({ target, after }) => [target, after])).toEqual([
      ['pool/shared-docker', { minRunners: 0, maxRunners: 4 }],
    ]);
    const woken = await unsafeDb().task.findUnique({ where: { kind_key: { kind: 'enrollment', key: second } } });
    expect(woken).not.toBeNull();
  });

  test('what is promised is of the size that was approved, and no more than a budget lets start', async () => {
    const live = { pool: 'nix', label: 'shared-nix', enrollmentId: shared.enrollmentId, minRunners: 0, maxRunners: 3 };
    const pool: LivePool = {
      ...live,
      queued: 0,
      pending: 0,
      running: 1,
      idle: 0,
      places: 0,
      failed: 0,
      observedAt: null,
    };
    const where = { enrollmentId_poolName: { enrollmentId: shared.enrollmentId, poolName: 'nix' } };
    const own = await unsafeDb().enrollmentPool.findUniqueOrThrow({ where });
    const ctx = { ...inTenant(shared), db: tenantDb(shared.tenantId) } as unknown as Ctx;
    const sums = async () => sumsOf([pool], await approvedOf(ctx));
    const before = await sums();
    const known = (await catalog()).find(({ name }) => name === 'nix');
    if (!known) throw new Error('no pool');
    await unsafeDb().enrollmentPool.update({ where, data: { definition: { ...definitionOf(known), cpu: '1' } } });
    const pinned = await sums();
    expect([before.used.cpu, pinned.used.cpu, pinned.promised.cpu]).toEqual([4000n, 1000n, 3000n]);
    const period = new Date().toISOString().slice(0, 7);
    const limit = {
      tenantId: shared.tenantId,
      name: 'half',
      amount: '1',
      currency: 'USD',
      thresholds: [100],
      isLimit: true,
    };
    const budget = await unsafeDb().budget.create({ data: { ...limit, period, step: 2, createdById: shared.userId } });
    expect((await sums()).promised.cpu).toBe(2000n);
    await unsafeDb().budget.delete({ where: { id: budget.id } });
    await unsafeDb().enrollmentPool.update({ where, data: { definition: own.definition ?? Prisma.DbNull } });
  });

  test('cannot be dedicated while it serves two', async () =>
    expect(await refusal(setSharing(inTenant(shared), { sharing: 'dedicated' }))).toMatch(/serves .*second-org/));

  test('is dedicated again when one of them has gone, and the other has what it asked for', async () => {
    await unsafeDb().enrollmentPool.deleteMany({ where: { enrollmentId: shared.enrollmentId } });
    await unsafeDb().enrollment.update({ where: { id: shared.enrollmentId }, data: { state: 'withdrawn' } });
    await setSharing(inTenant(shared), { sharing: 'dedicated' });
    expect(await sizes()).toEqual({ 'shared-docker': [8, 8] });
  });
});

// ------------------------------------------------------------------------------------------------ the clock

/** Open from so many seconds from now on, by the wall clock of a zone in which that is a whole minute. */
function minuteWindow(at: Date): WarmSchedule {
  const wall = (ms: number) => new Date(ms).toISOString().slice(11, 16);
  const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
  return {
    timeZone: 'UTC',
    windows: [{ days: [...days], from: wall(at.getTime()), to: wall(at.getTime() + 60_000), runners: 2 }],
    holidays: [],
  };
}

describe('the clock’s task', () => {
  let of: TenantRows;
  /** The worker's clock, which the test moves. */
  let aheadMs = 0;
  const clock = { ...systemClock, now: () => new Date(Date.now() + aheadMs) };
  const begins = new Date(Math.ceil(Date.now() / 60_000) * 60_000 + 3_600_000);

  beforeAll(async () => {
    of = await addTenant('clock');
    await specIs(of, [{ pool: 'nix', minRunners: 0, maxRunners: 2, schedule: minuteWindow(begins) }]);
  });
  beforeEach(() => unsafeDb().task.deleteMany());

  const lease = (): Lease => ({
    key: of.enrollmentId,
    attempts: 1,
    signal: new AbortController().signal,
    check: async () => {},
    fence: async () => {},
  });
  const warm = async () =>
    (await unsafeDb().enrollmentPool.findUniqueOrThrow({ where: { scaleSetName: 'clock-nix' } })).minRunners;
  const told = async () => {
    const where = { tenantId: of.tenantId, action: 'pool:warm' };
    const records = await unsafeDb().audit.findMany({ where, orderBy: { id: 'asc' } });
    return records.map(({ before, after }) => [before, after]);
  };

  test('sleeps until the edge and not longer than an hour', async () => {
    aheadMs = begins.getTime() - Date.now() - 90_000;
    const outcome = await applySchedules({ clock }, lease());
    expect(outcome.kind === 'done' && outcome.againMs).toBeGreaterThan(88_000);
    expect(outcome.kind === 'done' && outcome.againMs).toBeLessThan(91_000);
    aheadMs -= 12 * 3_600_000;
    expect(await applySchedules({ clock }, lease())).toEqual({ kind: 'done', againMs: 3_600_000 });
    expect(await warm()).toBe(0);
  });

  test('three workers, one edge: it is applied once, and within ten seconds of it', async () => {
    aheadMs = begins.getTime() - Date.now() - 2_000;
    const abort = new AbortController();
    const tasks = { [scheduleTask]: (held: Lease) => applySchedules({ clock }, held) };
    const loops = [1, 2, 3].map(() => loop({ tasks, concurrency: 2, signal: abort.signal }));
    await wake(unsafeDb(), scheduleTask, of.enrollmentId);
    try {
      await eventually('the window to open', async () => (await warm()) === 2, 15_000);
      expect(clock.now().getTime() - begins.getTime()).toBeLessThan(10_000);
      // Woken again and again, by whomever: what is as it should be is left.
      for (let times = 0; times < 5; times += 1) {
        await wake(unsafeDb(), scheduleTask, of.enrollmentId);
        await sleep(50);
      }
      expect(await told()).toEqual([[{ minRunners: 0 }, { minRunners: 2 }]]);
      const woken = await unsafeDb().task.findUnique({
        where: { kind_key: { kind: 'enrollment', key: of.enrollmentId } },
      });
      expect(woken?.wakes).toBe(1n);
    } finally {
      abort.abort();
      await Promise.all(loops);
    }
  });

  test('an edge that all slept through is made good by whoever wakes first', async () => {
    aheadMs = begins.getTime() - Date.now() + 3 * 60_000;
    await wakeSchedules();
    expect((await unsafeDb().task.findMany({ where: { kind: scheduleTask } })).map(({ key }) => key)).toEqual([
      of.enrollmentId,
    ]);
    await applySchedules({ clock }, lease());
    expect(await warm()).toBe(0);
    expect((await told()).at(-1)).toEqual([{ minRunners: 2 }, { minRunners: 0 }]);
  });

  test('without a schedule there is no task, and of what a lost lease wrote nothing stays', async () => {
    aheadMs = begins.getTime() - Date.now() + 10_000;
    const lost = { ...lease(), fence: () => Promise.reject(new Error('another worker has the lease')) };
    await expect(applySchedules({ clock }, lost)).rejects.toThrow('another worker');
    expect(await warm()).toBe(0);
    await specIs(of, [{ pool: 'nix', minRunners: 0, maxRunners: 2 }]);
    expect(await applySchedules({ clock }, lease())).toEqual({ kind: 'gone' });
    expect(await applySchedules({ clock }, { ...lease(), key: randomUUID() })).toEqual({ kind: 'gone' });
  });

  test('never more than the share that there is, whatever the schedule says', async () => {
    const schedule = minuteWindow(begins);
    expect(warmAt({ minRunners: 0, schedule }, begins.getTime())).toBe(2);
    await specIs(of, [{ pool: 'nix', minRunners: 0, maxRunners: 2, schedule }]);
    await unsafeDb().enrollmentPool.update({ where: { scaleSetName: 'clock-nix' }, data: { maxRunners: 1 } });
    aheadMs = begins.getTime() - Date.now() + 10_000;
    await applySchedules({ clock }, lease());
    expect(await warm()).toBe(1);
  });
});
