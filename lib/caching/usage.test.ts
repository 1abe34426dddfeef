import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { daysOf, grown, hitRate, sizingAdvice, sumOf, type Counters } from './usage.ts';

const now = new Date('2026-03-14T12:00:00Z');
const at = (hoursAgo: number) => new Date(now.getTime() - hoursAgo * 3600_000);
const reading = (hoursAgo: number, hits: number, misses: number, servedObjects = 0): Counters => ({
  observedAt: at(hoursAgo),
  hits: BigInt(hits),
  misses: BigInt(misses),
  servedObjects: BigInt(servedObjects),
  objects: 10n,
  logicalBytes: 1000n,
});

describe('what was counted', () => {
  test('is what a counter grew by, and all of it where it began anew', () => {
    expect(grown(5n, 7n)).toBe(2);
    expect(grown(7n, 3n)).toBe(3);
    expect(grown(null, 3n)).toBe(0);
    expect(grown(3n, null)).toBe(0);
  });

  test('falls on the day of the later reading, and a day without one is a day with nothing', () => {
    const days = daysOf([reading(49, 0, 0), reading(25, 6, 2, 4), reading(1, 10, 2, 5)], now, 4);
    expect(days).toEqual([
      { day: '2026-03-11', hits: 0, misses: 0, servedBytes: 0 },
      { day: '2026-03-12', hits: 0, misses: 0, servedBytes: 0 },
      { day: '2026-03-13', hits: 6, misses: 2, servedBytes: 400 },
      { day: '2026-03-14', hits: 4, misses: 0, servedBytes: 100 },
    ]);
    expect(hitRate(sumOf(days))).toBeCloseTo(10 / 12);
    expect(hitRate({ hits: 0, misses: 0 })).toBeNull();
  });

  test('comes to what was asked for, whatever restarts and reorderings there were: never less than since the last start', () => {
    const steps = fc.array(fc.record({ hits: fc.nat(1000), restarted: fc.boolean() }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(steps, fc.nat(), (asked, seed) => {
        let counter = 0;
        let truth = 0;
        const readings = [reading(60, 0, 0)];
        for (const [index, { hits, restarted }] of asked.entries()) {
          // A process that restarts right after a look loses nothing; what it counts after is all that its counter says.
          if (restarted) counter = 0;
          counter += hits;
          truth += hits;
          readings.push(reading(59 - index, counter, 0));
        }
        const shuffled = readings.toSorted(
          (a, b) => ((a.observedAt.getTime() * (seed + 1)) % 7919) - ((b.observedAt.getTime() * (seed + 1)) % 7919),
        );
        const { hits } = sumOf(daysOf(shuffled, now, 14));
        // One that starts anew and grows past its former count looks as if it had not: less is said than was, never more.
        expect(hits).toBeLessThanOrEqual(truth);
        const isWhole = asked.every(({ restarted }) => !restarted);
        expect(isWhole ? hits : truth).toBe(truth);
      }),
    );
  });
});

describe('advice on size', () => {
  const gib = 1024 ** 3;
  const full = { limitBytes: 18 * gib, storedBytes: 18 * gib, evictedBytes: gib, evictionAgeSeconds: 7 * 86_400 };
  test.each([
    ['nothing went', { evictedBytes: 0, storedBytes: 9 * gib }, 'good', null, 'Nothing had to go: it is 50 % full.'],
    ['nobody says how old', { evictionAgeSeconds: null }, 'idle', null, 'Entries go, and'],
    ['a week', {}, 'good', null, 'Large enough: what goes was not asked for in 7 days.'],
    [
      'half a week',
      { evictionAgeSeconds: 3.5 * 86_400 },
      'warn',
      40,
      'asked for 3 days ago. 40 GiB would keep about a week.',
    ],
    ['an hour', { evictionAgeSeconds: 3600 }, 'warn', 80, 'asked for 1 hour ago. 80 GiB would keep about four times'],
  ])('%s', (_, change, tone, sizeGib, says) => {
    expect(sizingAdvice({ ...full, ...change })).toEqual({
      tone,
      sizeGib,
      says: expect.stringContaining(says) as string,
    });
  });
});
