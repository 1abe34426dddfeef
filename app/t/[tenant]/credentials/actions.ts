'use server';

import { replaceForgeToken, ReplaceTokenInput, rotateCredential, RotateInput } from '#lib/enrollment/index.ts';
import { action } from '#lib/tenant/index.ts';
import { revalidatePath } from 'next/cache';

export const replaceToken = action(
  'credential:change',
  ReplaceTokenInput,
  async (ctx, input) => {
    await replaceForgeToken(ctx, input);
    revalidatePath(`/t/${ctx.tenant.slug}/credentials`);
  },
  { fresh: true },
);

export const rotate = action(
  'credential:change',
  RotateInput,
  async (ctx, input) => {
    await rotateCredential(ctx, input);
    revalidatePath(`/t/${ctx.tenant.slug}/credentials`);
  },
  { fresh: true },
);
