'use server';

import { revalidatePath } from 'next/cache';
import { OwnKeyInput, OwnSecretInput, replaceOwnKey, replaceOwnSecret } from '#lib/enrollment/index.ts';
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

export const replaceSecret = action(
  'settings:change',
  OwnSecretInput,
  async (ctx, input) => {
    await replaceOwnSecret(ctx, input);
    revalidatePath(`/t/${ctx.tenant.slug}/settings/apps`);
  },
  { fresh: true },
);
