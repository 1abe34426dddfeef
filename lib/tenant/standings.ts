import { z } from 'zod';
import {
  type MembershipSource,
  type Role,
  type RoleOverride,
  unsafeDb,
  unsafeTransaction,
  type UnsafeTx,
} from '#lib/db/index.ts';
import { appendSystemAudit } from './audit.ts';

/* What forges say somebody is, and how that and what an admin set become one role in each tenant. */

export type ForgeRole = 'admin' | 'member';

/**
 * An account or a team on a forge that the person belongs to, by the forge's own id of it, and as what; or a scope that they
 * administer by itself, as a repository's admin who does not own its organization, by `scopeKey`.
 */
export type ForgeStanding = { of: 'account' | 'team' | 'scope'; ownerId: string; login: string; role: ForgeRole };

/** Ids count at their own level only. */
export function scopeKey({ level, scopeId }: { level: string; scopeId: string }): string {
  return `${level} ${scopeId}`;
}

/**
 * What a tenant follows on a forge: the account that an enrolled scope belongs to, an organization's its own, that scope
 * itself, whose admins may have enrolled it, or the team that the tenant is bound to. Of a tenant that follows a team, the account around it gives only its admins.
 */
export type FollowedScope = {
  tenantId: string;
  of: ForgeStanding['of'];
  ownerId: string | null;
  adminsOnly?: boolean;
};

/**
 * The role that each tenant's scopes give. Ids decide and never names: whoever takes over a name that was given up must not
 * take over its tenant.
 */
export function derivedRoles(
  scopes: readonly FollowedScope[],
  standings: readonly ForgeStanding[],
): Map<string, ForgeRole> {
  const byOwner = new Map(standings.map(({ of, ownerId, role }) => [`${of} ${ownerId}`, role]));
  const roles = new Map<string, ForgeRole>();
  for (const { tenantId, of, ownerId, adminsOnly } of scopes) {
    const role = ownerId === null ? undefined : byOwner.get(`${of} ${ownerId}`);
    if (role === undefined || roles.get(tenantId) === 'admin' || (adminsOnly && role !== 'admin')) continue;
    roles.set(tenantId, role);
  }
  return roles;
}

type Followed = {
  tenantId: string;
  level: string;
  scopeId: string;
  ownerId: string | null;
  state: string;
  tenant: { teamExternalId: string | null };
};

/** What is enrolled; where a tenant has nothing enrolled any more, what was: its people still come from there. */
function scopesOf(rows: readonly Followed[]): FollowedScope[] {
  const live = new Set(rows.filter(({ state }) => state !== 'withdrawn').map(({ tenantId }) => tenantId));
  return rows
    .filter(({ tenantId, state }) => state !== 'withdrawn' || !live.has(tenantId))
    .flatMap(({ tenantId, ownerId, tenant, ...scope }): FollowedScope[] => [
      { tenantId, of: 'account', ownerId, adminsOnly: tenant.teamExternalId !== null },
      { tenantId, of: 'scope', ownerId: scopeKey(scope) },
    ]);
}

/** Of this connection, what the person belongs to or is a member of here; nobody else's scopes are read. */
async function followedScopes(
  tx: UnsafeTx,
  userId: string,
  connectionId: string,
  standings: readonly ForgeStanding[],
): Promise<FollowedScope[]> {
  const ids = (of: ForgeStanding['of']) => standings.filter((each) => each.of === of).map(({ ownerId }) => ownerId);
  const theirs = { members: { some: { userId } } };
  const enrolled = await tx.enrollment.findMany({
    where: { connectionId, OR: [{ ownerId: { in: ids('account') } }, { tenant: theirs }] },
    select: {
      tenantId: true,
      level: true,
      scopeId: true,
      ownerId: true,
      state: true,
      tenant: { select: { teamExternalId: true } },
    },
  });
  const bound = await tx.tenant.findMany({
    where: { teamConnectionId: connectionId, OR: [{ teamExternalId: { in: ids('team') } }, theirs] },
    select: { id: true, teamExternalId: true },
  });
  const teams = bound.map(({ id, teamExternalId }) => ({ tenantId: id, of: 'team' as const, ownerId: teamExternalId }));
  return [...scopesOf(enrolled), ...teams];
}

/** The teams of this connection that tenants follow: whose people are worth asking about. */
export async function followedTeams(connectionId: string): Promise<string[]> {
  const rows = await unsafeDb().tenant.findMany({
    where: { teamConnectionId: connectionId },
    select: { teamExternalId: true },
    distinct: ['teamExternalId'],
  });
  return rows.flatMap(({ teamExternalId }) => teamExternalId ?? []);
}

export type SyncInput = {
  userId: string;
  connectionId: string;
  standings: readonly ForgeStanding[];
  /** Accounts that could not be asked about: a tenant that follows one stays as it is. */
  untold?: ReadonlySet<string>;
  /** Why they could not; kept beside the identity for whoever uses what they were before. */
  trouble?: string | null;
  now: Date;
};

/**
 * Makes the memberships that come from a forge match what the forge says of the person now: given, raised, lowered, and
 * taken away. What an invitation or an operator gave stays as it is, and so does what another forge says.
 */
export async function syncMemberships({
  userId,
  connectionId,
  standings,
  untold,
  trouble,
  now,
}: SyncInput): Promise<void> {
  await unsafeTransaction(async (tx) => {
    // Two answers about one person are taken in one after the other.
    await tx.$queryRaw`select 1 from app_user where id = ${userId}::uuid for update`;
    const scopes = await followedScopes(tx, userId, connectionId, standings);
    const wanted = derivedRoles(scopes, standings);
    const unclear = new Set(
      scopes.filter(({ ownerId }) => ownerId !== null && untold?.has(ownerId)).map(({ tenantId }) => tenantId),
    );
    const tenantIds = [...new Set(scopes.map((scope) => scope.tenantId))].filter((id) => !unclear.has(id));
    const present = await tx.membership.findMany({ where: { userId, tenantId: { in: tenantIds } } });
    for (const tenantId of tenantIds) {
      const row = present.find((candidate) => candidate.tenantId === tenantId);
      await settle(tx, { userId, tenantId, connectionId, now }, row, wanted.get(tenantId));
    }
    await tx.identity.updateMany({
      where: { userId, connectionId },
      data: {
        checkedAt: now,
        checkTrouble: untold && untold.size > 0 ? (trouble ?? 'untold') : null,
        nextCheckAt: null,
      },
    });
    // Of a tenant that follows nothing there is nothing to ask.
    const followsNothing = { enrollments: { none: {} }, teamExternalId: null };
    await tx.membership.updateMany({
      where: { userId, source: 'forge', tenant: followsNothing },
      data: { checkedAt: now },
    });
  });
}

const ForgeRoles = z.record(z.string(), z.enum(['admin', 'member'])).catch({});

/** What the forges say, by connection. */
export function forgeRolesOf(row: { forgeRoles: unknown }): Record<string, ForgeRole> {
  return ForgeRoles.parse(row.forgeRoles);
}

function bestOf(roles: Record<string, ForgeRole>): ForgeRole | null {
  const said = Object.values(roles);
  return said.includes('admin') ? 'admin' : (said[0] ?? null);
}

/** Whether what an admin set is less than what the forge said. */
export function narrows(override: RoleOverride | null, told: ForgeRole | null): boolean {
  return override === 'none' || (told === 'admin' && (override === 'member' || override === 'billing'));
}

/** What counts, of what the forge says and what an admin set instead. Who is not on the forge any more has nothing. */
export function effectiveRole(told: ForgeRole | null, override: RoleOverride | null): Role | null {
  if (told === null || override === 'none') return null;
  return override ?? told;
}

type Kept = { role: Role | null; source: MembershipSource; forgeRoles: unknown; override: RoleOverride | null };
type Whose = { userId: string; tenantId: string; connectionId: string; now: Date };

async function settle(tx: UnsafeTx, whose: Whose, row: Kept | undefined, said: ForgeRole | undefined): Promise<void> {
  if (row && row.source !== 'forge') return;
  const { userId, tenantId, connectionId, now } = whose;
  const where = { tenantId_userId: { tenantId, userId } };
  const { [connectionId]: _, ...others } = row ? forgeRolesOf(row) : {};
  const forgeRoles = said === undefined ? others : { ...others, [connectionId]: said };
  const told = bestOf(forgeRoles);
  const before = row ? (bestOf(forgeRolesOf(row)) ?? asForgeRole(row.role)) : null;
  // Widening ends with what it was added to; that somebody is kept out or down is remembered for when they come back.
  const override = row && (told !== null || narrows(row.override, before)) ? row.override : null;
  const role = effectiveRole(told, override);
  if (told === null && override === null) {
    if (!row) return;
    await tx.membership.delete({ where });
  } else {
    const data = { role, forgeRoles, override, checkedAt: now };
    await tx.membership.upsert({ where, create: { tenantId, userId, source: 'forge', ...data }, update: data });
  }
  if ((row?.role ?? null) === role) return;
  await appendSystemAudit(tx, tenantId, {
    action: 'membership:follow-forge',
    target: `user/${userId}`,
    before: row?.role && { role: row.role },
    after: role && { role },
  });
}

function asForgeRole(role: Role | null): ForgeRole | null {
  return role === 'admin' || role === 'member' ? role : null;
}
