import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextEdge, warmAt, WarmSchedule, warmSpans, weekAround, weekDays, type Warmth } from './schedule.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const at = (text: string) => Date.parse(text);

/** Zones that put their clocks in five ways: at 01:00 UTC, at 02:00 local, by half an hour, at midnight, at a quarter to. */
const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Beirut', 'Pacific/Chatham'] as const;

/** Another reader of clocks than the one that is tested: the platform's own. */
function wallOf(timeZone: string) {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    calendar: 'iso8601',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (ms: number) => {
    const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const date = `${part['year']}-${part['month']}-${part['day']}`;
    return { date, minute: Number(part['hour']) * 60 + Number(part['minute']) };
  };
}

const minuteOf = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
const dayBefore = (date: string) => new Date(at(`${date}T00:00:00Z`) - 24 * hourMs).toISOString().slice(0, 10);
const nameOf = (date: string) => weekDays[(new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7];

/** The rule once more, by another clock and in other words. */
function expected({ minRunners, schedule }: Warmth, wall: ReturnType<ReturnType<typeof wallOf>>): number {
  let most = minRunners;
  for (const { days, from, to, runners } of schedule?.windows ?? []) {
    for (const [date, minute] of [
      [wall.date, wall.minute],
      [dayBefore(wall.date), wall.minute + 1440],
    ] as const) {
      const end = minuteOf(to) > minuteOf(from) ? minuteOf(to) : minuteOf(to) + 1440;
      const begins = days.some((day) => day === nameOf(date)) && !schedule?.holidays.includes(date);
      if (begins && minuteOf(from) <= minute && minute < end) most = Math.max(most, runners);
    }
  }
  return most;
}

/** Where a zone's clocks are put in a year, found by the platform's reader hour by hour. */
function changesIn(timeZone: string, year: number): number[] {
  const wall = wallOf(timeZone);
  const offset = (ms: number) => {
    const { date, minute } = wall(ms);
    return (at(`${date}T00:00:00Z`) + minute * minuteMs - ms) / minuteMs;
  };
  const changes: number[] = [];
  for (let ms = at(`${year}-01-01T00:00:00Z`); ms < at(`${year + 1}-01-01T00:00:00Z`); ms += hourMs)
    if (offset(ms) !== offset(ms + hourMs)) changes.push(ms + hourMs);
  return changes;
}

const clock = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.constantFrom(0, 0, 15, 30, 45, 59))
  .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`);
/** Most of them near where clocks are put. */
const nightly = fc.constantFrom(
  '00:00',
  '00:30',
  '01:00',
  '01:30',
  '01:45',
  '02:00',
  '02:30',
  '02:45',
  '03:00',
  '03:45',
);
const window = fc
  .record({
    days: fc.subarray([...weekDays], { minLength: 1 }),
    from: fc.oneof(nightly, clock),
    to: fc.oneof(nightly, clock, fc.constant('24:00')),
    runners: fc.integer({ min: 1, max: 9 }),
  })
  .filter(({ from, to }) => from !== to);

function warmthIn(timeZone: string, day: string): fc.Arbitrary<Warmth> {
  const around = [-1, 0, 1].map((days) =>
    new Date(at(`${day}T00:00:00Z`) + days * 24 * hourMs).toISOString().slice(0, 10),
  );
  return fc.record({
    minRunners: fc.integer({ min: 0, max: 3 }),
    schedule: fc.record({
      timeZone: fc.constant(timeZone),
      windows: fc.array(window, { minLength: 1, maxLength: 4 }),
      holidays: fc.subarray(around),
    }),
  });
}

describe.each(zones)('in %s', (timeZone) => {
  const changes = changesIn(timeZone, 2026);
  const wall = wallOf(timeZone);

  test('the clocks are put twice a year', () => expect(changes).toHaveLength(2));

  test.each([0, 1])('over change %i: minute by minute as the wall clock says, and each edge is one', (which) => {
    const change = changes[which] ?? 0;
    const { fromMs, toMs } = { fromMs: change - 30 * hourMs, toMs: change + 30 * hourMs };
    const minutes = Array.from({ length: (toMs - fromMs) / minuteMs }, (_, index) => fromMs + index * minuteMs);
    const walls = minutes.map(wall);
    fc.assert(
      fc.property(warmthIn(timeZone, wall(change).date), (warmth) => {
        const spans = warmSpans(warmth, fromMs, toMs);
        // They cover the time without a hole, and neighbours differ.
        expect(spans[0]?.fromMs).toBe(fromMs);
        expect(spans.at(-1)?.toMs).toBe(toMs);
        for (const [index, span] of spans.entries()) {
          const next = spans[index + 1];
          if (!next) continue;
          expect(next.fromMs).toBe(span.toMs);
          expect(next.runners).not.toBe(span.runners);
        }
        let place = 0;
        const seen = minutes.map((ms) => {
          while ((spans[place]?.toMs ?? Infinity) <= ms) place += 1;
          return spans[place]?.runners;
        });
        const wrong = walls.flatMap((each, index) =>
          seen[index] === expected(warmth, each) ? [] : [{ at: minutes[index], each, found: seen[index] }],
        );
        expect(wrong).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });

  test('the next edge is the first instant after which another number is kept', () => {
    const change = changes[0] ?? 0;
    fc.assert(
      fc.property(warmthIn(timeZone, wall(change).date), fc.integer({ min: -3000, max: 3000 }), (warmth, minutes) => {
        const from = change + minutes * minuteMs;
        const edge = nextEdge(warmth, from);
        const until = edge ?? from + 8 * 24 * hourMs;
        const steps = Array.from(
          { length: Math.ceil((until - from) / (15 * minuteMs)) },
          (_, step) => from + step * 15 * minuteMs,
        );
        const before = new Set([...steps, until - 1].map((ms) => warmAt(warmth, ms)));
        expect([until > from, [...before]]).toEqual([true, [warmAt(warmth, from)]]);
        expect(edge === null || warmAt(warmth, edge) !== warmAt(warmth, from)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  test('a week is as long as its days: an hour more or less where the clocks are put', () => {
    const ordinary = weekAround(timeZone, at('2026-06-10T12:00:00Z'));
    expect(ordinary.toMs - ordinary.fromMs).toBe(168 * hourMs);
    const lengths = changes.map((change) => {
      const { fromMs, toMs } = weekAround(timeZone, change);
      return (toMs - fromMs) / hourMs - 168;
    });
    const step = timeZone === 'Australia/Lord_Howe' ? 0.5 : 1;
    expect(lengths.toSorted((a, b) => a - b)).toEqual([-step, step]);
  });
});

function warm(windows: object[], more: object = {}): Warmth {
  return { minRunners: 0, schedule: WarmSchedule.parse({ timeZone: 'Europe/Berlin', windows, ...more }) };
}

describe('by example', () => {
  const office = warm([{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00', runners: 4 }], {
    holidays: ['2026-12-25'],
  });

  test.each([
    ['on a Friday in summer, before it', '2026-07-03T05:59:59Z', 0],
    ['as it begins', '2026-07-03T06:00:00Z', 4],
    ['as it ends', '2026-07-03T16:00:00Z', 0],
    ['the same Friday in winter begins an hour later in UTC', '2026-11-27T06:30:00Z', 0],
    ['and then', '2026-11-27T07:00:00Z', 4],
    ['on a Saturday', '2026-07-04T10:00:00Z', 0],
    ['on a holiday', '2026-12-25T10:00:00Z', 0],
  ])('%s', (_, text, runners) => expect(warmAt(office, at(text))).toBe(runners));

  test('what was open last week stays for a holiday’s night: a window belongs to the day on which it begins', () => {
    const night = warm([{ days: ['thu', 'fri'], from: '22:00', to: '06:00', runners: 2 }], {
      holidays: ['2026-12-25'],
    });
    expect(warmAt(night, at('2026-12-25T03:00:00Z'))).toBe(2);
    expect(warmAt(night, at('2026-12-25T22:00:00Z'))).toBe(0);
    expect(warmAt(night, at('2026-12-26T03:00:00Z'))).toBe(0);
  });

  test('an hour that is skipped never was, and one that is repeated is open twice', () => {
    const hour = warm([{ days: [...weekDays], from: '02:00', to: '03:00', runners: 1 }]);
    const open = (from: string, to: string) =>
      warmSpans(hour, at(from), at(to))
        .filter(({ runners }) => runners > 0)
        .map(({ fromMs, toMs }) => (toMs - fromMs) / hourMs);
    expect(open('2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z')).toEqual([]);
    expect(open('2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z')).toEqual([2]);
    expect(open('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z').length).toBe(0 + 1);
  });

  test('of two that are open the larger counts, and never less than what is always kept', () => {
    const both = warm([
      { days: ['mon'], from: '08:00', to: '12:00', runners: 2 },
      { days: ['mon'], from: '10:00', to: '24:00', runners: 5 },
    ]);
    expect(warmAt(both, at('2026-07-06T08:30:00Z'))).toBe(5);
    expect(warmAt({ ...both, minRunners: 7 }, at('2026-07-06T08:30:00Z'))).toBe(7);
  });
});

test.each<[object, string]>([
  [{ timeZone: '+02:00' }, 'an offset'],
  [{ timeZone: 'Europe/Atlantis' }, 'no zone'],
  [{ windows: [] }, 'no window'],
  [{ windows: [{ days: ['mon'], from: '08:00', to: '08:00', runners: 1 }] }, 'no length'],
  [{ windows: [{ days: ['mon', 'mon'], from: '08:00', to: '09:00', runners: 1 }] }, 'a day twice'],
  [{ windows: [{ days: ['mon'], from: '24:00', to: '09:00', runners: 1 }] }, 'a begin that is no time'],
  [{ windows: [{ days: ['mon'], from: '08:00', to: '09:00', runners: 0 }] }, 'nothing warm'],
  [{ holidays: ['2026-02-30'] }, 'no day'],
])('%j is refused: %s', (part) => {
  const right = { timeZone: 'UTC', windows: [{ days: ['mon'], from: '08:00', to: '09:00', runners: 1 }] };
  expect(WarmSchedule.safeParse(right).success).toBe(true);
  expect(WarmSchedule.safeParse({ ...right, ...part }).success).toBe(false);
});
