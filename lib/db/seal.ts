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
    throw new AppError('internal', {
      log: `sealed secret of ${place} does not open: ${error instanceof Error ? error.message : 'unknown'}`,
      screen: {
        happened: 'A stored secret could not be opened.',
        todo: 'The operator must check the portal’s secret key.',
      },
    });
  }
}
