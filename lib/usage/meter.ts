import { Decimal } from 'decimal.js';

/** The cumulative run time of one runner pod at an instant. */
export type Reading = { podUid: string; observedAt: Date; runnerSeconds: Decimal };

function highest(readings: readonly Reading[], until: Date): Decimal {
  return readings.reduce(
    (most, each) => (each.observedAt < until && each.runnerSeconds.gt(most) ? each.runnerSeconds : most),
    new Decimal(0),
  );
}

/**
 * Seconds that one pod ran within [from, to): the highest reading before the end less the highest before the beginning.
 * A doubled, late or reordered reading changes nothing, and a missing one only lowers the sum.
 */
export function secondsBetween(readings: readonly Reading[], from: Date, to: Date): Decimal {
  return highest(readings, to).minus(highest(readings, from));
}
