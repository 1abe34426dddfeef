import { createHash } from 'node:crypto';
import { AppError } from '#lib/errors.ts';
import { bytesInFlightMost, readMsMost } from './limits.ts';

/* States as they arrive and leave, of who has shown a credential already: so many bytes at once, and no more. */

let inFlight = 0;

function mebibytes(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(1);
}

function tooLarge(bytes: number, bytesMost: number): AppError {
  const size = Number.isFinite(bytes) ? `${mebibytes(bytes)} MiB` : 'more';
  return new AppError('too_large', {
    log: `state: ${bytes} bytes, the most is ${bytesMost}`,
    screen: {
      happened: `The state is larger than ${mebibytes(bytesMost)} MiB: ${size} were sent.`,
      todo: 'Split it into several stacks. The program has written what it could not send to errored.tfstate.',
    },
  });
}

function cutShort(why: string): AppError {
  return new AppError('invalid', {
    log: `state: the body did not arrive whole: ${why}`,
    screen: { happened: `What was sent did not arrive whole: ${why}.`, todo: 'Send it again.' },
  });
}

function busy(): AppError {
  return new AppError('unavailable', {
    log: `state: more than ${bytesInFlightMost} bytes in flight`,
    screen: { happened: 'Too many large states are on their way at once.', todo: 'Try again in a moment.' },
    retryAfterMs: 5_000,
  });
}

/** Gives `use` the whole body of at most `bytesMost`. Throws `too_large`, `unavailable`, and `invalid` for what was cut short. */
export async function withBody<T>(
  request: Request,
  bytesMost: number,
  use: (body: Buffer<ArrayBuffer>) => Promise<T>,
): Promise<T> {
  const announced = announcedBytes(request);
  if (announced !== null && announced > bytesMost) throw tooLarge(announced, bytesMost);
  const reading = { bytes: 0 };
  try {
    const body = await readWhole(request, bytesMost, reading);
    if (announced !== null && announced !== body.length) throw cutShort(`${body.length} of ${announced} bytes came`);
    return await use(body);
  } finally {
    inFlight -= reading.bytes;
  }
}

const sliceBytes = 256 * 1024;

/**
 * A body of so many bytes on its way out, counted until the last of it has gone, or nobody wants it any more, or it took too
 * long. Throws `unavailable` before it is read.
 */
export async function withRoom(bytes: number, read: () => Promise<Uint8Array>): Promise<ReadableStream<Uint8Array>> {
  if (inFlight + bytes > bytesInFlightMost) throw busy();
  inFlight += bytes;
  let isHeld = true;
  const release = () => {
    if (isHeld) inFlight -= bytes;
    isHeld = false;
  };
  try {
    return streamOf(await read(), release);
  } catch (error) {
    release();
    throw error;
  }
}

function streamOf(body: Uint8Array, release: () => void): ReadableStream<Uint8Array> {
  let sent = 0;
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    clearTimeout(timer);
    release();
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setTimeout(() => {
        release();
        controller.error(new Error(`nobody took it within ${readMsMost / 1000} s`));
      }, readMsMost);
      timer.unref();
    },
    pull(controller) {
      controller.enqueue(body.subarray(sent, sent + sliceBytes));
      sent += sliceBytes;
      if (sent < body.length) return;
      end();
      controller.close();
    },
    cancel: end,
  });
}

/** For tests: what is counted now. */
export function bytesInFlight(): number {
  return inFlight;
}

function announcedBytes(request: Request): number | null {
  const text = request.headers.get('content-length');
  // Compressed on the way, it is another count.
  return text === null || request.headers.has('content-encoding') ? null : Number(text);
}

async function readWhole(
  request: Request,
  bytesMost: number,
  reading: { bytes: number },
): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  const until = AbortSignal.timeout(readMsMost);
  const reader = request.body?.getReader();
  const stop = () => void reader?.cancel().catch(() => undefined);
  until.addEventListener('abort', stop);
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (until.aborted) throw cutShort(`it took longer than ${readMsMost / 1000} s`);
      if (done) return Buffer.concat(chunks);
      chunks.push(value);
      reading.bytes += value.length;
      inFlight += value.length;
      if (reading.bytes > bytesMost) throw tooLarge(Number.POSITIVE_INFINITY, bytesMost);
      if (inFlight > bytesInFlightMost) throw busy();
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw cutShort(error instanceof Error ? error.message : 'the connection ended');
  } finally {
    until.removeEventListener('abort', stop);
  }
}

/** The bytes as text, held to the sum that came with them, where one did. */
export function checkedText(body: Buffer, contentMd5: string | null): { text: string; md5: string } {
  // RFC 1864's sum is MD5, which is what the programs send: against an accident, not against an attacker.
  const md5 = createHash('md5').update(body).digest('base64');
  if (contentMd5 !== null && contentMd5 !== md5) throw cutShort('its Content-MD5 is of other bytes');
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body), md5 };
  } catch {
    throw cutShort('it is not UTF-8');
  }
}
