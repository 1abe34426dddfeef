import type { Decimal } from 'decimal.js';
import type { Meter, UseLine } from '#lib/usage/index.ts';
import { Exact, sumOf } from './exact.ts';
import type { MonthCost } from './month.ts';
import type { Cost } from './price.ts';

/** Money that bought nothing, and what would save it. */
export type Waste = { kind: 'idle' | 'failed' | 'oversize'; what: string; cost: string; todo: string };

const wasteMost = 10;
/** A pool whose runners use less of what they ask for than this is too large for what it runs. */
const smallShare = new Exact('0.4');

function groups(
  costs: readonly Cost[],
  keyOf: (use: UseLine) => string,
): { what: string; cost: Decimal; seconds: Decimal }[] {
  return [...Map.groupBy(costs, ({ use }) => keyOf(use))].map(([what, own]) => ({
    what,
    cost: sumOf(own.map((each) => each.contractedCost)),
    seconds: sumOf(own.filter(({ use }) => use.meter === 'runnerSeconds').map(({ use }) => use.quantity)),
  }));
}

const hoursOf = (seconds: Decimal) => seconds.div(3600).toDecimalPlaces(1).toFixed();

function idle(costs: readonly Cost[]): Waste[] {
  return groups(
    costs.filter(({ use }) => use.kind === 'idle'),
    (use) => use.pool ?? '',
  ).map(({ what, cost, seconds }) => ({
    kind: 'idle' as const,
    what,
    cost: cost.toFixed(),
    todo: `Its runners waited ${hoursOf(seconds)} hours for a job. Keep fewer of them warm, or let more jobs run in it.`,
  }));
}

function failed(costs: readonly Cost[]): Waste[] {
  return groups(
    costs.filter(({ use }) => use.kind === 'job' && use.hasFailed),
    (use) => `${use.repository ?? 'no repository'} · ${use.workflow ?? 'no workflow'}`,
  ).map(({ what, cost, seconds }) => ({
    kind: 'failed' as const,
    what,
    cost: cost.toFixed(),
    todo: `Runs that failed or were cancelled took ${hoursOf(seconds)} hours. Let what fails often fail first, and cancel runs that a newer push replaces.`,
  }));
}

/** Only where the cluster tells what is used. */
function oversize(months: readonly MonthCost[], costs: readonly Cost[]): Waste[] {
  const uses = months.flatMap((month) => [...month.uses, ...month.byOperator]);
  const sum = (pool: string, meter: Meter) =>
    sumOf(uses.filter((use) => use.pool === pool && use.meter === meter).map((use) => use.quantity));
  return groups(costs, (use) => use.pool ?? '').flatMap(({ what, cost }) => {
    const shares = (
      [
        ['cpuCoreSeconds', 'cpuCoreSecondsUsed'],
        ['memoryGibSeconds', 'memoryGibSecondsUsed'],
      ] as const
    ).map(([asked, used]) => {
      const whole = sum(what, asked);
      return whole.isZero() ? new Exact(0) : sum(what, used).div(whole);
    });
    const most = Exact.max(...shares);
    if (most.isZero() || most.gte(smallShare)) return [];
    const todo = `Its runners used at most ${most.mul(100).toDecimalPlaces(0).toFixed()} % of the CPU and memory that they ask for. Let its jobs run in a smaller pool.`;
    return [{ kind: 'oversize' as const, what, cost: cost.mul(new Exact(1).minus(most)).toFixed(), todo }];
  });
}

/** The largest first. */
export function wasteOf(months: readonly MonthCost[], costs: readonly Cost[]): Waste[] {
  return [...idle(costs), ...failed(costs), ...oversize(months, costs)]
    .filter(({ cost }) => !new Exact(cost).isZero())
    .toSorted((a, b) => new Exact(b.cost).comparedTo(a.cost))
    .slice(0, wasteMost);
}
