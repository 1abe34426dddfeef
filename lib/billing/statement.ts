import type { Decimal } from 'decimal.js';
import { unsafeDb, type Prisma } from '#lib/db/index.ts';
import { gapsOf, meterWords, type Gap, type Meter } from '#lib/usage/index.ts';
import { Exact, sumOf, toCents } from './exact.ts';
import { exact, monthCosts, type MonthCost } from './month.ts';
import { boundsOf, monthsFrom, periodAt, type Period } from './period.ts';
import { shortfall, type ChargeLine } from './price.ts';

/*
 * The statement of a month: as it was closed, or as it would be. Each line is rounded to cents by itself and has a key that is
 * the same whenever it is computed, so that what comes late can be held against what was invoiced of it. Statements of many
 * tenants are asked for together: a question for each month, not for each tenant.
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

/** A tenant that is sent statements. */
export type StatementTenant = { id: string; slug: string; displayName: string; clusterId: string; leftAt: Date | null };

export const statementTenant = { id: true, slug: true, displayName: true, clusterId: true, leftAt: true } as const;

/** The statement of a month: as it was closed, or as it would be. */
export async function statementOf(tenant: StatementTenant, period: Period, now: Date): Promise<Statement> {
  const [statement] = await statementsFor([tenant], period, now);
  if (!statement) throw new Error(`no statement of ${tenant.slug}`);
  return statement;
}

/** Those of these tenants, in their order. */
export async function statementsFor(
  tenants: readonly StatementTenant[],
  period: Period,
  now: Date,
): Promise<Statement[]> {
  const { from, to } = boundsOf(period);
  const [closed, gaps] = await Promise.all([
    closedStatements(tenants, period),
    gapsOf(tenants, from, to < now ? to : now),
  ]);
  const open = tenants.filter(({ id }) => !closed.has(id));
  const drafts = await draftsOf(open, period, now);
  return tenants.flatMap((tenant) => {
    const found = closed.get(tenant.id) ?? drafts.get(tenant.id);
    return found ? [{ ...found, gaps: gaps.get(tenant.id) ?? [] }] : [];
  });
}

type WithoutGaps = Omit<Statement, 'gaps'>;

const named = ({ slug, displayName }: StatementTenant) => ({ slug, displayName });

async function draftsOf(
  tenants: readonly StatementTenant[],
  period: Period,
  now: Date,
): Promise<Map<string, WithoutGaps>> {
  if (tenants.length === 0) return new Map();
  const tenantIds = tenants.map(({ id }) => id);
  const [months, closed, first] = await Promise.all([
    monthCosts({ tenantIds, detail: 'pool', period }),
    closedPeriods(tenantIds, period),
    firstPeriods(tenantIds),
  ]);
  const byTenant = new Map(months.map((month) => [month.payer.id, month]));
  const late = await lateOf(closed, period);
  return new Map(
    tenants.flatMap((tenant) => {
      const month = byTenant.get(tenant.id);
      if (!month) return [];
      const past = late.get(tenant.id);
      const lines = [...linesOf(month), ...(past?.lines ?? [])];
      const before = monthsFrom(period, -1);
      const isFirst = (first.get(tenant.id) ?? period) > before;
      const isOpen = !isFirst && !closed.get(tenant.id)?.includes(before);
      const draft: WithoutGaps = {
        tenantId: tenant.id,
        tenant: named(tenant),
        period,
        currency: month.payer.currency,
        lines,
        closed: null,
        total: sumOf(lines.map((line) => line.contractedCost)),
        missing: [
          ...waitsFor(period, now),
          ...unpricedWords(month),
          ...(past?.missing ?? []),
          ...(isOpen ? [`${before} is not closed yet.`] : []),
        ],
      };
      return [[tenant.id, draft] as const];
    }),
  );
}

function waitsFor(period: Period, now: Date): string[] {
  const { to } = boundsOf(period);
  const until = new Date(to.getTime() + graceMs);
  if (now < to) return [`The month goes on until ${to.toISOString().slice(0, 10)}.`];
  if (now >= until) return [];
  return [`Readings that come late are waited for until ${until.toISOString().slice(0, 16).replace('T', ' ')} UTC.`];
}

function unpricedWords({ priced }: MonthCost, of = ''): string[] {
  return priced.unpriced.map(
    ({ pool, meter, quantity }) =>
      `${pool ?? meterWords[meter].label} has no price${of}: ${quantity.toFixed()} ${meterWords[meter].unit} cannot be charged.`,
  );
}

/** The closed months of each tenant before this one, the oldest first. */
export async function closedPeriods(tenantIds: readonly string[], before: Period): Promise<Map<string, Period[]>> {
  const rows = await unsafeDb().invoice.findMany({
    where: { tenantId: { in: [...tenantIds] }, period: { lt: before } },
    orderBy: { period: 'asc' },
    select: { tenantId: true, period: true },
  });
  const byTenant = Map.groupBy(rows, ({ tenantId }) => tenantId);
  return new Map([...byTenant].map(([id, own]) => [id, own.map(({ period }) => period)]));
}

/** The month of each tenant's first reading, or of the first that it agreed to pay for; those without either are not in it. */
export async function firstPeriods(tenantIds: readonly string[]): Promise<Map<string, Period>> {
  const rows = await unsafeDb().$queryRaw<{ id: string; at: Date | null }[]>`
    select tenant.id, least(used.hour, agreed.at) as at from tenant
    left join lateral (
      select hour from usage_hour where tenant_id = tenant.id and highest > 0 order by hour limit 1
    ) used on true
    left join lateral (
      select min(valid_from) as at from agreement where tenant_id = tenant.id and committed_amount > 0
    ) agreed on true
    where tenant.id = any(${[...tenantIds]}::uuid[])`;
  return new Map(rows.flatMap(({ id, at }) => (at === null ? [] : [[id, periodAt(at)] as const])));
}

// ------------------------------------------------------------------------------------------------ what came late

type Late = { lines: StatementLine[]; missing: string[] };

/** What was invoiced of a line, by the line's key: in its own month and by corrections since. */
type Invoiced = {
  listCost: Decimal;
  contractedCost: Decimal;
  description: string;
  meter: Meter | null;
  pool: string | null;
};

async function lateOf(closed: ReadonlyMap<string, Period[]>, period: Period): Promise<Map<string, Late>> {
  const looked = [...closed].flatMap(([tenantId, periods]) =>
    periods.slice(-correctedMonths).map((past) => ({ tenantId, past })),
  );
  const all = await Promise.all(
    [...Map.groupBy(looked, ({ past }) => past)]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(async ([past, of]) => {
        const tenantIds = of.map(({ tenantId }) => tenantId);
        const [months, invoiced] = await Promise.all([
          monthCosts({ tenantIds, detail: 'pool', period: past }),
          invoicedOf(tenantIds, past),
        ]);
        return months.map((month) => ({
          tenantId: month.payer.id ?? '',
          lines: correctionsOf(month, invoiced.get(month.payer.id ?? '') ?? new Map(), period),
          missing: unpricedWords(month, ` in ${past}`),
        }));
      }),
  );
  const byTenant = Map.groupBy(all.flat(), ({ tenantId }) => tenantId);
  return new Map(
    [...byTenant].map(([id, own]) => [
      id,
      { lines: own.flatMap(({ lines }) => lines), missing: own.flatMap(({ missing }) => missing) },
    ]),
  );
}

async function invoicedOf(tenantIds: readonly string[], past: Period): Promise<Map<string, Map<string, Invoiced>>> {
  const rows = await unsafeDb().invoiceLine.findMany({
    where: { tenantId: { in: [...tenantIds] }, period: past },
    orderBy: { key: 'asc' },
  });
  const byTenant = new Map<string, Map<string, Invoiced>>();
  for (const row of rows) {
    const own = byTenant.get(row.tenantId) ?? new Map<string, Invoiced>();
    byTenant.set(row.tenantId, own);
    const key = row.key.replace(/^[^/]+\/correction\//, '');
    const sum = own.get(key);
    own.set(key, {
      listCost: exact(row.listCost).plus(sum?.listCost ?? 0),
      contractedCost: exact(row.contractedCost).plus(sum?.contractedCost ?? 0),
      description: row.kind === 'correction' ? (sum?.description ?? row.description) : row.description,
      meter: row.meter as Meter | null,
      pool: row.poolName,
    });
  }
  return byTenant;
}

/** What a closed month would come to now, less what was invoiced of it. */
function correctionsOf(month: MonthCost, invoiced: ReadonlyMap<string, Invoiced>, period: Period): StatementLine[] {
  const past = month.period;
  const now = new Map(linesOf(month).map((line) => [line.key, line]));
  const keys = [...new Set([...now.keys(), ...invoiced.keys()])].toSorted();
  return keys.flatMap((key) => {
    const is = now.get(key);
    const was = invoiced.get(key);
    const listCost = (is?.listCost ?? new Exact(0)).minus(was?.listCost ?? 0);
    const contractedCost = (is?.contractedCost ?? new Exact(0)).minus(was?.contractedCost ?? 0);
    if (listCost.isZero() && contractedCost.isZero()) return [];
    const what = (is?.description ?? was?.description ?? '').replace(/^Correction of \S+: /, '');
    return [
      {
        ...plain,
        meter: is?.meter ?? was?.meter ?? null,
        pool: is?.pool ?? was?.pool ?? null,
        rateId: is?.rateId ?? null,
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

// ------------------------------------------------------------------------------------------------ as it was closed

async function closedStatements(
  tenants: readonly StatementTenant[],
  period: Period,
): Promise<Map<string, WithoutGaps>> {
  const byId = new Map(tenants.map((tenant) => [tenant.id, tenant]));
  const invoices = await unsafeDb().invoice.findMany({
    where: { tenantId: { in: [...byId.keys()] }, period },
    include: { lines: { orderBy: { position: 'asc' } } },
  });
  return new Map(
    invoices.flatMap((invoice) => {
      const tenant = byId.get(invoice.tenantId);
      return tenant ? [[tenant.id, closedStatement(tenant, invoice)] as const] : [];
    }),
  );
}

type InvoiceRow = Prisma.InvoiceGetPayload<{ include: { lines: true } }>;

function closedStatement(tenant: StatementTenant, invoice: InvoiceRow): WithoutGaps {
  return {
    tenantId: tenant.id,
    tenant: named(tenant),
    period: invoice.period,
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
