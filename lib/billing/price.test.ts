import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { priceOf } from './price.ts';

const use = (pool: string, seconds: string) => ({ pool, runnerSeconds: new Decimal(seconds) });
const rate = (pool: string, price: string) => ({ pool, pricePerRunnerSecond: new Decimal(price), currency: 'USD' });

describe('price', () => {
  test('seconds times the rate, a line a pool, to the last digit', () => {
    const lines = priceOf(
      [use('docker', '3600'), use('nix', '0.001')],
      [rate('nix', '0.000055555556'), rate('docker', '0.000027777778')],
    );
    expect(lines.map(({ pool, cost, currency }) => [pool, cost?.toFixed(), currency])).toEqual([
      ['docker', '0.1000000008', 'USD'],
      ['nix', '0.000000055555556', 'USD'],
    ]);
  });

  test('a pool without a rate has its seconds and no cost: it is not free', () => {
    const [line] = priceOf([use('gpu', '10')], [rate('nix', '1')]);
    expect([line?.cost, line?.currency, line?.runnerSeconds.toNumber()]).toEqual([null, null, 10]);
    const [free] = priceOf([use('gpu', '10')], [rate('gpu', '0')]);
    expect(free?.cost?.toFixed()).toBe('0');
  });

  test('A25: exact, where a float would drift, for the largest and the smallest that there are', () => {
    // runner_seconds has 17 digits before the point and 3 after, a price 8 and 12.
    const digits = fc.tuple(fc.bigInt(0n, 10n ** 20n - 1n), fc.bigInt(0n, 10n ** 20n - 1n));
    fc.assert(
      fc.property(digits, ([millis, picos]) => {
        const seconds = new Decimal(`${millis}e-3`);
        const price = new Decimal(`${picos}e-12`);
        const [line] = priceOf(
          [{ pool: 'nix', runnerSeconds: seconds }],
          [{ ...rate('nix', '0'), pricePerRunnerSecond: price }],
        );
        expect(line?.cost?.toFixed(15)).toBe(exactly(millis * picos));
      }),
    );
  });

  /** A count of 10^-15 as a decimal. */
  function exactly(product: bigint): string {
    const text = String(product).padStart(16, '0');
    return `${text.slice(0, -15)}.${text.slice(-15)}`;
  }

  test('two windows cost what the window over both costs', () => {
    fc.assert(
      fc.property(fc.nat(10 ** 9), fc.nat(10 ** 9), fc.nat(10 ** 9), (one, other, picos) => {
        const rates = [rate('nix', `${picos}e-12`)];
        const cost = (seconds: number) => priceOf([use('nix', String(seconds))], rates)[0]?.cost ?? new Decimal(-1);
        expect(cost(one).plus(cost(other)).toFixed()).toBe(cost(one + other).toFixed());
      }),
    );
  });
});
