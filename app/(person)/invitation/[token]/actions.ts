'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { acceptInvitation, personAction } from '#lib/tenant/index.ts';

const Accept = z.strictObject({ token: z.string().min(1).max(100) });

export const accept = personAction(Accept, async (by, { token }) =>
  redirect(`/t/${await acceptInvitation(by, token)}`),
);
