import { Decimal } from 'decimal.js';
import { Exact, sumOf } from './exact.ts';

export type Forecast = { total: Decimal; basis: string };

const lastDays = 7;

/**
 * What the month will come to: what it has cost, the rest of today and the days that are left at the mean of the last whole
 * days, seven at most. Null before one whole day is known.
 *
 * @param daily the cost of each day that has begun, today's the last
 * @param dayShare which part of today is over, 0 to 1
 */
export function forecastOf(daily: readonly Decimal[], daysInMonth: number, dayShare: number): Forecast | null {
  const whole = daily.slice(0, -1).slice(-lastDays);
  if (whole.length === 0) return null;
  const mean = sumOf(whole).div(whole.length);
  const left = new Exact(daysInMonth - daily.length).plus(new Exact(1).minus(dayShare));
  const total = sumOf(daily).plus(mean.mul(Exact.max(0, left)));
  const days = whole.length === 1 ? 'the last whole day' : `the last ${whole.length} whole days`;
  return {
    total: total.toDecimalPlaces(6, Decimal.ROUND_HALF_UP),
    basis: `what it has cost, and the rest at the mean of ${days}`,
  };
}
