import { describe, expect, test } from 'vitest';
import { roundedUp } from './chart.tsx';
import { roundedUpSeconds, seconds } from './duration.ts';

test.each([
  [0, 1],
  [0.3, 0.5],
  [1, 1],
  [1.01, 2],
  [4, 5],
  [5.5, 10],
  [130, 200],
  [1000, 1000],
])('the axis of a chart whose largest value is %d ends at %d', (most, top) => expect(roundedUp(most)).toBeCloseTo(top));

test.each([
  [0, 1],
  [3, 4],
  [61, 120],
  [599, 600],
  [5 * 3600, 8 * 3600],
  [50 * 3600, 96 * 3600],
])('an axis of %d seconds ends at %d', (most, top) => expect(roundedUpSeconds(most)).toBe(top));

describe('seconds as a person reads them', () => {
  test.each([
    [0, '0 s'],
    [0.04, '0 s'],
    [1.26, '1.3 s'],
    [9.96, '10 s'],
    [59.4, '59 s'],
    [59.6, '1 min'],
    [61, '1 min 1 s'],
    [3600, '1 h'],
    [3661, '1 h 1 min'],
    [90_000, '1 d 1 h'],
    [86_400 + 59, '1 d'],
  ])('%d', (value, text) => expect(seconds(value)).toBe(text));
});
