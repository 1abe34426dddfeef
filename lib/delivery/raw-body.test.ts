import { afterEach, expect, test, vi } from 'vitest';
import { bodyMsMost } from '../body.ts';
import { bytesInFlight, bytesInFlightMax, rawBodyBytesMax, withRawBody } from './raw-body.ts';

const mb = 1024 * 1024;
/** The same bytes each time: what is counted is what a sender sends. */
const chunk = new Uint8Array(mb);

afterEach(() => {
  vi.useRealTimers();
  expect(bytesInFlight()).toBe(0);
});

function post(body: BodyInit, headers: Record<string, string> = {}): Request {
  return new Request('http://portal/api/hooks/x', { method: 'POST', body, headers, duplex: 'half' } as RequestInit);
}

const whole = (request: Request) => withRawBody(request, (rawBody) => Promise.resolve(Buffer.from(rawBody)));

/** A body of so many megabytes, which then does not end until it is told to. */
function hanging(megabytes: number): { request: Request; end: () => void } {
  let end = (): void => undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let sent = 0; sent < megabytes; sent += 1) controller.enqueue(chunk);
      end = () => controller.close();
    },
  });
  return { request: post(body), end: () => end() };
}

test('the bytes come as they are, and count until they are taken in', async () => {
  const bytes = Buffer.from([0xff, 0x00, 0x7b]);
  const seen = await withRawBody(post(bytes), async (rawBody) => {
    await Promise.resolve();
    return [Buffer.from(rawBody), bytesInFlight()];
  });
  expect(seen).toEqual([bytes, 3]);
  expect(await whole(new Request('http://portal/', { method: 'POST' }))).toHaveLength(0);
});

test('A8, F25: 26 MB are refused by the header, and without one while they come', async () => {
  await expect(whole(post('x', { 'content-length': String(rawBodyBytesMax + 1) }))).rejects.toMatchObject({
    code: 'too_large',
  });
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += mb;
      controller.enqueue(chunk);
    },
  });
  await expect(whole(post(endless))).rejects.toMatchObject({ code: 'too_large' });
  expect(sent).toBeLessThan(rawBodyBytesMax + 4 * mb);
});

test('F25: all together hold 100 MB and no more; the largest gives way, and the small ones pass', async () => {
  const large = [24, 23, 23, 23].map(hanging);
  const answers = large.map(({ request }) => whole(request).then(({ length }) => length / mb));
  const refused = answers[0]?.catch((error: unknown) => error);
  await vi.waitFor(() => expect(bytesInFlight()).toBe(93 * mb));
  const [another, small] = [hanging(10), hanging(1)];
  answers.push(whole(another.request).then(({ length }) => length / mb));
  expect(await refused).toMatchObject({ code: 'unavailable', retryAfterMs: expect.any(Number) });
  await vi.waitFor(() => expect(bytesInFlight()).toBe(79 * mb));
  const passed = whole(small.request);
  small.end();
  expect((await passed).length).toBe(mb);
  for (const { end } of [...large.slice(1), another]) end();
  expect(await Promise.all(answers.slice(1))).toEqual([23, 23, 23, 10]);
});

test('F25: those that are whole and being taken in count too, and are not sent away', async () => {
  const gate = Promise.withResolvers<string>();
  const taken = Array.from({ length: 5 }, () => withRawBody(post(new Uint8Array(20 * mb)), () => gate.promise));
  await vi.waitFor(() => expect(bytesInFlight()).toBe(bytesInFlightMax));
  await expect(whole(post('x'))).rejects.toMatchObject({ code: 'unavailable' });
  gate.resolve('kept');
  expect(new Set(await Promise.all(taken))).toEqual(new Set(['kept']));
});

test('F25: what is not whole within 15 seconds is given up, in words and with a time to come back', async () => {
  vi.useFakeTimers();
  const slow = whole(hanging(2).request).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(bodyMsMost - 1);
  expect(bytesInFlight()).toBe(2 * mb);
  await vi.advanceTimersByTimeAsync(2);
  expect(await slow).toMatchObject({ code: 'unavailable', retryAfterMs: expect.any(Number) });
});
