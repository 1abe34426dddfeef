'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import {
  applyRollout,
  ApplyRolloutInput,
  changePool,
  planRollouts,
  PoolFields,
  RolloutInput,
} from '#lib/enrollment/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

/** A pool as it is to be. What runs stays as it was approved. */
export const keepPool = operatorAction('operator:change', PoolFields, async (by, input) => {
  await changePool(by, input);
  redirect(`/operator/pools/${input.pool.name}?kept=1`);
});

/** A plan for each enrollment that has the pool as it was. */
export const planOut = operatorAction('operator:change', RolloutInput, async (by, input) => {
  const id = await planRollouts(by, input);
  redirect(`/operator/pools/${input.pool}/rollouts/${id}`);
});

export const applyOut = operatorAction('operator:change', ApplyRolloutInput, async (by, input) => {
  await applyRollout(by, input);
  revalidatePath('/operator/pools');
});
