import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterView } from '#lib/cluster/index.ts';
import { seal, unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import type { Proving } from './proof-checks.ts';
import { beginRoute, routeSoFar } from './proof-route.ts';
import type { CheckResult } from './proof-rows.ts';
import { liveRow } from './rows.ts';

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  const pool = (name: string) => ({ pool: name, minRunners: 0, maxRunners: 1 });
  const spec = { pools: [pool('docker'), pool('nix')], planes: {} };
  await unsafeDb().enrollment.update({ where: { id: acme.enrollmentId }, data: { spec, generation: 1 } });
  await unsafeDb().proofRun.deleteMany({});
  const sealedClientSecret = await seal('secret', 'forge_connection/forge/client_secret');
  await unsafeDb().forgeConnection.update({ where: { id: 'forge' }, data: { sealedClientSecret } });
});
afterAll(() => rows?.stop());

async function proving(now = new Date()): Promise<Proving> {
  const row = await liveRow(acme.enrollmentId);
  if (!row) throw new Error('no enrollment');
  const view = { get: () => undefined } as unknown as ClusterView;
  return { row, view, now, signal: new AbortController().signal };
}

test('each run takes the label after the last one’s, however many runs are kept', async () => {
  const labels: (string | undefined)[] = [];
  for (const minute of [1, 2, 3]) {
    const route = await beginRoute(await proving());
    labels.push(route.label);
    const checks = [{ check: 'route', at: new Date().toISOString(), ...route }];
    const at = new Date(Date.UTC(2026, 5, 1, 0, minute));
    const own = { tenantId: acme.tenantId, enrollmentId: acme.enrollmentId };
    await unsafeDb().proofRun.deleteMany({});
    await unsafeDb().proofRun.create({ data: { ...own, state: 'broken', checks, createdAt: at, endedAt: at } });
  }
  expect(labels).toEqual(['acme-docker', 'acme-nix', 'acme-docker']);
});

test('of the jobs of its workflow it is the one that was not there before, and patience begins when it was started', async () => {
  const started = new Date('2026-06-01T12:00:00Z');
  const second = (seconds: number) => new Date(started.getTime() + seconds * 1000);
  const add = (externalId: string, conclusion: string, at: Date) =>
    unsafeDb().job.create({
      data: {
        connectionId: 'forge',
        externalId,
        tenantId: acme.tenantId,
        enrollmentId: acme.enrollmentId,
        scaleSetName: 'acme-nix',
        repository: 'acme/app',
        workflow: 'flywheel-proof',
        state: 'completed',
        conclusion,
        runnerName: 'r',
        queuedAt: at,
        startedAt: at,
        completedAt: at,
      },
    });
  await add('somebody’s', 'failure', second(-5));
  const { row } = await proving();
  const waiting: CheckResult = {
    check: 'route',
    state: 'waiting',
    words: '',
    at: started.toISOString(),
    label: 'acme-nix',
    before: ['somebody’s'],
  };
  expect(await routeSoFar(row, waiting, second(30))).toBeNull();
  expect(await routeSoFar(row, waiting, second(599))).toBeNull();
  expect(await routeSoFar(row, waiting, second(600))).toMatchObject({ state: 'broken' });
  await add('its own', 'success', second(2));
  expect(await routeSoFar(row, waiting, second(30))).toMatchObject({ state: 'held' });
});

test('while no runner may start none is asked for, and it says why', async () => {
  const conditions = [
    {
      type: 'RunnersReady',
      status: 'False',
      reason: 'BudgetSpent',
      message: 'A budget is spent.',
      waitingFor: 'admin',
      since: new Date().toISOString(),
      observedGeneration: 1,
    },
  ];
  await unsafeDb().enrollment.update({ where: { id: acme.enrollmentId }, data: { conditions } });
  expect(await beginRoute(await proving())).toEqual({
    state: 'off',
    words: 'No job was started. A budget is spent.',
  });
});
