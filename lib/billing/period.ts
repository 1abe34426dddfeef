import { z } from 'zod';

/** A month of UTC, `2026-11`. */
export const Period = z.string().regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'is a month such as 2026-11');
export type Period = z.infer<typeof Period>;

export function periodAt(at: Date): Period {
  return at.toISOString().slice(0, 7);
}

/** When it begins and ends, as [from, to). */
export function boundsOf(period: Period): { from: Date; to: Date } {
  const [year = 0, month = 0] = period.split('-').map(Number);
  return { from: new Date(Date.UTC(year, month - 1, 1)), to: new Date(Date.UTC(year, month, 1)) };
}

export function monthsFrom(period: Period, count: number): Period {
  const [year = 0, month = 0] = period.split('-').map(Number);
  return periodAt(new Date(Date.UTC(year, month - 1 + count, 1)));
}

/** The days of it, or those of it that had begun by an instant. */
export function daysOf(period: Period, until?: Date): string[] {
  const { from, to } = boundsOf(period);
  const end = until && until < to ? until : to;
  const days: string[] = [];
  for (let day = from.getTime(); day < end.getTime(); day += 86_400_000)
    days.push(new Date(day).toISOString().slice(0, 10));
  return days;
}
