import { z } from 'zod';
import { AppError } from '#lib/errors.ts';
import { open, seal, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';

export type UserTokens = { accessToken: string; refreshToken: string | null; expiresAt: Date | null };

const KeptTokens = z.object({
  accessToken: z.string(),
  refreshToken: z.string().nullable(),
  expiresAt: z.coerce.date().nullable(),
});

/** Renewed this long before its end, so that it does not end under way. */
const marginMs = 60_000;

export function sealedTokenPlace(identityId: string): string {
  return `identity/${identityId}/token`;
}

const signInAgain = (): AppError =>
  new AppError('unauthenticated', {
    log: 'no usable forge token',
    screen: {
      happened: 'The forge no longer accepts the sign-in that we keep of you.',
      todo: 'Sign out, and sign in again with the same forge.',
    },
  });

function isFresh(tokens: UserTokens): boolean {
  return tokens.expiresAt === null || tokens.expiresAt.getTime() > Date.now() + marginMs;
}

/**
 * The person's own token on a forge, renewed where it has ended. A refresh token counts once, so only one renewal of an
 * identity runs at a time and the others find its result.
 */
export async function userToken(
  identity: { id: string },
  refresh: (refreshToken: string) => Promise<UserTokens>,
): Promise<string> {
  const row = await unsafeDb().identity.findUnique({ where: { id: identity.id }, select: { sealedToken: true } });
  const kept = await unsealed(identity.id, row?.sealedToken ?? null);
  if (isFresh(kept)) return kept.accessToken;
  return unsafeTransaction(async (tx) => {
    const [locked] = await tx.$queryRaw<{ sealed_token: string | null }[]>`
      select sealed_token from identity where id = ${identity.id}::uuid for update`;
    const now = await unsealed(identity.id, locked?.sealed_token ?? null);
    if (isFresh(now)) return now.accessToken;
    if (now.refreshToken === null) throw signInAgain();
    const renewed = await refresh(now.refreshToken);
    await tx.identity.update({
      where: { id: identity.id },
      data: {
        sealedToken: await seal(JSON.stringify(renewed), sealedTokenPlace(identity.id)),
        tokenExpiresAt: renewed.expiresAt,
      },
    });
    return renewed.accessToken;
  });
}

async function unsealed(identityId: string, sealed: string | null): Promise<UserTokens> {
  if (sealed === null) throw signInAgain();
  return KeptTokens.parse(JSON.parse(await open(sealed, sealedTokenPlace(identityId))));
}

/** A token that the person entered, for forges whose sign-in leaves none; a later sign-in lets it stand. */
export async function keepPersonToken(identityId: string, accessToken: string, expiresAt: Date | null): Promise<void> {
  const tokens: UserTokens = { accessToken, refreshToken: null, expiresAt };
  await unsafeDb().identity.update({
    where: { id: identityId },
    data: { sealedToken: await seal(JSON.stringify(tokens), sealedTokenPlace(identityId)), tokenExpiresAt: expiresAt },
  });
}
