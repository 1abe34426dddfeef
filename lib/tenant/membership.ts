import { cache } from 'react';
import { type Role, tenantDb, unsafeDb } from '#lib/db/index.ts';
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
  const row = await unsafeDb().tenant.findUnique({
    where: { slug },
    include: { members: { where: { userId: by.person.userId }, select: heldFields } },
  });
  if (!row) return null;
  // A membership goes before operating, so that nobody acts as operator where they need not.
  const role = heldRole(by, row.members[0], new Date()) ?? (by.person.isOperator ? 'operator' : null);
  if (role === null) return null;
  const { id, displayName, kind, isDefault, state, clusterId } = row;
  const quota = { cpu: row.quotaCpu, memory: row.quotaMemory, runners: row.quotaRunners };
  return {
    ...by,
    tenant: { id, slug, displayName, kind, isDefault, state, clusterId, quota },
    role,
    db: tenantDb(id),
    audit: (tx, entry) => appendAudit(tx, by, id, entry),
  };
}

export type TenantChoice = { id: string; slug: string; displayName: string; role: Role };

/** The tenants of a person, by name. */
export async function tenantsOf(by: PersonCtx): Promise<TenantChoice[]> {
  await keptOnce(by);
  const rows = await unsafeDb().membership.findMany({
    where: { userId: by.person.userId, role: { not: null } },
    select: { role: true, tenant: { select: { id: true, slug: true, displayName: true } } },
    orderBy: { tenant: { displayName: 'asc' } },
  });
  return rows.flatMap(({ role, tenant }) => (role === null ? [] : [{ ...tenant, role }]));
}
