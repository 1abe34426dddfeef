'use server';

import { revalidatePath } from 'next/cache';
import { beginLeaving, LeaveInput } from '#lib/tenancy/index.ts';
import { action } from '#lib/tenant/index.ts';

export const leave = action(
  'tenant:leave',
  LeaveInput,
  async (ctx, input) => {
    await beginLeaving(ctx, input);
    revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
  },
  { fresh: true },
);
