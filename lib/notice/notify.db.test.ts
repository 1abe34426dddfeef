import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tenantTransaction, unsafeDb, unsafeTransaction, type TenantTx } from '#lib/db/index.ts';
import { tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  addEndpoint,
  countUnread,
  listNotices,
  markAllRead,
  markRead,
  notify,
  NoticeQuery,
  sweepNotices,
  webhookTask,
  type Inbox,
  type NoticeInput,
} from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
});
afterAll(() => rows?.stop());

function personOf(userId: string, isOperator = false): PersonCtx {
  return { requestId: 'test', person: { userId, name: 'Somebody', imageUrl: null, identities: [], isOperator } };
}

async function ctxOf(userId: string, slug: string, isOperator = false): Promise<Ctx> {
  const ctx = await tenantCtx(personOf(userId, isOperator), slug);
  if (!ctx) throw new Error(`no way into ${slug}`);
  return ctx;
}

async function member(tenant: TenantRows, role: 'admin' | 'member' | 'billing'): Promise<string> {
  const { id } = await unsafeDb().user.create({ data: { name: role } });
  await unsafeDb().membership.create({ data: { tenantId: tenant.tenantId, userId: id, role, source: 'operator' } });
  return id;
}

let keys = 0;
function told(tenant: TenantRows, notice: Partial<NoticeInput> = {}): NoticeInput {
  keys += 1;
  return {
    tenantId: tenant.tenantId,
    kind: 'enrollment-failed',
    title: 'The enrollment is not ready',
    body: 'The forge refuses.',
    href: '/t/acme',
    dedupeKey: `key-${keys}`,
    ...notice,
  };
}

const everything = NoticeQuery.parse({});
const titles = async (inbox: Inbox) => (await listNotices(inbox, everything)).rows.map(({ title }) => title);
const inTenant = async (userId: string, slug = 'acme', isOperator = false): Promise<Inbox> => ({
  of: 'tenant',
  ctx: await ctxOf(userId, slug, isOperator),
});

describe('telling', () => {
  const ways: [string, (run: (tx: TenantTx) => Promise<boolean>) => Promise<boolean>][] = [
    ['as the tenant', (run) => tenantTransaction(acme.tenantId, run)],
    ['as the system', (run) => unsafeTransaction(run)],
  ];

  test.each(ways)('%s: once for each key, in the transaction of the change', async (_, within) => {
    const notice = told(acme);
    const before = await unsafeDb().notice.count();
    const undone = within(async (tx) => {
      await notify(tx, notice);
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect(await unsafeDb().notice.count()).toBe(before);
    expect(await within((tx) => notify(tx, notice))).toBe(true);
    expect(await within((tx) => notify(tx, { ...notice, title: 'Again' }))).toBe(false);
    // The same key is another tenant's own.
    expect(await unsafeTransaction((tx) => notify(tx, { ...notice, tenantId: bolt.tenantId }))).toBe(true);
    expect(await unsafeDb().notice.count({ where: { dedupeKey: notice.dedupeKey } })).toBe(2);
  });

  test('ten at once tell once', async () => {
    const notice = told(acme, { kind: 'tenant-left' });
    const answers = await Promise.all(Array.from({ length: 10 }, () => unsafeTransaction((tx) => notify(tx, notice))));
    expect(answers.filter(Boolean)).toEqual([true]);
    expect(await unsafeDb().notice.count({ where: { dedupeKey: notice.dedupeKey } })).toBe(2);
  });

  test('A1: a tenant tells nobody of another tenant, and reads neither the operators’ nor a person’s', async () => {
    const forBolt = tenantTransaction(acme.tenantId, (tx) => notify(tx, told(bolt)));
    await expect(forBolt).rejects.toThrow(/row-level security/);
    await tenantTransaction(acme.tenantId, (tx) => notify(tx, told(acme, { kind: 'approval-asked' })));
    await tenantTransaction(acme.tenantId, (tx) => notify(tx, told(acme, { kind: 'role-lost', userId: acme.userId })));
    const seen = await tenantTransaction(acme.tenantId, (tx) => tx.notice.findMany());
    expect(new Set(seen.map(({ tenantId, audience }) => `${tenantId} ${audience}`))).toEqual(
      new Set([`${acme.tenantId} tenant`]),
    );
    const change = tenantTransaction(acme.tenantId, (tx) => tx.notice.updateMany({ data: { title: 'x' } }));
    await expect(change).rejects.toThrow(/permission denied/);
  });

  test('what is one person’s needs one, and what is a tenant’s needs a tenant', async () => {
    for (const wrong of [told(acme, { kind: 'role-lost' }), told(acme, { tenantId: null })])
      await expect(unsafeTransaction((tx) => notify(tx, wrong))).rejects.toThrow(TypeError);
  });
});

describe('who sees what', () => {
  test('admins what they act on, billing the money, members what concerns all, operators what is asked of them', async () => {
    const tenant = await addTenant('cast');
    const kinds = ['enrollment-failed', 'budget-reached', 'approval-asked', 'tenant-suspended'] as const;
    for (const kind of kinds) await unsafeTransaction((tx) => notify(tx, told(tenant, { kind, title: kind })));
    const [admin, plain, billing] = [tenant.userId, await member(tenant, 'member'), await member(tenant, 'billing')];
    const lost = told(tenant, { kind: 'role-lost', title: 'role-lost', userId: plain });
    await unsafeTransaction((tx) => notify(tx, lost));
    expect(await titles(await inTenant(admin, 'cast'))).toEqual([
      'tenant-suspended',
      'budget-reached',
      'enrollment-failed',
    ]);
    expect(await titles(await inTenant(plain, 'cast'))).toEqual(['role-lost', 'tenant-suspended']);
    expect(await titles(await inTenant(billing, 'cast'))).toEqual(['tenant-suspended', 'budget-reached']);
    expect(await titles({ of: 'person', by: personOf(billing) })).toEqual(['tenant-suspended', 'budget-reached']);
    expect(await titles({ of: 'person', by: personOf(plain) })).toEqual(['role-lost', 'tenant-suspended']);
    const operators = await titles({ of: 'operator', by: personOf(admin, true) });
    expect(operators[0]).toBe('approval-asked');
    expect(operators).not.toContain('budget-reached');
  });

  test('whoever lost a role in a tenant still has what is their own, and nothing else of it', async () => {
    const tenant = await addTenant('left');
    const gone = await member(tenant, 'admin');
    await unsafeTransaction((tx) => notify(tx, told(tenant, { title: 'for admins' })));
    await unsafeTransaction((tx) => notify(tx, told(tenant, { kind: 'role-lost', title: 'yours', userId: gone })));
    await unsafeDb().membership.deleteMany({ where: { userId: gone } });
    expect(await titles({ of: 'person', by: personOf(gone) })).toEqual(['yours']);
  });
});

describe('reading', () => {
  test('each person reads for themselves; a stranger’s is not there', async () => {
    const tenant = await addTenant('read');
    const [one, two] = [tenant.userId, await member(tenant, 'admin')];
    const [mine, theirs] = [await inTenant(one, 'read'), await inTenant(two, 'read')];
    for (let each = 0; each < 3; each += 1) await unsafeTransaction((tx) => notify(tx, told(tenant)));
    expect([await countUnread(mine), await countUnread(theirs)]).toEqual([3, 3]);
    const [newest] = (await listNotices(mine, everything)).rows;
    const noticeId = newest?.id ?? '';
    expect(await markRead(mine, noticeId)).toEqual({ href: '/t/acme' });
    expect(await markRead(mine, noticeId)).toEqual({ href: '/t/acme' });
    expect([await countUnread(mine), await countUnread(theirs)]).toEqual([2, 3]);
    expect((await listNotices(mine, everything)).rows.map(({ isRead }) => isRead)).toEqual([true, false, false]);
    expect((await listNotices(mine, NoticeQuery.parse({ show: 'unread' }))).rows.length).toBe(2);
    // A1: another tenant's admin cannot so much as mark it.
    expect(await markRead(await inTenant(bolt.userId, 'bolt'), noticeId)).toBeNull();
    expect(await markRead({ of: 'operator', by: personOf(bolt.userId, true) }, noticeId)).toBeNull();
    await markAllRead(mine);
    expect([await countUnread(mine), await countUnread(theirs)]).toEqual([0, 3]);
  });

  test('pages leave nothing out, and counting ends at a hundred', async () => {
    const tenant = await addTenant('many');
    const inbox = await inTenant(tenant.userId, 'many');
    for (let each = 0; each < 120; each += 1)
      await unsafeTransaction((tx) => notify(tx, told(tenant, { title: String(each) })));
    const seen: string[] = [];
    for (let before = ''; ;) {
      const page = await listNotices(inbox, NoticeQuery.parse({ before }));
      seen.push(...page.rows.map(({ title }) => title));
      if (page.nextId === null) break;
      before = page.nextId;
    }
    expect(seen).toEqual(Array.from({ length: 120 }, (_, index) => String(119 - index)));
    expect(await countUnread(inbox)).toBe(100);
    await markAllRead(inbox);
    expect(await countUnread(inbox)).toBe(0);
  });

  test('what is old is let go of', async () => {
    const tenant = await addTenant('old');
    await unsafeTransaction((tx) => notify(tx, told(tenant)));
    await sweepNotices(new Date(Date.now() + 700 * 24 * 3600_000));
    expect(await unsafeDb().notice.count({ where: { tenantId: tenant.tenantId } })).toBe(1);
    await sweepNotices(new Date(Date.now() + 800 * 24 * 3600_000));
    expect(await unsafeDb().notice.count()).toBe(0);
  });
});

describe('handing on to the tenant’s endpoints', () => {
  test('to those that are enabled and want the kind, and a duplicate to none', async () => {
    const [tenant, other] = [await addTenant('hand'), await addTenant('hand2')];
    const ctx = await ctxOf(tenant.userId, 'hand');
    const wants = await addEndpoint(ctx, { url: 'https://one.example/hook', kinds: ['enrollment-failed'] });
    const off = await addEndpoint(ctx, { url: 'https://two.example/hook', kinds: ['enrollment-failed'] });
    await addEndpoint(ctx, { url: 'https://three.example/hook', kinds: ['budget-reached'] });
    await addEndpoint(await ctxOf(other.userId, 'hand2'), {
      url: 'https://four.example/',
      kinds: ['enrollment-failed'],
    });
    await unsafeDb().webhookEndpoint.update({ where: { id: off.id }, data: { disabledAt: new Date() } });
    const notice = told(tenant, { title: 'Not ready', body: 'Why.' });
    for (const within of [tenantTransaction.bind(null, tenant.tenantId), unsafeTransaction])
      await within((tx: TenantTx) => notify(tx, notice));
    const messages = await unsafeDb().webhookMessage.findMany();
    expect(messages.map(({ endpointId }) => endpointId)).toEqual([wants.id]);
    expect(JSON.parse(messages[0]?.body ?? '')).toEqual({
      type: 'enrollment-failed',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      data: { tenant: 'hand', title: 'Not ready', text: 'Why.', url: 'http://localhost:3000/t/acme' },
    });
    expect(await unsafeDb().task.count({ where: { kind: webhookTask, key: wants.id } })).toBe(1);
  });

  test('A1: no message of one tenant can be put to an endpoint of another', async () => {
    const [endpoint] = await unsafeDb().webhookEndpoint.findMany({ take: 1 });
    const data = { id: 'msg_sly', tenantId: acme.tenantId, endpointId: endpoint?.id ?? '', kind: 'test', body: '{}' };
    await expect(unsafeDb().webhookMessage.create({ data })).rejects.toMatchObject({ code: 'P2003' });
  });
});
