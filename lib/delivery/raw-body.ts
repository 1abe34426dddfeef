import { type Arriving, type BodyReading, readBody } from '../body.ts';
import { AppError } from '../errors.ts';

/** GitHub sends nothing larger than 25 MB. */
export const rawBodyBytesMax = 25 * 1024 * 1024;
/** What all deliveries together may hold in this process while they arrive and are taken in. */
export const bytesInFlightMax = 100 * 1024 * 1024;

type Reading = {
  chunks: Uint8Array[];
  bytes: number;
  /** Null once it is whole. */
  stop: BodyReading['stop'] | null;
};
/**
 * A list, and no Set: of a Set that much goes in and out of, V8 keeps each former table, with what was in it, until the old heap is
 * collected (docs/decisions/2026-11-26-no-churn-in-sets.md).
 */
const readings: Reading[] = [];
let inFlight = 0;

export function bytesInFlight(): number {
  return inFlight;
}

function count(reading: Reading, bytes: number): void {
  inFlight += bytes - reading.bytes;
  reading.bytes = bytes;
}

/**
 * Gives `use` the bytes as they came, which is what was signed. Reading stops at the cap, whatever the headers said, and at
 * the end of the time; and where all together would hold too much, the one that holds most gives way: a flood of large
 * bodies, which anybody may send, keeps no delivery of the common size out. Throws `too_large`, `unavailable`.
 */
export async function withRawBody<T>(request: Arriving, use: (rawBody: Uint8Array) => Promise<T>): Promise<T> {
  if (Number(request.headers.get('content-length') ?? 0) > rawBodyBytesMax) throw tooLarge();
  const reading: Reading = { chunks: [], bytes: 0, stop: null };
  readings.push(reading);
  try {
    return await use(await readWhole(request.body, reading));
  } finally {
    count(reading, 0);
    readings.splice(readings.indexOf(reading), 1);
  }
}

async function readWhole(body: Arriving['body'], reading: Reading): Promise<Uint8Array> {
  if (!body) return new Uint8Array();
  const { ended, stop } = readBody(body, (chunk) => keep(reading, chunk));
  reading.stop = stop;
  try {
    await ended;
    const [first, ...more] = reading.chunks.splice(0);
    return first && more.length === 0 ? first : Buffer.concat(first ? [first, ...more] : []);
  } catch (error) {
    reading.chunks = [];
    throw error;
  } finally {
    reading.stop = null;
  }
}

function keep(reading: Reading, chunk: Uint8Array): void {
  reading.chunks.push(chunk);
  count(reading, reading.bytes + chunk.length);
  if (reading.bytes > rawBodyBytesMax) throw tooLarge();
  while (inFlight > bytesInFlightMax) {
    const largest = largestUnread();
    if (!largest) throw tooMany();
    largest.stop?.(tooMany());
    // It gives its bytes back at once, and not when its own turn comes.
    Object.assign(largest, { chunks: [], stop: null });
    count(largest, 0);
  }
}

/** One that is whole is being taken in and needs no more. */
function largestUnread(): Reading | undefined {
  return readings.filter(({ stop }) => stop !== null).toSorted((a, b) => b.bytes - a.bytes)[0];
}

export function tooLarge(): AppError {
  return new AppError('too_large', {
    log: `webhook: the body is larger than ${rawBodyBytesMax} bytes`,
    screen: { happened: 'The delivery is larger than 25 MB.', todo: 'Nothing: no forge sends such a delivery.' },
  });
}

function tooMany(): AppError {
  return new AppError('unavailable', {
    log: `webhook: more than ${bytesInFlightMax} bytes in flight`,
    screen: { happened: 'Too many large deliveries arrive at once.', todo: 'Send it again in a moment.' },
    retryAfterMs: 5_000,
  });
}
