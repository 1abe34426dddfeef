import { createHmac, timingSafeEqual } from 'node:crypto';
import { AppError } from '../errors.ts';

/* What the webhooks of all forges have in common: bytes, a signature over them, and what is said where they do not fit. */

/**
 * Whether this is the lower-case hex of the body's HMAC-SHA256. The signature is over the bytes as they came: JSON that was
 * parsed and written again is another body. Constant time for every signature of the right length; the length is no secret.
 */
export function isSignedHex(secret: string, rawBody: Uint8Array, signature: string | null): boolean {
  if (secret === '' || signature === null) return false;
  const right = Buffer.from(createHmac('sha256', secret).update(rawBody).digest('hex'));
  const given = Buffer.from(signature);
  return given.length === right.length && timingSafeEqual(given, right);
}

export function parsedBody(rawBody: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(rawBody.buffer, rawBody.byteOffset, rawBody.byteLength).toString('utf8'));
  } catch {
    throw unreadableError('its JSON');
  }
}

export function unsignedError(): AppError {
  return new AppError('unauthenticated', {
    log: 'webhook: the signature is missing or not of our secret',
    screen: {
      happened: 'The delivery is not signed with this connection’s secret.',
      todo: 'Set the same secret on both sides.',
    },
  });
}

export function unreadableError(part: string): AppError {
  return new AppError('invalid', {
    log: `webhook: ${part} cannot be read`,
    screen: { happened: `The delivery is signed, but ${part} cannot be read.`, todo: 'Send it as application/json.' },
  });
}
