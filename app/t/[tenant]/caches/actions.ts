'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import {
  CacheTokenInput,
  changeView,
  ChangeViewInput,
  createView,
  issuePersonToken,
  NewViewInput,
  removeView,
  RemoveViewInput,
  revokeToken,
  TokenId,
} from '#lib/caching/index.ts';
import { action, type Ctx } from '#lib/tenant/index.ts';

const listOf = ({ tenant }: Ctx) => `/t/${tenant.slug}/caches`;

export const create = action('cache:change', NewViewInput, async (ctx, input) => {
  await createView(ctx, input);
  revalidatePath(listOf(ctx), 'layout');
});

export const change = action('cache:change', ChangeViewInput, async (ctx, input) => {
  await changeView(ctx, input);
  revalidatePath(listOf(ctx), 'layout');
});

export const remove = action(
  'cache:change',
  RemoveViewInput,
  async (ctx, input) => {
    await removeView(ctx, input);
    redirect(listOf(ctx));
  },
  { fresh: true },
);

/** Whoever may see the caches may have a token to read them by; what pushes is asked for within. */
export const issue = action('cache:see', CacheTokenInput, async (ctx, input) => issuePersonToken(ctx, input), {
  fresh: true,
});

export const revoke = action('cache:see', TokenId, async (ctx, input) => revokeToken(ctx, input), { fresh: true });
