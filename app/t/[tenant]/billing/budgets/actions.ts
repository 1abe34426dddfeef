'use server';

import { revalidatePath } from 'next/cache';
import {
  addBudget,
  BudgetId,
  BudgetInput,
  changeBudget,
  ChangeBudgetInput,
  liftLimit,
  removeBudget,
} from '#lib/billing/index.ts';
import { action, type Ctx } from '#lib/tenant/index.ts';

const listOf = ({ tenant }: Ctx) => `/t/${tenant.slug}/billing/budgets`;

export const add = action('budget:change', BudgetInput, async (ctx, input) => {
  await addBudget(ctx, input);
  revalidatePath(listOf(ctx));
});

export const change = action('budget:change', ChangeBudgetInput, async (ctx, input) => {
  await changeBudget(ctx, input, new Date());
  revalidatePath(listOf(ctx));
});

export const lift = action('budget:change', BudgetId, async (ctx, { budgetId }) => {
  await liftLimit(ctx, budgetId, new Date());
  revalidatePath(listOf(ctx));
});

export const remove = action('budget:change', BudgetId, async (ctx, { budgetId }) => {
  await removeBudget(ctx, budgetId);
  revalidatePath(listOf(ctx));
});
