'use server';

import { revalidatePath } from 'next/cache';
import { removeTag, setTag, TagInput, TagKey } from '#lib/billing/index.ts';
import { action } from '#lib/tenant/index.ts';

export const tag = action('budget:change', TagInput, async (ctx, input) => {
  await setTag(ctx, input);
  revalidatePath(`/t/${ctx.tenant.slug}/billing/statements`);
});

export const untag = action('budget:change', TagKey, async (ctx, input) => {
  await removeTag(ctx, input);
  revalidatePath(`/t/${ctx.tenant.slug}/billing/statements`);
});
