import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readBody } from './body.ts';

/* Over a real connection: what one that breaks or goes on sending does to who reads. How long it may take is in the readers' tests. */

let answer: (arrived: IncomingMessage, response: ServerResponse) => Promise<void>;
const server = createServer((arrived, response) => void answer(arrived, response));
beforeEach(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterEach(() => new Promise((resolve) => server.close(resolve)));

function post() {
  const { port } = server.address() as AddressInfo;
  return request({ port, host: '127.0.0.1', method: 'POST', headers: { 'content-length': '1000000' } });
}

test('a connection that ends before the body does is no whole body', async () => {
  const said = Promise.withResolvers<unknown>();
  answer = async (arrived) => said.resolve(await readBody(arrived, () => sending.destroy()).ended.catch(String));
  const sending = post().on('error', () => undefined);
  sending.write('half');
  expect(await said.promise).toMatch(/aborted|ended/);
});

test('who refuses what comes still answers, and takes no more of it', async () => {
  let taken = 0;
  answer = async (arrived, response) => {
    const { ended } = readBody(arrived, (chunk) => {
      taken += chunk.length;
      throw new Error('enough');
    });
    response.end(await ended.catch(String));
  };
  const sending = post();
  const cut = new Promise((resolve) => sending.on('close', resolve));
  sending.write(Buffer.alloc(10_000));
  const answered = await new Promise<IncomingMessage>((resolve) => sending.on('response', resolve));
  const first = taken;
  sending.on('error', () => undefined).write(Buffer.alloc(100_000));
  let text = '';
  for await (const part of answered) text += String(part);
  expect(text).toBe('Error: enough');
  await cut;
  expect([first > 0, taken]).toEqual([true, first]);
});
