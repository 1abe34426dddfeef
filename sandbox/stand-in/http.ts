import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** One request, read to its end. `body` is the parsed JSON or form, `undefined` when there was none. */
export interface Ask {
  method: string;
  path: string;
  params: Record<string, string>;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  rawBody: Buffer;
  body: unknown;
  /** Aborted when the caller hangs up: a long poll must not outlive its caller. */
  signal: AbortSignal;
}

export interface Answer {
  status: number;
  headers?: Record<string, string | string[]>;
  /** A string or bytes are sent as they are, anything else as JSON. */
  body?: unknown;
}

/** Thrown to answer from any depth. */
export class Reply extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super(`reply ${answer.status}`);
    this.answer = answer;
  }
}

export type Handler = (ask: Ask) => Answer | Promise<Answer>;
export type Socketlike = Pick<Socket, 'destroy'>;

interface Route {
  method: string;
  path: string;
  pattern: RegExp;
  names: string[];
  handler: Handler;
}

/** Routes are tried in the order they were added; `:name` matches one segment, `*name` the rest. */
export class Routes {
  readonly #routes: Route[] = [];

  on(method: string, path: string, handler: Handler): this {
    const names: string[] = [];
    const source = path.replace(/[.+()]/g, '\\$&').replace(/([:*])(\w+)/g, (_, kind: string, name: string) => {
      names.push(name);
      return kind === ':' ? '([^/]+)' : '(.*)';
    });
    this.#routes.push({ method, path, pattern: new RegExp(`^${source}/?$`, 'i'), names, handler });
    return this;
  }

  /** Every route as `GET /path/:name`. */
  names(): string[] {
    return this.#routes.map((route) => `${route.method} ${route.path}`);
  }

  find(method: string, path: string): { name: string; handler: Handler; params: Record<string, string> } | undefined {
    for (const route of this.#routes) {
      if (route.method !== method) continue;
      const match = route.pattern.exec(path);
      if (!match) continue;
      const params = Object.fromEntries(route.names.map((name, i) => [name, decodeSegment(match[i + 1] ?? '')]));
      return { name: `${route.method} ${route.path}`, handler: route.handler, params };
    }
    return undefined;
  }
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Reply({ status: 400, body: { message: 'Malformed path' } });
  }
}

export interface Service {
  url: string;
  port: number;
  stop(): Promise<void>;
}

const bodyBytesMax = 64 * 1024 * 1024;

/**
 * Serves `handle` on 127.0.0.1. The handler gets the socket too, because a stand-in must be able to fail as networks do.
 * `port` 0 picks a free one.
 */
export async function startService(
  name: string,
  port: number,
  handle: (ask: Ask, socket: Socketlike) => Answer | Promise<Answer>,
): Promise<Service> {
  refuseProduction(name);
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => void serve(name, request, response, handle));
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  // Long polls answer after 50 s; Node's own limits must not cut them.
  server.requestTimeout = 0;
  server.keepAliveTimeout = 65_000;
  const bound = await listen(server, port);
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function refuseProduction(name: string): void {
  if (process.env['NODE_ENV'] === 'production') {
    throw new Error(
      `The sandbox's ${name} is a stand-in with open doors: it does not start when NODE_ENV is production.`,
    );
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

async function serve(
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
  handle: (ask: Ask, socket: Socketlike) => Answer | Promise<Answer>,
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  let answer: Answer;
  try {
    answer = await handle(await readAsk(request, gone.signal), request.socket);
  } catch (error) {
    answer = error instanceof Reply ? error.answer : unexpected(name, request, error);
  }
  if (!response.destroyed && !request.socket.destroyed) send(request.method ?? 'GET', response, answer);
}

function unexpected(name: string, request: IncomingMessage, error: unknown): Answer {
  console.error(`${name}: ${request.method} ${request.url} failed`, error);
  return { status: 500, body: { message: 'Server Error' } };
}

async function readAsk(request: IncomingMessage, signal: AbortSignal): Promise<Ask> {
  const url = new URL(request.url ?? '/', 'http://stand-in');
  const rawBody = await readBody(request);
  return {
    method: request.method ?? 'GET',
    path: url.pathname,
    params: {},
    query: url.searchParams,
    headers: request.headers,
    rawBody,
    body: parseBody(rawBody, request.headers['content-type'] ?? ''),
    signal,
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBytesMax) throw new Reply({ status: 413, body: { message: 'Payload too large' } });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseBody(raw: Buffer, contentType: string): unknown {
  if (raw.length === 0) return undefined;
  if (contentType.includes('application/x-www-form-urlencoded')) return formValues(raw.toString());
  if (contentType.includes('octet-stream')) return undefined;
  try {
    return JSON.parse(raw.toString()) as unknown;
  } catch {
    if (!contentType.includes('json')) return undefined;
    throw new Reply({ status: 400, body: { message: 'Problems parsing JSON' } });
  }
}

/** A name sent twice becomes a list, as a page's checkboxes need it. */
function formValues(text: string): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = {};
  const form = new URLSearchParams(text);
  for (const name of new Set(form.keys())) {
    const all = form.getAll(name);
    values[name] = all.length === 1 ? (all[0] as string) : all;
  }
  return values;
}

function send(method: string, response: ServerResponse, answer: Answer): void {
  const { body } = answer;
  const asIs = typeof body === 'string' || body instanceof Uint8Array;
  const bytes =
    body === undefined ? Buffer.alloc(0) : asIs ? Buffer.from(body as Uint8Array) : Buffer.from(JSON.stringify(body));
  const headers: Record<string, string | string[]> = {};
  if (!asIs && body !== undefined) headers['content-type'] = 'application/json; charset=utf-8';
  Object.assign(headers, answer.headers);
  if (answer.status !== 204 && answer.status !== 304) headers['content-length'] = String(bytes.length);
  response.writeHead(answer.status, headers);
  response.end(method === 'HEAD' ? undefined : bytes);
}
