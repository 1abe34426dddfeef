import { createHash } from 'node:crypto';
import { z } from 'zod';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { actorName, appendAudit, appendSystemAudit, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { monthsFrom, Period, periodAt } from './period.ts';
import {
  closedPeriods,
  firstPeriods,
  graceMs,
  statementOf,
  statementsFor,
  statementTenant,
  type Statement,
  type StatementTenant,
} from './statement.ts';

/* Closing: a month's charges become the lines of an invoice, once. */

/** Closes a month of a tenant. A month that is closed stays as it is; one that lacks something stays a draft, and says what. */
export async function closeMonth(
  by: PersonCtx,
  tenant: StatementTenant,
  period: Period,
  now: Date,
): Promise<Statement> {
  const draft = await statementOf(tenant, period, now);
  if (draft.closed) return draft;
  if (draft.missing.length > 0)
    throw new AppError('conflict', {
      log: `${tenant.slug} ${period} cannot be closed`,
      screen: { happened: `This month cannot be closed yet. ${draft.missing.join(' ')}` },
    });
  await keepClosed(by, draft, now);
  return statementOf(tenant, period, now);
}

/**
 * The end of a number: a month that is closed once more, after the database was restored from before it was, has the same one
 * if it comes to the same, and no statement that went out is ever followed by another under its number.
 */
function contentMark({ currency, total, lines }: Statement): string {
  const content = [
    currency,
    total.toFixed(),
    ...lines.map(({ key, contractedCost }) => [key, contractedCost.toFixed()]),
  ];
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 8);
}

/** Where somebody else closes it at the same time, theirs is it. Null is the portal itself. */
async function keepClosed(by: PersonCtx | null, draft: Statement, now: Date): Promise<void> {
  const { tenantId, period } = draft;
  await unsafeTransaction(async (tx) => {
    const invoice = {
      tenantId,
      period,
      number: `${period}-${draft.tenant.slug}-${contentMark(draft)}`,
      currency: draft.currency,
      total: draft.total.toFixed(),
      closedAt: now,
      closedBy: by ? actorName(by) : 'portal',
    };
    const { count } = await tx.invoice.createMany({ data: [invoice], skipDuplicates: true });
    if (count === 0) return;
    const { id: invoiceId } = await tx.invoice.findUniqueOrThrow({ where: { tenantId_period: { tenantId, period } } });
    await tx.invoiceLine.createMany({
      data: draft.lines.map(({ pool, quantity, unit: _, unitPrice, listCost, contractedCost, ...line }, position) => ({
        ...line,
        invoiceId,
        tenantId,
        position,
        poolName: pool,
        quantity: quantity?.toDecimalPlaces(6).toFixed() ?? null,
        unitPrice: unitPrice?.toFixed() ?? null,
        listCost: listCost.toFixed(),
        contractedCost: contractedCost.toFixed(),
      })),
    });
    const entry = { action: 'invoice:close', target: `invoice/${invoice.number}`, after: { total: invoice.total } };
    await (by ? appendAudit(tx, by, tenantId, entry) : appendSystemAudit(tx, tenantId, entry));
  });
}

async function allTenants(): Promise<StatementTenant[]> {
  return unsafeDb().tenant.findMany({ select: statementTenant, orderBy: { slug: 'asc' } });
}

/** Whether a tenant has a statement of a month: from its first on, and to the one after it left, for what came late. */
function hasMonth({ leftAt }: StatementTenant, first: Period | undefined, period: Period): boolean {
  return first !== undefined && first <= period && (leftAt === null || period <= monthsFrom(periodAt(leftAt), 1));
}

/** Closes every month that is over and lacks nothing, the oldest first. One of a tenant that lacks something holds up its next. */
export async function closeDue(now: Date): Promise<number> {
  const tenants = await allTenants();
  const ids = tenants.map(({ id }) => id);
  const last = monthsFrom(periodAt(new Date(now.getTime() - graceMs)), -1);
  const [first, done] = await Promise.all([firstPeriods(ids), closedPeriods(ids, monthsFrom(last, 1))]);
  const stuck = new Set<string>();
  let closed = 0;
  const [begin] = [...first.values()].toSorted();
  for (let period = begin ?? monthsFrom(last, 1); period <= last; period = monthsFrom(period, 1)) {
    const due = tenants.filter(
      (each) =>
        hasMonth(each, first.get(each.id), period) && !stuck.has(each.id) && !done.get(each.id)?.includes(period),
    );
    if (due.length === 0) continue;
    for (const draft of await statementsFor(due, period, now)) {
      if (draft.closed) continue;
      if (draft.missing.length > 0) {
        stuck.add(draft.tenantId);
        continue;
      }
      await keepClosed(null, draft, now);
      closed += 1;
    }
  }
  return closed;
}

export type StatementRow = {
  tenant: string;
  slug: string;
  period: Period;
  number: string;
  currency: string;
  total: string;
  closedAt: string;
};

/** The closed months of a tenant, the newest first. */
export async function listStatements(ctx: Pick<Ctx, 'db' | 'tenant'>): Promise<StatementRow[]> {
  const rows = await ctx.db.invoice.findMany({ orderBy: { period: 'desc' } });
  return rows.map(({ period, number, currency, total, closedAt }) => ({
    tenant: ctx.tenant.displayName,
    slug: ctx.tenant.slug,
    period,
    number,
    currency,
    total: total.toString(),
    closedAt: closedAt.toISOString(),
  }));
}

export const CloseInput = z.strictObject({ tenant: TenantSlug, period: Period });

export async function payerBySlug(slug: string): Promise<StatementTenant> {
  const tenant = await unsafeDb().tenant.findUnique({ where: { slug }, select: statementTenant });
  if (!tenant) throw notFound('This tenant');
  return tenant;
}

/** All tenants with what a month comes to, for an operator who closes it. */
export async function statementsOf(period: Period, now: Date): Promise<Statement[]> {
  const all = await statementsFor(await allTenants(), period, now);
  return all.filter(({ lines, closed }) => lines.length > 0 || closed !== null);
}
