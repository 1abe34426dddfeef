// A bare HTTP server as a process of its own: node bench/receiver.ts bare|room. Ends with its parent.
//   bare   reads the body and answers 202: what no server on this machine can beat
//   room   the delivery room with no framework before it, to see how much of the time is the framework's
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { acceptDelivery } from '#lib/delivery/index.ts';
import { toAppError } from '#lib/errors.ts';

export type ReceiverMessage = { port: number };

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function statusOf(request: IncomingMessage, rawBody: Buffer): Promise<number> {
  const connectionId = request.url?.split('/').at(-1) ?? '';
  const headers = { get: (name: string) => request.headers[name]?.toString() ?? null };
  try {
    return (await acceptDelivery({ connectionId, headers, rawBody })).status;
  } catch (error) {
    console.error(toAppError(error).message);
    return 500;
  }
}

const isBare = process.argv[2] === 'bare';

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request);
  const status = isBare ? 202 : await statusOf(request, body);
  response.writeHead(status, { 'content-type': 'application/json' }).end('{"duplicate":false}');
}

const server = createServer((request, response) => void answer(request, response));
process.on('disconnect', () => process.exit(0));
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
