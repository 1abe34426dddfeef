import { Decimal } from 'decimal.js';
import type { ReadMeter } from './meters.ts';

/** All that a source used of a meter from its beginning to an instant. */
export type Reading = { sourceId: string; meter: ReadMeter; observedAt: Date; quantity: Decimal };

function highest(readings: readonly Reading[], until: Date): Decimal {
  return readings.reduce(
    (most, each) => (each.observedAt < until && each.quantity.gt(most) ? each.quantity : most),
    new Decimal(0),
  );
}

/**
 * What one source used of one meter within [from, to): the highest reading before the end less the highest before the
 * beginning. A doubled, late or reordered reading changes nothing, and a missing one only lowers the sum.
 */
export function usedBetween(readings: readonly Reading[], from: Date, to: Date): Decimal {
  return highest(readings, to).minus(highest(readings, from));
}

/** A reading as it is given, from wherever: its quantity is a decimal in words. */
export type GivenReading = { sourceId: string; meter: ReadMeter; observedAt: Date; quantity: string };

const decimal = /^\d{1,17}(\.\d{1,6})?$/;
const aheadMs = 5 * 60_000;
const backMs = 400 * 24 * 3600_000;

/**
 * Why a reading is not taken, by itself; null where it may be. What its source allows is asked of the source: no source can
 * use more of a meter than it was there for.
 */
export function refusalOf({ sourceId, observedAt, quantity }: GivenReading, now: Date): string | null {
  if (sourceId === '' || sourceId.length > 200) return 'no source';
  if (Number.isNaN(observedAt.getTime())) return 'no instant';
  if (observedAt.getTime() > now.getTime() + aheadMs) return 'in the future';
  if (observedAt.getTime() < now.getTime() - backMs) return 'too long ago';
  if (quantity.startsWith('-')) return 'negative';
  return decimal.test(quantity) ? null : 'no decimal, or more than can be';
}
