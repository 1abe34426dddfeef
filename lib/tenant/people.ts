import { tenantTransaction, unsafeDb, type MembershipSource, type Role } from '#lib/db/index.ts';
import type { Ctx, PersonCtx } from './ctx.ts';

export type Member = {
  userId: string;
  name: string;
  logins: { connectionId: string; login: string }[];
  role: Role;
  source: MembershipSource;
  checkedAt: string;
  isSelf: boolean;
};

/** Who may do what in the tenant, and why. People are no tenant's rows, so the tenant is named in the query itself. */
export async function listMembers(ctx: Ctx): Promise<Member[]> {
  const rows = await unsafeDb().membership.findMany({
    where: { tenantId: ctx.tenant.id, role: { not: null } },
    include: {
      user: { select: { name: true, identities: { select: { connectionId: true, login: true } } } },
    },
    orderBy: [{ role: 'asc' }, { createdAt: 'asc' }],
  });
  return rows.map(({ userId, role, source, checkedAt, user }) => ({
    userId,
    name: user.name,
    logins: user.identities,
    role: role ?? 'member',
    source,
    checkedAt: checkedAt.toISOString(),
    isSelf: userId === ctx.person.userId,
  }));
}

export type AuditRow = {
  id: string;
  at: string;
  actor: string;
  action: string;
  target: string;
  before: unknown;
  after: unknown;
  requestId: string | null;
};

const auditPage = 100;

/** Newest first. Ids are UUIDs of version 7, so that an id is also a place in time. */
export async function listAudit(ctx: Ctx, beforeId?: string): Promise<{ rows: AuditRow[]; nextId: string | null }> {
  const rows = await ctx.db.audit.findMany({
    where: beforeId === undefined ? {} : { id: { lt: beforeId } },
    orderBy: { id: 'desc' },
    take: auditPage + 1,
  });
  const shown = rows.slice(0, auditPage).map(({ id, at, actor, action, target, before, after, requestId }) => ({
    id,
    at: at.toISOString(),
    actor,
    action,
    target,
    before,
    after,
    requestId,
  }));
  return { rows: shown, nextId: rows.length > auditPage ? (shown.at(-1)?.id ?? null) : null };
}

/** The name that people read. The slug names namespaces and labels and never changes. */
export async function renameTenant(ctx: Ctx, displayName: string): Promise<void> {
  await tenantTransaction(ctx.tenant.id, async (tx) => {
    await tx.tenant.update({ where: { id: ctx.tenant.id }, data: { displayName } });
    await ctx.audit(tx, {
      action: 'tenant:rename',
      target: `tenant/${ctx.tenant.slug}`,
      before: { displayName: ctx.tenant.displayName },
      after: { displayName },
    });
  });
}

export type SessionRow = { id: string; userAgent: string | null; createdAt: string; lastSeenAt: string };

/** Where the person is signed in. */
export async function listSessions({ person }: PersonCtx): Promise<SessionRow[]> {
  const rows = await unsafeDb().session.findMany({
    where: { userId: person.userId, expiresAt: { gt: new Date() } },
    orderBy: { lastSeenAt: 'desc' },
  });
  return rows.map(({ id, userAgent, createdAt, lastSeenAt }) => ({
    id,
    userAgent,
    createdAt: createdAt.toISOString(),
    lastSeenAt: lastSeenAt.toISOString(),
  }));
}
