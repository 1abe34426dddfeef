'use server';

import { redirect } from 'next/navigation';
import { enterPersonToken, PersonTokenInput } from '#lib/enrollment/index.ts';
import { personAction } from '#lib/tenant/index.ts';

/** A person's own access token, where the forge's sign-in leaves none; then the list of what they administer. */
export const giveToken = personAction(PersonTokenInput, async (by, input) => {
  await enterPersonToken(by, input);
  redirect(`/enroll?${new URLSearchParams({ connection: input.connectionId }).toString()}`);
});
