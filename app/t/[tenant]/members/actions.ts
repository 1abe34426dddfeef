'use server';

import { revalidatePath } from 'next/cache';
import { z } from 'zod';
import { invite as inviteAccount, InviteInput } from '#lib/enrollment/index.ts';
import { action, revokeInvitation, RoleInput, setMemberRole } from '#lib/tenant/index.ts';

export const setRole = action(
  'member:change',
  RoleInput,
  async (ctx, input) => {
    await setMemberRole(ctx, input);
    revalidatePath(`/t/${ctx.tenant.slug}/members`);
  },
  { fresh: (_, { role }) => role === 'none' || role === 'admin' },
);

export const invite = action(
  'member:change',
  InviteInput,
  async (ctx, input) => {
    const made = await inviteAccount(ctx, input);
    revalidatePath(`/t/${ctx.tenant.slug}/members`);
    return made;
  },
  { fresh: (_, { role }) => role === 'admin' },
);

export const revoke = action('member:change', z.strictObject({ invitationId: z.uuid() }), async (ctx, input) => {
  await revokeInvitation(ctx, input.invitationId);
  revalidatePath(`/t/${ctx.tenant.slug}/members`);
});
