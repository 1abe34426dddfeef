import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, percentOf, restrained, type BudgetState } from './budget-steps.ts';

const none: BudgetState = { period: '2026-06', told: 0, step: 0, announced: 0, announcedAt: null };
const rule = { amount: new Decimal(100), thresholds: [50, 80, 100], isLimit: true, isLifted: false };
const hour = 3600_000;
const at = (minutes: number) => new Date(Date.UTC(2026, 5, 10) + minutes * 60_000);
const look = (
  state: BudgetState,
  spent: number,
  minutes: number,
  change: Partial<typeof rule> = {},
  period = '2026-06',
) => decide({ ...rule, ...change }, state, new Decimal(spent), { period, now: at(minutes), noticeMs: hour });

describe('a budget', () => {
  test('tells of each threshold once, and of the highest where several are passed at once', () => {
    const first = look(none, 85, 0, { isLimit: false });
    expect(first.news).toEqual([{ kind: 'reached', percent: 80 }]);
    expect(look(first.state, 86, 5, { isLimit: false }).news).toEqual([]);
    expect(look(first.state, 100, 5, { isLimit: false }).news).toEqual([{ kind: 'reached', percent: 100 }]);
    // What was spent fell by a correction, and rises again.
    expect(look(look(first.state, 10, 5, { isLimit: false }).state, 81, 6, { isLimit: false }).news).toEqual([]);
  });

  test('takes no step that was not announced an hour before, and one at a time', () => {
    const announced = look(none, 500, 0);
    expect(announced.news).toEqual([
      { kind: 'reached', percent: 100 },
      { kind: 'announced', step: 1, at: at(60) },
    ]);
    expect(look(announced.state, 500, 59).news).toEqual([]);
    const one = look(announced.state, 500, 60);
    expect([one.news, one.state.step]).toEqual([[{ kind: 'taken', step: 1 }], 1]);
    const next = look(one.state, 500, 61);
    expect(next.news).toEqual([{ kind: 'announced', step: 2, at: at(121) }]);
    expect(look(next.state, 500, 121).state.step).toBe(2);
    // Only as far as what was spent says.
    expect(look(one.state, 105, 500).news).toEqual([]);
  });

  test('goes back at once when it is raised, lifted, or a month begins', () => {
    const held: BudgetState = { ...none, told: 100, step: 2, announced: 2 };
    expect(look(held, 500, 0, { amount: new Decimal(1000) })).toMatchObject({
      state: { step: 0 },
      news: [{ kind: 'eased', step: 0 }],
    });
    expect(look(held, 500, 0, { isLifted: true })).toMatchObject({
      state: { step: 0 },
      news: [{ kind: 'eased', step: 0 }],
    });
    expect(look(held, 0, 0, {}, '2026-07')).toEqual({
      state: { ...none, period: '2026-07' },
      news: [{ kind: 'eased', step: 0 }],
    });
  });

  test('never holds back without a limit, and never takes a step early, whatever happens', () => {
    const looks = fc.array(fc.record({ spent: fc.nat(200), minutes: fc.integer({ min: 1, max: 90 }) }), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(looks, fc.boolean(), (each, isLimit) => {
        let state = none;
        let now = 0;
        const announcedAt = new Map<number, number>();
        for (const { spent, minutes } of each) {
          now += minutes;
          const before = state.step;
          const { state: next, news } = look(state, spent, now, { isLimit });
          for (const one of news) if (one.kind === 'announced') announcedAt.set(one.step, now);
          // One at a time, only with a limit, and an hour after it was told of.
          const isTaken = next.step > before;
          const waited = now - (announcedAt.get(next.step) ?? Infinity);
          expect(!isTaken || (isLimit && next.step === before + 1 && waited >= 60)).toBe(true);
          state = next;
        }
      }),
    );
  });

  test('its percent is rounded down: what is not reached is not said to be', () => {
    expect(percentOf(new Decimal('99.999999'), new Decimal(100))).toBe(99);
  });

  test('its steps: none kept warm, half at once, none', () => {
    const of = (step: number) => Object.values(restrained({ minRunners: 2, maxRunners: 5 }, step));
    expect([of(0), of(1), of(2), of(3)]).toEqual([
      [2, 5],
      [0, 5],
      [0, 3],
      [0, 0],
    ]);
  });
});
