import { expect, test } from 'vitest';
import { rawBodyBytesMax, readRawBody } from './raw-body.ts';

function post(body: BodyInit, headers: Record<string, string> = {}): Request {
  return new Request('http://portal/api/hooks/x', { method: 'POST', body, headers, duplex: 'half' } as RequestInit);
}

test('the bytes come as they are', async () => {
  const bytes = Buffer.from([0xff, 0x00, 0x7b]);
  expect(Buffer.from(await readRawBody(post(bytes)))).toEqual(bytes);
  expect(await readRawBody(new Request('http://portal/', { method: 'POST' }))).toHaveLength(0);
});

test('A8, F25: 26 MB are refused by the header, and without one while they come', async () => {
  await expect(readRawBody(post('x', { 'content-length': String(rawBodyBytesMax + 1) }))).rejects.toMatchObject({
    code: 'too_large',
  });
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 1024 * 1024;
      controller.enqueue(new Uint8Array(1024 * 1024));
    },
  });
  await expect(readRawBody(post(endless))).rejects.toMatchObject({ code: 'too_large' });
  expect(sent).toBeLessThan(rawBodyBytesMax + 4 * 1024 * 1024);
});
