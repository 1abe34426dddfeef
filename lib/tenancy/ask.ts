import { z } from 'zod';
import {
  defaultQuota,
  freeSlug,
  lockLine,
  newTenant,
  poolsByName,
  quotaColumns,
  quotaOf,
  refuseOversold,
} from '#lib/enrollment/index.ts';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import {
  amountsOf,
  isOperatorManaged,
  isWithin,
  mayHaveParent,
  Quota,
  TenantName,
  TenantSlug,
  type TenantKind,
} from '#lib/model/index.ts';
import { appendAudit, tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { Note, openRequest } from './requests.ts';

/* How tenants and quotas are asked for. What needs no operator is done at once; the rest becomes a request. */

export const NewTenantInput = z.strictObject({
  kind: z.enum(['team', 'enterprise', 'managed_customer']),
  slug: TenantSlug,
  displayName: TenantName,
  /** The organization or managed customer that a team is of. */
  parent: TenantSlug.optional(),
  quota: Quota,
  note: Note.default(''),
});
export type NewTenantInput = z.infer<typeof NewTenantInput>;

/** Tenants that the person administers and that may hold teams. */
export async function parentsFor(by: PersonCtx, kind: TenantKind): Promise<{ slug: string; displayName: string }[]> {
  const rows = await unsafeDb().tenant.findMany({
    where: { state: { in: ['draft', 'active'] }, members: { some: { userId: by.person.userId, role: 'admin' } } },
    orderBy: { displayName: 'asc' },
  });
  return rows.filter((row) => mayHaveParent(kind, row.kind)).map(({ slug, displayName }) => ({ slug, displayName }));
}

/** A team begins at once: its quota is a share of its parent's, which the parent's admin may give. */
export async function newTeam(by: PersonCtx, input: NewTenantInput): Promise<string> {
  const parent = input.parent === undefined ? null : await tenantCtx(by, input.parent);
  if (!parent || (parent.role !== 'admin' && parent.role !== 'operator'))
    throw invalidFields({ parent: 'is not an organization that you administer' });
  if (!mayHaveParent('team', parent.tenant.kind)) throw invalidFields({ parent: 'cannot hold teams' });
  refuseStopped(parent);
  const pools = await poolsByName();
  await unsafeTransaction(async (tx) => {
    await lockLine(tx, parent.tenant.id);
    await freeSlug(tx, input.slug, 'slug', by);
    const above = await tx.tenant.findUniqueOrThrow({ where: { id: parent.tenant.id } });
    if (above.moving !== null) throw invalidFields({ parent: 'is being moved to another cluster' });
    const { slug, displayName, quota } = input;
    await newTenant(tx, by, {
      slug,
      displayName,
      kind: 'team',
      state: 'active',
      quota,
      parent: above,
      source: 'invitation',
    });
    await refuseOversold(tx, above.id, pools).catch(atQuota);
    await wakeTenant(tx, above.id);
  });
  return input.slug;
}

function refuseStopped({ tenant }: Ctx): void {
  if (tenant.state === 'active' || tenant.state === 'draft') return;
  throw invalidFields({ parent: `is ${tenant.state}` });
}

/** What does not fit is told at the field that asked for it. */
export function atQuota(error: unknown): never {
  if (error instanceof AppError && error.code === 'conflict')
    throw invalidFields({ quota: 'is more than the tenant above has left' }, error.screen.happened);
  throw error;
}

/** An enterprise or a managed customer is a draft until an operator has said yes. */
export async function askForTenant(by: PersonCtx, input: NewTenantInput): Promise<string> {
  if (!isOperatorManaged(input.kind)) throw invalidFields({ kind: 'needs no operator' });
  await unsafeTransaction(async (tx) => {
    await freeSlug(tx, input.slug, 'slug', by);
    const { slug, displayName, kind, quota, note } = input;
    const source = 'operator';
    const tenant = await newTenant(tx, by, { slug, displayName, kind, state: 'draft', quota, parent: null, source });
    await openRequest(tx, by, tenant, { kind: 'tenant', wanted: { quota }, note });
  });
  return input.slug;
}

// ------------------------------------------------------------------------------------------------ quota

export const QuotaInput = z.strictObject({ quota: Quota, note: Note.default('') });

/**
 * Less, or no more than anybody gets, is had at once; more is an operator's to give. A team's is its parent's to give.
 * Returns the request's id, or null where it is done.
 */
export async function askForQuota(ctx: Ctx, { quota, note }: z.infer<typeof QuotaInput>): Promise<string | null> {
  const { tenant } = ctx;
  if (tenant.kind === 'team')
    throw new AppError('conflict', {
      log: 'a team asks for quota',
      screen: {
        happened: 'A team’s quota is a share of its organization’s.',
        todo: 'Ask an admin of the organization.',
      },
    });
  const isFree =
    !isOperatorManaged(tenant.kind) &&
    (isWithin(amountsOf(quota), amountsOf(defaultQuota)) || isWithin(amountsOf(quota), amountsOf(tenant.quota)));
  return unsafeTransaction(async (tx) => {
    if (!isFree) return openRequest(tx, ctx, tenant, { kind: 'quota', wanted: { quota }, note });
    await setQuota(tx, ctx, tenant.id, quota);
    return null;
  });
}

/** Under the lock of the whole line: within what the tenant above has, and not below what is promised already. */
export async function setQuota(tx: UnsafeTx, by: PersonCtx, tenantId: string, quota: Quota): Promise<void> {
  await lockLine(tx, tenantId);
  const before = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId } });
  const pools = await poolsByName();
  await tx.tenant.update({ where: { id: tenantId }, data: quotaColumns(quota) });
  await refuseOversold(tx, tenantId, pools);
  if (before.parentId !== null) await refuseOversold(tx, before.parentId, pools);
  await appendAudit(tx, by, tenantId, {
    action: 'tenant:quota',
    target: `tenant/${before.slug}`,
    before: quotaOf(before),
    after: quota,
  });
  await wakeTenant(tx, tenantId);
  if (before.parentId !== null) await wakeTenant(tx, before.parentId);
}

export const TeamQuotaInput = z.strictObject({ team: TenantSlug, quota: Quota });

/** The share of a team, changed by an admin of its parent. */
export async function setTeamQuota(ctx: Ctx, { team, quota }: z.infer<typeof TeamQuotaInput>): Promise<void> {
  const row = await unsafeDb().tenant.findFirst({ where: { slug: team, parentId: ctx.tenant.id, kind: 'team' } });
  if (!row) throw notFound('This team');
  await unsafeTransaction((tx) => setQuota(tx, ctx, row.id, quota)).catch(atQuota);
}

/** What the quota is, and whether anything may run, reaches the cluster by the tenant's enrollments. */
export async function wakeTenant(tx: UnsafeTx, tenantId: string): Promise<void> {
  const rows = await tx.enrollment.findMany({
    where: { tenantId, state: { in: ['active', 'withdrawing'] } },
    select: { id: true },
  });
  await wake(
    tx,
    'enrollment',
    rows.map(({ id }) => id),
  );
}
