import { Decimal } from 'decimal.js';

/** Quantities and prices have up to 30 digits each; decimal.js keeps 20 of a product unless it is told otherwise. */
export const Exact = Decimal.clone({ precision: 90 });

/** Digits behind the point that a product of a time (6), a size (6), a price (12) and a discount (6) can have, and some. */
export const costScale = 36;

/** A decimal as a count of its last digit that is kept. By its text: this is asked of each line of a month. */
function scaled(value: Decimal, scale: number): bigint {
  if (value.decimalPlaces() > scale)
    throw new RangeError(`${value.toFixed()} has more than ${scale} digits behind the point`);
  return BigInt(value.toFixed(scale).replace('.', ''));
}

function unscaled(value: bigint, scale: number): Decimal {
  return new Exact(`${value}e-${scale}`);
}

/**
 * Shares of a total in proportion to weights (none negative), each with at most `scale` digits behind the point, that add up
 * to the total exactly. What no share can have of the last digit goes to those who lack most of it, the first of equals
 * first. Without any weight all are equal. The total must have no more digits than the shares may.
 */
export function distribute(total: Decimal, weights: readonly Decimal[], scale: number): Decimal[] {
  if (weights.length === 0) return [];
  const whole = scaled(total.abs(), scale);
  const raw = weights.map((weight) => scaled(weight, costScale));
  const given = raw.reduce((sum, weight) => sum + weight, 0n);
  const parts = given === 0n ? raw.map(() => 1n) : raw;
  const sum = given === 0n ? BigInt(parts.length) : given;
  const shares = parts.map((weight) => (whole * weight) / sum);
  const left = Number(whole - shares.reduce((total, share) => total + share, 0n));
  const lacking = parts
    .map((weight, index) => ({ index, rest: (whole * weight) % sum }))
    .toSorted((a, b) => (a.rest === b.rest ? a.index - b.index : a.rest > b.rest ? -1 : 1));
  for (const { index } of lacking.slice(0, left)) shares[index] = (shares[index] ?? 0n) + 1n;
  const sign = total.isNegative() ? -1n : 1n;
  return shares.map((share) => unscaled(share * sign, scale));
}

export function sumOf(values: Iterable<Decimal>): Decimal {
  let sum = new Exact(0);
  for (const value of values) sum = sum.plus(value);
  return sum;
}

/** Money as it is invoiced: two digits, half a cent away from zero. */
export function toCents(amount: Decimal): Decimal {
  return new Exact(amount).toDecimalPlaces(2, Decimal.ROUND_HALF_UP);
}
