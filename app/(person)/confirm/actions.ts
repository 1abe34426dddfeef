'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { notFound } from '#lib/errors.ts';
import { personAction } from '#lib/tenant/index.ts';
import { safeNext } from '../../(public)/sign-in/next.ts';
import { beginConfirming } from '../../api/auth/sign-in.ts';

const Confirm = z.strictObject({ connection: z.string().regex(/^[a-z0-9-]{1,60}$/), next: z.string().max(2000) });

export const confirm = personAction(Confirm, async ({ person }, { connection, next }) => {
  if (person.identities.every(({ connectionId }) => connectionId !== connection)) throw notFound('This account');
  redirect(await beginConfirming(connection, safeNext(next)));
});
