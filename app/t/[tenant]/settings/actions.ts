'use server';

import { revalidatePath } from 'next/cache';
import { z } from 'zod';
import { TenantName } from '#lib/model/index.ts';
import { followTeam, FollowTeamInput } from '#lib/tenancy/index.ts';
import { action, renameTenant } from '#lib/tenant/index.ts';

const Rename = z.strictObject({ displayName: TenantName });

export const rename = action('settings:change', Rename, async (ctx, { displayName }) => {
  await renameTenant(ctx, displayName);
  revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
});

export const follow = action('member:change', FollowTeamInput, async (ctx, input) => {
  await followTeam(ctx, input);
  revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
});
