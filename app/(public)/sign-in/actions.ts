'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { openAction } from '#lib/tenant/index.ts';
import { beginSignIn } from '../../api/auth/sign-in.ts';
import { safeNext } from './next.ts';

const SignIn = z.strictObject({
  connection: z.string().regex(/^[a-z0-9-]{1,60}$/),
  next: z.string().max(2000).default('/home'),
});

export const signIn = openAction(SignIn, async ({ connection, next }) =>
  redirect(await beginSignIn(connection, safeNext(next))),
);
