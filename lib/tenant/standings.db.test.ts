import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { type ForgeRole, type ForgeStanding, forgeRolesOf, syncMemberships } from './standings.ts';

/* How what forges say and what an admin set become one role. */

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  const other = { kind: 'gitlab' as const, name: 'Other', baseUrl: 'https://other.example' };
  await unsafeDb().forgeConnection.create({
    data: { id: 'other', ...other, clientId: 'client', sealedClientSecret: 'sealed' },
  });
});
afterAll(() => rows?.stop());

const person = async (name: string) => (await unsafeDb().user.create({ data: { name } })).id;
const org = (role: ForgeRole, ownerId = 'acme'): ForgeStanding => ({ of: 'account', ownerId, login: 'x', role });
const team = (role: ForgeRole, ownerId: string): ForgeStanding => ({ of: 'team', ownerId, login: 'x', role });
const told = (userId: string, standings: ForgeStanding[], connectionId = 'forge', now = new Date()) =>
  syncMemberships({ userId, connectionId, standings, now });
const rowOf = (userId: string, tenantId = acme.tenantId) =>
  unsafeDb().membership.findUnique({ where: { tenantId_userId: { tenantId, userId } } });
const roleOf = async (userId: string, tenantId = acme.tenantId) => (await rowOf(userId, tenantId))?.role ?? null;
const set = (userId: string, override: 'admin' | 'member' | 'billing' | 'none', role: 'admin' | 'billing' | null) =>
  unsafeDb().membership.update({
    where: { tenantId_userId: { tenantId: acme.tenantId, userId } },
    data: { override, role },
  });

describe('what an admin set', () => {
  test('stays apart from what the forge says, and counts', async () => {
    const userId = await person('narrowed');
    await told(userId, [org('admin')]);
    await set(userId, 'billing', 'billing');
    await told(userId, [org('admin')]);
    expect(await rowOf(userId)).toMatchObject({ role: 'billing', override: 'billing', forgeRoles: { forge: 'admin' } });
  });

  test('A14: who is kept out is kept out still when they left the forge and came back', async () => {
    const userId = await person('kept out');
    await told(userId, [org('member')]);
    await set(userId, 'none', null);
    await told(userId, []);
    expect(await rowOf(userId)).toMatchObject({ role: null, override: 'none', forgeRoles: {} });
    await told(userId, [org('admin')]);
    expect(await roleOf(userId)).toBeNull();
  });

  test('A14: who was given more loses all of it with the forge’s own, and comes back with no more than that', async () => {
    const userId = await person('widened');
    await told(userId, [org('member')]);
    await set(userId, 'admin', 'admin');
    await told(userId, [org('member')]);
    expect(await roleOf(userId)).toBe('admin');
    await told(userId, []);
    expect(await rowOf(userId)).toBeNull();
    await told(userId, [org('member')]);
    expect(await roleOf(userId)).toBe('member');
  });
});

describe('two forges', () => {
  test('give one role together, and one takes nothing of what the other gives', async () => {
    const gitlab = { connectionId: 'other', level: 'group' as const, path: 'g', scopeId: 'g', ownerId: 'g' };
    const enrollment = { tenantId: acme.tenantId, name: 'g', state: 'active' as const, ...gitlab };
    await unsafeDb().enrollment.create({ data: enrollment });
    const userId = await person('on both');
    await told(userId, [org('member')]);
    await told(userId, [], 'other');
    expect(await roleOf(userId)).toBe('member');
    await told(userId, [org('admin', 'g')], 'other');
    expect(await rowOf(userId)).toMatchObject({ role: 'admin', forgeRoles: { forge: 'member', other: 'admin' } });
    await told(userId, []);
    expect(forgeRolesOf((await rowOf(userId)) ?? { forgeRoles: null })).toEqual({ other: 'admin' });
    await told(userId, [], 'other');
    expect(await rowOf(userId)).toBeNull();
    await unsafeDb().enrollment.deleteMany({ where: { path: 'g' } });
  });

  test('answers that come at once are taken in one after the other', async () => {
    const userId = await person('at once');
    await Promise.all([1, 2, 3, 4].map((n) => told(userId, [org(n % 2 === 0 ? 'admin' : 'member')])));
    const records = await unsafeDb().audit.findMany({ where: { target: `user/${userId}` }, orderBy: { id: 'asc' } });
    // Each begins where the one before it ended.
    const steps = records.map(({ before, after }) => [before, after] as { role?: string }[]);
    expect(steps.slice(1).map(([before]) => before?.role)).toEqual(steps.slice(0, -1).map(([, after]) => after?.role));
  });
});

describe('scopes', () => {
  test('a tenant whose last enrollment is withdrawn still follows where it came from', async () => {
    const gone = await addTenant('gone');
    await unsafeDb().enrollment.update({ where: { id: gone.enrollmentId }, data: { state: 'withdrawn' } });
    const userId = await person('of gone');
    await told(userId, [org('admin', 'gone')]);
    expect(await roleOf(userId, gone.tenantId)).toBe('admin');
    await told(userId, []);
    expect(await roleOf(userId, gone.tenantId)).toBeNull();
  });

  test('of accounts that could not be asked about, everything stays', async () => {
    const userId = await person('untold');
    const before = new Date('2026-01-01T00:00:00Z');
    await told(userId, [org('admin')], 'forge', before);
    await syncMemberships({
      userId,
      connectionId: 'forge',
      standings: [],
      untold: new Set(['acme']),
      now: new Date(),
    });
    expect(await rowOf(userId)).toMatchObject({ role: 'admin', checkedAt: before });
  });

  test('a team’s people are its tenant’s; those around it are not', async () => {
    const tenant = await addTenant('compilers');
    const bound = { teamConnectionId: 'forge', teamExternalId: '20/40', teamName: 'acme/compilers' };
    await unsafeDb().tenant.update({ where: { id: tenant.tenantId }, data: { kind: 'team', ...bound } });
    await unsafeDb().enrollment.update({ where: { id: tenant.enrollmentId }, data: { ownerId: '20' } });
    const userId = await person('in a team');
    const seen: (string | null)[] = [];
    const around = org('member', '20');
    for (const standings of [[around], [around, team('member', '20/40')], [around, team('admin', '20/40')], [around]]) {
      await told(userId, standings);
      seen.push(await roleOf(userId, tenant.tenantId));
    }
    expect(seen).toEqual([null, 'member', 'admin', null]);
    await expect(
      unsafeDb().tenant.update({ where: { id: tenant.tenantId }, data: { teamName: null } }),
    ).rejects.toThrow(/tenant_team_whole/);
  });
});
