import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type LimitSaid, limitsOf } from './limits.ts';

/** What the contract holds of every forge (F13) is held there; here is how long, and of whom. */

let connections = 0;
const connection = () => ({ id: `c${(connections += 1)}`, baseUrl: 'https://forge.example.org' });
const minute = 60_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: 0 });
});
afterEach(() => vi.useRealTimers());

function waitOf(limits: ReturnType<typeof limitsOf>, said: LimitSaid): number | undefined {
  return limits.limited('user', said, 'a limit').retryAfterMs;
}

describe('F14: a limit that names no time', () => {
  test('is a minute, and twice as long each time that it comes again, up to an hour', () => {
    const limits = limitsOf(connection(), 'Forge');
    const waits = Array.from({ length: 8 }, () => {
      const waitMs = waitOf(limits, 'unnamed') ?? 0;
      vi.setSystemTime(Date.now() + waitMs + 1000);
      expect(() => limits.assertOpen('user')).not.toThrow();
      return waitMs / minute;
    });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  test('is a minute again after an hour of peace', () => {
    const limits = limitsOf(connection(), 'Forge');
    waitOf(limits, 'unnamed');
    vi.setSystemTime(minute);
    expect(waitOf(limits, 'unnamed')).toBe(2 * minute);
    vi.setSystemTime(3 * minute + 61 * minute);
    expect(waitOf(limits, 'unnamed')).toBe(minute);
  });

  test('said to several requests that were under way at once is one limit', () => {
    const limits = limitsOf(connection(), 'Forge');
    expect([1, 2, 3].map(() => waitOf(limits, 'unnamed'))).toEqual([minute, minute, minute]);
  });
});

test('a time that is named is kept to, and a shorter one does not end it', () => {
  const limits = limitsOf(connection(), 'Forge');
  expect([waitOf(limits, 7000), waitOf(limits, 1000)]).toEqual([7000, 7000]);
  vi.setSystemTime(6999);
  expect(() => limits.assertOpen('user')).toThrow(expect.objectContaining({ code: 'rate_limited', retryAfterMs: 1 }));
  vi.setSystemTime(7000);
  expect(() => limits.assertOpen('user')).not.toThrow();
});

test('a time that no forge means is cut to six hours', () => {
  const limits = limitsOf(connection(), 'Forge');
  expect(waitOf(limits, 9e18)).toBe(6 * 60 * minute);
});

test('I12: it is of one asker at one connection, whoever holds that connection’s value', () => {
  const one = connection();
  limitsOf(one, 'Forge').limited('user', 7000, 'a limit');
  expect(() => limitsOf({ ...one }, 'Forge').assertOpen('user')).toThrow(/limit is not over/);
  expect(() => limitsOf(one, 'Forge').assertOpen('another')).not.toThrow();
  expect(() => limitsOf(connection(), 'Forge').assertOpen('user')).not.toThrow();
});
