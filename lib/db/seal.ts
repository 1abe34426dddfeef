import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { AppError } from '../errors.ts';
import { required } from '../env.ts';

function key(): Uint8Array {
  return Buffer.from(required('FLYWHEEL_SECRET_KEY'), 'base64');
}

/**
 * Seals a secret as a compact JWE (RFC 7516, dir + A256GCM). `place` names where it is kept, such as
 * `tenant/<id>/credential/<id>`; the protected header carries it and GCM binds it, so that a ciphertext moved to another
 * row or tenant does not open.
 */
export async function seal(plain: string, place: string): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(plain))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', place })
    .encrypt(key());
}

/** Opens what `seal` made for the same place; throws AppError('internal') for any other. */
export async function open(sealed: string, place: string): Promise<string> {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(sealed, key());
    if (protectedHeader['place'] !== place) throw new Error(`sealed for another place than ${place}`);
    return new TextDecoder().decode(plaintext);
  } catch (error) {
    throw doesNotOpen(place, error);
  }
}

function doesNotOpen(place: string, error: unknown): AppError {
  return new AppError('internal', {
    log: `sealed secret of ${place} does not open: ${error instanceof Error ? error.message : 'unknown'}`,
    screen: {
      happened: 'A stored secret could not be opened.',
      todo: 'The operator must check the portal’s secret key.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ large ones

const format = 1;
const [saltBytes, keyBytes, nonceBytes, tagBytes] = [32, 32, 12, 16];
const headBytes = 1 + saltBytes;

/** A key and a nonce of its own for each body, so that none is used twice however many there are (RFC 5869). */
function ownKey(salt: Uint8Array, place: string): { key: Uint8Array; nonce: Uint8Array } {
  const made = new Uint8Array(hkdfSync('sha256', key(), salt, `flywheel/${place}`, keyBytes + nonceBytes));
  return { key: made.subarray(0, keyBytes), nonce: made.subarray(keyBytes) };
}

/**
 * Seals what is too large for text: `format | salt | zstd, then AES-256-GCM | tag`. Bound to its place as `seal` binds.
 * Bytes in, bytes out; the place is that of no other body.
 */
export async function sealBytes(plain: Uint8Array, place: string): Promise<Buffer<ArrayBuffer>> {
  const salt = randomBytes(saltBytes);
  const own = ownKey(salt, place);
  const cipher = createCipheriv('aes-256-gcm', own.key, own.nonce).setAAD(Buffer.from(place));
  const packed = await promisify(zstdCompress)(plain);
  return Buffer.concat([Buffer.of(format), salt, cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what `sealBytes` made for the same place, of at most `bytesMax`; throws AppError('internal') for any other. */
export async function openBytes(sealed: Uint8Array, place: string, bytesMax: number): Promise<Buffer<ArrayBuffer>> {
  try {
    if (sealed[0] !== format || sealed.length < headBytes + tagBytes) throw new Error('is of no known format');
    const own = ownKey(sealed.subarray(1, headBytes), place);
    const cipher = createDecipheriv('aes-256-gcm', own.key, own.nonce).setAAD(Buffer.from(place));
    cipher.setAuthTag(sealed.subarray(-tagBytes));
    const packed = Buffer.concat([cipher.update(sealed.subarray(headBytes, -tagBytes)), cipher.final()]);
    return Buffer.from(await promisify(zstdDecompress)(packed, { maxOutputLength: bytesMax }));
  } catch (error) {
    throw doesNotOpen(place, error);
  }
}
