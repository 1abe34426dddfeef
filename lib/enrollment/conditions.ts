import { Conditions, type Condition, type Reason } from '#lib/model/index.ts';

/** What one phase found: done (True), waiting or failing (False), or not looked at (Unknown). */
export type PhaseResult = Pick<Condition, 'status' | 'message' | 'waitingFor'> & { reason: Reason };

export function parsedConditions(stored: unknown): Condition[] {
  return Conditions.parse(stored);
}

/** Why a scope that may be registered at tells us of no job. */
export const withoutWebhook = 'WithoutWebhook';

/** As it was found when the forge was last asked. */
export function hasNoWebhook({ conditions }: { conditions: unknown }): boolean {
  return parsedConditions(conditions).some(({ type, reason }) => type === 'ForgeReady' && reason === withoutWebhook);
}

/** Merges what a pass found into what was known: `since` stays while the status and the reason stay. */
export function mergedConditions(
  before: readonly Condition[],
  found: ReadonlyMap<string, PhaseResult>,
  generation: number,
  now: Date,
): Condition[] {
  return [...found].map(([type, result]) => {
    const old = before.find((each) => each.type === type);
    const stays = old?.status === result.status && old.reason === result.reason;
    return { type, ...result, since: stays ? old.since : now.toISOString(), observedGeneration: generation };
  });
}

/** Ready is what all the others say together; whoever is waited for first is waited for. */
export function readyOf(found: ReadonlyMap<string, PhaseResult>): PhaseResult {
  const open = [...found.values()].find((result) => result.status !== 'True');
  if (!open)
    return { status: 'True', reason: 'Ready', message: 'Jobs with these labels get runners.', waitingFor: 'nobody' };
  return { status: 'False', reason: open.reason, message: open.message, waitingFor: open.waitingFor };
}

/** Why runners are held back on purpose: an operator's suspension, a budget's limit. */
export const heldBackReasons = { suspended: 'Suspended', budget: 'BudgetSpent' } as const;

/** Why no runner is to start now, in a sentence; null where one may. */
export function heldBack({ conditions }: { conditions: unknown }): string | null {
  const reasons: string[] = Object.values(heldBackReasons);
  const held = parsedConditions(conditions).find(
    ({ type, reason }) => type === 'RunnersReady' && reasons.includes(reason),
  );
  return held?.message ?? null;
}
