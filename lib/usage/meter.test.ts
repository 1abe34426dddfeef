import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { refusalOf, usedBetween, type Reading } from './meter.ts';

const at = (second: number) => new Date(Date.UTC(2026, 2, 1) + second * 1000);
const reading = (second: number, runnerSeconds: number | string): Reading => ({
  sourceId: 'pod',
  meter: 'runnerSeconds',
  observedAt: at(second),
  quantity: new Decimal(runnerSeconds),
});
const between = (readings: Reading[], from: number, to: number) => usedBetween(readings, at(from), at(to)).toNumber();

/** What a pod really did: it ran from `start` to `end`, and was looked at now and then, a reading being what it had run. */
const observed = fc
  .record({
    start: fc.nat(1000),
    length: fc.nat(5000),
    looks: fc.uniqueArray(fc.nat(7000), { maxLength: 12 }),
  })
  .map(({ start, length, looks }) => ({
    length,
    readings: looks
      .filter((second) => second >= start)
      .map((second) => reading(second, Math.min(second - start, length))),
  }));

describe('runner-seconds from readings', () => {
  test.each([
    ['none', [], 0],
    ['one', [reading(10, 10)], 10],
    ['the last of several', [reading(10, 10), reading(20, 20), reading(30, 25)], 25],
    ['before the window too', [reading(-5, 40), reading(10, 55)], 15],
    ['only before the window', [reading(-5, 40)], 0],
    ['only after it', [reading(100, 40)], 0],
    ['at its beginning, which is in it', [reading(0, 7)], 7],
    ['at its end, which is not', [reading(60, 7)], 0],
    ['of a counter that fell', [reading(10, 50), reading(20, 3)], 50],
    ['of a counter that fell before the window', [reading(-20, 50), reading(-10, 3), reading(20, 60)], 10],
  ])('%s', (_, readings, seconds) => expect(between(readings, 0, 60)).toBe(seconds));

  test('are exact', () => {
    expect(usedBetween([reading(10, '0.1'), reading(20, '0.3')], at(15), at(60)).toFixed()).toBe('0.2');
  });

  test('F28: doubled, late and reordered readings change nothing', () => {
    fc.assert(
      fc.property(
        observed,
        fc.nat(7000),
        fc.nat(7000),
        fc.infiniteStream(fc.nat(100)),
        ({ readings }, one, other, stream) => {
          const [from, to] = [Math.min(one, other), Math.max(one, other)];
          const shuffled = [...readings, ...readings]
            .map((each) => ({ each, key: stream.next().value }))
            .toSorted((a, b) => a.key - b.key)
            .map(({ each }) => each);
          expect(between(shuffled, from, to)).toBe(between(readings, from, to));
        },
      ),
    );
  });

  test('F28: a reading that is missing makes it less or the same, never more than what ran', () => {
    fc.assert(
      fc.property(observed, fc.nat(12), ({ readings, length }, index) => {
        const whole = between(readings, 0, 10_000);
        const fewer = between(readings.toSpliced(index, 1), 0, 10_000);
        expect(fewer).toBeLessThanOrEqual(whole);
        expect(whole).toBeLessThanOrEqual(length);
      }),
    );
  });

  test('I6: windows that meet add up to the window over both, and none is negative', () => {
    fc.assert(
      fc.property(observed, fc.tuple(fc.nat(7000), fc.nat(7000), fc.nat(7000)), ({ readings }, instants) => {
        const [from = 0, middle = 0, to = 0] = instants.toSorted((a, b) => a - b);
        const [before, after] = [between(readings, from, middle), between(readings, middle, to)];
        expect(before + after).toBe(between(readings, from, to));
        expect(Math.min(before, after)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  test('A25: within a window, never longer than it, where the pod was seen at its beginning', () => {
    fc.assert(
      fc.property(fc.nat(3000), fc.integer({ min: 1, max: 3000 }), (age, window) => {
        expect(between([reading(0, age), reading(window - 1, age + window - 1)], 1, window)).toBeLessThanOrEqual(
          window,
        );
      }),
    );
  });
});

describe('A25: what is refused by itself', () => {
  const now = at(0);
  const given = { sourceId: 'pod', meter: 'runnerSeconds' as const, observedAt: now, quantity: '1' };

  test.each([
    ['a good one', {}, null],
    ['with six digits', { quantity: '1.000001' }, null],
    ['negative', { quantity: '-1' }, 'negative'],
    ['minus nothing', { quantity: '-0' }, 'negative'],
    ['1e18', { quantity: '1e18' }, 'no decimal, or more than can be'],
    ['1e18, written out', { quantity: `1${'0'.repeat(18)}` }, 'no decimal, or more than can be'],
    ['NaN', { quantity: 'NaN' }, 'no decimal, or more than can be'],
    ['Infinity', { quantity: 'Infinity' }, 'no decimal, or more than can be'],
    ['a formula', { quantity: '=1+1' }, 'no decimal, or more than can be'],
    ['finer than is kept', { quantity: '0.0000001' }, 'no decimal, or more than can be'],
    ['of 1970', { observedAt: new Date(0) }, 'too long ago'],
    ['of 1969', { observedAt: new Date(-1) }, 'too long ago'],
    ['of the future', { observedAt: at(6 * 60) }, 'in the future'],
    ['of no instant', { observedAt: new Date('x') }, 'no instant'],
    ['of nothing', { sourceId: '' }, 'no source'],
  ])('%s', (_, change, reason) => expect(refusalOf({ ...given, ...change }, now)).toBe(reason));
});
