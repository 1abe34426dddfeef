import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { AppError } from '../errors.ts';
import { conceal } from '../telemetry/index.ts';
import { keyIdBytes, presentKey, secretKeys, type SecretKey } from './keys.ts';

/** Sealed by a key that this process was not given. */
export class UnknownKey extends Error {
  readonly keyId: string;

  constructor(keyId: string) {
    super(`it was sealed by the key ${keyId}, which is not known here`);
    this.keyId = keyId;
  }
}

/** The key that a value names; any, where it is from before values named theirs. */
function keysNamed(keyId: string | undefined): SecretKey[] {
  const keys = secretKeys();
  if (keyId === undefined) return keys;
  const named = keys.filter(({ id }) => id === keyId);
  if (named.length === 0) throw new UnknownKey(keyId);
  return named;
}

/** What the first key gives by which it opens; the last one's reason where none does. */
async function byAny<T>(keys: readonly SecretKey[], opens: (key: SecretKey) => T | Promise<T>): Promise<T> {
  let reason: unknown;
  for (const key of keys) {
    try {
      return await opens(key);
    } catch (error) {
      reason = error;
    }
  }
  throw reason;
}

/**
 * Seals a secret as a compact JWE (RFC 7516, dir + A256GCM). `place` names where it is kept, such as
 * `tenant/<id>/credential/<id>`; the protected header carries it and GCM binds it, so that a ciphertext moved to another
 * row or tenant does not open. The header begins with the key's id, so that the database can tell by which key each is sealed.
 */
export async function seal(plain: string, place: string): Promise<string> {
  conceal(plain);
  return sealPlain(new TextEncoder().encode(plain), place);
}

function sealPlain(plain: Uint8Array, place: string): Promise<string> {
  const { id: kid, bytes } = presentKey();
  return new CompactEncrypt(plain).setProtectedHeader({ kid, alg: 'dir', enc: 'A256GCM', place }).encrypt(bytes);
}

/** Opens what `seal` made for the same place, by whichever known key; throws AppError('internal') for any other. */
export async function open(sealed: string, place: string): Promise<string> {
  try {
    const opened = await openPlain(sealed);
    if (opened.place !== place) throw new Error(`sealed for another place than ${place}`);
    const plain = new TextDecoder().decode(opened.plain);
    conceal(plain);
    return plain;
  } catch (error) {
    throw doesNotOpen(place, error);
  }
}

async function openPlain(sealed: string): Promise<{ plain: Uint8Array; place: string }> {
  const keys = keysNamed(decodeProtectedHeader(sealed).kid);
  const { plaintext, protectedHeader } = await byAny(keys, ({ bytes }) => compactDecrypt(sealed, bytes));
  return { plain: plaintext, place: String(protectedHeader['place']) };
}

/** The same secret for the same place, whichever that is, by the present key. Throws where no known key opens it. */
export async function resealed(sealed: string): Promise<string> {
  const { plain, place } = await openPlain(sealed);
  return sealPlain(plain, place);
}

/** What every text begins with that this key sealed: `{"kid":"<id>` is 24 bytes, hence 32 whole characters of base64. */
export function textMark(keyId: string): string {
  return Buffer.from(`{"kid":"${keyId}`).toString('base64url');
}

/** The id of the key that a text names, by what it begins with; undefined where it names none. */
export function keyIdOfMark(mark: string): string | undefined {
  return /^\{"kid":"([0-9a-f]{16})$/.exec(Buffer.from(mark, 'base64url').toString())?.[1];
}

function doesNotOpen(place: string, error: unknown): AppError {
  const said = error instanceof Error ? error.message : 'unknown';
  const log = `sealed secret of ${place} does not open: ${said}`;
  if (error instanceof UnknownKey)
    return new AppError('internal', {
      log,
      screen: {
        happened: `A stored secret was sealed by the key ${error.keyId}, which the portal was not given.`,
        todo: 'The operator must add that key to FLYWHEEL_SECRET_KEYS_OLD. Where it is lost, what it sealed must be entered again: docs/recover.md.',
      },
    });
  return new AppError('internal', {
    log,
    screen: {
      happened: 'A stored secret could not be opened.',
      todo: 'The operator must check the portal’s secret keys, FLYWHEEL_SECRET_KEY and FLYWHEEL_SECRET_KEYS_OLD.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ large ones

const format = 1;
const [saltBytes, keyBytes, nonceBytes, tagBytes] = [32, 32, 12, 16];
const headBytes = 1 + saltBytes;

/** A key and a nonce of its own for each body, so that none is used twice however many there are (RFC 5869). */
function ownKey(key: SecretKey, salt: Uint8Array, place: string): { key: Uint8Array; nonce: Uint8Array } {
  const made = new Uint8Array(hkdfSync('sha256', key.bytes, salt, `flywheel/${place}`, keyBytes + nonceBytes));
  return { key: made.subarray(0, keyBytes), nonce: made.subarray(keyBytes) };
}

/**
 * Seals what is too large for text: `format | salt | zstd, then AES-256-GCM | tag`. Bound to its place as `seal` binds. The
 * salt begins with the key's id: what does not know of that reads it as any other salt.
 * Bytes in, bytes out; the place is that of no other body.
 */
export async function sealBytes(plain: Uint8Array, place: string): Promise<Buffer<ArrayBuffer>> {
  return sealPacked(await promisify(zstdCompress)(plain), place);
}

function sealPacked(packed: Uint8Array, place: string): Buffer<ArrayBuffer> {
  const key = presentKey();
  const salt = Buffer.concat([Buffer.from(key.id, 'hex'), randomBytes(saltBytes - keyIdBytes)]);
  const own = ownKey(key, salt, place);
  const cipher = createCipheriv('aes-256-gcm', own.key, own.nonce).setAAD(Buffer.from(place));
  return Buffer.concat([Buffer.of(format), salt, cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what `sealBytes` made for the same place, of at most `bytesMax`; throws AppError('internal') for any other. */
export async function openBytes(sealed: Uint8Array, place: string, bytesMax: number): Promise<Buffer<ArrayBuffer>> {
  try {
    return Buffer.from(await promisify(zstdDecompress)(await openPacked(sealed, place), { maxOutputLength: bytesMax }));
  } catch (error) {
    throw doesNotOpen(place, error);
  }
}

/** A salt that begins with no known id may be from before they did: then any key may be the one. */
async function openPacked(sealed: Uint8Array, place: string): Promise<Buffer<ArrayBuffer>> {
  if (sealed[0] !== format || sealed.length < headBytes + tagBytes) throw new Error('is of no known format');
  const salt = sealed.subarray(1, headBytes);
  const keys = secretKeys();
  const named = Buffer.from(salt.subarray(0, keyIdBytes)).toString('hex');
  const meant = keys.filter(({ id }) => id === named);
  return byAny(meant.length > 0 ? meant : keys, (key) => {
    const own = ownKey(key, salt, place);
    const cipher = createDecipheriv('aes-256-gcm', own.key, own.nonce).setAAD(Buffer.from(place));
    cipher.setAuthTag(sealed.subarray(-tagBytes));
    return Buffer.concat([cipher.update(sealed.subarray(headBytes, -tagBytes)), cipher.final()]);
  });
}

/** The same body for the same place by the present key, of the same length. Throws where no known key opens it. */
export async function resealedBytes(sealed: Uint8Array, place: string): Promise<Buffer<ArrayBuffer>> {
  return sealPacked(await openPacked(sealed, place), place);
}
