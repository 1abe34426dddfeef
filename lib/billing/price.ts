import { Decimal } from 'decimal.js';

/** Seconds and a price have up to 20 digits each; decimal.js keeps 20 of a product unless it is told otherwise. */
export const Exact = Decimal.clone({ precision: 64 });

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
      cost: rate ? new Exact(use.runnerSeconds).mul(rate.pricePerRunnerSecond) : null,
      currency: rate?.currency ?? null,
    };
  });
}
