'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { TenantSlug } from '#lib/model/index.ts';
import { askForQuota, askToMove, MoveInput, QuotaInput, setTeamQuota } from '#lib/tenancy/index.ts';
import { action } from '#lib/tenant/index.ts';
import { QuotaForm } from '../../../quota-input.ts';

const Ask = z.object({ quota: QuotaForm, note: QuotaInput.shape.note });

export const ask = action('request:make', Ask, async (ctx, input) => {
  const requestId = await askForQuota(ctx, input);
  if (requestId) redirect(`/t/${ctx.tenant.slug}/requests/${requestId}`);
  revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
});

const Share = z.object({ team: TenantSlug, quota: QuotaForm });

export const setShare = action('settings:change', Share, async (ctx, input) => {
  await setTeamQuota(ctx, input);
  revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
});

export const move = action('request:make', MoveInput, async (ctx, input) => {
  const requestId = await askToMove(ctx, input);
  redirect(`/t/${ctx.tenant.slug}/requests/${requestId}`);
});
