/**
 * The web process: Next, and before it the doors of the webhooks and of the REST API. Programs ask by the thousand and use
 * nothing of what Next does for a page, which would be most of their cost; the routes of the same address in app/ answer the
 * same where Next runs by itself. And it knows the two methods of OpenTofu's that Next does not. Nobody imports it.
 *
 *   node lib/web.ts --port 3000 --host 0.0.0.0 --config flywheel.yaml
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import next from 'next';
import { answerApi, apiRoot, requestIdOf, type ApiAnswer, type ApiRequest } from './api/index.ts';
import { closeDb, databaseUrl } from './db/index.ts';
import { receiveDelivery } from './delivery/index.ts';
import { followForges } from './enrollment/index.ts';
import { begin, env } from './env.ts';
import { DatabaseLook, neededMigrations, Probes } from './health.ts';
import { log, writeOnlyLog } from './log.ts';
import { startBeat } from './status/index.ts';
import { serveMetrics, startTracing, within } from './telemetry/index.ts';
import { openDoor } from './tenant/index.ts';

/** What is under way when nothing new is taken any more has this long to end. */
const drainMs = 30_000;
/**
 * Longer than what stands before us keeps a connection that it does not use (60 s at ingress-nginx and at most load
 * balancers): a request must not be sent into one that we are just closing.
 */
const keepAliveMs = 75_000;

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '3000' },
    host: { type: 'string', default: '0.0.0.0' },
    config: { type: 'string' },
  },
});
begin(options.config);
writeOnlyLog();

const hookPath = /^\/api\/hooks\/([\w-]+)(?:\/([\w-]+))?$/;

/** Whose webhook it is for; undefined where it is for Next. */
function hookOf({ method, url = '' }: IncomingMessage): { connectionId: string; ownerId?: string } | undefined {
  const [, connectionId, ownerId] = (method === 'POST' && hookPath.exec(url)) || [];
  if (connectionId === undefined) return undefined;
  return ownerId === undefined ? { connectionId } : { connectionId, ownerId };
}

function headersOf({ headers }: IncomingMessage): ApiRequest['headers'] {
  return { get: (name) => headers[name]?.toString() ?? null };
}

/** As text, which Node sends in one piece with the head; of bytes it would make two. */
function send(response: ServerResponse, { status, headers, body }: ApiAnswer): void {
  const length = body === null ? {} : { 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length }).end(body);
}

async function takeHook(
  hook: NonNullable<ReturnType<typeof hookOf>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const headers = headersOf(request);
  const answer = await openDoor('webhook', { headers }, async () => {
    const { status, duplicate } = await receiveDelivery({ headers, body: request }, hook);
    return { status, body: { duplicate } };
  });
  const fixed = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  send(response, {
    status: answer.status,
    headers: { ...fixed, ...answer.headers },
    body: JSON.stringify(answer.body),
  });
}

async function takeApi(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = 'GET', url = '' } = request;
  const { status, headers, body } = await answerApi({ method, url, headers: headersOf(request), body: request });
  send(response, { status, headers: { ...headers, 'x-content-type-options': 'nosniff' }, body });
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

function isOfApi({ url = '' }: IncomingMessage): boolean {
  return url.startsWith(`${apiRoot}/`);
}

function takeOther(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (isOfApi(request)) return takeApi(request, response);
  return handle(withoutLockMethods(request), response);
}

const dir = fileURLToPath(new URL('..', import.meta.url));
const app = next({ dev: false, dir, hostname: options.host, port: Number(options.port) });
await app.prepare();
followForges();
const handle = app.getRequestHandler();

const database = new DatabaseLook({ url: databaseUrl(), leases: false });
const probes = new Probes({ alive: () => true, notReady: () => database.problem() });

/** When the process ends, a connection does with its next answer, whoever writes it. */
class LastWhenDraining extends ServerResponse {
  override writeHead(status: number, ...rest: unknown[]): this {
    if (probes.draining) this.shouldKeepAlive = false;
    return super.writeHead(status, ...(rest as [OutgoingHttpHeaders]));
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hook = hookOf(request);
  try {
    await (hook ? takeHook(hook, request, response) : takeOther(request, response));
  } catch (error) {
    log().error({ error: String(error) }, 'a request could not be answered');
    response.destroy();
  }
}

/** Each request has an id from here on: proxy.ts and the doors find it in the headers. Programs of the REST API may bring their own. */
const server = createServer(
  { keepAliveTimeout: keepAliveMs, ServerResponse: LastWhenDraining },
  (request, response) => {
    if (probes.answers(request, response)) return;
    const requestId = isOfApi(request) ? requestIdOf(headersOf(request)) : randomUUID();
    request.headers['x-request-id'] = requestId;
    void within({ requestId }, () => answer(request, response));
  },
);
const warn = (message: string) => (error: unknown) => log().warn({ error: String(error) }, message);
const metrics = await serveMetrics(env().FLYWHEEL_METRICS_PORT, warn('metrics cannot be served'));
const endTracing = await startTracing(env(), 'flywheel-web', warn('traces cannot be sent'));
const beat = startBeat({
  kind: 'web',
  needs: neededMigrations,
  onError: warn('what this process sees could not be kept'),
});

/** Unready at once, and each connection ends with its answer; taken out of the balance by then, so that nothing is lost. */
async function stop(): Promise<void> {
  probes.drain();
  await sleep(env().FLYWHEEL_DRAIN_SECONDS * 1000);
  const closed = new Promise((resolve) => server.close(resolve));
  // An answer that had begun by then may leave its connection open, and nobody says when it has ended.
  setInterval(() => server.closeIdleConnections(), 100).unref();
  setTimeout(() => server.closeAllConnections(), drainMs).unref();
  await closed;
  await Promise.all([metrics?.stop(), endTracing(), beat.stop()]);
  await app.close();
  await Promise.all([closeDb(), database.close()]);
  process.exit(0);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop());
server.listen(Number(options.port), options.host, () => log().info({ port: options.port }, 'web started'));
