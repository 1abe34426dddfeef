import { expect, test } from 'vitest';
import { bytes, count, percent } from './figures.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 KB'],
  [1_234_567, '1.23 MB'],
  [48_200_000_000, '48.2 GB'],
  [999_900_000_000, '1,000 GB'],
  [1e18, '1,000 PB'],
])('%d bytes are %s', (of, says) => expect(bytes(of)).toBe(says));

test.each([
  [0, '0 %'],
  [0.001, 'under 1 %'],
  [0.825, '83 %'],
  [0.999, 'over 99 %'],
  [1, '100 %'],
])('a share of %d is %s', (of, says) => expect(percent(of)).toBe(says));

test.each([
  [0.5, '0.5'],
  [12_345, '12,345'],
  [1_200_000, '1.2M'],
])('%d is counted as %s', (of, says) => expect(count(of)).toBe(says));
