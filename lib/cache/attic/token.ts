import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { AppError } from '../../errors.ts';

/**
 * What a token may do with one cache: read, write (push), delete paths, create, configure, configure retention, destroy.
 * The letters are Attic's own (token/src/lib.rs).
 */
export type AtticPermissions = {
  r?: boolean;
  w?: boolean;
  d?: boolean;
  cc?: boolean;
  cr?: boolean;
  cq?: boolean;
  cd?: boolean;
};

export type AtticToken = { token: string; tokenId: string };

/** Attic's rule for a cache's name. It has no `*`: a pattern's first match wins there and would meet other tenants' names. */
export const atticName = /^[A-Za-z0-9][A-Za-z0-9_+-]{0,49}$/;

const claim = 'https://jwt.attic.rs/v1';

/**
 * A token for exactly the caches named. Attic keeps no list of tokens and can revoke none, so `expiresAt` is the only end
 * it has. `subject` is what Attic writes beside everything that is pushed.
 */
export async function signAtticToken(input: {
  secretBase64: string;
  subject: string;
  expiresAt: Date;
  caches: Record<string, AtticPermissions>;
}): Promise<AtticToken> {
  const tokenId = randomUUID();
  const token = await new SignJWT({ [claim]: { caches: flagsByName(input.caches) } })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(input.subject)
    .setJti(tokenId)
    .setExpirationTime(input.expiresAt)
    .sign(signingKey(input.secretBase64));
  return { token, tokenId };
}

/** Attic reads 1 as granted and an absent flag as refused. */
function flagsByName(caches: Record<string, AtticPermissions>): Record<string, Record<string, 1>> {
  const granted = Object.entries(caches).map(([name, permissions]) => {
    if (!atticName.test(name)) throw new TypeError(`not the exact name of an Attic cache: ${name}`);
    const flags = Object.entries(permissions).filter(([, allowed]) => allowed);
    return [name, Object.fromEntries(flags.map(([flag]) => [flag, 1 as const]))] as const;
  });
  return Object.fromEntries(granted);
}

function signingKey(secretBase64: string): Uint8Array {
  const key = Buffer.from(secretBase64, 'base64');
  if (key.length > 0) return key;
  throw new AppError('internal', {
    log: 'the Attic signing secret is empty or not base64',
    screen: {
      happened: 'The cache’s signing key is not usable.',
      todo: 'The operator must enter it again.',
    },
  });
}
