'use server';

import { redirect } from 'next/navigation';
import { AdoptInput, draftAdoption, makePlan, setSharing, SharingInput } from '#lib/enrollment/index.ts';
import { action } from '#lib/tenant/index.ts';

/** Whose the tenant's capacity is from now on. */
export const choose = action('settings:change', SharingInput, async (ctx, input) => {
  await setSharing(ctx, input);
  redirect(`/t/${ctx.tenant.slug}/pools#sharing`);
});

/** On to the plan by which a set that somebody else made becomes the portal's. */
export const adopt = action('enrollment:plan', AdoptInput, async (ctx, input) => {
  const enrollmentId = await draftAdoption(ctx, input);
  const planId = await makePlan(ctx, { enrollmentId, kind: 'change' });
  redirect(`/t/${ctx.tenant.slug}/enroll/${enrollmentId}/plan?plan=${planId}`);
});
