import { isDeepStrictEqual } from 'node:util';
import type { Decimal } from 'decimal.js';
import { z } from 'zod';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { PoolName, TenantSlug } from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { meterNames, meterWords, poolMeters, type Meter } from '#lib/usage/index.ts';
import { idleRules } from './attribute.ts';
import { Exact, sumOf } from './exact.ts';
import { Amount, Currency, Percent, UnitPrice } from './money-input.ts';
import { allRates, exact, monthCosts, Tiers } from './month.ts';
import { boundsOf, monthsFrom, Period, periodAt } from './period.ts';
import { isFree, isOfRunners, type RateValue } from './price.ts';

/* Rate cards: prices, agreements and rules. None of them changes what something cost, so that no closed month changes. */

const optionalText = z.string().trim().optional().default('');

/** A price as an operator types it; tiers as lines of `from price`. */
export const RateInput = z.strictObject({
  meter: z.enum(meterNames as [Meter, ...Meter[]]),
  pool: z.union([z.literal(''), PoolName]).default(''),
  currency: Currency.default('USD'),
  unitPrice: UnitPrice,
  tiers: optionalText,
  validFrom: z.iso.date(),
});
export type RateInput = z.infer<typeof RateInput>;

const tierLine = /^(\d{1,15}(?:\.\d{1,6})?)\s+(\d{1,8}(?:\.\d{1,12})?)$/;

function tiersOf(text: string): z.infer<typeof Tiers> {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const tiers = lines.filter(Boolean).map((line) => {
    const [, from, unitPrice] = tierLine.exec(line) ?? [];
    if (!from || !unitPrice)
      throw invalidFields({ tiers: 'Each line is a quantity and a price, such as 1000000 0.00002.' });
    return { from, unitPrice };
  });
  const isRising = tiers.every(({ from }, index) => new Exact(from).gt(tiers[index - 1]?.from ?? 0));
  if (!isRising || tiers.length > 10)
    throw invalidFields({ tiers: 'The quantities rise from line to line; ten at most.' });
  return tiers;
}

async function rateOf(input: RateInput, db: Pick<UnsafeTx, 'pool'> = unsafeDb()): Promise<RateValue> {
  const isOfPools = poolMeters.includes(input.meter);
  if (!isOfPools && input.pool !== '') throw invalidFields({ pool: 'This is not measured by pool.' });
  if (input.pool !== '' && !(await db.pool.findUnique({ where: { name: input.pool } })))
    throw invalidFields({ pool: 'There is no such pool.' });
  const tiers = tiersOf(input.tiers).map((tier) => ({ from: exact(tier.from), unitPrice: exact(tier.unitPrice) }));
  const pool = input.pool === '' ? null : input.pool;
  const { meter, currency } = input;
  return {
    id: 'new',
    meter,
    pool,
    currency,
    unitPrice: exact(input.unitPrice),
    tiers,
    validFrom: new Date(input.validFrom),
    validTo: null,
  };
}

/** Midnight UTC of the next day: the earliest that a price may begin. */
function nextDay(now: Date): Date {
  return new Date(Math.floor(now.getTime() / 86_400_000 + 1) * 86_400_000);
}

export type RatePreview = {
  period: string;
  rows: { tenant: string; currency: string; before: string; after: string; difference: string }[];
  total: { before: string; after: string; difference: string };
};

/** What last month would have cost each tenant if this price had been in force in it. Keeps nothing. */
export async function previewRate(input: RateInput, now: Date): Promise<RatePreview> {
  const rate = await rateOf(input);
  const period = monthsFrom(periodAt(now), -1);
  const rates = await allRates();
  const query = { tenantIds: null, detail: 'pool', period } as const;
  const { from } = boundsOf(period);
  const isReplaced = (other: RateValue) =>
    other.meter === rate.meter &&
    other.pool === rate.pool &&
    other.currency === rate.currency &&
    other.validFrom >= from;
  const changed = [...rates.filter((other) => !isReplaced(other)), { ...rate, validFrom: from }];
  const [before, after] = await Promise.all([
    monthCosts({ ...query, rates }),
    monthCosts({ ...query, rates: changed }),
  ]);
  const pairs = before
    .map((month, index) => ({ month, next: after[index] ?? month }))
    .filter(({ month }) => month.uses.length > 0 && month.payer.currency === rate.currency);
  const shown = (was: Decimal, is: Decimal) => ({
    before: was.toFixed(),
    after: is.toFixed(),
    difference: is.minus(was).toFixed(),
  });
  return {
    period,
    rows: pairs.map(({ month, next }) => ({
      tenant: month.payer.displayName,
      currency: month.payer.currency,
      ...shown(month.contractedCost, next.contractedCost),
    })),
    total: shown(
      sumOf(pairs.map(({ month }) => month.contractedCost)),
      sumOf(pairs.map(({ next }) => next.contractedCost)),
    ),
  };
}

/** Whether two prices could be of the same use. A pool has its price by any of what its runners take. */
function isRival(one: RateValue, other: RateValue): boolean {
  const isSame = one.meter === other.meter || (isOfRunners(one.meter) && isOfRunners(other.meter));
  return isSame && one.currency === other.currency && (one.pool === other.pool || !one.pool || !other.pool);
}

/**
 * Until when a price that begins in the past holds: to the first that had begun by now for the same; null is on and on. What
 * had a price keeps it: refused where there was one, and for what is measured for comparison and may be closed without one.
 */
function endInPast(rate: RateValue, rates: readonly RateValue[], now: Date): Date | null {
  const tomorrow = nextDay(now);
  const begun = rates.filter((other) => other.validFrom < tomorrow && isRival(rate, other));
  const isTaken = begun.some((other) => other.validFrom <= rate.validFrom && (other.validTo ?? now) > rate.validFrom);
  if (isTaken || isFree(rate.meter))
    throw invalidFields({
      validFrom: `A price of what has one, or needs none, begins tomorrow at the earliest, ${tomorrow.toISOString().slice(0, 10)}.`,
    });
  const later = begun.filter((other) => other.validFrom > rate.validFrom).map((other) => other.validFrom.getTime());
  return later.length === 0 ? null : new Date(Math.min(...later));
}

/** A price from a day to come: what has run costs what it cost. What had no price may get one from a day that is past. */
export async function addRate(by: PersonCtx, input: RateInput, now: Date): Promise<void> {
  const rate = await rateOf(input);
  const data = await rowOf(rate, now);
  const { meter, pool } = rate;
  await unsafeTransaction(async (tx) => {
    const { count } = await tx.rate.createMany({ data: [data], skipDuplicates: true });
    if (count === 0) throw invalidFields({ validFrom: 'There is a price from this day on already.' });
    await appendAudit(tx, by, null, { action: 'rate:add', target: `rate/${meter}/${pool ?? 'any'}`, after: data });
  });
}

async function rowOf(rate: RateValue, now: Date) {
  const { meter, pool: poolName, currency, unitPrice, tiers, validFrom } = rate;
  const validTo = validFrom < nextDay(now) ? endInPast(rate, await allRates(), now) : null;
  return { meter, currency, validFrom, validTo, poolName, ...pricesOf({ unitPrice, tiers }) };
}

function pricesOf({ unitPrice, tiers }: Pick<RateValue, 'unitPrice' | 'tiers'>) {
  const each = tiers.map((tier) => ({ from: tier.from.toFixed(), unitPrice: tier.unitPrice.toFixed() }));
  return { unitPrice: unitPrice.toFixed(), tiers: each };
}

/**
 * A price of a card that is entered whole: by the rules of one that is typed, but for the others of the same card, which none of them
 * came before. Says what was added; null where it is there already. Whoever calls it writes it into the audit.
 */
export async function enterRate(tx: UnsafeTx, input: RateInput, now: Date) {
  const rate = await rateOf(input, tx);
  const { meter, pool: poolName, currency, validFrom } = rate;
  const found = await tx.rate.findFirst({ where: { meter, poolName, currency, validFrom } });
  if (!found) {
    const data = await rowOf(rate, now);
    await tx.rate.create({ data });
    return { before: null, after: data };
  }
  const tiers = Tiers.parse(found.tiers ?? []).map((tier) => ({
    from: exact(tier.from),
    unitPrice: exact(tier.unitPrice),
  }));
  const kept = pricesOf({ unitPrice: exact(found.unitPrice), tiers });
  if (isDeepStrictEqual(kept, pricesOf(rate))) return null;
  throw invalidFields({
    validFrom: `There is a price from this day on already, and it is another (${kept.unitPrice}). Enter one that follows it.`,
  });
}

export const RateId = z.strictObject({ rateId: z.uuid() });

/** Takes back a price that is not in force yet. */
export async function withdrawRate(by: PersonCtx, { rateId }: z.infer<typeof RateId>, now: Date): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const rate = await tx.rate.findUnique({ where: { id: rateId } });
    if (!rate) throw notFound('This price');
    const { count } = await tx.rate.deleteMany({ where: { id: rateId, validFrom: { gt: now } } });
    if (count === 0)
      throw new AppError('conflict', {
        log: `rate ${rateId} is in force`,
        screen: { happened: 'This price is in force already.', todo: 'Enter another that follows it.' },
      });
    await appendAudit(tx, by, null, {
      action: 'rate:withdraw',
      target: `rate/${rate.meter}/${rate.poolName ?? 'any'}`,
      before: rate,
    });
  });
}

export type RateRow = {
  id: string;
  meter: string;
  unit: string;
  pool: string | null;
  currency: string;
  unitPrice: string;
  tiers: { from: string; unitPrice: string }[];
  validFrom: string;
  /** In force, followed by another, or to come. */
  state: 'in-force' | 'past' | 'to-come';
};

/** All prices, those of one thing together and the newest first. */
export async function listRates(now: Date): Promise<RateRow[]> {
  const rates = await allRates();
  const place = (rate: RateValue) => `${meterNames.indexOf(rate.meter)} ${rate.pool ?? ''} ${rate.currency}`;
  const isFollowed = (rate: RateValue) =>
    rates.some((other) => place(other) === place(rate) && other.validFrom > rate.validFrom && other.validFrom <= now);
  const stateOf = (rate: RateValue): RateRow['state'] => {
    if (rate.validFrom > now) return 'to-come';
    return isFollowed(rate) || (rate.validTo !== null && rate.validTo <= now) ? 'past' : 'in-force';
  };
  return rates
    .toSorted((a, b) =>
      place(a) === place(b) ? b.validFrom.getTime() - a.validFrom.getTime() : place(a) < place(b) ? -1 : 1,
    )
    .map((rate) => ({
      id: rate.id,
      meter: meterWords[rate.meter].label,
      unit: meterWords[rate.meter].unit,
      pool: rate.pool,
      currency: rate.currency,
      unitPrice: rate.unitPrice.toFixed(),
      validFrom: rate.validFrom.toISOString(),
      tiers: rate.tiers.map((tier) => ({
        from: tier.from.toFixed(),
        unitPrice: tier.unitPrice.toFixed(),
      })),
      state: stateOf(rate),
    }));
}

export const AgreementInput = z.strictObject({
  tenant: TenantSlug,
  period: Period,
  discountPercent: Percent.default('0'),
  committedAmount: Amount.default('0'),
});

/** What is agreed with a tenant from a month on that has not begun, or goes on. */
export async function setAgreement(by: PersonCtx, input: z.infer<typeof AgreementInput>, now: Date): Promise<void> {
  if (input.period < periodAt(now)) throw invalidFields({ period: 'This month is over.' });
  const tenant = await unsafeDb().tenant.findUnique({ where: { slug: input.tenant } });
  if (!tenant) throw notFound('This tenant');
  const { discountPercent, committedAmount } = input;
  const validFrom = boundsOf(input.period).from;
  await unsafeTransaction(async (tx) => {
    const where = { tenantId_validFrom: { tenantId: tenant.id, validFrom } };
    const before = await tx.agreement.findUnique({ where });
    const data = { discountPercent, committedAmount };
    await tx.agreement.upsert({ where, create: { tenantId: tenant.id, validFrom, ...data }, update: data });
    await appendAudit(tx, by, tenant.id, {
      action: 'agreement:set',
      target: `tenant/${tenant.slug}`,
      before,
      after: input,
    });
  });
}

export async function listTenantNames(): Promise<{ slug: string; name: string }[]> {
  const rows = await unsafeDb().tenant.findMany({
    orderBy: { displayName: 'asc' },
    select: { slug: true, displayName: true },
  });
  return rows.map(({ slug, displayName }) => ({ slug, name: displayName }));
}

export async function listAgreements(): Promise<
  { tenant: string; from: string; discountPercent: string; committedAmount: string }[]
> {
  const [rows, tenants] = await Promise.all([
    unsafeDb().agreement.findMany({ orderBy: { validFrom: 'desc' } }),
    unsafeDb().tenant.findMany({ select: { id: true, displayName: true } }),
  ]);
  const names = new Map(tenants.map(({ id, displayName }) => [id, displayName]));
  return rows.map((row) => ({
    tenant: names.get(row.tenantId) ?? '',
    from: periodAt(row.validFrom),
    discountPercent: row.discountPercent.toString(),
    committedAmount: row.committedAmount.toString(),
  }));
}

export const IdleRuleInput = z.strictObject({ pool: PoolName, idle: z.enum(idleRules) });

/** Who bears the idle time of a pool, from the present month on: months that are over keep theirs. */
export async function setIdleRule(
  by: PersonCtx,
  { pool, idle }: z.infer<typeof IdleRuleInput>,
  now: Date,
): Promise<void> {
  const poolName = pool;
  if (!(await unsafeDb().pool.findUnique({ where: { name: pool } }))) throw notFound('This pool');
  const validFrom = boundsOf(periodAt(now)).from;
  await unsafeTransaction(async (tx) => {
    const where = { poolName_validFrom: { poolName, validFrom } };
    await tx.costRule.upsert({ where, create: { poolName, validFrom, idle }, update: { idle } });
    await appendAudit(tx, by, null, { action: 'cost-rule:set', target: `pool/${pool}`, after: { idle } });
  });
}
