import { randomBytes } from 'node:crypto';
import { type Role, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { appendAudit } from './audit.ts';
import type { Ctx, PersonCtx, PersonIdentity } from './ctx.ts';
import { lockTenant, nameOf } from './members.ts';
import { sameText } from './same-text.ts';
import { forgeRolesOf, effectiveRole } from './standings.ts';
import { isOperatorIdentity, tokenHash } from './session.ts';
import { confirmFirst } from './step-up.ts';

/*
 * Invitations by link. Each is for one role and one account of a forge, counts once, ends in seven days, and is worth nothing to
 * whoever else holds the link. The token is shown once, to the admin who made it; here is only its hash.
 */

const lifeMs = 7 * 24 * 3_600_000;
const pendingMost = 100;

export type Invited = {
  connectionId: string;
  login: string;
  /** The forge's own id of the account; null where the forge could not be asked. */
  subject: string | null;
  role: Role;
};

/** Makes one, and returns the token that its link carries. Somebody who is a member already has their role changed instead. */
export async function createInvitation(ctx: Ctx, { connectionId, login, subject, role }: Invited): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  const pending = await unsafeDb().invitation.count({ where: { tenantId: ctx.tenant.id, ...open(new Date()) } });
  if (pending >= pendingMost) throw tooMany(pending);
  if (await isMember(ctx.tenant.id, connectionId, login, subject))
    throw invalidFields({ login: 'is a member already; change their role above' });
  await unsafeTransaction(async (tx) => {
    const { id } = await tx.invitation.create({
      data: {
        tenantId: ctx.tenant.id,
        role,
        connectionId,
        login,
        subject,
        tokenHash: tokenHash(token),
        invitedById: ctx.person.userId,
        invitedBy: nameOf(ctx),
        expiresAt: new Date(Date.now() + lifeMs),
      },
    });
    await appendAudit(tx, ctx, ctx.tenant.id, {
      action: 'invitation:create',
      target: `invitation/${id}`,
      after: { connection: connectionId, login, subject, role },
    });
  });
  return token;
}

/** Still to be accepted. */
function open(now: Date) {
  return { acceptedAt: null, revokedAt: null, expiresAt: { gt: now } };
}

function tooMany(pending: number): AppError {
  return new AppError('conflict', {
    log: 'too many pending invitations',
    screen: { happened: `${pending} invitations are pending already.`, todo: 'Revoke some of them first.' },
  });
}

async function isMember(
  tenantId: string,
  connectionId: string,
  login: string,
  subject: string | null,
): Promise<boolean> {
  const account = subject === null ? { login: sameText(login) } : { subject };
  const found = await unsafeDb().membership.count({
    where: { tenantId, role: { not: null }, user: { identities: { some: { connectionId, ...account } } } },
  });
  return found > 0;
}

export type PendingInvitation = {
  id: string;
  forge: string;
  login: string;
  role: Role;
  invitedBy: string;
  createdAt: string;
  expiresAt: string;
};

export async function listInvitations(ctx: Ctx): Promise<PendingInvitation[]> {
  const rows = await unsafeDb().invitation.findMany({
    where: { tenantId: ctx.tenant.id, ...open(new Date()) },
    include: { connection: { select: { name: true } } },
    orderBy: { createdAt: 'desc' },
  });
  return rows.map(({ id, connection, login, role, invitedBy, createdAt, expiresAt }) => ({
    id,
    forge: connection.name,
    login,
    role,
    invitedBy,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  }));
}

/** The link is worth nothing from here on. */
export async function revokeInvitation(ctx: Ctx, id: string): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const where = { id, tenantId: ctx.tenant.id, acceptedAt: null, revokedAt: null };
    const { count } = await tx.invitation.updateMany({ where, data: { revokedAt: new Date() } });
    if (count !== 1) throw notFound('This invitation');
    await appendAudit(tx, ctx, ctx.tenant.id, { action: 'invitation:revoke', target: `invitation/${id}` });
  });
}

// ------------------------------------------------------------------------------------------------ the other side

export type InvitationView = {
  tenantName: string;
  tenantSlug: string;
  role: Role;
  invitedBy: string;
  forge: string;
  connectionId: string;
  login: string;
  expiresAt: string;
  state: 'open' | 'accepted' | 'revoked' | 'expired';
  /** What whoever reads it is called at that forge; null where they have no account there, as far as we know. */
  yourLogin: string | null;
  isForYou: boolean;
};

async function byToken(token: string) {
  const row = await unsafeDb().invitation.findUnique({
    where: { tokenHash: tokenHash(token) },
    include: { tenant: true, connection: { select: { name: true } } },
  });
  if (!row) throw notFound('This invitation');
  return row;
}

type Found = Awaited<ReturnType<typeof byToken>>;

/** Who invites whom to what. Looking at it changes nothing, whoever looks. */
export async function readInvitation(by: PersonCtx, token: string): Promise<InvitationView> {
  const row = await byToken(token);
  const { role, invitedBy, connectionId, login, expiresAt, tenant, connection } = row;
  const own = by.person.identities.find((identity) => identity.connectionId === connectionId);
  return {
    tenantName: tenant.displayName,
    tenantSlug: tenant.slug,
    role,
    invitedBy,
    forge: connection.name,
    connectionId,
    login,
    expiresAt: expiresAt.toISOString(),
    state: stateOf(row, new Date()),
    yourLogin: own?.login ?? null,
    isForYou: own !== undefined && isFor(row, own),
  };
}

function stateOf(row: Found, now: Date): InvitationView['state'] {
  if (row.acceptedAt) return 'accepted';
  if (row.revokedAt) return 'revoked';
  return row.expiresAt > now ? 'open' : 'expired';
}

function isFor({ subject, login }: Found, identity: PersonIdentity): boolean {
  return subject === null ? login.toLowerCase() === identity.login.toLowerCase() : subject === identity.subject;
}

/** Takes it up; returns the tenant's slug. Of two at once, one is the first and the other is told so. */
export async function acceptInvitation(by: PersonCtx, token: string): Promise<string> {
  const row = await byToken(token);
  const identity = await requireInvited(by, row);
  await unsafeTransaction(async (tx) => {
    await lockTenant(tx, row.tenantId);
    const now = new Date();
    const { count } = await tx.invitation.updateMany({
      where: { id: row.id, ...open(now) },
      data: { acceptedAt: now, acceptedById: by.person.userId },
    });
    if (count !== 1) throw usedUp((await tx.invitation.findUniqueOrThrow({ where: { id: row.id } })).acceptedAt);
    await requireInviter(tx, row);
    const after = await giveRole(tx, by, row, now);
    await appendAudit(tx, by, row.tenantId, {
      action: 'invitation:accept',
      target: `invitation/${row.id}`,
      after: { ...after, identity: `${identity.connectionId}:${identity.subject}`, invitedBy: row.invitedBy },
    });
  });
  return row.tenant.slug;
}

async function requireInvited(by: PersonCtx, row: Found): Promise<PersonIdentity> {
  const own = by.person.identities.find(({ connectionId }) => connectionId === row.connectionId);
  if (!own || !isFor(row, own)) throw anothers(row, own?.login ?? null);
  if (row.subject !== null) return own;
  // A login changes hands: that it is theirs counts only as of a sign-in after the invitation was made.
  const { signedInAt } = await unsafeDb().identity.findUniqueOrThrow({ where: { id: own.id } });
  if (signedInAt < row.createdAt) throw confirmFirst();
  return own;
}

function anothers({ login, connection, tenant }: Found, yourLogin: string | null): AppError {
  return new AppError('forbidden', {
    log: `an invitation for ${login} was held by ${yourLogin ?? 'somebody without an account there'}`,
    screen: {
      happened: `This invitation to ${tenant.displayName} is for ${login} on ${connection.name}${yourLogin === null ? '' : `, and you are ${yourLogin} there`}.`,
      todo: `Sign in as ${login}, then open the link again.`,
    },
  });
}

function usedUp(acceptedAt: Date | null): AppError {
  return new AppError('conflict', {
    log: acceptedAt ? 'the invitation was accepted before' : 'the invitation was revoked or has ended',
    screen: acceptedAt
      ? { happened: 'This invitation was used already; it counts once.', todo: 'If that was you, you are a member.' }
      : { happened: 'This invitation was revoked or has ended.', todo: 'Ask for a new one.' },
  });
}

/** Nobody gives away more than they hold: whoever invited must still be an admin, or an operator. */
async function requireInviter(tx: UnsafeTx, row: Found): Promise<void> {
  const where = { tenantId_userId: { tenantId: row.tenantId, userId: row.invitedById } };
  if ((await tx.membership.findUnique({ where }))?.role === 'admin') return;
  const identities = await tx.identity.findMany({ where: { userId: row.invitedById, user: { disabledAt: null } } });
  if (identities.some((identity) => isOperatorIdentity(env().FLYWHEEL_OPERATORS, identity))) return;
  throw new AppError('conflict', {
    log: `who made invitation ${row.id} may invite no more`,
    screen: {
      happened: `${row.invitedBy}, who invited you, is no admin of ${row.tenant.displayName} any more.`,
      todo: 'Ask an admin for a new invitation.',
    },
  });
}

const rank: Record<Role, number> = { billing: 0, member: 1, admin: 2 };

/** A new member; or a member who follows the forge, for whom it is what an admin set. It takes nothing away from anybody. */
async function giveRole(tx: UnsafeTx, by: PersonCtx, row: Found, now: Date): Promise<{ role: Role }> {
  const { tenantId, role, invitedBy: setBy } = row;
  const whose = { tenantId, userId: by.person.userId };
  const where = { tenantId_userId: whose };
  const present = await tx.membership.findUnique({ where });
  if (present?.role && rank[present.role] >= rank[role]) return { role: present.role };
  const set = { setBy, setAt: now };
  const told = present?.source === 'forge' ? Object.values(forgeRolesOf(present)) : [];
  if (told.length === 0) {
    const data = { role, source: 'invitation' as const, override: null, checkedAt: now, ...set };
    await tx.membership.upsert({ where, create: { ...whose, ...data }, update: data });
    return { role };
  }
  const said = told.includes('admin') ? 'admin' : 'member';
  const override = role === said ? null : role;
  await tx.membership.update({ where, data: { override, role: effectiveRole(said, override), ...set } });
  return { role };
}
