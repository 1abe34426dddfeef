// A bare HTTP server that keeps what is PUT in a file, as a process of its own: node bench/file-server.ts FOLDER. Synced to disk
// before it answers, as a database is. Ends with its parent.
import { open, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

export type FileServerMessage = { port: number };

const file = join(process.argv[2] ?? '.', 'state');

async function keep(body: Buffer): Promise<void> {
  const handle = await open(file, 'w');
  await handle.writeFile(body);
  await handle.sync();
  await handle.close();
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET') return void response.writeHead(200).end(await readFile(file));
  await keep(await buffer(request));
  response.writeHead(200).end();
}

const server = createServer((request, response) => void answer(request, response));
process.on('disconnect', () => process.exit(0));
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
