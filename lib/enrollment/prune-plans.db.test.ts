import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { closeDb, unsafeDb, type PlanState } from '../db/index.ts';
import { prunePlans } from './prune-plans.ts';

const dayMs = 24 * 3_600_000;
const now = new Date('2026-11-26T12:00:00Z');
let database: TestDatabase;
let enrollmentId: string;
let tenantId: string;

beforeAll(async () => {
  database = await testDatabase();
  vi.stubEnv('DATABASE_URL', database.appUrl);
  const db = unsafeDb();
  const forge = { id: 'a', kind: 'github' as const, name: 'a', baseUrl: 'https://a.example', clientId: 'i' };
  await db.forgeConnection.create({ data: { ...forge, sealedClientSecret: 'x' } });
  await db.cluster.create({ data: { id: 'main', name: 'main' } });
  const account = await db.billingAccount.create({ data: { name: 'a' } });
  const quota = { quotaCpu: '1', quotaMemory: '1Gi', quotaRunners: 1 };
  const tenant = { slug: 'acme', kind: 'organization' as const, displayName: 'Acme', clusterId: 'main', ...quota };
  ({ id: tenantId } = await db.tenant.create({ data: { ...tenant, billingAccountId: account.id } }));
  const scope = { connectionId: 'a', level: 'organization' as const, path: 'acme', scopeId: '1' };
  ({ id: enrollmentId } = await db.enrollment.create({ data: { tenantId, name: 'main', ...scope } }));
});
afterAll(async () => {
  await closeDb();
  await database.drop();
});

async function plan(state: PlanState, days: number): Promise<string> {
  const createdAt = new Date(now.getTime() - days * dayMs);
  const seen = { spec: {}, changes: [], observedHash: '', clusterChecked: true, baseGeneration: 0 };
  const data = { id: randomUUID(), tenantId, enrollmentId, kind: 'enroll' as const, state, createdAt, ...seen };
  return (await unsafeDb().plan.create({ data })).id;
}

test('what nobody applied for a month goes; what was applied, is asked about or is younger stays', async () => {
  for (const state of ['open', 'stale', 'discarded'] as const) await plan(state, 31);
  const stays = [await plan('approved', 400), await plan('waiting', 400), await plan('open', 29)];
  const refused = await plan('discarded', 400);
  const request = { kind: 'plan' as const, wanted: {}, createdBy: 'ada', state: 'rejected' as const };
  await unsafeDb().approvalRequest.create({ data: { tenantId, planId: refused, ...request } });
  expect(await prunePlans(now)).toBe(3);
  const left = await unsafeDb().plan.findMany({ select: { id: true } });
  expect(left.map(({ id }) => id).toSorted()).toEqual([...stays, refused].toSorted());
  expect(await prunePlans(now)).toBe(0);
});
