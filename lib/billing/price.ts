import type { Decimal } from 'decimal.js';
import type { Meter, UseLine } from '#lib/usage/index.ts';
import { costScale, distribute, Exact, sumOf } from './exact.ts';

/** From this quantity of a tenant's month on, a unit costs this. */
export type Tier = { from: Decimal; unitPrice: Decimal };

export type RateValue = {
  id: string;
  meter: Meter;
  /** Null is any pool, or no pool. */
  pool: string | null;
  currency: string;
  unitPrice: Decimal;
  tiers: readonly Tier[];
  validFrom: Date;
  validTo: Date | null;
};

/** What a tenant agreed on: a share off every price, and the least that a month comes to. */
export type Terms = { discountPercent: Decimal; committedAmount: Decimal };

/** A month's use under one rate. */
export type ChargeLine = {
  /** The same whenever it is computed. */
  key: string;
  rate: RateValue;
  quantity: Decimal;
  listCost: Decimal;
  contractedCost: Decimal;
};

/** What a line of use costs: its share of the line that it is charged in. */
export type Cost = { use: UseLine; rate: RateValue; listCost: Decimal; contractedCost: Decimal };

/** Use of a pool or plane that no rate is in force for: it has no cost and is never taken as free. */
export type Unpriced = { pool: string | null; meter: Meter; quantity: Decimal };

export type Priced = { charges: ChargeLine[]; costs: Cost[]; unpriced: Unpriced[] };

function inForce({ validFrom, validTo }: RateValue, at: Date): boolean {
  return validFrom <= at && (validTo === null || at < validTo);
}

/** The newest in force, one of the pool itself before one of any pool. */
export function rateFor(rates: readonly RateValue[], use: Pick<UseLine, 'meter' | 'pool' | 'at'>): RateValue | null {
  const fitting = rates.filter(
    (rate) => rate.meter === use.meter && (rate.pool === null || rate.pool === use.pool) && inForce(rate, use.at),
  );
  return fitting.reduce<RateValue | null>((best, rate) => (best === null || isCloser(rate, best) ? rate : best), null);
}

function isCloser(one: RateValue, other: RateValue): boolean {
  if ((one.pool === null) !== (other.pool === null)) return other.pool === null;
  return one.validFrom > other.validFrom;
}

/** Each unit at the price of the tier that it falls into. */
export function graduated(quantity: Decimal, { unitPrice, tiers }: Pick<RateValue, 'unitPrice' | 'tiers'>): Decimal {
  const steps = [{ from: new Exact(0), unitPrice }, ...tiers].toSorted((a, b) => a.from.comparedTo(b.from));
  return sumOf(
    steps.map((step, index) => {
      const until = steps[index + 1]?.from ?? quantity;
      const within = Exact.max(0, Exact.min(quantity, until).minus(step.from));
      return within.mul(step.unitPrice);
    }),
  );
}

const runnerMeters = new Set<Meter>(['runnerSeconds', 'cpuCoreSeconds', 'memoryGibSeconds', 'gpuSeconds']);
/** Measured for comparison: nobody need have a price for them. */
const freeMeters = new Set<Meter>(['cpuCoreSecondsUsed', 'memoryGibSecondsUsed', 'cacheTransferGib']);

export const isOfRunners = (meter: Meter): boolean => runnerMeters.has(meter);
export const isFree = (meter: Meter): boolean => freeMeters.has(meter);

function unpricedOf(uses: readonly UseLine[], hasRate: (use: UseLine) => boolean): Unpriced[] {
  const place = (use: UseLine) => `${use.pool}/${use.at.getTime()}`;
  const priced = new Set(uses.filter((use) => isOfRunners(use.meter) && hasRate(use)).map(place));
  const without = uses.filter((use) => {
    if (isFree(use.meter) || use.quantity.isZero()) return false;
    // A pool has its price by any of what its runners take.
    return isOfRunners(use.meter) ? use.meter === 'runnerSeconds' && !priced.has(place(use)) : !hasRate(use);
  });
  const sums = new Map<string, Unpriced>();
  for (const { pool, meter, quantity } of without) {
    const key = `${pool}/${meter}`;
    sums.set(key, { pool, meter, quantity: (sums.get(key)?.quantity ?? new Exact(0)).plus(quantity) });
  }
  return [...sums.values()];
}

/**
 * A tenant's use of one month to what it costs, exactly: a charge for each rate, and of each charge a share for each line of
 * use. The shares add up to the charges to the last digit.
 */
export function priceOf(period: string, uses: readonly UseLine[], rates: readonly RateValue[], terms: Terms): Priced {
  const found = new Map<string, RateValue | null>();
  const rateOf = (use: UseLine) => {
    const key = `${use.meter}/${use.pool}/${use.at.getTime()}`;
    if (!found.has(key)) found.set(key, rateFor(rates, use));
    return found.get(key) ?? null;
  };
  const byRate = new Map<RateValue, UseLine[]>();
  for (const use of uses) {
    const rate = rateOf(use);
    if (!rate) continue;
    const same = byRate.get(rate);
    if (same) same.push(use);
    else byRate.set(rate, [use]);
  }
  const share = new Exact(1).minus(new Exact(terms.discountPercent).div(100));
  const charges: ChargeLine[] = [];
  const costs: Cost[] = [];
  for (const [rate, own] of byRate) {
    const quantity = sumOf(own.map((use) => use.quantity));
    const listCost = graduated(quantity, rate);
    const contractedCost = listCost.mul(share);
    charges.push({ key: keyOf(period, rate), rate, quantity, listCost, contractedCost });
    costs.push(...sharesOf(own, rate, listCost, contractedCost));
  }
  charges.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { charges, costs, unpriced: unpricedOf(uses, (use) => rateOf(use) !== null) };
}

function sharesOf(uses: readonly UseLine[], rate: RateValue, listCost: Decimal, contractedCost: Decimal): Cost[] {
  const weights = uses.map((use) => use.quantity);
  const lists = distribute(listCost, weights, costScale);
  const contracted = distribute(contractedCost, weights, costScale);
  return uses.map((use, index) => ({
    use,
    rate,
    listCost: lists[index] ?? new Exact(0),
    contractedCost: contracted[index] ?? new Exact(0),
  }));
}

/** A runner's size: cores and GiB as decimals. */
export type RunnerSize = { pool: string; cores: Decimal; gib: Decimal; gpus: number };

/** What so many seconds of runners of one size come to, by all that they take; null where nothing of it has a price. */
export function runnerCost(
  rates: readonly RateValue[],
  { pool, cores, gib, gpus }: RunnerSize,
  seconds: Decimal,
  at: Date,
): Decimal | null {
  const taken: [Meter, Decimal][] = [
    ['runnerSeconds', seconds],
    ['cpuCoreSeconds', seconds.mul(cores)],
    ['memoryGibSeconds', seconds.mul(gib)],
    ['gpuSeconds', seconds.mul(gpus)],
  ];
  const costs = taken.flatMap(([meter, quantity]) => {
    const rate = rateFor(rates, { meter, pool, at });
    return rate ? [graduated(quantity, rate)] : [];
  });
  return costs.length === 0 ? null : sumOf(costs);
}

export function keyOf(period: string, { meter, pool, id }: Pick<RateValue, 'meter' | 'pool' | 'id'>): string {
  return `${period}/${meter}/${pool ?? ''}/${id}`;
}

/** What is owed beside the use, so that the month comes to what was agreed on. */
export function shortfall(contracted: Decimal, { committedAmount }: Terms): Decimal {
  return Exact.max(0, new Exact(committedAmount).minus(contracted));
}
