import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { keepReadings, keepRecentDays, keepSources, useLines, type GivenSource, type UseQuery } from './index.ts';

/* What is kept of days that are over is what would be reckoned now, whatever was written since and in whatever order. */

let rows: TestRows;

beforeAll(async () => {
  rows = await startTestRows();
});
afterAll(() => rows?.stop());

const hourMs = 3600_000;
const start = Date.UTC(2026, 5, 1);
const at = (hours: number) => new Date(start + hours * hourMs);
const month = { from: at(0), to: at(10 * 24) };

let count = 0;
async function newTenant(): Promise<TenantRows> {
  count += 1;
  return addTenant(`days-${count}`);
}

async function sums(query: UseQuery): Promise<Record<string, string>> {
  const found = new Map<string, number>();
  for (const line of await useLines(query)) {
    const day = line.at.toISOString().slice(0, 10);
    const key = [line.tenantId, line.kind, day, line.pool, line.meter, line.repository, line.workflow, line.hasFailed];
    found.set(key.join(' '), (found.get(key.join(' ')) ?? 0) + line.quantity.toNumber());
  }
  return Object.fromEntries(
    [...found].map(([key, sum]) => [key, sum.toFixed(3)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Asked by the day it is read from what is kept; asked by the hour it is reckoned. */
async function expectSame(tenantIds: string[], when = month): Promise<void> {
  const kept = await sums({ tenantIds, ...when, bucket: 'day', detail: 'workflow' });
  expect(kept).toEqual(await sums({ tenantIds, ...when, bucket: 'hour', detail: 'workflow' }));
}

async function keptDays(tenantId: string): Promise<string[]> {
  const days = await unsafeDb().useDay.findMany({ where: { tenantId, day: { gte: at(0) } }, orderBy: { day: 'asc' } });
  return days.map(({ day }) => day.toISOString().slice(5, 10));
}

function source(of: TenantRows, name: string, change: Partial<GivenSource> = {}): GivenSource {
  return {
    id: name,
    name,
    clusterId: 'main',
    tenantId: of.tenantId,
    enrollmentId: of.enrollmentId,
    kind: 'runner',
    poolName: 'nix',
    cpuCores: '2',
    memoryGib: '4',
    gpuCount: 0,
    startedAt: at(0),
    endedAt: null,
    endedItself: null,
    ...change,
  };
}

async function read(sourceId: string, hours: number, ofHours: number): Promise<void> {
  const quantity = (ofHours * 3600).toFixed(3);
  await keepReadings([{ sourceId, meter: 'runnerSeconds', observedAt: at(hours), quantity }], at(hours));
}

async function ranJob(of: TenantRows, runnerName: string, from: number, to: number | null): Promise<void> {
  const { tenantId, enrollmentId, scaleSetName } = of;
  const key = { connectionId: 'forge', externalId: `${runnerName}@${from}` };
  const said = {
    startedAt: at(from),
    completedAt: to === null ? null : at(to),
    conclusion: to === null ? null : 'failure',
  };
  const data = { ...said, state: to === null ? ('running' as const) : ('completed' as const), runnerName };
  const repository = `acme/${from % 2}`;
  await unsafeDb().job.upsert({
    where: { connectionId_externalId: key },
    create: { ...key, ...data, tenantId, enrollmentId, scaleSetName, repository, workflow: 'ci', queuedAt: at(from) },
    update: data,
  });
}

const hours = fc.integer({ min: 0, max: 9 * 24 });
const runner = fc.constantFrom('a', 'b', 'c');
const step = fc.oneof(
  fc.record({ kind: fc.constant('read' as const), runner, to: hours }),
  fc.record({ kind: fc.constant('job' as const), runner, from: hours, hours: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ kind: fc.constant('job begins' as const), runner, from: hours }),
  fc.record({ kind: fc.constant('end' as const), runner, to: hours, itself: fc.boolean() }),
  fc.record({ kind: fc.constant('ask' as const) }),
);

test('in any order of readings, jobs, ends and questions, kept days are what would be reckoned', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      const tenant = await newTenant();
      const named = (name: string) => `${name}-${tenant.slug}`;
      await keepSources([
        source(tenant, named('a')),
        source(tenant, named('b'), { startedAt: at(30) }),
        // One process after another of the same name, each for many jobs.
        source(tenant, named('c'), { servesOne: false }),
      ]);
      for (const each of steps) {
        if (each.kind === 'read') await read(named(each.runner), each.to, Math.max(0, each.to - 30));
        else if (each.kind === 'job') await ranJob(tenant, named(each.runner), each.from, each.from + each.hours);
        else if (each.kind === 'job begins') await ranJob(tenant, named(each.runner), each.from, null);
        else if (each.kind === 'end')
          await keepSources([source(tenant, named(each.runner), { endedAt: at(each.to), endedItself: each.itself })]);
        else await expectSame([tenant.tenantId]);
      }
      const query = { tenantIds: [tenant.tenantId], ...month, detail: 'workflow' as const };
      expect(await sums({ ...query, bucket: 'day' })).toEqual(await sums({ ...query, bucket: 'hour' }));
    }),
    { numRuns: 60 },
  );
}, 120_000);

test('what is kept is kept until something of it changes, and then from that day on', async () => {
  const tenant = await newTenant();
  await keepSources([source(tenant, 'long')]);
  for (const day of [1, 2, 3, 4]) await read('long', day * 24 - 1, day * 24 - 1);
  await expectSame([tenant.tenantId]);
  const all = await keptDays(tenant.tenantId);
  expect(all).toHaveLength(10);
  await read('long', 3 * 24 - 2, 3 * 24 - 2);
  expect(await keptDays(tenant.tenantId)).toEqual(['06-01', '06-02']);
  await expectSame([tenant.tenantId]);
  expect(await keptDays(tenant.tenantId)).toEqual(all);
  // A stranger's changes nothing.
  const stranger = await newTenant();
  await keepSources([source(stranger, 'theirs')]);
  await read('theirs', 24, 24);
  expect(await keptDays(tenant.tenantId)).toEqual(all);
  // How it ended says what all of its time was.
  await keepSources([source(tenant, 'long', { endedAt: at(4 * 24), endedItself: true })]);
  await expectSame([tenant.tenantId]);
  const lines = await useLines({ tenantIds: [tenant.tenantId], ...month, bucket: 'day', detail: 'pool' });
  expect(new Set(lines.map(({ kind }) => kind))).toEqual(new Set(['unattributed']));
});

test('what is written while a day is kept is not missed', async () => {
  const tenant = await newTenant();
  await keepSources([source(tenant, 'raced')]);
  await read('raced', 20, 10);
  const [written, looked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const writer = unsafeTransaction(async (tx) => {
    await tx.$executeRaw`update usage_hour set highest = 72000 where source_id = 'raced' and highest > 0`;
    written.resolve();
    await looked.promise;
  });
  await written.promise;
  const asked = useLines({ tenantIds: [tenant.tenantId], ...month, bucket: 'day', detail: 'pool' });
  let isAnswered = false;
  void asked.then(() => (isAnswered = true));
  await sleep(300);
  expect(isAnswered).toBe(false);
  looked.resolve();
  await writer;
  const seconds = (await asked).find(({ meter }) => meter === 'runnerSeconds')?.quantity.toNumber();
  expect(seconds).toBe(72_000);
  await expectSame([tenant.tenantId]);
});

test('of all tenants and of nobody: kept by the worker, the same as reckoned, and to the hour that goes on', async () => {
  const tenant = await newTenant();
  const now = new Date();
  const day = (by: number) => new Date(Math.floor(now.getTime() / 86_400_000 + by) * 86_400_000);
  const ago = (days: number) => new Date(now.getTime() - days * 86_400_000);
  const nobody = { tenantId: null, enrollmentId: null };
  await keepSources([
    source(tenant, 'recent', { startedAt: ago(6) }),
    source(tenant, 'nobody’s', { startedAt: ago(6), ...nobody }),
  ]);
  for (const sourceId of ['recent', 'nobody’s'])
    for (const days of [5, 4, 3, 2, 1, 0])
      await keepReadings(
        [
          {
            sourceId,
            meter: 'runnerSeconds',
            observedAt: ago(days),
            quantity: ((6 - days) * 86_400).toFixed(0),
          },
        ],
        now,
      );
  const window = { from: day(-8), to: new Date(now.getTime() + 1) };
  const query = { tenantIds: null, ...window, detail: 'workflow' as const };
  const reckoned = await sums({ ...query, bucket: 'hour' });
  expect(Object.keys(reckoned).some((key) => key.startsWith(' '))).toBe(true);
  // More tenants than are waited for.
  expect(await sums({ ...query, bucket: 'day' })).toEqual(reckoned);
  expect(await keepRecentDays(now)).toBeGreaterThan(8);
  expect(await keepRecentDays(now)).toBe(0);
  expect(await sums({ ...query, bucket: 'day' })).toEqual(reckoned);
});
