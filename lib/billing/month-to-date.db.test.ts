import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import type { CtxTenant } from '#lib/tenant/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { monthToDate } from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
  const day = (text: string) => new Date(`${text}T00:00:00Z`);
  await unsafeDb().rate.createMany({
    data: [
      { poolName: 'docker', validFrom: day('2026-01-01'), pricePerRunnerSecond: '0.000027777778' },
      { poolName: 'nix', validFrom: day('2026-01-01'), pricePerRunnerSecond: '0.5', validTo: day('2026-06-01') },
      { poolName: 'nix', validFrom: day('2026-06-01'), pricePerRunnerSecond: '0.000055555556' },
      { poolName: 'nix', validFrom: day('2026-07-01'), pricePerRunnerSecond: '9' },
      { poolName: 'nix-heavy', validFrom: day('2026-01-01'), pricePerRunnerSecond: '7', validTo: day('2026-05-01') },
    ],
  });
});
afterAll(() => rows?.stop());

async function ran(of: TenantRows, poolName: string, podUid: string, readings: [string, string][]): Promise<void> {
  const own = { tenantId: of.tenantId, enrollmentId: of.enrollmentId, poolName, podUid };
  await unsafeDb().runnerReading.createMany({
    data: readings.map(([at, runnerSeconds]) => ({
      ...own,
      observedAt: new Date(at),
      startedAt: new Date(at),
      runnerSeconds,
    })),
  });
}

function soFar(of: TenantRows, now: string) {
  return monthToDate({ tenant: { id: of.tenantId } as CtxTenant }, new Date(now));
}

test('a month begins at midnight UTC, and what ran before it is the former month’s', async () => {
  await ran(acme, 'docker', 'over-midnight', [
    ['2026-05-31T23:59:59.999Z', '600'],
    ['2026-06-01T00:00:00.000Z', '601'],
    ['2026-06-01T00:50:00.000Z', '3600'],
  ]);
  await ran(acme, 'nix', 'nix-1', [['2026-06-02T12:00:00Z', '0.001']]);
  await ran(acme, 'nix', 'nix-2', [['2026-06-02T12:00:00Z', '1000']]);
  await ran(acme, 'nix-heavy', 'heavy', [['2026-06-03T12:00:00Z', '10']]);
  await ran(bolt, 'docker', 'another-tenant', [['2026-06-03T12:00:00Z', '100000']]);

  expect(await soFar(acme, '2026-06-15T08:00:00Z')).toEqual({
    currency: 'USD',
    from: '2026-06-01T00:00:00.000Z',
    // 3000 x 0.000027777778 + 1000.001 x 0.000055555556
    total: '0.138888945555556',
    byPool: [
      { pool: 'docker', runnerSeconds: '3000', runners: 1, cost: '0.083333334' },
      { pool: 'nix', runnerSeconds: '1000.001', runners: 2, cost: '0.055555611555556' },
      // No rate in force: shown, and not taken as free.
      { pool: 'nix-heavy', runnerSeconds: '10', runners: 1, cost: null },
    ],
  });
  expect((await soFar(bolt, '2026-06-15T08:00:00Z')).total).toBe('2.7777778');
});

test('what was read this very instant counts, and what comes later does not', async () => {
  await ran(acme, 'docker', 'now', [
    ['2026-08-10T10:00:00.000Z', '5'],
    ['2026-08-10T10:00:00.001Z', '6'],
  ]);
  const docker = async (now: string) =>
    (await soFar(acme, now)).byPool.find(({ pool }) => pool === 'docker')?.runnerSeconds;
  expect(await docker('2026-08-10T10:00:00.000Z')).toBe('5');
  expect(await docker('2026-08-10T10:00:00.001Z')).toBe('6');
});

test('the rate is the newest in force', async () => {
  await ran(bolt, 'nix', 'in-july', [['2026-07-02T00:00:00Z', '3']]);
  expect((await soFar(bolt, '2026-07-03T00:00:00Z')).total).toBe('27');
  await ran(bolt, 'nix', 'in-february', [['2026-02-02T00:00:00Z', '3']]);
  expect((await soFar(bolt, '2026-02-03T00:00:00Z')).total).toBe('1.5');
});

test('a rate that changes within a month reprices nothing that ran before it', async () => {
  await unsafeDb().rate.updateMany({
    where: { poolName: 'docker', validFrom: new Date('2026-01-01T00:00:00Z') },
    data: { validTo: new Date('2026-10-16T00:00:00Z') },
  });
  const data = { poolName: 'docker', validFrom: new Date('2026-10-16T00:00:00Z'), pricePerRunnerSecond: '2' };
  await unsafeDb().rate.create({ data });
  await ran(bolt, 'docker', 'over-the-change', [
    ['2026-10-15T12:00:00Z', '1000'],
    ['2026-10-16T12:00:00Z', '1005'],
  ]);
  // 1000 x 0.000027777778 + 5 x 2
  expect(await soFar(bolt, '2026-10-20T00:00:00Z')).toMatchObject({
    total: '10.027777778',
    byPool: expect.arrayContaining([
      { pool: 'docker', runnerSeconds: '1005', runners: 1, cost: '10.027777778' },
    ]) as unknown,
  });
});

test('a tenant of whom nothing ran owes nothing', async () => {
  const told = await soFar(acme, '2026-12-01T00:00:00Z');
  expect([told.total, told.byPool.map(({ runnerSeconds }) => Number(runnerSeconds)).filter(Boolean)]).toEqual([
    '0',
    [],
  ]);
});
