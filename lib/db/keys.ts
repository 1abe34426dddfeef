import { hkdfSync } from 'node:crypto';
import { env, required } from '../env.ts';

/*
 * The portal's secret keys: one that seals and signs, and others that may still open and verify while what they sealed is
 * sealed anew (reseal.ts). A key is known by an id that is derived from it and gives nothing of it away.
 */

export type SecretKey = { id: string; bytes: Uint8Array };

export const keyIdBytes = 8;

function derived(key: Uint8Array, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', purpose, length));
}

const known = new Map<string, SecretKey>();

function keyOf(base64: string): SecretKey {
  const before = known.get(base64);
  if (before) return before;
  const bytes = Buffer.from(base64, 'base64');
  const key = { id: derived(bytes, 'flywheel key id', keyIdBytes).toString('hex'), bytes };
  known.set(base64, key);
  return key;
}

/** The key that seals and signs. */
export function presentKey(): SecretKey {
  return keyOf(required('FLYWHEEL_SECRET_KEY'));
}

/** All that may open and verify, the present one first. */
export function secretKeys(): SecretKey[] {
  return [presentKey(), ...env().FLYWHEEL_SECRET_KEYS_OLD.map(keyOf)];
}

/** A key of its own for one purpose, of each of them, in the same order and under the same ids. */
export function keysFor(purpose: string): [SecretKey, ...SecretKey[]] {
  const [present, ...others] = secretKeys().map(({ id, bytes }) => ({ id, bytes: derived(bytes, purpose, 32) }));
  if (!present) throw new Error('there is no present key');
  return [present, ...others];
}
