import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { setCapacity } from '#lib/fleet/index.ts';
import { lockLine, poolsByName, presentAllocation, quotaColumns, refuseOversold } from '#lib/enrollment/index.ts';
import { formatAmounts, type Quota, type TenantKind } from '#lib/model/index.ts';
import { operatorCtx, tenantCtx, tenantsOf, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { addTenant, startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  approve,
  approvals,
  askBack,
  askForQuota,
  askForTenant,
  askToMove,
  answer,
  family,
  newTeam,
  reject,
  requestView,
  requestsOf,
  resume,
  setTeamQuota,
  suspend,
  takeBack,
} from './index.ts';

/* What is asked for, granted and handed on, over the database alone. */

let rows: TestRows;
beforeAll(async () => {
  rows = await startTestRows();
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  await unsafeDb().cluster.update({ where: { id: 'main' }, data: { capacityCpu: null, capacityMemory: null } });
});

const counter = { made: 0 };
const fresh = (name: string) => `${name}-${(counter.made += 1)}`;

async function person(name: string, isOperator = false): Promise<PersonCtx> {
  const user = await unsafeDb().user.create({ data: { name } });
  const identities = [{ id: user.id, connectionId: 'forge', forge: 'github' as const, subject: user.id, login: name }];
  return { requestId: 'test', person: { userId: user.id, name, imageUrl: null, identities, isOperator } };
}

async function memberOf(by: PersonCtx, slug: string): Promise<Ctx> {
  const ctx = await tenantCtx(by, slug);
  if (!ctx) throw new Error(`no way into ${slug}`);
  return ctx;
}

/** An organization with an admin, whose one enrollment may run two runners of 2 CPU and 4Gi. */
async function organization(): Promise<{ slug: string; id: string; admin: PersonCtx; ctx: () => Promise<Ctx> }> {
  const slug = fresh('org');
  const { tenantId: id, userId } = await addTenant(slug);
  const made = await person('admin');
  const admin = { ...made, person: { ...made.person, userId } };
  return { slug, id, admin, ctx: () => memberOf(admin, slug) };
}

const quota = (cpu: string, memory: string, runners: number, storage = '250Gi'): Quota => ({
  cpu,
  memory,
  runners,
  storage,
});
const share = quota('4', '8Gi', 2, '50Gi');
const wish = (kind: 'team' | 'enterprise' | 'managed_customer', more: object = {}) => ({
  kind,
  slug: fresh('new'),
  displayName: 'New',
  quota: share,
  note: 'please',
  ...more,
});

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error === null) return 'done';
  if (!(error instanceof AppError)) throw error;
  return error.code;
}

async function stateOf(slug: string): Promise<string> {
  return (await unsafeDb().tenant.findUniqueOrThrow({ where: { slug } })).state;
}

describe('a team', () => {
  test('begins at once, with a share of its organization’s quota, and its admins are the organization’s', async () => {
    const org = await organization();
    const input = wish('team', { parent: org.slug });
    await newTeam(org.admin, input);
    const { own, handedOn, left } = await presentAllocation(org.id, await poolsByName());
    expect(formatAmounts(handedOn)).toEqual({ cpu: '4', memory: '8Gi', runners: '2', storage: '50Gi' });
    expect(own).toEqual(quota('12', '24Gi', 6, '200Gi'));
    // The enrollment of the organization itself holds two runners at its maximum.
    expect(formatAmounts(left)).toEqual({ cpu: '8', memory: '16Gi', runners: '4', storage: '160Gi' });
    expect(await memberOf(org.admin, input.slug)).toMatchObject({
      role: 'admin',
      tenant: { kind: 'team', state: 'active' },
    });
    const paid = await unsafeDb().tenant.findMany({ where: { slug: { in: [org.slug, input.slug] } } });
    expect(new Set(paid.map(({ billingAccountId }) => billingAccountId)).size).toBe(1);
  });

  test('is not for who does not administer the organization', async () => {
    const org = await organization();
    const stranger = await person('stranger');
    expect(await codeOf(newTeam(stranger, wish('team', { parent: org.slug })))).toBe('invalid');
    const member = await person('member');
    await unsafeDb().membership.create({
      data: { tenantId: org.id, userId: member.person.userId, role: 'member', source: 'forge' },
    });
    expect(await codeOf(newTeam(member, wish('team', { parent: org.slug })))).toBe('invalid');
    expect((await family(await org.ctx(), false)).rows).toHaveLength(1);
  });

  test.each([
    ['CPU', quota('13', '1Gi', 1, '1Gi')],
    ['memory', quota('1', '25Gi', 1, '1Gi')],
    ['runners', quota('1', '1Gi', 7, '1Gi')],
    ['storage', quota('1', '1Gi', 1, '211Gi')],
  ])('never gets %s that its organization has promised to its own pools', async (_, tooMuch) => {
    const org = await organization();
    expect(await codeOf(newTeam(org.admin, wish('team', { parent: org.slug, quota: tooMuch })))).toBe('invalid');
    const fits = await newTeam(org.admin, wish('team', { parent: org.slug, quota: quota('12', '24Gi', 6, '210Gi') }));
    expect(await codeOf(setTeamQuota(await org.ctx(), { team: fits, quota: tooMuch }))).toBe('invalid');
  });

  test('asks its organization for more, and not an operator', async () => {
    const org = await organization();
    const slug = await newTeam(org.admin, wish('team', { parent: org.slug }));
    expect(await codeOf(askForQuota(await memberOf(org.admin, slug), { quota: share, note: '' }))).toBe('conflict');
    await setTeamQuota(await org.ctx(), { team: slug, quota: quota('5', '9Gi', 3, '60Gi') });
    expect((await memberOf(org.admin, slug)).tenant.quota).toEqual(quota('5', '9Gi', 3, '60Gi'));
    expect(await codeOf(setTeamQuota(await org.ctx(), { team: org.slug, quota: share }))).toBe('not_found');
  });

  test('and twenty at once that only fit alone: one winner, nothing oversold', async () => {
    const org = await organization();
    const each = quota('10', '20Gi', 5, '100Gi');
    const codes = await Promise.all(
      Array.from({ length: 20 }, () => codeOf(newTeam(org.admin, wish('team', { parent: org.slug, quota: each })))),
    );
    expect(codes.filter((code) => code === 'done')).toHaveLength(1);
    expect(codes.filter((code) => code === 'invalid')).toHaveLength(19);
    const { left } = await presentAllocation(org.id, await poolsByName());
    expect(formatAmounts(left)).toEqual({ cpu: '2', memory: '4Gi', runners: '1', storage: '110Gi' });
  });

  test('a pool’s maximum and a team’s share that only fit alone do not both come', async () => {
    const org = await organization();
    const grow = unsafeTransaction(async (tx) => {
      await lockLine(tx, org.id);
      await tx.enrollmentPool.updateMany({ where: { tenantId: org.id }, data: { maxRunners: 6 } });
      await refuseOversold(tx, org.id, await poolsByName());
    });
    const team = newTeam(org.admin, wish('team', { parent: org.slug, quota: quota('8', '16Gi', 4, '60Gi') }));
    const codes = await Promise.all([codeOf(grow), codeOf(team)]);
    expect(codes.filter((code) => code === 'done')).toHaveLength(1);
  });
});

describe('a request', () => {
  test('for a managed customer waits: asked, a question, its answer, granted with less than was asked for', async () => {
    const [asker, operator] = [await person('asker'), await person('operator', true)];
    const slug = await askForTenant(asker, wish('managed_customer', { quota: quota('64', '128Gi', 32, '1Ti') }));
    expect(await stateOf(slug)).toBe('draft');
    const ctx = await memberOf(asker, slug);
    const [request] = await requestsOf(ctx);
    const id = request?.id ?? '';
    expect((await approvals()).open.map((each) => each.id)).toContain(id);
    await askBack(operator, { requestId: id, text: 'How many at night?' });
    expect(await codeOf(approve(operator, { requestId: id, note: '', beyondCapacity: false }))).toBe('conflict');
    await answer(ctx, { requestId: id, text: 'Two.' });
    await approve(operator, {
      requestId: id,
      note: 'Half of it.',
      quota: quota('32', '64Gi', 16, '1Ti'),
      beyondCapacity: false,
    });
    const told = await requestView(ctx, id);
    expect(told.messages.map(({ step, text }) => [step, text])).toEqual([
      ['asked', 'please'],
      ['question', 'How many at night?'],
      ['answer', 'Two.'],
      ['approved', 'Half of it.'],
    ]);
    expect(told).toMatchObject({ state: 'approved', granted: { quota: { cpu: '32' } } });
    // Each step was told to whoever moves next, once.
    const notices = await unsafeDb().notice.findMany({ where: { tenantId: ctx.tenant.id }, orderBy: { id: 'asc' } });
    expect(notices.map(({ audience, kind, href }) => [audience, kind, href])).toEqual([
      ['operator', 'approval-asked', `/operator/approvals/${id}`],
      ['tenant', 'approval-question', `/t/${slug}/requests/${id}`],
      ['operator', 'approval-asked', `/operator/approvals/${id}`],
      ['tenant', 'approval-given', `/t/${slug}/requests/${id}`],
    ]);
    expect((await memberOf(asker, slug)).tenant).toMatchObject({
      state: 'active',
      quota: quota('32', '64Gi', 16, '1Ti'),
    });
    expect(await codeOf(approve(operator, { requestId: id, note: '', beyondCapacity: false }))).toBe('conflict');
  });

  test('of one who operates too is not theirs to decide, unless the configuration says so', async () => {
    const both = await person('both', true);
    const slug = await askForTenant(both, wish('enterprise'));
    const [request] = await requestsOf(await memberOf(both, slug));
    const requestId = request?.id ?? '';
    expect(await codeOf(approve(both, { requestId, note: '', beyondCapacity: false }))).toBe('forbidden');
    expect(await codeOf(reject(both, { requestId, text: 'no' }))).toBe('forbidden');
    expect(await stateOf(slug)).toBe('draft');
  });

  test('of a tenant below one that an operator administers is not theirs either', async () => {
    const [org, above] = [await organization(), await person('above', true)];
    await askForQuota(await org.ctx(), { quota: quota('64', '128Gi', 32, '1Ti'), note: '' });
    const [request] = await requestsOf(await org.ctx());
    const enterprise = await unsafeDb().tenant.findUniqueOrThrow({
      where: { slug: await askForTenant(above, wish('enterprise')) },
    });
    await unsafeDb().tenant.update({ where: { id: org.id }, data: { parentId: enterprise.id } });
    const refusal = { requestId: request?.id ?? '', text: 'no' };
    expect(await codeOf(reject(above, refusal))).toBe('forbidden');
    // Who was put out of it belongs to it no longer.
    const { userId } = above.person;
    await unsafeDb().membership.updateMany({
      where: { userId, tenantId: enterprise.id },
      data: { role: null, override: 'none' },
    });
    expect(await codeOf(reject(above, refusal))).toBe('done');
  });

  test('is refused with a reason, or taken back, once', async () => {
    const [asker, operator] = [await person('asker'), await person('operator', true)];
    const first = await memberOf(asker, await askForTenant(asker, wish('enterprise')));
    const requestId = (await requestsOf(first))[0]?.id ?? '';
    await reject(operator, { requestId, text: 'Not now.' });
    expect(await requestView(first, requestId)).toMatchObject({
      state: 'rejected',
      decidedBy: expect.stringContaining('operator') as unknown,
    });
    expect(await codeOf(takeBack(first, { requestId }))).toBe('conflict');
    expect(await stateOf(first.tenant.slug)).toBe('draft');
    const second = await memberOf(asker, await askForTenant(asker, wish('enterprise')));
    const other = (await requestsOf(second))[0]?.id ?? '';
    // Another tenant's request is not there.
    expect(await codeOf(takeBack(first, { requestId: other }))).toBe('not_found');
    const both = await Promise.all([
      codeOf(takeBack(second, { requestId: other })),
      codeOf(approve(operator, { requestId: other, note: '', beyondCapacity: false })),
    ]);
    expect(both.filter((code) => code === 'done')).toHaveLength(1);
  });

  test('for quota: no more than anybody gets comes at once, more waits, and a second one while it waits is refused', async () => {
    const org = await organization();
    const operator = await person('operator', true);
    expect(await askForQuota(await org.ctx(), { quota: quota('8', '16Gi', 4), note: '' })).toBeNull();
    expect(await askForQuota(await org.ctx(), { quota: quota('16', '32Gi', 8), note: '' })).toBeNull();
    // Less than what its pools were promised is refused.
    expect(await codeOf(askForQuota(await org.ctx(), { quota: quota('3', '32Gi', 8), note: '' }))).toBe('conflict');
    const requestId = await askForQuota(await org.ctx(), { quota: quota('32', '64Gi', 16, '1Ti'), note: '' });
    expect((await org.ctx()).tenant.quota.cpu).toBe('16');
    expect(await codeOf(askForQuota(await org.ctx(), { quota: quota('64', '64Gi', 16), note: '' }))).toBe('conflict');
    await approve(operator, { requestId: requestId ?? '', note: '', beyondCapacity: false });
    expect((await org.ctx()).tenant.quota).toEqual(quota('32', '64Gi', 16, '1Ti'));
  });

  test('that the cluster does not hold is granted only on purpose', async () => {
    const [asker, operator] = [await person('asker'), await person('operator', true)];
    await setCapacity(operator, { clusterId: 'main', cpu: '1', memory: '1Ti' });
    const ctx = await memberOf(asker, await askForTenant(asker, wish('managed_customer')));
    const requestId = (await requestsOf(ctx))[0]?.id ?? '';
    expect(await codeOf(approve(operator, { requestId, note: '', beyondCapacity: false }))).toBe('conflict');
    expect((await requestView(ctx, requestId)).state).toBe('open');
    await approve(operator, { requestId, note: '', beyondCapacity: true });
    expect(await stateOf(ctx.tenant.slug)).toBe('active');
  });
});

describe('who is below whom', () => {
  async function enterprise(operator: PersonCtx, size = quota('64', '128Gi', 32, '1Ti')) {
    const owner = await person('owner');
    const slug = await askForTenant(owner, wish('enterprise', { quota: size }));
    const requestId = (await requestsOf(await memberOf(owner, slug)))[0]?.id ?? '';
    await approve(operator, { requestId, note: '', beyondCapacity: false });
    return { slug, owner };
  }

  async function moved(operator: PersonCtx, ctx: Ctx, parent: string | null): Promise<string> {
    const requestId = await askToMove(ctx, { parent, note: '' });
    return codeOf(approve(operator, { requestId, note: '', beyondCapacity: false }));
  }

  test('an enterprise of two organizations: one account pays, one view shows all, its owner administers them', async () => {
    const operator = await person('operator', true);
    const above = await enterprise(operator);
    const [one, two] = [await organization(), await organization()];
    const team = await newTeam(one.admin, wish('team', { parent: one.slug }));
    expect(await moved(operator, await one.ctx(), above.slug)).toBe('done');
    expect(await moved(operator, await two.ctx(), above.slug)).toBe('done');
    const slugs = [above.slug, one.slug, two.slug, team];
    const paid = await unsafeDb().tenant.findMany({ where: { slug: { in: slugs } } });
    expect(new Set(paid.map(({ billingAccountId }) => billingAccountId)).size).toBe(1);
    const seen = await family(await memberOf(above.owner, above.slug), true);
    expect(Object.fromEntries(seen.rows.map(({ slug, depth }) => [slug, depth]))).toEqual({
      [above.slug]: 0,
      [one.slug]: 1,
      [two.slug]: 1,
      [team]: 2,
    });
    expect((await memberOf(above.owner, team)).role).toBe('admin');
    expect((await tenantsOf(above.owner)).map(({ slug }) => slug).toSorted()).toEqual(slugs.toSorted());
    // Nobody below sees upwards or sideways.
    expect(await tenantCtx(one.admin, above.slug)).toBeNull();
    expect(await tenantCtx(one.admin, two.slug)).toBeNull();
    expect(await moved(operator, await one.ctx(), null)).toBe('done');
    expect(await tenantCtx(above.owner, one.slug)).toBeNull();
    const left = await unsafeDb().tenant.findMany({ where: { slug: { in: [one.slug, team] } } });
    expect(new Set(left.map(({ billingAccountId }) => billingAccountId)).size).toBe(1);
    expect(left[0]?.billingAccountId).not.toBe(paid[0]?.billingAccountId);
  });

  test('an enterprise’s quota holds what its organizations have, and of two that only fit alone one comes', async () => {
    const operator = await person('operator', true);
    const above = await enterprise(operator, quota('20', '40Gi', 10, '400Gi'));
    const [one, two] = [await organization(), await organization()];
    const asked = [
      await askToMove(await one.ctx(), { parent: above.slug, note: '' }),
      await askToMove(await two.ctx(), { parent: above.slug, note: '' }),
    ];
    const codes = await Promise.all(
      asked.map((requestId) => codeOf(approve(operator, { requestId, note: '', beyondCapacity: false }))),
    );
    expect(codes.toSorted()).toEqual(['conflict', 'done']);
  });

  test.each<[string, TenantKind, TenantKind]>([
    ['an organization in a team', 'organization', 'team'],
    ['an enterprise in an organization', 'enterprise', 'organization'],
    ['an organization in an organization', 'organization', 'organization'],
    ['a managed customer in an enterprise', 'managed_customer', 'enterprise'],
    ['a team in an enterprise', 'team', 'enterprise'],
  ])('%s is no parent: kinds have an order, so there is no loop', async (_, kind, parentKind) => {
    const [child, parent] = [await organization(), await organization()];
    await unsafeDb().tenant.update({ where: { id: parent.id }, data: { kind: parentKind } });
    await unsafeDb().tenant.update({ where: { id: child.id }, data: { kind } });
    expect(await codeOf(askToMove(await child.ctx(), { parent: parent.slug, note: '' }))).toBe('invalid');
  });

  test('and the database lets no tenant be its own', async () => {
    const org = await organization();
    await expect(unsafeDb().tenant.update({ where: { id: org.id }, data: { parentId: org.id } })).rejects.toThrow(
      /own_parent/,
    );
  });
});

describe('suspended', () => {
  test('is a tenant by an operator, with the reason, and goes on when they say so', async () => {
    const org = await organization();
    const operator = await person('operator', true);
    await suspend(operator, { slug: org.slug, reason: 'unpaid' });
    expect(await stateOf(org.slug)).toBe('suspended');
    expect(await codeOf(suspend(operator, { slug: org.slug, reason: 'again' }))).toBe('conflict');
    expect(await codeOf(newTeam(org.admin, wish('team', { parent: org.slug })))).toBe('invalid');
    await resume(operator, { slug: org.slug });
    expect(await stateOf(org.slug)).toBe('active');
    const told = await unsafeDb().audit.findMany({ where: { tenantId: org.id, action: { startsWith: 'tenant:' } } });
    expect(told.map(({ action }) => action)).toEqual(['tenant:suspend', 'tenant:resume']);
  });

  test('an operator acts in any tenant as operator, and nobody else does', async () => {
    const org = await organization();
    expect((await operatorCtx(await person('operator', true), org.slug)).role).toBe('operator');
    expect(await codeOf(operatorCtx(org.admin, org.slug))).toBe('not_found');
  });
});

test('quota, parent and state are not a tenant’s own to write, whatever its client is asked for', async () => {
  const org = await organization();
  const { db } = await org.ctx();
  await db.tenant.update({ where: { id: org.id }, data: { displayName: 'Renamed' } });
  for (const data of [quotaColumns(quota('99', '99Gi', 99)), { state: 'active' as const }, { suspendReason: 'x' }])
    await expect(db.tenant.update({ where: { id: org.id }, data })).rejects.toThrow(/permission denied/);
});
