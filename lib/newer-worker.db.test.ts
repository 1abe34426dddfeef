import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { applyRepair, doctorView, proofView } from '#lib/doctor/index.ts';
import { enrollmentView, listEnrollments } from '#lib/enrollment/index.ts';
import { listNotices } from '#lib/notice/index.ts';
import { operatorOverview, tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';

/*
 * F27: a web of this version beside a worker of the next one. What that one writes and this one has no word for breaks no page:
 * it is shown by its own words, or left out where only its own version could do something with it.
 */

let rows: TestRows;
let own: TenantRows;
let ctx: Ctx;

beforeAll(async () => {
  rows = await startTestRows();
  own = await addTenant('acme');
  const person = { userId: own.userId, name: 'Admin', imageUrl: null, identities: [], isOperator: false };
  const by: PersonCtx = { requestId: 'test', person };
  const asked = await tenantCtx(by, 'acme');
  if (!asked) throw new Error('no member');
  ctx = asked;
});
afterAll(() => rows?.stop());

test('conditions with a reason, a status, a side and a field that are not known', async () => {
  const condition = {
    type: 'ForgeReady',
    status: 'Degraded',
    reason: 'MoonInTheWay',
    message: 'The moon is in the way of the forge.',
    waitingFor: 'moon',
    since: '2026-11-26T12:00:00.000Z',
    observedGeneration: 1,
    severity: 'mild',
  };
  const conditions = [condition, { ...condition, type: 'Ready' }, { ...condition, type: 'MoonReady' }];
  await unsafeDb().enrollment.update({
    where: { id: own.enrollmentId },
    data: { conditions, generation: 1, spec: { pools: [{ pool: 'nix', minRunners: 0, maxRunners: 2 }], planes: {} } },
  });
  const view = await enrollmentView(ctx, own.enrollmentId);
  const phase = view.phases.find(({ type }) => type === 'ForgeReady');
  const { status, reason, message, waitingFor } = phase ?? {};
  expect({ status, reason, message, waitingFor }).toEqual({
    status: 'Unknown',
    reason: 'MoonInTheWay',
    message: 'The moon is in the way of the forge.',
    waitingFor: 'portal',
  });
  expect(await listEnrollments(ctx)).toHaveLength(1);
});

test('findings, offers and repairs of kinds that are not known', async () => {
  const known = { kind: 'look-again', who: 'admin', params: {} };
  const unknown = { kind: 'move-the-moon', who: 'astronaut', params: { by: 3 } };
  await unsafeDb().finding.update({
    where: { id: own.findingId },
    data: { kind: 'moon-in-the-way', severity: 'mild', offers: [unknown, known] },
  });
  const changes = [{ where: 'moon', op: '>', what: 'the moon', by: '3 degrees' }];
  await unsafeDb().repair.update({ where: { id: own.repairId }, data: { kind: 'move-the-moon', changes } });
  const view = await doctorView(ctx, own.enrollmentId);
  expect(view.findings).toMatchObject([{ kind: 'moon-in-the-way', title: 'acme', offers: [{ kind: 'look-again' }] }]);
  expect(view.repairs).toMatchObject([
    { label: 'move-the-moon', says: expect.stringContaining('newer version'), changes: [{ what: 'the moon' }] },
  ]);
  // And cannot be applied by who does not know what it does.
  await expect(applyRepair(ctx, { repairId: own.repairId })).rejects.toMatchObject({ code: 'stale' });
});

test('checks of a proof that are not known', async () => {
  const at = '2026-11-26T12:00:00.000Z';
  const checks = [
    { check: 'moon', state: 'held', words: 'It is where it was.', at },
    { check: 'attic', state: 'eclipsed', words: 'It is behind the moon.', at },
  ];
  await unsafeDb().proofRun.updateMany({ where: { enrollmentId: own.enrollmentId }, data: { checks } });
  const { runs } = await proofView(ctx, own.enrollmentId);
  expect(runs[0]?.checks).toEqual([{ check: 'attic', state: 'waiting', words: 'It is behind the moon.', at }]);
});

test('notices and tasks of kinds that are not known', async () => {
  const notice = { kind: 'moon-rises', title: 'The moon rises', body: 'Look at it.', dedupeKey: 'moon' };
  const tenantId = own.tenantId;
  await unsafeDb().notice.createMany({
    data: [
      { ...notice, tenantId, audience: 'tenant' },
      { ...notice, tenantId, audience: 'operator' },
    ],
  });
  const { person, requestId } = ctx;
  const query = { before: '', show: 'all' } as const;
  const operators = await listNotices({ of: 'operator', by: { person, requestId } }, query);
  expect(operators.rows).toMatchObject([{ label: 'moon-rises', title: 'The moon rises' }]);
  // Which of a tenant's people may see it, only its own version knows.
  expect((await listNotices({ of: 'tenant', ctx }, query)).rows).toEqual([]);
  await unsafeDb().task.create({ data: { kind: 'moon', key: 'all', attempts: 3, lastError: 'it set' } });
  const { failing } = await operatorOverview();
  expect(failing).toMatchObject([{ kind: 'moon', lastError: 'it set' }]);
});
