import { describe, expect, test } from 'vitest';
import { giveUpAfterMs, nextAttempt, retryAfterMs } from './schedule.ts';

const began = new Date('2026-03-01T00:00:00Z');

describe('when a message is tried again', () => {
  test('later and later, ten times in all, within a day', () => {
    const seconds: number[] = [];
    let now = began;
    for (let attempts = 1; ; attempts += 1) {
      const next = nextAttempt(attempts, began, now, 0);
      if (!next) break;
      seconds.push((next.getTime() - now.getTime()) / 1000);
      now = next;
    }
    expect(seconds).toEqual([10, 60, 300, 1800, 3600, 7200, 14400, 28800, 28800]);
    expect(now.getTime() - began.getTime()).toBeLessThan(giveUpAfterMs);
  });

  test('not before the receiver asked, and not at all where that is more than a day away', () => {
    expect(nextAttempt(1, began, began, 90_000)).toEqual(new Date('2026-03-01T00:01:30Z'));
    expect(nextAttempt(3, began, began, 90_000)).toEqual(new Date('2026-03-01T00:05:00Z'));
    expect(nextAttempt(1, began, began, giveUpAfterMs)).toEqual(new Date('2026-03-02T00:00:00Z'));
    expect(nextAttempt(1, began, began, giveUpAfterMs + 1)).toBeNull();
  });
});

test.each([
  [null, 0],
  ['7', 7_000],
  [' 0 ', 0],
  ['Sun, 01 Mar 2026 00:02:00 GMT', 120_000],
  ['Sun, 01 Mar 2020 00:02:00 GMT', 0],
  ['-5', 0],
  ['soon', 0],
  ['99999999999999999999', 0],
])('Retry-After %j is %d ms', (header, ms) => expect(retryAfterMs(header, began)).toBe(ms));
