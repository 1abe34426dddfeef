import { AppError } from '../errors.ts';

/** GitHub sends nothing larger than 25 MB. */
export const rawBodyBytesMax = 25 * 1024 * 1024;
/** What all deliveries together may hold in this process while they arrive and are taken in. */
export const bytesInFlightMax = 100 * 1024 * 1024;
/** GitHub and GitLab give a delivery up after 10 s, the answer to it included. */
export const readMsMax = 15_000;

/** A request as Next has it or as Node's own server does. */
export type Incoming = { headers: { get(name: string): string | null }; body: AsyncIterable<Uint8Array> | null };

type Reading = {
  chunks: Uint8Array[];
  bytes: number;
  /** Null once it is whole. */ stop: ((why: AppError) => void) | null;
};
const readings = new Set<Reading>();
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
export async function withRawBody<T>(request: Incoming, use: (rawBody: Uint8Array) => Promise<T>): Promise<T> {
  if (Number(request.headers.get('content-length') ?? 0) > rawBodyBytesMax) throw tooLarge();
  const reading: Reading = { chunks: [], bytes: 0, stop: null };
  readings.add(reading);
  try {
    return await use(await readWhole(request.body, reading));
  } finally {
    count(reading, 0);
    readings.delete(reading);
  }
}

async function readWhole(body: Incoming['body'], reading: Reading): Promise<Uint8Array> {
  if (!body) return new Uint8Array();
  const reader = body[Symbol.asyncIterator]();
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => undefined);
  reading.stop = stopped.reject;
  const timer = setTimeout(() => stopped.reject(tooSlow()), readMsMax);
  try {
    for (;;) {
      const { done, value } = await Promise.race([stopped.promise, reader.next()]);
      if (done) return Buffer.concat(reading.chunks.splice(0));
      keep(reading, value);
    }
  } catch (error) {
    reading.chunks = [];
    cutLater(reader);
    throw error;
  } finally {
    clearTimeout(timer);
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
  return [...readings].filter(({ stop }) => stop !== null).toSorted((a, b) => b.bytes - a.bytes)[0];
}

const cutAfterMs = 1_000;

/** To cancel the body is to cut the line, on which the answer is still to go. */
function cutLater(reader: AsyncIterator<Uint8Array>): void {
  setTimeout(() => void reader.return?.().catch(() => undefined), cutAfterMs).unref();
}

export function tooLarge(): AppError {
  return new AppError('too_large', {
    log: `webhook: the body is larger than ${rawBodyBytesMax} bytes`,
    screen: { happened: 'The delivery is larger than 25 MB.', todo: 'Nothing: no forge sends such a delivery.' },
  });
}

function tooSlow(): AppError {
  return new AppError('unavailable', {
    log: `webhook: the body was not whole after ${readMsMax} ms`,
    screen: { happened: 'The delivery did not arrive whole within 15 seconds.', todo: 'Send it again.' },
    retryAfterMs: 1_000,
  });
}

function tooMany(): AppError {
  return new AppError('unavailable', {
    log: `webhook: more than ${bytesInFlightMax} bytes in flight`,
    screen: { happened: 'Too many large deliveries arrive at once.', todo: 'Send it again in a moment.' },
    retryAfterMs: 5_000,
  });
}
