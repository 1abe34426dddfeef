import type { Decimal } from 'decimal.js';
import { Exact } from './exact.ts';

/** What a limit does, and at which percent of the budget. Each is told of before it is taken, and one is taken at a time. */
export const limitSteps = [
  { step: 1, percent: 100, words: 'no runner is kept warm' },
  { step: 2, percent: 110, words: 'half as many runners as usual may run at once' },
  { step: 3, percent: 120, words: 'no runner starts' },
] as const;

export type LimitStep = 0 | 1 | 2 | 3;

export type BudgetState = {
  /** The month that what follows is of. */
  period: string;
  told: number;
  step: number;
  announced: number;
  announcedAt: Date | null;
};

export type BudgetRule = { amount: Decimal; thresholds: readonly number[]; isLimit: boolean; isLifted: boolean };

export type BudgetNews =
  | { kind: 'reached'; percent: number }
  | { kind: 'announced'; step: number; at: Date }
  | { kind: 'taken'; step: number }
  | { kind: 'eased'; step: number };

export type Decision = { state: BudgetState; news: BudgetNews[] };

/** How far what was spent is, in percent, rounded down. */
export function percentOf(spent: Decimal, amount: Decimal): number {
  return new Exact(spent).div(amount).mul(100).floor().toNumber();
}

/**
 * What a budget's state becomes. A new month begins anew. A threshold is told of once. A limit goes one step further when that
 * step was announced `noticeMs` ago and is still due, and goes back at once when it no longer is.
 */
export function decide(
  rule: BudgetRule,
  before: BudgetState,
  spent: Decimal,
  { period, now, noticeMs }: { period: string; now: Date; noticeMs: number },
): Decision {
  const isNew = before.period !== period;
  const state = isNew ? { period, told: 0, step: 0, announced: 0, announcedAt: null } : { ...before };
  const news: BudgetNews[] = isNew && before.step > 0 ? [{ kind: 'eased', step: 0 }] : [];
  const percent = percentOf(spent, rule.amount);
  const reached = Math.max(0, ...rule.thresholds.filter((threshold) => threshold <= percent));
  if (reached > state.told) {
    news.push({ kind: 'reached', percent: reached });
    state.told = reached;
  }
  const due = rule.isLimit && !rule.isLifted ? limitSteps.filter((each) => each.percent <= percent).length : 0;
  if (due < state.step) {
    state.step = due;
    news.push({ kind: 'eased', step: due });
  }
  if (due < state.announced) [state.announced, state.announcedAt] = [due, null];
  if (due > state.step) further(state, news, now, noticeMs);
  return { state, news };
}

function further(state: BudgetState, news: BudgetNews[], now: Date, noticeMs: number): void {
  const next = state.step + 1;
  if (state.announced < next || state.announcedAt === null) {
    [state.announced, state.announcedAt] = [next, now];
    news.push({ kind: 'announced', step: next, at: new Date(now.getTime() + noticeMs) });
  }
  if (now.getTime() - (state.announcedAt ?? now).getTime() < noticeMs) return;
  state.step = next;
  state.announcedAt = null;
  news.push({ kind: 'taken', step: next });
}

/** What a step leaves of how many runners a pool keeps warm and may have at once. */
export function restrained(runners: { minRunners: number; maxRunners: number }, step: number): typeof runners {
  if (step >= 3) return { minRunners: 0, maxRunners: 0 };
  if (step === 2) return { minRunners: 0, maxRunners: Math.ceil(runners.maxRunners / 2) };
  return step === 1 ? { minRunners: 0, maxRunners: runners.maxRunners } : runners;
}
