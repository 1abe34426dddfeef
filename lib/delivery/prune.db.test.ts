import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { closeDb, seal, unsafeDb } from '../db/index.ts';
import type { env } from '../env.ts';
import { acceptDelivery } from './accept.ts';
import { pruneDeliveries } from './prune.ts';

const secret = 'the secret';
const dayMs = 24 * 3_600_000;
let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
  vi.stubEnv('DATABASE_URL', database.appUrl);
  vi.stubEnv('FLYWHEEL_DELIVERY_DAYS', '20');
  vi.stubEnv('FLYWHEEL_SECRET_KEY', randomBytes(32).toString('base64'));
  const sealedWebhookSecret = await seal(secret, 'forge_connection/a/webhook_secret');
  const data = { id: 'a', kind: 'github' as const, name: 'a', baseUrl: 'https://a.example', clientId: 'i' };
  await unsafeDb().forgeConnection.create({ data: { ...data, sealedClientSecret: 'x', sealedWebhookSecret } });
});
afterAll(async () => {
  await closeDb();
  await database.drop();
});
beforeEach(() => unsafeDb().delivery.deleteMany());

async function aged(days: number, count = 1): Promise<void> {
  const receivedAt = new Date(Date.now() - days * dayMs);
  await unsafeDb().$executeRaw`
    insert into delivery (connection_id, delivery_id, event, payload, received_at)
    select 'a', ${`${days}-`} || n, 'ping', '{}'::jsonb, ${receivedAt} from generate_series(1, ${count}::int) as n`;
}

const left = async () => (await unsafeDb().delivery.findMany()).map(({ deliveryId }) => deliveryId).toSorted();

function deliver(id: string) {
  const rawBody = Buffer.from('{}');
  const signature = `sha256=${createHmac('sha256', secret).update(rawBody).digest('hex')}`;
  const headers = new Headers({ 'x-hub-signature-256': signature, 'x-github-delivery': id, 'x-github-event': 'ping' });
  return acceptDelivery({ connectionId: 'a', headers, rawBody });
}

test('what is older than the days that are configured is forgotten, and nothing younger', async () => {
  for (const days of [400, 21, 19, 3, 0]) await aged(days);
  expect(await pruneDeliveries(new Date())).toBe(2);
  expect(await left()).toEqual(['0-1', '19-1', '3-1']);
});

test('F16: a delivery that is sent again inside the window is still known after it', async () => {
  await aged(19);
  await pruneDeliveries(new Date());
  expect(await deliver('19-1')).toEqual({ status: 202, duplicate: true });
});

test('however many there are, and when two workers do it at once', async () => {
  await aged(40, 12_001);
  await aged(1, 3);
  const counts = await Promise.all([pruneDeliveries(new Date()), pruneDeliveries(new Date())]);
  expect(counts[0] + counts[1]).toBe(12_001);
  expect(await left()).toHaveLength(3);
});

test.each([
  [undefined, 30],
  ['8', 8],
])('configured as %s it is %i days', async (value, days) => {
  expect((await freshEnv(value))().FLYWHEEL_DELIVERY_DAYS).toBe(days);
});

test('F16: fewer days than forges send a delivery again are refused', async () => {
  expect(await freshEnv('7')).toThrow('FLYWHEEL_DELIVERY_DAYS');
});

/** The configuration as a process that starts with this value reads it. */
async function freshEnv(value: string | undefined): Promise<typeof env> {
  vi.stubEnv('FLYWHEEL_DELIVERY_DAYS', value);
  vi.resetModules();
  return (await import('../env.ts')).env;
}
