'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { endOtherSessions, endOwnSession, personAction } from '#lib/tenant/index.ts';
import { beginLinking } from '../../api/auth/sign-in.ts';

const AddAccount = z.strictObject({ connection: z.string().regex(/^[a-z0-9-]{1,60}$/) });

export const addAccount = personAction(AddAccount, async (_by, { connection }) =>
  redirect(await beginLinking(connection)),
);

export const endSession = personAction(z.strictObject({ sessionId: z.uuid() }), async (by, { sessionId }) => {
  await endOwnSession(by, sessionId);
  revalidatePath('/account');
});

export const endOthers = personAction(z.strictObject({}), async (by) => {
  await endOtherSessions(by);
  revalidatePath('/account');
});
