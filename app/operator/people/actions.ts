'use server';

import { revalidatePath } from 'next/cache';
import { disableUser, enableUser, endSessionsOf, operatorAction, PersonInput } from '#lib/tenant/index.ts';

export const endSessions = operatorAction('operator:change', PersonInput, async (by, { userId }) => {
  await endSessionsOf(by, userId);
  revalidatePath('/operator/people');
});

export const disable = operatorAction(
  'operator:change',
  PersonInput,
  async (by, { userId }) => {
    await disableUser(by, userId);
    revalidatePath('/operator/people');
  },
  { fresh: true },
);

export const enable = operatorAction('operator:change', PersonInput, async (by, { userId }) => {
  await enableUser(by, userId);
  revalidatePath('/operator/people');
});
