import { Decimal } from 'decimal.js';
import { z } from 'zod';
import { unsafeDb } from '#lib/db/index.ts';
import { poolSeconds, useLines, type Meter, type UseLine, type UseQuery } from '#lib/usage/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { attribute, billable, type Attributed, type IdleRule, type IdleRules } from './attribute.ts';
import { Exact, sumOf } from './exact.ts';
import { boundsOf, periodAt, type Period } from './period.ts';
import { priceOf, shortfall, type Priced, type RateValue, type Terms } from './price.ts';

export const Tiers = z.array(z.strictObject({ from: z.string(), unitPrice: z.string() })).max(10);

export function exact(value: { toString(): string }): Decimal {
  return new Exact(value.toString());
}

export async function allRates(): Promise<RateValue[]> {
  const rows = await unsafeDb().rate.findMany({ orderBy: [{ validFrom: 'asc' }, { id: 'asc' }] });
  return rows.map((row) => ({
    id: row.id,
    meter: row.meter as Meter,
    pool: row.poolName,
    currency: row.currency,
    unitPrice: exact(row.unitPrice),
    tiers: Tiers.parse(row.tiers ?? []).map((tier) => ({ from: exact(tier.from), unitPrice: exact(tier.unitPrice) })),
    validFrom: row.validFrom,
    validTo: row.validTo,
  }));
}

/** The prices in a tenant's currency; without a tenant those in dollars, or in whatever the first is in. */
export async function ratesOf(tenantId: string | null): Promise<{ currency: string; rates: RateValue[] }> {
  const [rates, tenant] = await Promise.all([
    allRates(),
    tenantId === null
      ? null
      : unsafeDb().tenant.findUniqueOrThrow({
          where: { id: tenantId },
          select: { billingAccount: { select: { currency: true } } },
        }),
  ]);
  const [first] = rates;
  const usual = rates.some((rate) => rate.currency === nobody.currency) ? null : first?.currency;
  const currency = tenant?.billingAccount.currency ?? usual ?? nobody.currency;
  return { currency, rates: rates.filter((rate) => rate.currency === currency) };
}

/** The rules that hold in a month: the newest of each pool that had begun when it did. */
export async function idleRulesAt(at: Date): Promise<IdleRules> {
  const rows = await unsafeDb().costRule.findMany({ where: { validFrom: { lte: at } }, orderBy: { validFrom: 'asc' } });
  return new Map(rows.map(({ poolName, idle }) => [poolName, idle as IdleRule]));
}

const noTerms: Terms = { discountPercent: new Decimal(0), committedAmount: new Decimal(0) };

/** The agreement of each tenant that holds in a month: the newest that had begun when it did. */
async function termsAt(at: Date): Promise<Map<string, Terms>> {
  const rows = await unsafeDb().agreement.findMany({
    where: { validFrom: { lte: at } },
    orderBy: { validFrom: 'asc' },
  });
  return new Map(
    rows.map((row) => [
      row.tenantId,
      { discountPercent: exact(row.discountPercent), committedAmount: exact(row.committedAmount) },
    ]),
  );
}

/** Whose cost it is; with a null id what could be attributed to no tenant. */
export type Payer = {
  id: string | null;
  slug: string;
  displayName: string;
  currency: string;
  parentId: string | null;
  leftAt: Date | null;
};

export type MonthCost = {
  payer: Payer;
  period: Period;
  uses: UseLine[];
  /** Idle time that the operator bears. */
  byOperator: UseLine[];
  priced: Priced;
  attributed: Attributed[];
  listCost: Decimal;
  contractedCost: Decimal;
  /** What is owed beside it, to come to what was agreed on. */
  commitment: Decimal;
  terms: Terms;
};

const nobody: Payer = {
  id: null,
  slug: '',
  displayName: 'No tenant',
  currency: 'USD',
  parentId: null,
  leftAt: null,
};

/** The tenants of these ids, or all. */
async function payersOf(tenantIds: readonly string[] | null): Promise<Payer[]> {
  const rows = await unsafeDb().tenant.findMany({
    where: tenantIds === null ? {} : { id: { in: [...tenantIds] } },
    orderBy: { slug: 'asc' },
    select: {
      id: true,
      slug: true,
      displayName: true,
      parentId: true,
      leftAt: true,
      billingAccount: { select: { currency: true } },
    },
  });
  return rows.map(({ billingAccount, ...row }) => ({ ...row, currency: billingAccount.currency }));
}

export type MonthQuery = Pick<UseQuery, 'tenantIds' | 'detail'> & {
  period: Period;
  bucket?: 'hour' | 'day';
  /** Where less than the month counts: to here, a whole hour, or from there on. */
  from?: Date;
  to?: Date;
  /** Other rates than those in force: a preview. */
  rates?: readonly RateValue[];
};

/**
 * What a month cost each of these tenants: a page, a budget, a close and an export ask the same, and differ only in window and
 * in being kept. With null also what belongs to no tenant.
 */
export async function monthCosts(query: MonthQuery): Promise<MonthCost[]> {
  const { from, to } = boundsOf(query.period);
  const window = { from: query.from ?? from, to: query.to ?? to };
  const [payers, uses, rates, rules, terms] = await Promise.all([
    payersOf(query.tenantIds),
    useLines({ tenantIds: query.tenantIds, ...window, bucket: query.bucket ?? 'day', detail: query.detail }),
    query.rates ?? allRates(),
    idleRulesAt(from),
    termsAt(from),
  ]);
  const byTenant = Map.groupBy(uses, ({ tenantId }) => tenantId);
  const all = byTenant.has(null) ? [...payers, nobody] : payers;
  return all.map((payer) => {
    // Who left before it began owes nothing for having agreed.
    const hasLeft = payer.leftAt !== null && payer.leftAt < from;
    const own = (hasLeft ? null : terms.get(payer.id ?? '')) ?? noTerms;
    return costOf(payer, query.period, byTenant.get(payer.id) ?? [], { rates, rules, terms: own });
  });
}

type Known = { rates: readonly RateValue[]; rules: IdleRules; terms: Terms };

export function costOf(payer: Payer, period: Period, uses: UseLine[], { rates, rules, terms }: Known): MonthCost {
  const { billed, byOperator } = billable(uses, rules);
  const own = rates.filter(({ currency }) => currency === payer.currency);
  const priced = priceOf(period, billed, own, terms);
  const contractedCost = sumOf(priced.charges.map((charge) => charge.contractedCost));
  return {
    payer,
    period,
    uses: billed,
    byOperator,
    priced,
    attributed: attribute(priced.costs, rules),
    listCost: sumOf(priced.charges.map((charge) => charge.listCost)),
    contractedCost,
    commitment: shortfall(contractedCost, terms),
    terms,
  };
}

export type MonthToDate = {
  currency: string;
  /** Since when, as an ISO instant: months begin at midnight UTC. */
  from: string;
  total: string;
  byPool: { pool: string; runnerSeconds: string; runners: number; cost: string | null }[];
};

/** What a tenant's runners and caches have cost since the month began, by pool. */
export async function monthToDate(ctx: Pick<Ctx, 'tenant'>, now = new Date()): Promise<MonthToDate> {
  const period = periodAt(now);
  const { from } = boundsOf(period);
  // What was read this very instant counts.
  const to = new Date(now.getTime() + 1);
  const [month, pools] = await Promise.all([
    monthCosts({ tenantIds: [ctx.tenant.id], detail: 'pool', period, to }).then(([first]) => first),
    poolSeconds(ctx.tenant.id, from, to),
  ]);
  const costs = Map.groupBy(month?.priced.costs ?? [], ({ use }) => use.pool ?? '');
  return {
    currency: month?.payer.currency ?? 'USD',
    from: from.toISOString(),
    total: (month?.contractedCost ?? new Exact(0)).toFixed(),
    byPool: pools.map(({ pool, runnerSeconds, runners }) => ({
      pool,
      runnerSeconds: runnerSeconds.toFixed(),
      runners,
      cost: costs.has(pool) ? sumOf((costs.get(pool) ?? []).map((each) => each.contractedCost)).toFixed() : null,
    })),
  };
}

/** Each of these tenants with all below it: teams of an organization, organizations of an enterprise. */
export async function familiesOf(tenantIds: readonly string[]): Promise<Map<string, string[]>> {
  const rows = await unsafeDb().$queryRaw<{ of: string; id: string }[]>`
    with recursive below as (
      select id as of, id from tenant where id = any(${[...tenantIds]}::uuid[])
      union select b.of, t.id from tenant t join below b on t.parent_id = b.id
    ) select of, id from below`;
  return new Map([...Map.groupBy(rows, ({ of }) => of)].map(([of, all]) => [of, all.map(({ id }) => id)]));
}

export async function familyOf(tenantId: string): Promise<string[]> {
  return (await familiesOf([tenantId])).get(tenantId) ?? [];
}
