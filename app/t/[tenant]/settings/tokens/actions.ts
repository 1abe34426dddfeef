'use server';

import { revalidatePath } from 'next/cache';
import { action, addTenantToken, ApiTokenId, ApiTokenInput, revokeTenantToken, type Ctx } from '#lib/tenant/index.ts';

const listOf = ({ tenant }: Ctx) => `/t/${tenant.slug}/settings/tokens`;

export const make = action(
  'credential:change',
  ApiTokenInput,
  async (ctx, input) => {
    const made = await addTenantToken(ctx, input, new Date());
    revalidatePath(listOf(ctx));
    return made;
  },
  { fresh: true },
);

/** No fresh sign-in: whoever fears for a token is quick. */
export const revoke = action('credential:change', ApiTokenId, async (ctx, { tokenId }) => {
  await revokeTenantToken(ctx, tokenId, new Date());
  revalidatePath(listOf(ctx));
});
