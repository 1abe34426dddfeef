import type { Decimal } from 'decimal.js';
import type { UseLine } from '#lib/usage/index.ts';
import { costScale, distribute, Exact, sumOf } from './exact.ts';
import type { Cost } from './price.ts';

/**
 * Who bears what a pool costs while no job runs in it: the repositories that used it, in proportion to their jobs' time or
 * each alike, or the operator, so that the tenant is not charged for it.
 */
export const idleRules = ['by-use', 'even', 'operator'] as const;
export type IdleRule = (typeof idleRules)[number];
export type IdleRules = ReadonlyMap<string, IdleRule>;

function ruleOf(rules: IdleRules, pool: string | null): IdleRule {
  return rules.get(pool ?? '') ?? 'by-use';
}

export type Billable = { billed: UseLine[]; byOperator: UseLine[] };

/** What the tenant pays for, and what the operator bears. Together they are all of it. */
export function billable(uses: readonly UseLine[], rules: IdleRules): Billable {
  const isTheirs = (use: UseLine) => use.kind === 'idle' && ruleOf(rules, use.pool) === 'operator';
  return { billed: uses.filter((use) => !isTheirs(use)), byOperator: uses.filter(isTheirs) };
}

/** A part of the cost, and of what: `own` is of its jobs, `shared` its part of what nobody in particular used. */
export type Attributed = { repository: string | null; label: AttributedTo; own: Decimal; shared: Decimal };
export type AttributedTo = 'repository' | 'unattributed' | 'idle' | 'plane';

type Shares = { pool: string; repository: string; own: Decimal };

/** Repositories by pool with what their jobs cost, in a fixed order. */
function ownOf(costs: readonly Cost[]): Shares[] {
  const sums = new Map<string, Shares>();
  for (const { use, contractedCost } of costs) {
    if (use.kind !== 'job' || use.repository === null) continue;
    const pool = use.pool ?? '';
    const key = JSON.stringify([pool, use.repository]);
    const sum = sums.get(key);
    sums.set(key, { pool, repository: use.repository, own: (sum?.own ?? new Exact(0)).plus(contractedCost) });
  }
  return [...sums].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, share]) => share);
}

/**
 * The cost by repository. Idle time is shared by the pool's rule; where no job ran in the pool it stays a line of its own, and
 * so does what cannot be attributed: neither is ever spread. The parts add up to the costs exactly.
 */
export function attribute(costs: readonly Cost[], rules: IdleRules): Attributed[] {
  const own = ownOf(costs);
  const parts = new Map<string, Attributed>();
  const add = (repository: string | null, label: AttributedTo, amounts: { own?: Decimal; shared?: Decimal }) => {
    const key = JSON.stringify([label, repository]);
    const part = parts.get(key) ?? { repository, label, own: new Exact(0), shared: new Exact(0) };
    parts.set(key, { ...part, own: part.own.plus(amounts.own ?? 0), shared: part.shared.plus(amounts.shared ?? 0) });
  };
  for (const share of own) add(share.repository, 'repository', { own: share.own });
  const costOf = (kind: UseLine['kind'], pool?: string) =>
    sumOf(
      costs
        .filter(({ use }) => use.kind === kind && (pool === undefined || (use.pool ?? '') === pool))
        .map(({ contractedCost }) => contractedCost),
    );
  for (const pool of new Set(costs.filter(({ use }) => use.kind === 'idle').map(({ use }) => use.pool ?? ''))) {
    const users = own.filter((share) => share.pool === pool);
    const idle = costOf('idle', pool);
    if (users.length === 0) add(null, 'idle', { shared: idle });
    const weights = users.map((share) => (ruleOf(rules, pool) === 'even' ? new Exact(1) : share.own));
    const shares = distribute(idle, weights, costScale);
    for (const [index, user] of users.entries())
      add(user.repository, 'repository', { shared: shares[index] ?? new Exact(0) });
  }
  for (const kind of ['unattributed', 'plane'] as const) {
    const cost = costOf(kind);
    if (costs.some(({ use }) => use.kind === kind)) add(null, kind, { own: cost });
  }
  const nameless = sumOf(
    costs.filter(({ use }) => use.kind === 'job' && use.repository === null).map((each) => each.contractedCost),
  );
  if (!nameless.isZero()) add(null, 'unattributed', { own: nameless });
  return [...parts.values()];
}
