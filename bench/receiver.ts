// A bare HTTP server as a process of its own: node bench/receiver.ts bare|signed|least|room. Ends with its parent.
//   bare   reads the body and answers 202: what no server on this machine can beat
//   signed the same, and checks the signature and reads the JSON, without which nothing may be kept: what none that keeps anything can beat
//   least  the least that keeps a delivery (least.ts)
//   room   the delivery room with no framework before it, to see how much of the time is the framework's
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { acceptDelivery } from '#lib/delivery/index.ts';
import { toAppError } from '#lib/errors.ts';
import { webhookOf } from '#lib/forge/index.ts';
import { leastKeeper } from './least.ts';
import { benchSecret } from './payload.ts';

export type ReceiverMessage = { port: number };

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const kind = process.argv[2];
const reader = webhookOf('github');
const keepLeast = kind === 'least' ? await leastKeeper() : undefined;

async function statusOf(request: IncomingMessage, rawBody: Buffer): Promise<number> {
  if (kind === 'bare') return 202;
  const connectionId = request.url?.split('/').at(-1) ?? '';
  const headers = { get: (name: string) => request.headers[name]?.toString() ?? null };
  try {
    if (keepLeast) {
      await keepLeast(request.headers, rawBody);
      return 202;
    }
    if (kind === 'signed') return reader.verifyWebhook(benchSecret, { headers, rawBody }) ? 202 : 500;
    return (await acceptDelivery({ connectionId, headers, rawBody })).status;
  } catch (error) {
    console.error(toAppError(error).message);
    return 500;
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request);
  const status = await statusOf(request, body);
  response.writeHead(status, { 'content-type': 'application/json' }).end('{"duplicate":false}');
}

const server = createServer((request, response) => void answer(request, response));
process.on('disconnect', () => process.exit(0));
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
