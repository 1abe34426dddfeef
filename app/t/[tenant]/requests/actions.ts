'use server';

import { revalidatePath } from 'next/cache';
import { answer, AnswerInput, takeBack, TakeBackInput } from '#lib/tenancy/index.ts';
import { action } from '#lib/tenant/index.ts';

export const answerBack = action('request:make', AnswerInput, async (ctx, input) => {
  await answer(ctx, input);
  revalidatePath(`/t/${ctx.tenant.slug}/requests`, 'layout');
});

export const withdraw = action('request:make', TakeBackInput, async (ctx, input) => {
  await takeBack(ctx, input);
  revalidatePath(`/t/${ctx.tenant.slug}/requests`, 'layout');
});
