'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { applyRepair, ApplyInput, askForLook, LookInput, proposeRepair, ProposeInput } from '#lib/doctor/index.ts';
import { action, type Ctx } from '#lib/tenant/index.ts';

const pageOf = ({ tenant }: Ctx, enrollmentId: string) => `/t/${tenant.slug}/enrollments/${enrollmentId}/doctor`;

/** Shows what a repair would do; nothing is done by it. */
export const propose = action('enrollment:plan', ProposeInput, async (ctx, input) => {
  const made = await proposeRepair(ctx, input);
  const { enrollmentId } = made;
  if ('planId' in made) redirect(`/t/${ctx.tenant.slug}/enroll/${enrollmentId}/plan?plan=${made.planId}`);
  redirect(`${pageOf(ctx, enrollmentId)}?plan=${made.repairId}`);
});

export const apply = action('enrollment:approve', ApplyInput, async (ctx, input) => {
  const { enrollmentId } = await applyRepair(ctx, input);
  redirect(pageOf(ctx, enrollmentId));
});

export const look = action('enrollment:see', LookInput, async (ctx, input) => {
  await askForLook(ctx, input);
  revalidatePath(pageOf(ctx, input.enrollmentId));
});
