/**
 * The web process: Next, and before it the door of the webhooks. Deliveries come by the thousand and use nothing of what Next
 * does for a page, which would be most of their cost; the routes of the same address in app/ answer the same where Next runs
 * by itself. And it knows the two methods of OpenTofu's that Next does not. Nobody imports it.
 *
 *   node lib/web.ts --port 3000 --host 0.0.0.0
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import next from 'next';
import { closeDb } from './db/index.ts';
import { receiveDelivery } from './delivery/index.ts';
import { followForges } from './enrollment/index.ts';
import { log } from './log.ts';
import { openDoor } from './tenant/index.ts';

/** What is under way when the process is told to stop has this long to end. */
const drainMs = 10_000;

const { values: options } = parseArgs({
  options: { port: { type: 'string', default: '3000' }, host: { type: 'string', default: '0.0.0.0' } },
});

const hookPath = /^\/api\/hooks\/([\w-]+)(?:\/([\w-]+))?$/;

/** Whose webhook it is for; undefined where it is for Next. */
function hookOf({ method, url = '' }: IncomingMessage): { connectionId: string; ownerId?: string } | undefined {
  const [, connectionId, ownerId] = (method === 'POST' && hookPath.exec(url)) || [];
  if (connectionId === undefined) return undefined;
  return ownerId === undefined ? { connectionId } : { connectionId, ownerId };
}

async function takeHook(
  hook: NonNullable<ReturnType<typeof hookOf>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const headers = { get: (name: string) => request.headers[name]?.toString() ?? null };
  const answer = await openDoor('webhook', { headers }, async () => {
    const { status, duplicate } = await receiveDelivery({ headers, body: request }, hook);
    return { status, body: { duplicate } };
  });
  const body = Buffer.from(JSON.stringify(answer.body));
  const fixed = { 'content-type': 'application/json', 'cache-control': 'no-store', 'content-length': body.length };
  response.writeHead(answer.status, { ...fixed, ...answer.headers }).end(body);
}

const statePath = /^\/api\/state\/[^/?]+$/;
const lockMethods = new Map([
  ['LOCK', 'POST'],
  ['UNLOCK', 'DELETE'],
]);

/** The methods that OpenTofu locks by unless it is told another: Next hands them on to no route, so each is another at the lock's own address. */
function withoutLockMethods(request: IncomingMessage): IncomingMessage {
  const method = lockMethods.get(request.method ?? '');
  if (method === undefined || !statePath.test(request.url ?? '')) return request;
  return Object.assign(request, { method, url: `${request.url}/lock` });
}

const dir = fileURLToPath(new URL('..', import.meta.url));
const app = next({ dev: false, dir, hostname: options.host, port: Number(options.port) });
await app.prepare();
followForges();
const handle = app.getRequestHandler();

const server = createServer((request, response) => {
  const hook = hookOf(request);
  const answering = hook ? takeHook(hook, request, response) : handle(withoutLockMethods(request), response);
  answering.catch((error: unknown) => {
    log().error({ error: String(error) }, 'a request could not be answered');
    response.destroy();
  });
});

async function stop(): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  setTimeout(() => server.closeAllConnections(), drainMs).unref();
  await closed;
  await app.close();
  await closeDb();
  process.exit(0);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop());
server.listen(Number(options.port), options.host, () => log().info({ port: options.port }, 'web started'));
