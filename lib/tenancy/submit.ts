import { z } from 'zod';
import { approvePlan, checkPlan, operatorReasons } from '#lib/enrollment/index.ts';
import { unsafeTransaction } from '#lib/db/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { decidedElsewhere, Note, openRequest } from './requests.ts';

export const SubmitInput = z.strictObject({ planId: z.uuid(), note: Note.default('') });

/**
 * Applies a plan where the person may, else asks an operator for it. What is asked for is checked as what is applied: the
 * person has the scope, and the world is as the plan saw it. Returns the request's id, or null where it was applied.
 */
export async function submitPlan(
  ctx: Ctx,
  { planId, note }: z.infer<typeof SubmitInput>,
): Promise<{ requestId: string | null }> {
  const reasons = await operatorReasons(ctx, planId);
  if (reasons.length === 0) {
    await approvePlan(ctx, planId);
    return { requestId: null };
  }
  await checkPlan(ctx, planId);
  const requestId = await unsafeTransaction(async (tx) => {
    const taken = await tx.plan.updateMany({ where: { id: planId, state: 'open' }, data: { state: 'waiting' } });
    if (taken.count !== 1) throw decidedElsewhere();
    return openRequest(tx, ctx, ctx.tenant, { kind: 'plan', wanted: {}, planId, note });
  });
  return { requestId };
}
