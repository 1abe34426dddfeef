import { createHash, createPrivateKey, randomUUID, type KeyObject } from 'node:crypto';
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

/** `token-hs256-secret-base64` or `token-rs256-secret-base64` of Attic's own configuration, as it stands there. */
export const signingAlgorithms = ['HS256', 'RS256'] as const;
export type SigningKey = { algorithm: (typeof signingAlgorithms)[number]; secretBase64: string };

/** Attic's rule for a cache's name. It has no `*`: a pattern's first match wins there and would meet other tenants' names. */
export const atticName = /^[A-Za-z0-9][A-Za-z0-9_+-]{0,49}$/;

const claim = 'https://jwt.attic.rs/v1';

/**
 * A token for exactly the caches named. Attic keeps no list of tokens and can revoke none, so `expiresAt` is the only end
 * it has. `subject` is what Attic writes beside everything that is pushed.
 */
export async function signAtticToken(input: {
  key: SigningKey;
  subject: string;
  expiresAt: Date;
  caches: Record<string, AtticPermissions>;
}): Promise<AtticToken> {
  const tokenId = randomUUID();
  const token = await new SignJWT({ [claim]: { caches: flagsByName(input.caches) } })
    .setProtectedHeader({ alg: input.key.algorithm, typ: 'JWT' })
    .setSubject(input.subject)
    .setJti(tokenId)
    .setExpirationTime(input.expiresAt)
    .sign(openedKey(input.key));
  return { token, tokenId };
}

/** Tells keys apart without telling the key: by another than signed them, tokens are worth nothing. */
export function keyIdOf({ algorithm, secretBase64 }: SigningKey): string {
  return createHash('sha256').update(`${algorithm} ${secretBase64}`).digest('hex').slice(0, 16);
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

/** Throws `internal` for a secret that signs nothing: whoever enters one asks by this whether it can be used. */
export function openedKey({ algorithm, secretBase64 }: SigningKey): Uint8Array | KeyObject {
  const bytes = Buffer.from(secretBase64, 'base64');
  if (algorithm === 'HS256' && bytes.length > 0) return bytes;
  const key = algorithm === 'RS256' ? rsaKey(bytes) : null;
  if (key) return key;
  throw new AppError('internal', {
    log: `the Attic signing secret is no ${algorithm === 'RS256' ? 'RSA key in PEM, in' : ''} base64`,
    screen: {
      happened: 'The cache’s signing key is not usable.',
      todo: 'The operator must enter it again.',
    },
  });
}

/** Opened once a key: an RSA key takes longer to read than a token to sign. */
const rsaKeys = new Map<string, KeyObject | null>();
const rsaKeysMost = 100;

/** PKCS#1 or PKCS#8 in PEM, at least 2048 bits as RFC 7518 wants; null for anything else. */
function rsaKey(pem: Buffer): KeyObject | null {
  const id = createHash('sha256').update(pem).digest('hex');
  const known = rsaKeys.get(id);
  if (known !== undefined) return known;
  const key = readRsa(pem);
  if (rsaKeys.size >= rsaKeysMost) rsaKeys.clear();
  rsaKeys.set(id, key);
  return key;
}

function readRsa(pem: Buffer): KeyObject | null {
  try {
    const key = createPrivateKey(pem);
    const isUsable = key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
    return isUsable ? key : null;
  } catch {
    return null;
  }
}
