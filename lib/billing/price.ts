import { Decimal } from 'decimal.js';

export type RatedUse = { pool: string; runnerSeconds: Decimal };
export type RateValue = { pool: string; pricePerRunnerSecond: Decimal; currency: string };
export type PriceLine = RatedUse & { cost: Decimal | null; currency: string | null };

/** Usage to lines, one a pool. A pool without a rate keeps its seconds and has no cost: it is shown, never taken as free. */
export function priceOf(uses: readonly RatedUse[], rates: readonly RateValue[]): PriceLine[] {
  const byPool = new Map(rates.map((rate) => [rate.pool, rate]));
  return uses.map((use) => {
    const rate = byPool.get(use.pool);
    return {
      ...use,
      cost: rate ? use.runnerSeconds.mul(rate.pricePerRunnerSecond) : null,
      currency: rate?.currency ?? null,
    };
  });
}
