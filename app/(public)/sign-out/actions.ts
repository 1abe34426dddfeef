'use server';

import { cookies } from 'next/headers';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { cookieName, endAllSessions, endSession, isSecurePortal, personAction } from '#lib/tenant/index.ts';

const SignOut = z.strictObject({ everywhere: z.enum(['yes']).optional() });

export const signOut = personAction(SignOut, async (by, { everywhere }) => {
  const jar = await cookies();
  const name = cookieName('session');
  const token = jar.get(name)?.value;
  if (everywhere) await endAllSessions(by);
  else if (token) await endSession(token);
  jar.set(name, '', { httpOnly: true, sameSite: 'lax', path: '/', secure: isSecurePortal(), maxAge: 0 });
  redirect('/');
});
