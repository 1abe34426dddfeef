import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Role, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { addPersonToken, askerOfApiToken, listPersonTokens } from './api-token.ts';
import type { Ctx, PersonCtx } from './ctx.ts';
import { askForDevice, decideDevice, findDevice, pollDevice } from './device.ts';
import { acceptInvitation, createInvitation, listInvitations, readInvitation, revokeInvitation } from './invitation.ts';
import { listMembers, reasonOf, setMemberRole } from './members.ts';
import { tenantCtx } from './membership.ts';
import { disableUser, enableUser, endSessionsOf, listPeople } from './operator.ts';
import { askerOfToken, endOtherSessions, endOwnSession, listSessions, tokenHash } from './session.ts';
import { adapter } from './sign-in.ts';
import { syncMemberships } from './standings.ts';

/* Who may do what, changed by hand: roles, invitations, sessions. */

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
});
afterAll(() => rows?.stop());

let subjects = 0;

async function person(login: string, options: { subject?: string; isOperator?: boolean } = {}): Promise<PersonCtx> {
  const subject = options.subject ?? String((subjects += 1));
  const user = await unsafeDb().user.create({
    data: { name: login, identities: { create: { connectionId: 'forge', subject, login } } },
    include: { identities: true },
  });
  const identities = user.identities.map(({ id }) => ({
    id,
    connectionId: 'forge',
    forge: 'github' as const,
    subject,
    login,
  }));
  const isOperator = options.isOperator ?? false;
  return { person: { userId: user.id, name: login, imageUrl: null, identities, isOperator }, requestId: 'test' };
}

async function within(by: PersonCtx, slug = 'acme'): Promise<Ctx> {
  const ctx = await tenantCtx(by, slug);
  if (!ctx) throw new Error('no member');
  return ctx;
}

async function member(login: string, role: Role, tenantId = acme.tenantId): Promise<PersonCtx> {
  const by = await person(login);
  const { userId } = by.person;
  await unsafeDb().membership.create({ data: { tenantId, userId, role, source: 'operator' } });
  return by;
}

async function follower(login: string, role: 'admin' | 'member'): Promise<PersonCtx> {
  const by = await person(login);
  const standings = [{ of: 'account' as const, ownerId: 'acme', login: 'acme', role }];
  await syncMemberships({ userId: by.person.userId, connectionId: 'forge', standings, now: new Date() });
  return by;
}

const roleOf = async ({ person: { userId } }: PersonCtx, tenantId = acme.tenantId) =>
  (await unsafeDb().membership.findUnique({ where: { tenantId_userId: { tenantId, userId } } }))?.role ?? null;
const set = async (ctx: Ctx, whom: PersonCtx, role: 'admin' | 'member' | 'billing' | 'none' | 'forge') =>
  setMemberRole(ctx, { userId: whom.person.userId, role });
const refused = (code: string, happened: RegExp) => ({
  code,
  screen: expect.objectContaining({ happened: expect.stringMatching(happened), changed: 'Nothing was changed.' }),
});

describe('roles', () => {
  test('who follows the forge is narrowed, kept out and let go again, with who did it beside what the forge says', async () => {
    const ada = await within(await member('ada', 'admin'));
    const sam = await follower('sam', 'admin');
    const reason = async () => {
      const found = (await listMembers(ada)).find(({ userId }) => userId === sam.person.userId);
      return found && [found.role, reasonOf(found)];
    };
    expect(await reason()).toEqual(['admin', 'Admin on Forge']);
    await set(ada, sam, 'billing');
    expect(await reason()).toEqual(['billing', 'Admin on Forge, narrowed to Billing by ada']);
    await set(ada, sam, 'none');
    expect(await reason()).toEqual([null, 'Admin on Forge, narrowed to no access by ada']);
    expect(await tenantCtx(sam, 'acme')).toBeNull();
    await set(ada, sam, 'forge');
    expect(await reason()).toEqual(['admin', 'Admin on Forge']);
    expect((await tenantCtx(sam, 'acme'))?.role).toBe('admin');
    await set(ada, await follower('tim', 'member'), 'admin');
    const tim = (await listMembers(ada)).find(({ name }) => name === 'tim');
    expect(tim && reasonOf(tim)).toBe('Member on Forge, widened to Admin by ada');
  });

  test('the last admin cannot leave or narrow themselves; an operator can do it', async () => {
    const lonely = await addTenant('lonely');
    await unsafeDb().membership.deleteMany({ where: { tenantId: lonely.tenantId } });
    const only = await member('only', 'admin', lonely.tenantId);
    await member('other', 'member', lonely.tenantId);
    const ctx = await within(only, 'lonely');
    for (const role of ['none', 'member', 'billing'] as const)
      await expect(set(ctx, only, role)).rejects.toMatchObject(refused('conflict', /You are the only admin of lonely/));
    expect(await roleOf(only, lonely.tenantId)).toBe('admin');
    const olive = await within(await person('olive', { isOperator: true }), 'lonely');
    await set(olive, only, 'member');
    expect(await roleOf(only, lonely.tenantId)).toBe('member');
  });

  test('of two admins who remove each other at once, one stays', async () => {
    const pair = await addTenant('pair');
    await unsafeDb().membership.deleteMany({ where: { tenantId: pair.tenantId } });
    const people = [await member('one', 'admin', pair.tenantId), await member('two', 'admin', pair.tenantId)] as const;
    const [one, two] = [await within(people[0], 'pair'), await within(people[1], 'pair')];
    // Neither can write until both have had the time to look.
    const gate = Promise.withResolvers<void>();
    const held = unsafeTransaction(async (tx) => {
      await tx.$queryRaw`select 1 from membership where tenant_id = ${pair.tenantId}::uuid for update`;
      await gate.promise;
    });
    const both = Promise.allSettled([set(one, people[1], 'none'), set(two, people[0], 'none')]);
    setTimeout(gate.resolve, 1_000);
    await held;
    const outcomes = await both;
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await unsafeDb().membership.count({ where: { tenantId: pair.tenantId, role: 'admin' } })).toBe(1);
  });

  test('A1: a member of another tenant is as absent as nobody', async () => {
    const bolt = await addTenant('bolt');
    const ada = await within(await member('ada2', 'admin'));
    const stranger = await member('of-bolt', 'member', bolt.tenantId);
    await expect(set(ada, stranger, 'none')).rejects.toMatchObject({ code: 'not_found' });
    expect(await roleOf(stranger, bolt.tenantId)).toBe('member');
  });
});

describe('invitations', () => {
  const offer = async (login: string, subject: string | null, role: Role = 'member', by?: PersonCtx) => {
    const admin = by ?? (await member(`admin-for-${login}`, 'admin'));
    const ctx = await within(admin);
    return { ctx, admin, token: await createInvitation(ctx, { connectionId: 'forge', login, subject, role }) };
  };

  test('one account takes it up, once; what is kept opens nothing', async () => {
    const ivy = await person('ivy', { subject: 'ivy-1' });
    const { token, ctx } = await offer('ivy', 'ivy-1', 'billing');
    const kept = await unsafeDb().invitation.findFirstOrThrow({ where: { login: 'ivy' } });
    expect(kept.tokenHash).toBe(tokenHash(token));
    await expect(readInvitation(ivy, kept.tokenHash)).rejects.toMatchObject({ code: 'not_found' });
    expect(await readInvitation(ivy, token)).toMatchObject({ state: 'open', isForYou: true, role: 'billing' });
    expect(await acceptInvitation(ivy, token)).toBe('acme');
    expect(await roleOf(ivy)).toBe('billing');
    const found = (await listMembers(ctx)).find(({ name }) => name === 'ivy');
    expect(found && reasonOf(found)).toBe('Invited by admin-for-ivy');
    await expect(acceptInvitation(ivy, token)).rejects.toMatchObject(refused('conflict', /used already/));
  });

  test('another account changes nothing by it, whatever it is called', async () => {
    const { token } = await offer('joe', 'joe-1');
    for (const other of [await person('mallory'), await person('joe', { subject: 'joe-2' })]) {
      expect(await readInvitation(other, token)).toMatchObject({ state: 'open', isForYou: false });
      await expect(acceptInvitation(other, token)).rejects.toMatchObject(refused('forbidden', /is for joe on Forge/));
      expect(await roleOf(other)).toBeNull();
    }
    // Renamed since: the id decides.
    const joe = await person('joseph', { subject: 'joe-1' });
    await acceptInvitation(joe, token);
    expect(await roleOf(joe)).toBe('member');
  });

  test('bound to a login alone, it wants a sign-in that is younger than it', async () => {
    const kim = await person('Kim');
    await unsafeDb().identity.updateMany({
      where: { login: 'Kim' },
      data: { signedInAt: new Date(Date.now() - 60_000) },
    });
    const { token } = await offer('kim', null);
    await expect(acceptInvitation(kim, token)).rejects.toMatchObject({ code: 'reauthenticate' });
    await unsafeDb().identity.updateMany({ where: { login: 'Kim' }, data: { signedInAt: new Date() } });
    await acceptInvitation(kim, token);
    expect(await roleOf(kim)).toBe('member');
  });

  test('of many acceptances at once, one wins', async () => {
    const lee = await person('lee', { subject: 'lee-1' });
    const { token } = await offer('lee', 'lee-1');
    const outcomes = await Promise.allSettled([1, 2, 3, 4, 5].map(() => acceptInvitation(lee, token)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const records = await unsafeDb().audit.count({
      where: { action: 'invitation:accept', actorId: lee.person.userId },
    });
    expect(records).toBe(1);
  });

  test('revoked, ended, or of somebody who is no admin any more, it is worth nothing', async () => {
    const max = await person('max', { subject: 'max-1' });
    const revoked = await offer('max', 'max-1');
    const [row] = await listInvitations(revoked.ctx);
    await revokeInvitation(revoked.ctx, row?.id ?? '');
    await expect(acceptInvitation(max, revoked.token)).rejects.toMatchObject(
      refused('conflict', /revoked or has ended/),
    );
    const late = await offer('max', 'max-1');
    await unsafeDb().invitation.updateMany({
      where: { tokenHash: tokenHash(late.token) },
      data: { expiresAt: new Date(Date.now() - 1000) },
    });
    await expect(acceptInvitation(max, late.token)).rejects.toMatchObject(refused('conflict', /revoked or has ended/));
    const fallen = await offer('max', 'max-1', 'admin');
    await set(await within(await member('boss', 'admin')), fallen.admin, 'member');
    await expect(acceptInvitation(max, fallen.token)).rejects.toMatchObject(refused('conflict', /is no admin of acme/));
    expect(await roleOf(max)).toBeNull();
    // The refusal took the acceptance back with it.
    expect(await readInvitation(max, fallen.token)).toMatchObject({ state: 'open' });
  });

  test('A1: another tenant’s admin sees and revokes none of it', async () => {
    const { token } = await offer('nat', 'nat-1');
    const { id } = await unsafeDb().invitation.findUniqueOrThrow({ where: { tokenHash: tokenHash(token) } });
    const dune = await addTenant('dune');
    const theirs = await within(await member('of-dune', 'admin', dune.tenantId), 'dune');
    expect((await listInvitations(theirs)).map((each) => each.login)).toEqual(['friend-of-dune']);
    await expect(revokeInvitation(theirs, id)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('it widens who follows the forge, takes nothing from anybody, and is no way back in for whom an admin put out', async () => {
    const admin = await member('chief', 'admin');
    const ctx = await within(admin);
    const pat = await person('pat', { subject: 'pat-1' });
    const { token } = await offer('pat', 'pat-1', 'admin', admin);
    const standings = [{ of: 'account' as const, ownerId: 'acme', login: 'acme', role: 'member' as const }];
    await syncMemberships({ userId: pat.person.userId, connectionId: 'forge', standings, now: new Date() });
    await acceptInvitation(pat, token);
    const found = (await listMembers(ctx)).find(({ name }) => name === 'pat');
    expect(found && [found.role, reasonOf(found)]).toEqual(['admin', 'Member on Forge, widened to Admin by chief']);
    const again = createInvitation(ctx, { connectionId: 'forge', login: 'pat', subject: 'pat-1', role: 'member' });
    await expect(again).rejects.toMatchObject({ code: 'invalid' });
    const quin = await person('quin', { subject: 'quin-1' });
    const open = await offer('quin', 'quin-1', 'member', admin);
    await syncMemberships({ userId: quin.person.userId, connectionId: 'forge', standings, now: new Date() });
    await set(ctx, quin, 'none');
    await expect(acceptInvitation(quin, open.token)).rejects.toMatchObject(refused('conflict', /revoked/));
    expect(await roleOf(quin)).toBeNull();
  });

  test('of a login that differs in what LIKE takes for any letter is another person’s, and stays', async () => {
    const admin = await member('like-chief', 'admin');
    const ctx = await within(admin);
    const gone = await member('ada_acme', 'member');
    await offer('adaXacme', null, 'member', admin);
    // Nobody of that name is a member yet.
    await offer('%', null, 'member', admin);
    await set(ctx, gone, 'none');
    const left = (await listInvitations(ctx)).map(({ login }) => login);
    expect(left).toEqual(expect.arrayContaining(['adaXacme', '%']));
    expect((await listPeople('ada_ac')).rows.map(({ name }) => name)).toEqual(['ada_acme']);
    await person('adaXacme');
    expect((await listPeople('ada_ac')).rows.map(({ name }) => name)).toEqual(['ada_acme']);
  });
});

describe('sessions', () => {
  async function signIn(by: PersonCtx, token: string): Promise<PersonCtx> {
    const expires = new Date(Date.now() + 3_600_000);
    const { userId } = by.person;
    await adapter({ linking: false, userAgent: 'test' }).createSession?.({ sessionToken: token, userId, expires });
    const asker = await askerOfToken(token, new Date());
    if (!asker) throw new Error('no session');
    return { ...asker, requestId: 'test' };
  }
  const isOpen = async (token: string) => (await askerOfToken(token, new Date())) !== null;

  test('are ended one by one and all but one, at the server, and nobody else’s', async () => {
    const rae = await person('rae');
    const here = await signIn(rae, 'rae here');
    await signIn(rae, 'rae there');
    await signIn(rae, 'rae elsewhere');
    const stranger = await signIn(await person('sly'), 'sly');
    const listed = await listSessions(here);
    expect(listed.map(({ isCurrent }) => isCurrent).filter(Boolean)).toHaveLength(1);
    const there = listed.find(({ isCurrent }) => !isCurrent);
    await expect(endOwnSession(stranger, there?.id ?? '')).rejects.toMatchObject({ code: 'not_found' });
    await endOwnSession(here, there?.id ?? '');
    expect(await listSessions(here)).toHaveLength(2);
    await endOtherSessions(here);
    expect([await isOpen('rae here'), await isOpen('rae there'), await isOpen('rae elsewhere')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(await isOpen('sly')).toBe(true);
  });

  test('ASVS 7.4.2, 7.4.5: an operator ends all of them, and disables and enables a person', async () => {
    const uma = await person('uma');
    const { userId } = uma.person;
    const olive = await person('olive2', { isOperator: true });
    await signIn(uma, 'uma 1');
    await signIn(uma, 'uma 2');
    expect((await listPeople('UM')).rows).toMatchObject([{ name: 'uma', sessions: 2, disabledAt: null }]);
    await endSessionsOf(olive, userId);
    expect([await isOpen('uma 1'), await isOpen('uma 2')]).toEqual([false, false]);
    await signIn(uma, 'uma 3');
    await disableUser(olive, userId);
    expect(await isOpen('uma 3')).toBe(false);
    expect(await adapter({ linking: false, userAgent: null }).getUser?.(userId)).toBeNull();
    await enableUser(olive, userId);
    // What was ended stays ended.
    expect(await isOpen('uma 3')).toBe(false);
    await signIn(uma, 'uma 4');
    expect(await isOpen('uma 4')).toBe(true);
    await expect(disableUser(olive, olive.person.userId)).rejects.toMatchObject({ code: 'conflict' });
    const actions = (await unsafeDb().audit.findMany({ where: { target: `user/${userId}` } })).map(
      ({ action }) => action,
    );
    expect(actions.toSorted()).toEqual(['user:disable', 'user:enable', 'user:end-sessions']);
  });

  test('whoever is enabled again makes their programs’ tokens anew: what they had is revoked, a terminal’s that was about to be among them', async () => {
    const una = await person('una');
    const olive = await person('olive3', { isOperator: true });
    const now = new Date();
    const { token } = await addPersonToken(una, { name: 'ci', scopes: ['read'], days: 1 }, now);
    const asked = await askForDevice({ machine: 'laptop', scopes: ['read'], days: 1 }, 'una', now);
    const fresh = { ...una, session: { id: 's', authenticatedAt: now } };
    const login = await findDevice(fresh, { code: asked.userCode }, now);
    await decideDevice(fresh, { login, decision: 'approve' }, now);
    const asker = () => askerOfApiToken(`Bearer ${token}`, 'test', now);
    expect(await asker()).not.toBeNull();
    await disableUser(olive, una.person.userId);
    await enableUser(olive, una.person.userId);
    expect(await asker()).toBeNull();
    expect(await listPersonTokens(una, now)).toMatchObject([{ standing: 'revoked', revokedBy: 'olive3' }]);
    expect(await pollDevice(asked.deviceCode, 'test', now)).toMatchObject({ ok: false });
  });
});
