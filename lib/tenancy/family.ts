import { z } from 'zod';
import { lockLine, poolsByName, presentAllocation, refuseOversold } from '#lib/enrollment/index.ts';
import { monthToDate } from '#lib/billing/index.ts';
import { unsafeDb, unsafeTransaction, type TenantState, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import {
  formatAmounts,
  mayHaveParent,
  needsParent,
  TenantSlug,
  type QuotaPart,
  type TenantKind,
} from '#lib/model/index.ts';
import { appendAudit, type Ctx, type CtxTenant, type PersonCtx } from '#lib/tenant/index.ts';
import { wakeTenant } from './ask.ts';
import { Note, openRequest } from './requests.ts';

/* Which tenant is below which, and one view over all of them. */

export const MoveInput = z.strictObject({
  /** The tenant to be below; none is to stand alone. */
  parent: z.union([TenantSlug, z.literal('').transform(() => null)]),
  note: Note.default(''),
});

/** Tenants that this one could be below: nothing is told of others than their names. */
export async function moveChoices({ tenant }: Ctx): Promise<{ slug: string; displayName: string }[]> {
  const rows = await unsafeDb().tenant.findMany({
    where: { state: 'active', id: { not: tenant.id } },
    select: { slug: true, displayName: true, kind: true },
    orderBy: { displayName: 'asc' },
  });
  return rows
    .filter((row) => mayHaveParent(tenant.kind, row.kind))
    .map(({ slug, displayName }) => ({ slug, displayName }));
}

/** A move changes who pays and whose quota it is, so an operator decides it. */
export async function askToMove(ctx: Ctx, { parent, note }: z.infer<typeof MoveInput>): Promise<string> {
  const row = await unsafeDb().tenant.findUniqueOrThrow({
    where: { id: ctx.tenant.id },
    include: { parent: { select: { slug: true } } },
  });
  if ((row.parent?.slug ?? null) === parent) throw invalidFields({ parent: 'is where it is already' });
  await checkedParent(ctx.tenant.kind, parent);
  return unsafeTransaction((tx) => openRequest(tx, ctx, ctx.tenant, { kind: 'parent', wanted: { parent }, note }));
}

async function checkedParent(kind: TenantKind, slug: string | null) {
  if (slug === null) {
    if (needsParent(kind)) throw invalidFields({ parent: 'is needed: a team is a team of something' });
    return null;
  }
  const parent = await unsafeDb().tenant.findUnique({ where: { slug } });
  if (!parent || parent.state !== 'active') throw invalidFields({ parent: 'is not there' });
  if (!mayHaveParent(kind, parent.kind)) throw invalidFields({ parent: 'cannot hold a tenant of this kind' });
  return parent;
}

/** Any fixed number: moves take turns, so that two lines are never locked from both ends. */
const moveLock = 8_223_401;

/** Kinds have an order (team, organization, enterprise), so no tenant can come to be above itself. */
export async function setParent(tx: UnsafeTx, by: PersonCtx, tenantId: string, slug: string | null): Promise<void> {
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(${moveLock})::text`;
  const before = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId }, include: { parent: true } });
  const parent = await checkedParent(before.kind, slug);
  for (const id of [parent?.id, tenantId]) if (id !== undefined) await lockLine(tx, id);
  // Read anew: a move may have begun while the lines were waited for.
  if (parent) refuseApart(await placedAt(tx, tenantId), await placedAt(tx, parent.id));
  const billingAccountId = parent?.billingAccountId ?? (await ownAccount(tx, before.displayName));
  await tx.tenant.update({ where: { id: tenantId }, data: { parentId: parent?.id ?? null, billingAccountId } });
  await payFor(tx, tenantId, billingAccountId);
  if (parent) await refuseOversold(tx, parent.id, await poolsByName());
  await appendAudit(tx, by, tenantId, {
    action: 'tenant:move',
    target: `tenant/${before.slug}`,
    before: { parent: before.parent?.slug ?? null },
    after: { parent: slug },
  });
  for (const id of [before.parentId, parent?.id]) if (id) await wakeTenant(tx, id);
}

type Placed = { displayName: string; clusterId: string; moving: unknown };

function placedAt(tx: UnsafeTx, id: string): Promise<Placed> {
  return tx.tenant.findUniqueOrThrow({ where: { id }, select: { displayName: true, clusterId: true, moving: true } });
}

/** Tenants below another run where it does. */
function refuseApart(tenant: Placed, parent: Placed): void {
  const isApart = tenant.clusterId !== parent.clusterId;
  if (!isApart && tenant.moving === null && parent.moving === null) return;
  const happened = isApart
    ? `${tenant.displayName} is on the cluster ${tenant.clusterId}, and ${parent.displayName} on ${parent.clusterId}.`
    : 'One of the two is being moved to another cluster.';
  const todo = isApart ? 'Move one of them to the other’s cluster first.' : 'Wait until it has arrived.';
  throw new AppError('conflict', { log: 'tenants of two clusters', screen: { happened, todo } });
}

async function ownAccount(tx: UnsafeTx, name: string): Promise<string> {
  return (await tx.billingAccount.create({ data: { name } })).id;
}

/** Who pays for a tenant pays for its teams. */
async function payFor(tx: UnsafeTx, parentId: string, billingAccountId: string): Promise<void> {
  await tx.tenant.updateMany({ where: { parentId }, data: { billingAccountId } });
}

// ------------------------------------------------------------------------------------------------ one view over all

export type FamilyRow = {
  slug: string;
  displayName: string;
  kind: TenantKind;
  state: TenantState;
  /** How far below the tenant that is looked from: 0 is itself. */
  depth: number;
  quota: Record<QuotaPart, string>;
  promised: Record<QuotaPart, string>;
  left: Record<QuotaPart, string>;
  enrollments: number;
  runners: number;
  /** Money since the month began, exact; null where the person may not see it. */
  cost: string | null;
  currency: string;
};

export type Family = { above: { slug: string; displayName: string } | null; rows: FamilyRow[] };

type Below = { id: string; depth: number };

/** The tenant and all below it, each before those below itself. */
export async function below(tenantId: string): Promise<Below[]> {
  return unsafeDb().$queryRaw<Below[]>`
    WITH RECURSIVE family AS (
      SELECT id, 0 AS depth, ARRAY[slug] AS path FROM tenant WHERE id = ${tenantId}::uuid
      UNION ALL
      SELECT tenant.id, family.depth + 1, family.path || tenant.slug FROM tenant JOIN family ON tenant.parent_id = family.id
    )
    SELECT id, depth FROM family ORDER BY path`;
}

/** The tenant and all below it, with what each has, runs and costs. */
export async function family(ctx: Ctx, mayCost: boolean): Promise<Family> {
  const pools = await poolsByName();
  const rows = await Promise.all((await below(ctx.tenant.id)).map((each) => familyRow(each, pools, mayCost)));
  const own = await unsafeDb().tenant.findUnique({
    where: { id: ctx.tenant.id },
    select: { parent: { select: { slug: true, displayName: true } } },
  });
  if (!own) throw notFound('This tenant');
  return { above: own.parent, rows };
}

async function familyRow(
  { id, depth }: Below,
  pools: Awaited<ReturnType<typeof poolsByName>>,
  mayCost: boolean,
): Promise<FamilyRow> {
  const live = { in: ['active', 'withdrawing'] as ('active' | 'withdrawing')[] };
  const row = await unsafeDb().tenant.findUniqueOrThrow({
    where: { id },
    include: { enrollments: { where: { state: live }, include: { pools: true } } },
  });
  const { whole, promised, left } = await presentAllocation(id, pools);
  const month = mayCost ? await monthToDate({ tenant: { id } as CtxTenant }) : null;
  const { slug, displayName, kind, state } = row;
  const runners = row.enrollments.flatMap((each) => each.pools).reduce((sum, pool) => sum + pool.currentRunners, 0);
  return {
    slug,
    displayName,
    kind,
    state,
    depth,
    quota: { ...whole, runners: String(whole.runners) },
    promised: formatAmounts(promised),
    left: formatAmounts(left),
    enrollments: row.enrollments.length,
    runners,
    cost: month?.total ?? null,
    currency: month?.currency ?? 'USD',
  };
}

/** A tenant that others are below cannot go before them. */
export async function refuseParents(tx: UnsafeTx, tenantId: string): Promise<void> {
  const children = await tx.tenant.findMany({
    where: { parentId: tenantId, state: { not: 'left' } },
    select: { displayName: true },
  });
  if (children.length === 0) return;
  const names = children.map(({ displayName }) => displayName).join(', ');
  throw new AppError('conflict', {
    log: 'a tenant with tenants below it would leave',
    screen: {
      happened: `${names} ${children.length === 1 ? 'is' : 'are'} below this tenant.`,
      todo: 'They leave, or move, first.',
    },
  });
}
