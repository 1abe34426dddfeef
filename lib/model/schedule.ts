import { z } from 'zod';
import * as zones from 'temporal-polyfill';

/*
 * When how many runners of a pool are kept warm. A window is open while the clock on the wall of its zone says so, and nothing
 * else decides: an hour that the clocks skip in spring never was, and one that they repeat in autumn is open twice. That is
 * also how cron reads a zone. Nothing here knows what the time is.
 */

const { Instant, PlainDate } = zones.Temporal;

export const weekDays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type WeekDay = (typeof weekDays)[number];

const minuteMs = 60_000;
const dayMinutes = 24 * 60;

/** An IANA name. A bare offset is none: it would stay behind when the clocks change. */
export const TimeZone = z
  .string()
  .max(64)
  .regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/, 'is a time zone such as Europe/Berlin')
  .refine(isZone, 'is no time zone that is known here');

function isZone(name: string): boolean {
  try {
    return Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name).timeZoneId !== '';
  } catch {
    return false;
  }
}

const clock = /^(?:[01]\d|2[0-3]):[0-5]\d$/;
const WindowStart = z.string().regex(clock, 'is a time such as 08:00');
const WindowEnd = z.string().refine((text) => clock.test(text) || text === '24:00', 'is a time such as 18:00 or 24:00');

export const WarmWindow = z
  .strictObject({
    /** On which it begins. */
    days: z
      .array(z.enum(weekDays))
      .min(1, 'choose at least one day')
      .refine((days) => new Set(days).size === days.length, 'names a day twice'),
    from: WindowStart,
    /** Not after `from`: on the next day. */
    to: WindowEnd,
    /** Kept warm while it is open. */
    runners: z.int().min(1, 'is at least 1').max(1000, 'is at most 1000'),
  })
  .refine(({ from, to }) => from !== to, { path: ['to'], error: 'is when it begins' });
export type WarmWindow = z.infer<typeof WarmWindow>;

export const WarmSchedule = z.strictObject({
  timeZone: TimeZone,
  /** Where several are open, the largest counts. */
  windows: z.array(WarmWindow).min(1, 'add at least one window').max(20, 'are at most 20'),
  /** Days of the zone's calendar on which no window begins. */
  holidays: z
    .array(z.iso.date('is a day such as 2026-12-25'))
    .max(100, 'are at most 100')
    .refine((days) => new Set(days).size === days.length, 'names a day twice')
    .default([]),
});
export type WarmSchedule = z.infer<typeof WarmSchedule>;

/** What is kept warm: `minRunners` at all times, and more while a window is open. */
export type Warmth = { minRunners: number; schedule?: WarmSchedule | undefined };

/** A stretch of time in which as many are kept warm; instants in milliseconds, the end not in it. */
export type WarmSpan = { fromMs: number; toMs: number; runners: number };

function minutesOf(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return hours * 60 + minutes;
}

function zoned(atMs: number, { timeZone }: WarmSchedule): zones.Temporal.ZonedDateTime {
  return Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
}

function beginsOn({ days }: WarmWindow, { holidays }: WarmSchedule, day: zones.Temporal.PlainDate): boolean {
  const name = weekDays[day.dayOfWeek - 1];
  return name !== undefined && days.includes(name) && !holidays.includes(day.toString());
}

/** How many are kept warm at this instant. */
export function warmAt({ minRunners, schedule }: Warmth, atMs: number): number {
  if (!schedule) return minRunners;
  const local = zoned(atMs, schedule);
  const minute = local.hour * 60 + local.minute;
  const today = local.toPlainDate();
  const yesterday = today.subtract({ days: 1 });
  const open = schedule.windows.filter((opening) => {
    const [from, to] = [minutesOf(opening.from), minutesOf(opening.to)];
    if (from < to) return from <= minute && minute < to && beginsOn(opening, schedule, today);
    const began = minute >= from && beginsOn(opening, schedule, today);
    return began || (minute < to && beginsOn(opening, schedule, yesterday));
  });
  return Math.max(minRunners, ...open.map(({ runners }) => runners));
}

/** Every instant at which something may change: when a wall clock shows a window's bound, and when the clocks are put. */
function boundsBetween(schedule: WarmSchedule, fromMs: number, toMs: number): number[] {
  const found = new Set<number>();
  const bounds = new Set(schedule.windows.flatMap(({ from, to }) => [minutesOf(from), minutesOf(to) % dayMinutes]));
  let day = zoned(fromMs, schedule).toPlainDate().subtract({ days: 1 });
  const last = zoned(toMs, schedule).toPlainDate().add({ days: 1 });
  for (; PlainDate.compare(day, last) <= 0; day = day.add({ days: 1 })) {
    for (const bound of bounds) {
      const wall = day.toPlainDateTime({ hour: Math.floor(bound / 60), minute: bound % 60 });
      // Shown twice when the clocks are put back; when they are put forward past it, the change itself is found below.
      for (const disambiguation of ['earlier', 'later'] as const)
        found.add(wall.toZonedDateTime(schedule.timeZone, { disambiguation }).epochMilliseconds);
    }
  }
  let change = zoned(fromMs, schedule).getTimeZoneTransition('next');
  for (; change !== null && change.epochMilliseconds < toMs; change = change.getTimeZoneTransition('next'))
    found.add(change.epochMilliseconds);
  return [...found].filter((ms) => fromMs < ms && ms < toMs).toSorted((a, b) => a - b);
}

/** What is kept warm from one instant to another, in stretches that differ. */
export function warmSpans(warmth: Warmth, fromMs: number, toMs: number): WarmSpan[] {
  const bounds = warmth.schedule ? boundsBetween(warmth.schedule, fromMs, toMs) : [];
  const spans: WarmSpan[] = [];
  for (const [index, startMs] of [fromMs, ...bounds].entries()) {
    const endMs = bounds[index] ?? toMs;
    const runners = warmAt(warmth, startMs);
    const before = spans.at(-1);
    if (before?.runners === runners) before.toMs = endMs;
    else spans.push({ fromMs: startMs, toMs: endMs, runners });
  }
  return spans;
}

const foreseenMs = 8 * dayMinutes * minuteMs;

/** The next instant at which another number is to be kept warm; null where there is none within eight days. */
export function nextEdge(warmth: Warmth, afterMs: number): number | null {
  const [first] = warmSpans(warmth, afterMs, afterMs + foreseenMs);
  return first && first.toMs < afterMs + foreseenMs ? first.toMs : null;
}

/** The week of the zone's calendar that an instant is in, from Monday's first moment to the next one's. */
export function weekAround(timeZone: string, atMs: number): { fromMs: number; toMs: number } {
  const today = Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
  const monday = today.toPlainDate().subtract({ days: today.dayOfWeek - 1 });
  const startOf = (day: zones.Temporal.PlainDate) => day.toZonedDateTime(timeZone).epochMilliseconds;
  return { fromMs: startOf(monday), toMs: startOf(monday.add({ days: 7 })) };
}

/** The first moments of the days from one instant to another, as the zone's calendar has them. */
export function daysBetween(timeZone: string, fromMs: number, toMs: number): { atMs: number; date: string }[] {
  const days: { atMs: number; date: string }[] = [];
  let day = Instant.fromEpochMilliseconds(fromMs).toZonedDateTimeISO(timeZone).toPlainDate();
  for (;;) {
    const atMs = day.toZonedDateTime(timeZone).epochMilliseconds;
    if (atMs >= toMs) return days;
    if (atMs >= fromMs) days.push({ atMs, date: day.toString() });
    day = day.add({ days: 1 });
  }
}

const dayNames: Record<WeekDay, string> = {
  mon: 'Monday',
  tue: 'Tuesday',
  wed: 'Wednesday',
  thu: 'Thursday',
  fri: 'Friday',
  sat: 'Saturday',
  sun: 'Sunday',
};

export function weekDayName(day: WeekDay): string {
  return dayNames[day];
}

/** `Mon 30 Mar, 08:00`, with the zone's offset where the clocks are put that day. */
export function wallClock(timeZone: string, atMs: number): string {
  const local = Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
  const day = dayNames[weekDays[local.dayOfWeek - 1] ?? 'mon'].slice(0, 3);
  const date = local.toPlainDate().toString().slice(5);
  const time = `${String(local.hour).padStart(2, '0')}:${String(local.minute).padStart(2, '0')}`;
  return local.hoursInDay === 24 ? `${day} ${date}, ${time}` : `${day} ${date}, ${time} (UTC${local.offset})`;
}

/** Runner-seconds of what is kept warm. */
export function warmRunnerSeconds(spans: readonly WarmSpan[]): number {
  return spans.reduce((sum, { fromMs, toMs, runners }) => sum + (runners * (toMs - fromMs)) / 1000, 0);
}

/** The most that any window asks for. */
export function warmMost({ minRunners, schedule }: Warmth): number {
  return Math.max(minRunners, ...(schedule?.windows ?? []).map(({ runners }) => runners));
}

/** A window as people read it: `Monday to Friday 08:00 to 18:00: 4 runners`. */
export function windowWords({ days, from, to, runners }: WarmWindow): string {
  const isNext = minutesOf(to) <= minutesOf(from);
  const upTo = isNext ? `${to} on the next day` : to;
  return `${daysWords(days)}, ${from} to ${upTo}: ${runners} ${runners === 1 ? 'runner' : 'runners'}`;
}

function daysWords(days: readonly WeekDay[]): string {
  const sorted = weekDays.filter((day) => days.includes(day));
  if (sorted.length === 7) return 'Every day';
  const first = weekDays.indexOf(sorted[0] ?? 'mon');
  const isRow = sorted.every((day, index) => weekDays.indexOf(day) === first + index);
  const [begin, end] = [sorted[0], sorted.at(-1)];
  if (isRow && sorted.length > 2 && begin && end) return `${dayNames[begin]} to ${dayNames[end]}`;
  return sorted.map((day) => dayNames[day]).join(', ');
}
