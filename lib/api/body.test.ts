import { afterEach, expect, test, vi } from 'vitest';
import { bodyMsMost } from '#lib/body.ts';
import { bodyBytesMost, bodyText, personBytesMost } from './body.ts';

const mebibyte = Buffer.alloc(bodyBytesMost, 'x');
const none = { get: () => null };
const never = () => new Promise<never>(() => undefined);

afterEach(() => vi.useRealTimers());

async function* whole(part: Uint8Array) {
  yield part;
}

/** One that has come but for its end. */
function hanging(part: Uint8Array) {
  const end = Promise.withResolvers<void>();
  async function* parts() {
    yield part;
    await end.promise;
  }
  return { body: parts(), end: () => end.resolve() };
}

test('what says that it is too large is not begun to be read, and what is too large all the same is not held', async () => {
  const next = vi.fn(never);
  const unread = { [Symbol.asyncIterator]: () => ({ next }) };
  const headers = { get: (name: string) => (name === 'content-length' ? String(bodyBytesMost + 1) : null) };
  await expect(bodyText({ headers, body: unread }, 'ada')).rejects.toMatchObject({ code: 'too_large' });
  expect(next).not.toHaveBeenCalled();
  const long = whole(Buffer.alloc(bodyBytesMost + 1));
  await expect(bodyText({ headers: none, body: long }, 'ada')).rejects.toMatchObject({ code: 'too_large' });
});

test('one person holds so much at once and no more, nobody else waits for it, and it is let go of', async () => {
  const many = Array.from({ length: personBytesMost / bodyBytesMost }, () => hanging(mebibyte));
  const read = many.map(({ body }) => bodyText({ headers: none, body }, 'mallory'));
  await new Promise((resolve) => setImmediate(resolve));
  const one = () => whole(Buffer.from('{}'));
  await expect(bodyText({ headers: none, body: one() }, 'mallory')).rejects.toMatchObject({ code: 'rate_limited' });
  expect(await bodyText({ headers: none, body: one() }, 'ada')).toBe('{}');
  for (const { end } of many) end();
  expect((await Promise.all(read)).every((text) => text.length === bodyBytesMost)).toBe(true);
  expect(await bodyText({ headers: none, body: one() }, 'mallory')).toBe('{}');
});

test('what does not come whole in time is given up', async () => {
  vi.useFakeTimers();
  const read = bodyText({ headers: none, body: hanging(Buffer.from('{')).body }, 'ada');
  const said = read.catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(bodyMsMost);
  expect(await said).toMatchObject({ code: 'unavailable', retryAfterMs: 1000 });
});
