'use server';

import { revalidatePath } from 'next/cache';
import { addPersonToken, ApiTokenId, ApiTokenInput, personAction, revokePersonToken } from '#lib/tenant/index.ts';

export const make = personAction(
  ApiTokenInput,
  async (by, input) => {
    const made = await addPersonToken(by, input, new Date());
    revalidatePath('/account/tokens');
    return made;
  },
  { fresh: true },
);

/** No fresh sign-in: whoever fears for a token is quick. */
export const revoke = personAction(ApiTokenId, async (by, { tokenId }) => {
  await revokePersonToken(by, tokenId, new Date());
  revalidatePath('/account/tokens');
});
