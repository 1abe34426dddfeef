import { Readable } from 'node:stream';
import { AppError } from './errors.ts';

/* How a request's body is read: chunk by chunk as it comes, within a time; whoever reads counts what it holds. */

/** As Next has it or as Node's own server does. */
export type Arriving = { headers: { get(name: string): string | null }; body: AsyncIterable<Uint8Array> | null };

export type BodyReading = {
  /** Resolves at the end; rejects with what `take` threw, with what it was stopped for, or with what broke the connection. */
  ended: Promise<void>;
  stop(why: Error): void;
};

/** GitHub and GitLab give a delivery up after 10 s, the answer to it included. */
export const bodyMsMost = 15_000;

const tooSlow = (): AppError =>
  new AppError('unavailable', {
    log: `a body was not whole after ${bodyMsMost} ms`,
    screen: { happened: 'The body did not arrive whole within 15 seconds.', todo: 'Send it again.' },
    retryAfterMs: 1_000,
  });

/** To cancel a body is to cut the line, on which the answer is still to go. */
const cutAfterMs = 1_000;

/**
 * Gives each chunk to `take`, which ends the reading by throwing. By events, and not as an iterator, which makes several promises a
 * chunk: deliveries come by the thousand.
 */
export function readBody(body: AsyncIterable<Uint8Array>, take: (chunk: Uint8Array) => void): BodyReading {
  const stream = body instanceof Readable ? body : Readable.from(body, { objectMode: false });
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const leave = () => {
    clearTimeout(timer);
    stream.off('data', hold).off('end', end).off('error', stop).off('close', cut);
  };
  const stop = (why: Error) => {
    leave();
    reject(why);
    stream.on('error', () => undefined).pause();
    setTimeout(() => stream.destroy(), cutAfterMs).unref();
  };
  const hold = (chunk: Uint8Array) => {
    try {
      take(chunk);
    } catch (error) {
      stop(error as Error);
    }
  };
  const end = () => {
    leave();
    resolve();
  };
  const cut = () => stop(new Error('the connection ended before the body did'));
  const timer = setTimeout(() => stop(tooSlow()), bodyMsMost);
  stream.on('data', hold).on('end', end).on('error', stop).on('close', cut);
  return { ended, stop };
}
