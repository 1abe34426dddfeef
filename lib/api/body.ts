import { type Arriving, readBody } from '#lib/body.ts';
import { AppError } from '#lib/errors.ts';

/* What a program sends, as text: no more of it than means anything, and of one person no more at once than does no harm. */

export const bodyBytesMost = 1024 * 1024;
/** Of one person, by however many tokens and requests: what is slow to come is held while it comes. */
export const personBytesMost = 8 * bodyBytesMost;

/** What is held in this process, by person. */
const held = new Map<string, number>();

function hold(userId: string, bytes: number): number {
  const now = (held.get(userId) ?? 0) + bytes;
  if (now > 0) held.set(userId, now);
  else held.delete(userId);
  return now;
}

/** Throws `too_large`, `rate_limited`, `unavailable`. */
export async function bodyText({ headers, body }: Arriving, userId: string): Promise<string> {
  if (Number(headers.get('content-length') ?? 0) > bodyBytesMost) throw tooLarge();
  if (!body) return '';
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const take = (part: Uint8Array) => {
    parts.push(part);
    bytes += part.byteLength;
    const all = hold(userId, part.byteLength);
    if (bytes > bodyBytesMost) throw tooLarge();
    if (all > personBytesMost) throw tooMany();
  };
  try {
    await readBody(body, take).ended;
    return Buffer.concat(parts).toString();
  } finally {
    hold(userId, -bytes);
  }
}

const tooLarge = (): AppError =>
  new AppError('too_large', {
    log: 'an API body is too large',
    screen: { happened: 'The body is over 1 MiB.', todo: 'Send less at once.' },
  });

const tooMany = (): AppError =>
  new AppError('rate_limited', {
    log: 'too many API bodies of one person at once',
    retryAfterMs: 1_000,
    screen: { happened: 'Your programs send more at once than is taken.', todo: 'Send one after the other.' },
  });
