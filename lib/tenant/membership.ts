import { cache } from 'react';
import { type Role, tenantDb, unsafeDb } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { appendAudit } from './audit.ts';
import type { Ctx, PersonCtx } from './ctx.ts';
import { heldFields, heldRole, keepStandings } from './follow.ts';

/** The person's way into a tenant, or null: for the absent and for the stranger alike. Looked up once a request. */
export const tenantCtx: (by: PersonCtx, slug: string) => Promise<Ctx | null> = cache(findTenantCtx);

/** Once a request, however many ask. */
const keptOnce = cache((by: PersonCtx) => keepStandings(by));

async function findTenantCtx(by: PersonCtx, slug: string): Promise<Ctx | null> {
  if (!TenantSlug.safeParse(slug).success) return null;
  await keptOnce(by);
  const mine = { members: { where: { userId: by.person.userId }, select: heldFields } } as const;
  const row = await unsafeDb().tenant.findUnique({
    where: { slug },
    include: { ...mine, parent: { select: { ...mine, parent: { select: mine } } } },
  });
  if (!row) return null;
  const now = new Date();
  // A membership goes before operating, so that nobody acts as operator where they need not.
  const role =
    heldRole(by, row.members[0], now) ??
    inheritedRole(by, row.parent, now) ??
    (by.person.isOperator ? 'operator' : null);
  if (role === null) return null;
  return ctxOf(by, row, role);
}

type Above = { members: Parameters<typeof heldRole>[1][]; parent?: Above | null } | null | undefined;

/** Who administers a tenant administers those below it, and who sees what it pays sees that of those; a member sees their own. */
function inheritedRole(by: PersonCtx, above: Above, now: Date): Role | null {
  if (!above) return null;
  const role = heldRole(by, above.members[0], now);
  return role === 'admin' || role === 'billing' ? role : inheritedRole(by, above.parent, now);
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
export async function tenantsOf(by: PersonCtx): Promise<TenantChoice[]> {
  await keptOnce(by);
  const named = { id: true, slug: true, displayName: true } as const;
  const rows = await unsafeDb().membership.findMany({
    where: { userId: by.person.userId, role: { not: null } },
    select: {
      role: true,
      tenant: { select: { ...named, children: { select: { ...named, children: { select: named } } } } },
    },
  });
  const found = new Map<string, TenantChoice>();
  for (const { role, tenant } of rows) {
    if (role === null || role === 'member') continue;
    for (const child of tenant.children)
      for (const { id, slug, displayName } of [child, ...child.children])
        found.set(id, { id, slug, displayName, role });
  }
  // One's own membership is what counts where there is one.
  for (const { role, tenant } of rows) {
    const { id, slug, displayName } = tenant;
    if (role !== null) found.set(id, { id, slug, displayName, role });
  }
  return [...found.values()].toSorted((a, b) => a.displayName.localeCompare(b.displayName, 'en'));
}
