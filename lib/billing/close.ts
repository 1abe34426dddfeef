import type { Decimal } from 'decimal.js';
import { z } from 'zod';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { actorName, appendAudit, appendSystemAudit, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { gapsBetween, meterWords, type Gap, type Meter } from '#lib/usage/index.ts';
import { Exact, sumOf, toCents } from './exact.ts';
import { exact, monthCosts, type MonthCost } from './month.ts';
import { boundsOf, monthsFrom, Period, periodAt } from './period.ts';
import { shortfall, type ChargeLine } from './price.ts';

/*
 * Closing: a month's charges become the lines of an invoice, once. Each line is rounded to cents by itself and has a key that
 * is the same whenever it is computed, so that what comes late can be held against what was invoiced of it.
 */

export type LineKind = 'usage' | 'commitment' | 'correction';

export type StatementLine = {
  key: string;
  kind: LineKind;
  description: string;
  /** The month that it is of. */
  period: Period;
  meter: Meter | null;
  pool: string | null;
  rateId: string | null;
  quantity: Decimal | null;
  unit: string | null;
  unitPrice: Decimal | null;
  listCost: Decimal;
  contractedCost: Decimal;
};

export type Statement = {
  tenantId: string;
  tenant: { slug: string; displayName: string };
  period: Period;
  currency: string;
  lines: StatementLine[];
  total: Decimal;
  /** Null while it is a draft. */
  closed: { number: string; at: string; by: string } | null;
  /** Why it cannot be closed yet. */
  missing: string[];
  /** When nobody looked: what began and ended then is not in it. */
  gaps: Gap[];
};

/** Readings come late, and are waited for this long. */
export const graceMs = 48 * 3600_000;
/** A closed month is looked at for what came late for as long as this. */
const correctedMonths = 12;

function usageLine({ key, rate, quantity, listCost, contractedCost }: ChargeLine, period: Period): StatementLine {
  const words = meterWords[rate.meter];
  return {
    key,
    kind: 'usage',
    period,
    meter: rate.meter,
    pool: rate.pool,
    rateId: rate.id,
    quantity,
    unitPrice: rate.unitPrice,
    unit: words.unit,
    description: rate.pool === null ? words.label : `${words.label} in the pool ${rate.pool}`,
    listCost: toCents(listCost),
    contractedCost: toCents(contractedCost),
  };
}

const plain = { meter: null, pool: null, rateId: null, quantity: null, unit: null, unitPrice: null };

/** What a month's use comes to, as lines. */
function linesOf({ period, priced, terms }: MonthCost): StatementLine[] {
  const usage = priced.charges.map((charge) => usageLine(charge, period));
  const missing = shortfall(sumOf(usage.map((line) => line.contractedCost)), terms);
  if (missing.isZero()) return usage;
  const description = `Up to the committed ${terms.committedAmount.toFixed(2)} a month`;
  const cost = { listCost: toCents(missing), contractedCost: toCents(missing) };
  return [...usage, { ...plain, ...cost, key: `${period}/commitment`, kind: 'commitment', description, period }];
}

type Invoiced = Map<
  string,
  { listCost: Decimal; contractedCost: Decimal; description: string; meter: string | null; pool: string | null }
>;

/** What was invoiced of a month, by the key of what it is of: its own lines and the corrections to them. */
async function invoicedOf(tenantId: string, period: Period): Promise<Invoiced> {
  const rows = await unsafeDb().invoiceLine.findMany({ where: { tenantId, period }, orderBy: { key: 'asc' } });
  const sums: Invoiced = new Map();
  for (const row of rows) {
    const key = row.key.replace(/^[^/]+\/correction\//, '');
    const sum = sums.get(key);
    sums.set(key, {
      listCost: exact(row.listCost).plus(sum?.listCost ?? 0),
      contractedCost: exact(row.contractedCost).plus(sum?.contractedCost ?? 0),
      description: row.kind === 'correction' ? (sum?.description ?? row.description) : row.description,
      meter: row.meter,
      pool: row.poolName,
    });
  }
  return sums;
}

/** What a closed month would come to now, less what was invoiced of it. */
async function correctionsOf(tenantId: string, past: Period, period: Period): Promise<StatementLine[]> {
  const [[month], invoiced] = await Promise.all([
    monthCosts({ tenantIds: [tenantId], detail: 'pool', period: past }),
    invoicedOf(tenantId, past),
  ]);
  const now = new Map((month ? linesOf(month) : []).map((line) => [line.key, line]));
  const keys = [...new Set([...now.keys(), ...invoiced.keys()])].toSorted();
  return keys.flatMap((key) => {
    const is = now.get(key);
    const was = invoiced.get(key);
    const listCost = (is?.listCost ?? new Exact(0)).minus(was?.listCost ?? 0);
    const contractedCost = (is?.contractedCost ?? new Exact(0)).minus(was?.contractedCost ?? 0);
    if (listCost.isZero() && contractedCost.isZero()) return [];
    const what = (is?.description ?? was?.description ?? '').replace(/^Correction of \S+: /, '');
    const [meter, pool, rateId] = [
      is?.meter ?? (was?.meter as Meter | null),
      is?.pool ?? was?.pool ?? null,
      is?.rateId ?? null,
    ];
    return [
      {
        ...plain,
        meter: meter ?? null,
        pool,
        rateId,
        period: past,
        listCost,
        contractedCost,
        key: `${period}/correction/${key}`,
        kind: 'correction' as const,
        description: `Correction of ${past}: ${what}`,
      },
    ];
  });
}

type Payer = { id: string; slug: string; displayName: string; clusterId: string };

/** The statement of a month: as it was closed, or as it would be. `known` is what it costs, where that was asked already. */
export async function statementOf(tenant: Payer, period: Period, now: Date, known?: MonthCost): Promise<Statement> {
  const { from, to } = boundsOf(period);
  const gaps = await gapsBetween([tenant.clusterId], from, to < now ? to : now);
  const closed = await closedStatement(tenant, period);
  if (closed) return { ...closed, gaps };
  const [[month], past] = await Promise.all([
    known ? [known] : monthCosts({ tenantIds: [tenant.id], detail: 'pool', period }),
    closedPeriods(tenant.id, period),
  ]);
  if (!month) throw notFound('This tenant');
  const corrections = await Promise.all(
    past.slice(-correctedMonths).map((each) => correctionsOf(tenant.id, each, period)),
  );
  const lines = [...linesOf(month), ...corrections.flat()];
  return {
    tenantId: tenant.id,
    tenant: named(tenant),
    period,
    currency: month.payer.currency,
    lines,
    gaps,
    closed: null,
    total: sumOf(lines.map((line) => line.contractedCost)),
    missing: await missingOf(tenant.id, month, now),
  };
}

const named = ({ slug, displayName }: Payer) => ({ slug, displayName });

async function closedPeriods(tenantId: string, before: Period): Promise<Period[]> {
  const where = { tenantId, period: { lt: before } };
  const rows = await unsafeDb().invoice.findMany({ where, orderBy: { period: 'asc' }, select: { period: true } });
  return rows.map((row) => row.period);
}

async function missingOf(tenantId: string, { period, priced }: MonthCost, now: Date): Promise<string[]> {
  const { to } = boundsOf(period);
  const until = new Date(to.getTime() + graceMs);
  const missing: string[] = [];
  if (now < to) missing.push(`The month goes on until ${to.toISOString().slice(0, 10)}.`);
  else if (now < until)
    missing.push(
      `Readings that come late are waited for until ${until.toISOString().slice(0, 16).replace('T', ' ')} UTC.`,
    );
  for (const { pool, meter, quantity } of priced.unpriced)
    missing.push(
      `${pool ?? meterWords[meter].label} has no price: ${quantity.toFixed()} ${meterWords[meter].unit} cannot be charged.`,
    );
  const first = await firstPeriod(tenantId);
  const before = monthsFrom(period, -1);
  if (
    first !== null &&
    first <= before &&
    !(await unsafeDb().invoice.findFirst({ where: { tenantId, period: before } }))
  )
    missing.push(`${before} is not closed yet.`);
  return missing;
}

/** The month of a tenant's first reading; null before there is one. */
async function firstPeriod(tenantId: string): Promise<Period | null> {
  const first = await unsafeDb().usageHour.findFirst({
    where: { tenantId, highest: { gt: 0 } },
    orderBy: { hour: 'asc' },
    select: { hour: true },
  });
  return first && periodAt(first.hour);
}

async function closedStatement(tenant: Payer, period: Period): Promise<Omit<Statement, 'gaps'> | null> {
  const invoice = await unsafeDb().invoice.findUnique({
    where: { tenantId_period: { tenantId: tenant.id, period } },
    include: { lines: { orderBy: { position: 'asc' } } },
  });
  if (!invoice) return null;
  return {
    tenantId: tenant.id,
    tenant: named(tenant),
    period,
    currency: invoice.currency,
    total: exact(invoice.total),
    missing: [],
    closed: {
      number: invoice.number,
      at: invoice.closedAt.toISOString(),
      by: invoice.closedBy,
    },
    lines: invoice.lines.map((row) => ({
      key: row.key,
      kind: row.kind as LineKind,
      description: row.description,
      period: row.period,
      meter: row.meter as Meter | null,
      pool: row.poolName,
      rateId: row.rateId,
      quantity: row.quantity === null ? null : exact(row.quantity),
      unit: row.quantity === null || row.meter === null ? null : meterWords[row.meter as Meter].unit,
      unitPrice: row.unitPrice === null ? null : exact(row.unitPrice),
      listCost: exact(row.listCost),
      contractedCost: exact(row.contractedCost),
    })),
  };
}

/** Closes a month of a tenant. A month that is closed stays as it is; one that lacks something stays a draft, and says what. */
export async function closeMonth(by: PersonCtx | null, tenant: Payer, period: Period, now: Date): Promise<Statement> {
  const draft = await statementOf(tenant, period, now);
  if (draft.closed) return draft;
  if (draft.missing.length > 0)
    throw new AppError('conflict', {
      log: `${tenant.slug} ${period} cannot be closed`,
      screen: { happened: `This month cannot be closed yet. ${draft.missing.join(' ')}` },
    });
  await unsafeTransaction(async (tx) => {
    const tenantId = tenant.id;
    const invoice = {
      tenantId,
      period,
      number: `${period}-${tenant.slug}`,
      currency: draft.currency,
      total: draft.total.toFixed(),
      closedAt: now,
      closedBy: by ? actorName(by) : 'portal',
    };
    const { count } = await tx.invoice.createMany({ data: [invoice], skipDuplicates: true });
    // Somebody else closed it at the same time: theirs is it.
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
  return statementOf(tenant, period, now);
}

const payerFields = { id: true, slug: true, displayName: true, clusterId: true } as const;

/** Closes every month that is over and lacks nothing, the oldest of each tenant first. */
export async function closeDue(now: Date): Promise<number> {
  const tenants = await unsafeDb().tenant.findMany({ select: payerFields, orderBy: { slug: 'asc' } });
  let closed = 0;
  for (const tenant of tenants) {
    const first = await firstPeriod(tenant.id);
    if (first === null) continue;
    const done = new Set(await closedPeriods(tenant.id, periodAt(now)));
    for (let period = first; period < periodAt(now); period = monthsFrom(period, 1)) {
      if (done.has(period)) continue;
      if ((await statementOf(tenant, period, now)).missing.length > 0) break;
      await closeMonth(null, tenant, period, now);
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

export async function payerBySlug(slug: string): Promise<Payer> {
  const tenant = await unsafeDb().tenant.findUnique({ where: { slug }, select: payerFields });
  if (!tenant) throw notFound('This tenant');
  return tenant;
}

const atOnce = 8;

/** All tenants with what a month comes to, for an operator who closes it. */
export async function statementsOf(period: Period, now: Date): Promise<Statement[]> {
  const tenants = await unsafeDb().tenant.findMany({ select: payerFields, orderBy: { slug: 'asc' } });
  // The use of all of them is one question; the rest is asked for a few at a time.
  const months = await monthCosts({ tenantIds: null, detail: 'pool', period });
  const byTenant = new Map(months.map((month) => [month.payer.id, month]));
  const all: Statement[] = [];
  for (let start = 0; start < tenants.length; start += atOnce) {
    const some = tenants.slice(start, start + atOnce);
    all.push(...(await Promise.all(some.map((tenant) => statementOf(tenant, period, now, byTenant.get(tenant.id))))));
  }
  return all.filter(({ lines, closed }) => lines.length > 0 || closed !== null);
}
