import { z } from 'zod';
import { env } from '#lib/env.ts';
import { AppError, invalidFields } from '#lib/errors.ts';
import type { AccountChoice } from '#lib/forge/index.ts';
import { createInvitation, type Ctx } from '#lib/tenant/index.ts';
import { actAs, forgeConnectionsOf } from './connections.ts';

export const InviteInput = z.strictObject({
  connectionId: z.string().min(1).max(100),
  login: z
    .string()
    .trim()
    .transform((login) => login.replace(/^@/, ''))
    .pipe(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, 'is no login')),
  role: z.enum(['admin', 'member', 'billing']),
});

/** Invites an account of a forge; returns the link, which is shown this once. */
export async function invite(ctx: Ctx, input: z.output<typeof InviteInput>): Promise<{ link: string; login: string }> {
  const { connectionId, role } = input;
  const forges = await forgeConnectionsOf();
  if (forges.every(({ id }) => id !== connectionId)) throw invalidFields({ connectionId: 'is not set up here' });
  const account = await accountOf(ctx, connectionId, input.login);
  const login = account?.login ?? input.login;
  const token = await createInvitation(ctx, { connectionId, login, subject: account?.subject ?? null, role });
  return { link: `${env().PORTAL_URL}/invitation/${token}`, login };
}

/**
 * Whom the forge means by that login now, asked as the person who invites; null where it cannot be asked, since they have no
 * account there or it is away: the login then decides when the invitation is accepted.
 */
async function accountOf(ctx: Ctx, connectionId: string, login: string): Promise<AccountChoice | null> {
  try {
    const { forge, token } = await actAs(ctx, connectionId);
    const found = await forge.findAccount({ userToken: token, login, signal: AbortSignal.timeout(10_000) });
    if (!found) throw invalidFields({ login: `there is no ${login} on this forge` });
    return found;
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid') throw error;
    return null;
  }
}
