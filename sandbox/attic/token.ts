import type { KeyObject } from 'node:crypto';
import { jwtVerify } from 'jose';
import { z } from 'zod';

/** What one token may do with one cache name, in words; the token itself has letters. */
export interface Permissions {
  pull: boolean;
  push: boolean;
  delete: boolean;
  createCache: boolean;
  configureCache: boolean;
  configureRetention: boolean;
  destroyCache: boolean;
}

export interface Token {
  subject: string | null;
  /** In the order in which the token names them, which is the order in which wildcards are tried. */
  caches: [pattern: string, permissions: Permissions][];
}

export const nothing: Permissions = {
  pull: false,
  push: false,
  delete: false,
  createCache: false,
  configureCache: false,
  configureRetention: false,
  destroyCache: false,
};

const namespace = 'https://jwt.attic.rs/v1';
const Flag = z.union([z.literal(0), z.literal(1)]).default(0);
const Flags = z.object({ r: Flag, w: Flag, d: Flag, cc: Flag, cr: Flag, cq: Flag, cd: Flag });
const Claims = z.object({
  sub: z.string().nullish(),
  exp: z.number(),
  [namespace]: z
    .object({ caches: z.record(z.string().regex(/^[A-Za-z0-9*][A-Za-z0-9\-_+*]{0,49}$/), Flags) })
    .optional(),
});

/** By what a server verifies: one algorithm and no other, whatever a token says of itself. */
export type Verifier = { algorithm: 'HS256'; key: Uint8Array } | { algorithm: 'RS256'; key: KeyObject };

/** The token of an Authorization header: Bearer, or the password of Basic. Anything that is not good is nobody, not an error. */
export async function readToken(
  header: string | undefined,
  { algorithm, key }: Verifier,
  now: Date,
): Promise<Token | undefined> {
  const jwt = bearer(header);
  if (jwt === undefined) return undefined;
  try {
    const { payload } = await jwtVerify(jwt, key, { algorithms: [algorithm], currentDate: now });
    const claims = Claims.parse(payload);
    const caches = Object.entries(claims[namespace]?.caches ?? {});
    return { subject: claims.sub ?? null, caches: caches.map(([pattern, flags]) => [pattern, inWords(flags)]) };
  } catch {
    return undefined;
  }
}

function bearer(header: string | undefined): string | undefined {
  const [scheme = '', value = ''] = (header ?? '').split(' ', 2);
  if (/^bearer$/i.test(scheme)) return value;
  if (!/^basic$/i.test(scheme)) return undefined;
  const pair = Buffer.from(value, 'base64').toString();
  return pair.slice(pair.indexOf(':') + 1);
}

function inWords(flags: z.infer<typeof Flags>): Permissions {
  return {
    pull: flags.r === 1,
    push: flags.w === 1,
    delete: flags.d === 1,
    createCache: flags.cc === 1,
    configureCache: flags.cr === 1,
    configureRetention: flags.cq === 1,
    destroyCache: flags.cd === 1,
  };
}

/** The exact name, else the first wildcard that matches: never a union of several. */
export function grantedFor(token: Token, name: string): Permissions {
  const exact = token.caches.find(([pattern]) => pattern === name);
  const found = exact ?? token.caches.find(([pattern]) => pattern.includes('*') && wildcard(pattern).test(name));
  return { ...(found?.[1] ?? nothing) };
}

function wildcard(pattern: string): RegExp {
  return new RegExp(`^${pattern.replace(/\+/g, '\\+').replace(/\*/g, '.*')}$`);
}
