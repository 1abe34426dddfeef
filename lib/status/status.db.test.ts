import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { sawAllowance, sawCluster, sawForge } from '#lib/telemetry/index.ts';
import { wake } from '#lib/work/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { judge, readStatus, startBeat } from './index.ts';

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  await unsafeDb().processReport.deleteMany();
  await unsafeDb().task.deleteMany();
});

const never = (error: unknown) => {
  throw error;
};

/** A process that tells once, and what is then read. */
async function told(needs: string[] = []) {
  const beat = startBeat({ kind: 'worker', needs, onError: never });
  await eventually('the beat', async () => (await unsafeDb().processReport.count()) > 0);
  return { beat, status: await readStatus() };
}

test('a process tells of itself, of what it saw of forges and clusters, and that it ends', async () => {
  sawForge('forge', { failure: null });
  sawForge('forge', { failure: 'refused postgres://user:hunter2@host' });
  sawAllowance('forge', 'Bearer x', { remaining: 3, limit: 60, resetsAt: Date.now() + 60_000 });
  sawCluster('main', { failure: null });
  const { beat, status } = await told(['20990101000000_of_tomorrow']);
  expect(status.processes).toMatchObject([
    { kind: 'worker', isStopped: false, missingMigrations: ['20990101000000_of_tomorrow'] },
  ]);
  expect(status.processes[0]?.silentSeconds).toBeLessThan(20);
  expect(status.processes[0]?.memoryBytes).toBeGreaterThan(10e6);
  const [forge] = status.forges;
  expect(forge).toMatchObject({ id: 'forge', enrollments: 1, allowance: { remaining: 3, limit: 60 } });
  expect(forge?.failure).toBe('refused postgres://[cut]@host');
  expect(forge?.failedAt).toBeGreaterThanOrEqual(forge?.answeredAt ?? Infinity);
  const [east, main] = status.clusters;
  expect(east).toMatchObject({ id: 'east', enrollments: 0, answeredAt: null });
  expect(main).toMatchObject({ id: 'main', enrollments: 1, needsController: true, failedAt: null });
  expect(main?.answeredAt).toBeGreaterThan(Date.now() - 60_000);
  await beat.stop();
  expect((await readStatus()).processes).toMatchObject([{ isStopped: true, missingMigrations: [] }]);
});

test('what a tenant that moves has counts on both clusters: its jobs may run on either', async () => {
  const where = { slug: acme.slug };
  await unsafeDb().tenant.update({ where, data: { moving: 'leaving', clusterId: 'east', otherClusterId: 'main' } });
  const { clusters } = await readStatus();
  await unsafeDb().tenant.update({ where, data: { moving: null, clusterId: 'main', otherClusterId: null } });
  expect(clusters.map(({ id, enrollments }) => [id, enrollments])).toEqual([
    ['east', 1],
    ['main', 1],
  ]);
});

test('of what several saw, the newest word counts, and those that are silent for a day are let go of', async () => {
  const db = unsafeDb();
  const facts = (answeredAt: number | null, failedAt: number | null, remaining: number) => ({
    memoryBytes: 1,
    needs: [],
    clusters: { main: { answeredAt, failedAt, failure: failedAt === null ? null : `failed at ${failedAt}` } },
    forges: {
      forge: {
        answeredAt,
        failedAt,
        failure: null,
        allowance: { remaining, limit: 100, resetsAt: Date.now() + 60_000 },
      },
    },
  });
  const add = (given: object, seenAt = new Date()) =>
    db.processReport.create({ data: { id: randomUUID(), kind: 'web', host: 'h', seenAt, facts: given } });
  await add(facts(1_000, 5_000, 50));
  await add(facts(3_000, null, 20));
  await add(facts(null, 4_000, 80));
  await add({ of: 'another version' });
  const { clusters, forges, processes } = await readStatus();
  expect(clusters.find(({ id }) => id === 'main')).toMatchObject({
    answeredAt: 3_000,
    failedAt: 5_000,
    failure: 'failed at 5000',
  });
  expect(forges[0]?.allowance?.remaining).toBe(20);
  expect(processes).toHaveLength(3);
  const old = await add(facts(1, null, 1), new Date(Date.now() - 25 * 3600_000));
  const { beat } = await told();
  await eventually(
    'the old one to go',
    async () => (await db.processReport.findUnique({ where: { id: old.id } })) === null,
  );
  await beat.stop();
});

test('a worker that alone does not reach a cluster is told of, while it runs and once it is more than a moment', async () => {
  const now = Date.now();
  const add = (host: string, answeredAt: number | null, failedAt: number | null, more = {}) =>
    unsafeDb().processReport.create({
      data: {
        id: randomUUID(),
        kind: 'worker',
        host,
        startedAt: new Date(now - 3_600_000),
        facts: {
          memoryBytes: 1,
          needs: [],
          forges: {},
          clusters: { main: { answeredAt, failedAt, failure: failedAt === null ? null : 'refused' } },
        },
        ...more,
      },
    });
  await add('well', now, null);
  await add('again', now - 1_000, now - 90_000);
  await add('once', now - 30_000, now - 1_000);
  await add('cut', now - 120_000, now - 1_000);
  await add('never', null, now - 1_000);
  await add('ended', null, now - 1_000, { stoppedAt: new Date() });
  await add('dead', null, now - 1_000, { seenAt: new Date(now - 60_000) });
  await add('web', null, now - 1_000, { kind: 'web' });
  const main = (await readStatus()).clusters.find(({ id }) => id === 'main');
  expect(main?.answeredAt).toBe(now);
  expect(main?.cutOff.map(({ host }) => host).toSorted()).toEqual(['cut', 'never']);
});

test('keys that fail are told with what they are, why, and when they are tried again; those that run are not', async () => {
  await wake(unsafeDb(), 'enrollment', acme.enrollmentId);
  await wake(unsafeDb(), 'tenant', acme.tenantId);
  await wake(unsafeDb(), 'use-days', 'all');
  await wake(unsafeDb(), 'doctor', acme.enrollmentId);
  await unsafeDb().$executeRaw`
    update task set attempts = 3, last_error = 'AppError: https://bot:hunter2@git answers 502' where kind <> 'doctor'`;
  await unsafeDb().$executeRaw`update task set lease_until = now() + interval '1 minute' where kind = 'use-days'`;
  const { failing, queue } = await readStatus();
  expect(failing.count).toBe(2);
  expect(failing.shown.toSorted((a, b) => (a.task < b.task ? -1 : 1))).toMatchObject([
    {
      task: 'enrollment',
      name: 'acme / acme',
      href: `/t/acme/enrollments/${acme.enrollmentId}`,
      attempts: 3,
      reason: 'AppError: https://[cut]@git answers 502',
    },
    { task: 'tenant', name: 'acme', href: '/t/acme' },
  ]);
  expect(queue.find(({ task }) => task === 'enrollment')).toMatchObject({ keys: 1, due: 1, failing: 1, held: 0 });
  expect(queue.find(({ task }) => task === 'use-days')).toMatchObject({ due: 0, held: 1 });
});

test('the database and its migrations tell of themselves, as the tool that applies them wrote it', async () => {
  const { database } = await readStatus();
  expect(database).toMatchObject({ isReadOnly: false, unfinishedMigrations: [] });
  expect(database.lastMigration).toMatch(/^\d{14}_\w+$/);
  expect(database.connections).toBeGreaterThan(0);
  expect(database.connectionsMost).toBeGreaterThanOrEqual(database.connections);
  expect(database.sizeBytes).toBeGreaterThan(1e6);
  const { beat, status } = await told([database.lastMigration ?? '']);
  expect(judge(status).checks.find(({ subject }) => subject === 'Migrations')?.state).toBe('ok');
  await beat.stop();
});

test('the oldest message to a webhook that is enabled is told of', async () => {
  const db = unsafeDb();
  const { tenantId } = acme;
  const endpoint = (disabledAt: Date | null) =>
    db.webhookEndpoint.create({
      data: { tenantId, url: 'https://x.example', kinds: [], sealedSecret: 'x', disabledAt },
    });
  const [enabled, disabled] = [await endpoint(null), await endpoint(new Date())];
  const message = (id: string, endpointId: string, ageMs: number) =>
    db.webhookMessage.create({
      data: { id, tenantId, endpointId, kind: 'test', body: '{}', attempts: 2, beganAt: new Date(Date.now() - ageMs) },
    });
  await message('old', disabled.id, 9_000_000);
  await message('newer', enabled.id, 600_000);
  await message('newest', enabled.id, 1_000);
  const { unsent } = await readStatus();
  expect(unsent).toMatchObject({ tenant: 'acme', endpointId: enabled.id, tries: 2 });
  expect(Math.round((unsent?.ageSeconds ?? 0) / 60)).toBe(10);
});
