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
    where: { tenantId: ctx.tenant.id },
    include: {
      user: { select: { name: true, identities: { select: { connectionId: true, login: true } } } },
    },
    orderBy: [{ role: 'asc' }, { createdAt: 'asc' }],
  });
  return rows.map(({ userId, role, source, checkedAt, user }) => ({
    userId,
    name: user.name,
    logins: user.identities,
    role,
    source,
    checkedAt: checkedAt.toISOString(),
    isSelf: userId === ctx.person.userId,
  }));
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
