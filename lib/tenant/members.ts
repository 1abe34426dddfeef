import { z } from 'zod';
import {
  type MembershipSource,
  type Role,
  type RoleOverride,
  unsafeDb,
  unsafeTransaction,
  type UnsafeTx,
} from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { appendAudit } from './audit.ts';
import type { Ctx } from './ctx.ts';
import { effectiveRole, type ForgeRole, forgeRolesOf, narrows } from './standings.ts';
import { roleLabel } from './permission.ts';
import { sameText } from './same-text.ts';

/** What one forge says of a member. `forge` is its name, for people to read. */
export type ToldRole = { forge: string; role: ForgeRole };

export type Member = {
  userId: string;
  name: string;
  logins: { forge: string; login: string }[];
  /** Null is no access: kept out by an admin, though the forge counts them in. */
  role: Role | null;
  source: MembershipSource;
  told: ToldRole[];
  override: RoleOverride | null;
  setBy: string | null;
  setAt: string | null;
  checkedAt: string;
  isSelf: boolean;
};

/** Who may do what in the tenant, and why. People are no tenant's rows, so the tenant is named in the query itself. */
export async function listMembers(ctx: Ctx): Promise<Member[]> {
  const forges = await unsafeDb().forgeConnection.findMany({ select: { id: true, name: true } });
  const nameOf = new Map(forges.map(({ id, name }) => [id, name]));
  const named = (connectionId: string) => nameOf.get(connectionId) ?? connectionId;
  const rows = await unsafeDb().membership.findMany({
    where: { tenantId: ctx.tenant.id },
    include: {
      user: { select: { name: true, identities: { select: { connectionId: true, login: true } } } },
    },
    orderBy: [{ role: { sort: 'asc', nulls: 'last' } }, { createdAt: 'asc' }],
  });
  return rows
    .map(({ user, checkedAt, setAt, forgeRoles, ...row }) => ({
      userId: row.userId,
      name: user.name,
      logins: user.identities.map(({ connectionId, login }) => ({ forge: named(connectionId), login })),
      role: row.role,
      source: row.source,
      told: Object.entries(forgeRolesOf({ forgeRoles })).map(([id, role]) => ({ forge: named(id), role })),
      override: row.override,
      setBy: row.setBy,
      setAt: setAt?.toISOString() ?? null,
      checkedAt: checkedAt.toISOString(),
      isSelf: row.userId === ctx.person.userId,
    }))
    .filter(({ role, told }) => role !== null || told.length > 0);
}

/** Pure: why somebody has the role that they have, in a sentence. */
export function reasonOf({ source, told, override, setBy }: Member): string {
  const by = setBy === null ? '' : ` by ${setBy}`;
  if (source === 'invitation') return `Invited${by}`;
  if (source === 'operator') return setBy === null ? 'Given by the operator' : `Set${by}`;
  const said = told.map(({ forge, role }) => `${roleLabel[role]} on ${forge}`).join(', ') || 'Follows the forge';
  if (override === null) return said;
  const best = told.some(({ role }) => role === 'admin') ? 'admin' : (told[0]?.role ?? null);
  const verb = narrows(override, best) ? 'narrowed' : 'widened';
  return `${said}, ${verb} to ${override === 'none' ? 'no access' : roleLabel[override]}${by}`;
}

/** `forge` takes back what was set here; `none` keeps somebody out whom the forge counts in, and removes anybody else. */
export const RoleChoice = z.enum(['admin', 'member', 'billing', 'none', 'forge']);
export const RoleInput = z.strictObject({ userId: z.uuid(), role: RoleChoice });

/**
 * Changes what somebody may do, at once: every request looks their role up. A tenant keeps an admin: only an operator takes
 * the last one away.
 */
export async function setMemberRole(ctx: Ctx, { userId, role: wanted }: z.output<typeof RoleInput>): Promise<void> {
  const where = { tenantId_userId: { tenantId: ctx.tenant.id, userId } };
  await unsafeTransaction(async (tx) => {
    await lockTenant(tx, ctx.tenant.id);
    const row = await tx.membership.findUnique({ where });
    if (!row) throw notFound('This member');
    const after = changed(row, wanted);
    if (row.role === 'admin' && after?.role !== 'admin') await keepAnAdmin(tx, ctx, userId);
    const set = { setBy: nameOf(ctx), setAt: new Date() };
    if (!after) await tx.membership.delete({ where });
    else await tx.membership.update({ where, data: { ...after, ...set } });
    if (!after?.role) await revokeInvitationsOf(tx, ctx.tenant.id, userId);
    await appendAudit(tx, ctx, ctx.tenant.id, {
      action: after?.role ? 'member:change' : 'member:remove',
      target: `user/${userId}`,
      before: { role: row.role, override: row.override },
      after: after ?? null,
    });
  });
}

/** A link that was sent before is no way back in. */
async function revokeInvitationsOf(tx: UnsafeTx, tenantId: string, userId: string): Promise<void> {
  const identities = await tx.identity.findMany({ where: { userId } });
  await tx.invitation.updateMany({
    where: {
      tenantId,
      acceptedAt: null,
      revokedAt: null,
      OR: identities.map(({ connectionId, subject, login }) => ({
        connectionId,
        OR: [{ subject }, { subject: null, login: sameText(login) }],
      })),
    },
    data: { revokedAt: new Date() },
  });
}

/** Two admins who remove each other at the same time take turns, so that the second finds that there is one left. */
export async function lockTenant(tx: UnsafeTx, tenantId: string): Promise<void> {
  await tx.$queryRaw`select 1 from tenant where id = ${tenantId}::uuid for no key update`;
}

type Row = { role: Role | null; source: MembershipSource; override: RoleOverride | null; forgeRoles: unknown };
type Changed = { role: Role | null; override: RoleOverride | null };

/** Pure: the row as it is to be; null where it goes. */
function changed(row: Row, wanted: z.output<typeof RoleChoice>): Changed | null {
  if (row.source !== 'forge') {
    if (wanted === 'forge') throw invalidFields({ role: 'follows no forge' });
    return wanted === 'none' ? null : { role: wanted, override: null };
  }
  const said = Object.values(forgeRolesOf(row));
  const own = row.role === 'admin' ? 'admin' : 'member';
  const told = said.length === 0 ? own : said.includes('admin') ? 'admin' : 'member';
  const override = wanted === 'forge' || wanted === told ? null : wanted;
  return { override, role: effectiveRole(told, override) };
}

async function keepAnAdmin(tx: UnsafeTx, ctx: Ctx, userId: string): Promise<void> {
  if (ctx.person.isOperator) return;
  const others = await tx.membership.count({
    where: { tenantId: ctx.tenant.id, role: 'admin', userId: { not: userId } },
  });
  if (others > 0) return;
  const isSelf = userId === ctx.person.userId;
  throw new AppError('conflict', {
    log: `the last admin of ${ctx.tenant.slug}`,
    screen: {
      happened: `${isSelf ? 'You are' : 'This is'} the only admin of ${ctx.tenant.displayName}.`,
      todo: 'Make somebody else an admin first, or ask an operator of the platform.',
    },
  });
}

/** As they are called now: a name is for people to read, and the audit carries the identity. */
export function nameOf({ person }: Ctx): string {
  return person.identities[0]?.login ?? person.name;
}
