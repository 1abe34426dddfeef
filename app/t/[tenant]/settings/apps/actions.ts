'use server';

import { revalidatePath } from 'next/cache';
import { OwnKeyInput, replaceOwnKey } from '#lib/enrollment/index.ts';
import { action } from '#lib/tenant/index.ts';

export const replaceKey = action(
  'settings:change',
  OwnKeyInput,
  async (ctx, input) => {
    await replaceOwnKey(ctx, input);
    revalidatePath(`/t/${ctx.tenant.slug}/settings/apps`);
  },
  { fresh: true },
);
