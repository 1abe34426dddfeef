import { cache } from 'react';
import { tenantDb, unsafeDb, unsafeTransaction, type Role, type UnsafeTx } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { appendAudit, appendSystemAudit } from './audit.ts';
import type { Ctx, PersonCtx } from './ctx.ts';

/** The person's way into a tenant, or null: for the absent and for the stranger alike. Looked up once a request. */
export const tenantCtx: (by: PersonCtx, slug: string) => Promise<Ctx | null> = cache(findTenantCtx);

async function findTenantCtx(by: PersonCtx, slug: string): Promise<Ctx | null> {
  if (!TenantSlug.safeParse(slug).success) return null;
  const mine = { members: { where: { userId: by.person.userId }, select: { role: true } } } as const;
  const row = await unsafeDb().tenant.findUnique({
    where: { slug },
    include: { ...mine, parent: { select: { ...mine, parent: { select: mine } } } },
  });
  if (!row) return null;
  // A membership goes before operating, so that nobody acts as operator where they need not.
  const role = row.members[0]?.role ?? inheritedRole(row.parent) ?? (by.person.isOperator ? 'operator' : null);
  if (role === null) return null;
  return ctxOf(by, row, role);
}

type Above = { members: { role: Role }[]; parent?: Above | null } | null | undefined;

/** Who administers a tenant administers those below it, and who sees what it pays sees that of those; a member sees their own. */
function inheritedRole(above: Above): Role | null {
  if (!above) return null;
  const role = above.members[0]?.role;
  return role === 'admin' || role === 'billing' ? role : inheritedRole(above.parent);
}

/** A tenant as an operator acts in it, whoever else they are there. The door in front of it is an operator's. */
export async function operatorCtx(by: PersonCtx, slug: string): Promise<Ctx> {
  const row = by.person.isOperator ? await unsafeDb().tenant.findUnique({ where: { slug } }) : null;
  if (!row) throw notFound('This tenant');
  return ctxOf(by, row, 'operator');
}

type TenantRow = NonNullable<Awaited<ReturnType<ReturnType<typeof unsafeDb>['tenant']['findUnique']>>>;

function ctxOf(by: PersonCtx, row: TenantRow, role: Ctx['role']): Ctx {
  const { id, slug, displayName, kind, isDefault, state, suspendReason, clusterId } = row;
  const { quotaCpu: cpu, quotaMemory: memory, quotaRunners: runners, quotaStorage: storage } = row;
  const quota = { cpu, memory, runners, storage };
  return {
    ...by,
    tenant: { id, slug, displayName, kind, isDefault, state, suspendReason, clusterId, quota },
    role,
    db: tenantDb(id),
    audit: (tx, entry) => appendAudit(tx, by, id, entry),
  };
}

export type TenantChoice = { id: string; slug: string; displayName: string; role: Role };

/** The tenants of a person, and those below them that come with the role, by name. */
export async function tenantsOf({ person }: PersonCtx): Promise<TenantChoice[]> {
  const named = { id: true, slug: true, displayName: true } as const;
  const rows = await unsafeDb().membership.findMany({
    where: { userId: person.userId },
    select: {
      role: true,
      tenant: { select: { ...named, children: { select: { ...named, children: { select: named } } } } },
    },
  });
  const found = new Map<string, TenantChoice>();
  for (const { role, tenant } of rows) {
    if (role === 'member') continue;
    for (const child of tenant.children)
      for (const { id, slug, displayName } of [child, ...child.children])
        found.set(id, { id, slug, displayName, role });
  }
  // One's own membership is what counts where there is one.
  for (const { role, tenant } of rows) {
    const { id, slug, displayName } = tenant;
    found.set(id, { id, slug, displayName, role });
  }
  return [...found.values()].toSorted((a, b) => a.displayName.localeCompare(b.displayName, 'en'));
}

/** An account on a forge that the person belongs to, by the forge's own id of it, and as what. */
export type ForgeStanding = { ownerId: string; login: string; role: 'admin' | 'member' };

/** A scope that somebody enrolled, by the forge's id of the account that it belongs to: an organization's its own. */
export type EnrolledScope = { tenantId: string; ownerId: string | null };

/**
 * The role that each tenant's enrolled scopes give. Ids decide and never names: whoever takes over a name that was given up
 * must not take over its tenant.
 */
export function derivedRoles(
  scopes: readonly EnrolledScope[],
  standings: readonly ForgeStanding[],
): Map<string, ForgeStanding['role']> {
  const byOwner = new Map(standings.map((standing) => [standing.ownerId, standing.role]));
  const roles = new Map<string, ForgeStanding['role']>();
  for (const { tenantId, ownerId } of scopes) {
    const role = ownerId === null ? undefined : byOwner.get(ownerId);
    if (role === undefined || roles.get(tenantId) === 'admin') continue;
    roles.set(tenantId, role);
  }
  return roles;
}

async function enrolledScopes(tx: UnsafeTx, connectionId: string): Promise<EnrolledScope[]> {
  return tx.enrollment.findMany({
    where: { connectionId, state: { not: 'withdrawn' } },
    select: { tenantId: true, ownerId: true },
  });
}

/**
 * Makes the memberships that come from a forge match what the forge says of the person now: given, raised, lowered, and
 * taken away. What an invitation or an operator gave stays as it is.
 */
export async function syncMemberships(
  userId: string,
  connectionId: string,
  standings: readonly ForgeStanding[],
): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const scopes = await enrolledScopes(tx, connectionId);
    const wanted = derivedRoles(scopes, standings);
    const tenantIds = [...new Set(scopes.map((scope) => scope.tenantId))];
    const present = await tx.membership.findMany({
      where: { userId, tenantId: { in: tenantIds } },
    });
    for (const tenantId of tenantIds) {
      const row = present.find((candidate) => candidate.tenantId === tenantId);
      await settle(tx, userId, tenantId, row, wanted.get(tenantId));
    }
  });
}

async function settle(
  tx: UnsafeTx,
  userId: string,
  tenantId: string,
  row: { role: Role; source: string } | undefined,
  role: ForgeStanding['role'] | undefined,
): Promise<void> {
  if (row && row.source !== 'forge') return;
  const where = { tenantId_userId: { tenantId, userId } };
  if (role === undefined) {
    if (!row) return;
    await tx.membership.delete({ where });
  } else {
    const checkedAt = new Date();
    await tx.membership.upsert({
      where,
      create: { tenantId, userId, role, source: 'forge', checkedAt },
      update: { role, checkedAt },
    });
  }
  if (row?.role === role) return;
  await appendSystemAudit(tx, tenantId, {
    action: 'membership:follow-forge',
    target: `user/${userId}`,
    before: row && { role: row.role },
    after: role && { role },
  });
}
