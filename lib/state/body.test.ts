import { expect, test } from 'vitest';
import { AppError } from '#lib/errors.ts';
import { bytesInFlight, withBody, withRoom } from './body.ts';
import { bytesInFlightMost, stateBytesMost } from './limits.ts';

const large = new Uint8Array(stateBytesMost);

function request(body: BodyInit): Request {
  return new Request('http://portal.test/x', { method: 'POST', body });
}

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => 'taken',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );
}

test('what all together may hold: the next is told to come again, and the room is given back', async () => {
  const done = Promise.withResolvers<void>();
  const hold = () => codeOf(withBody(request(large), stateBytesMost, () => done.promise));
  const held = Array.from({ length: Math.floor(bytesInFlightMost / stateBytesMost) }, hold);
  await expect.poll(() => codeOf(withBody(request(large), stateBytesMost, async () => undefined))).toBe('unavailable');
  expect(await codeOf(withBody(request('a lock'), stateBytesMost, async () => undefined))).toBe('unavailable');
  done.resolve();
  expect(new Set(await Promise.all(held))).toEqual(new Set(['taken']));
  expect(await codeOf(withBody(request(large), stateBytesMost, async () => undefined))).toBe('taken');
});

test('a connection that ends half way is a body that was cut short, and holds no room', async () => {
  for (let again = 0; again < 8; again += 1) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(large);
        controller.error(new Error('aborted'));
      },
    });
    const broken = new Request('http://portal.test/x', { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect(await codeOf(withBody(broken, stateBytesMost, async () => undefined))).toBe('invalid');
  }
  expect(await codeOf(withBody(request(large), stateBytesMost, async () => undefined))).toBe('taken');
});

test('one byte too many', async () => {
  expect(await codeOf(withBody(request('12345'), 4, async () => undefined))).toBe('too_large');
  expect(await codeOf(withBody(request('1234'), 4, async () => undefined))).toBe('taken');
});

test('what leaves holds its room until the last of it has gone, or nobody wants it any more', async () => {
  const read = async () => new Uint8Array(600 * 1024);
  const most = Math.floor(bytesInFlightMost / stateBytesMost);
  const streams = await Promise.all(Array.from({ length: most }, () => withRoom(stateBytesMost, read)));
  expect(bytesInFlight()).toBe(most * stateBytesMost);
  expect(await codeOf(withRoom(stateBytesMost, read))).toBe('unavailable');
  const [first, ...others] = streams;
  const reader = first?.getReader();
  let bytes = (await reader?.read())?.value?.length ?? 0;
  expect(bytesInFlight()).toBe(most * stateBytesMost);
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) bytes += part.value.length;
  expect([bytes, bytesInFlight()]).toEqual([600 * 1024, (most - 1) * stateBytesMost]);
  await Promise.all(others.map((stream) => stream.cancel()));
  expect(bytesInFlight()).toBe(0);
  await expect(withRoom(1, () => Promise.reject(new Error('does not open')))).rejects.toThrow('does not open');
  expect(bytesInFlight()).toBe(0);
});
