import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as ask,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * The wire between an adapter and the stand-in of its forge, for the contract's tests alone: it hears every request, and what
 * a test says happens to it. So that a limit, a lost answer or nonsense can meet any request of any forge alike.
 */
export type Wire = {
  url: string;
  /** Where requests go. */
  to(target: string): void;
  /** Since `listen`, in the order that they came. */
  sent: Sent[];
  /** What was posted to `heardAt`: the forge's webhooks. */
  heard: Heard[];
  heardAt: string;
  /** Forgets what was sent. From here on `meddle` says what becomes of each request. */
  listen(meddle?: Meddle): void;
  stop(): Promise<void>;
};

export type Sent = { method: string; path: string; authorization: string };
export type Heard = { headers: Record<string, string>; body: string };
export type Reply = { status: number; headers?: Record<string, string>; body?: unknown };

/** `lost`: the forge did what it was asked, and nobody hears of it. `endless`: the first page, and there is always another. */
export type Fate = 'pass' | 'reset' | 'lost' | 'hang' | 'endless' | Reply;
/** `nth` is 1 for the first request since `listen`. */
export type Meddle = (sent: Sent, nth: number) => Fate;

const heardPath = '/_heard';

export async function startWire(): Promise<Wire> {
  let target = '';
  let fateOf: Meddle = () => 'pass';
  const sent: Sent[] = [];
  const heard: Heard[] = [];

  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bytesOf(request);
    const { method = 'GET', url: path = '/' } = request;
    if (path.startsWith(heardPath)) {
      heard.push({ headers: plain(request.headers), body: body.toString() });
      response.writeHead(204).end();
      return;
    }
    const given: Sent = { method, path, authorization: request.headers.authorization ?? '' };
    sent.push(given);
    const fate = fateOf(given, sent.length);
    if (typeof fate === 'object') return say(response, fate);
    if (fate === 'hang') return;
    if (fate === 'reset') return void request.socket.destroy();
    const answer = await forward(target, request, fate === 'endless' ? onFirstPage(path) : path, body);
    if (fate === 'lost') return void request.socket.destroy();
    say(response, fate === 'endless' ? endless(path, answer) : answer);
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    to(given) {
      target = given;
    },
    sent,
    heard,
    heardAt: `${url}${heardPath}`,
    listen(meddle = () => 'pass') {
      sent.length = 0;
      fateOf = meddle;
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function plain(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

function forward(target: string, { method, headers }: IncomingMessage, path: string, body: Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { host: _, connection: __, ...kept } = headers;
    const onward = ask(`${target}${path}`, { method: method ?? 'GET', headers: kept }, (answer) => {
      bytesOf(answer).then(
        (bytes) => resolve({ status: answer.statusCode ?? 502, headers: plain(answer.headers), body: bytes }),
        reject,
      );
    });
    onward.on('error', reject);
    onward.end(body);
  });
}

function say(response: ServerResponse, { status, headers = {}, body = '' }: Reply): void {
  const asIs = typeof body === 'string' || body instanceof Uint8Array;
  const bytes = asIs ? Buffer.from(body as Uint8Array) : Buffer.from(JSON.stringify(body));
  const { 'content-length': _, 'transfer-encoding': __, connection: ___, ...kept } = headers;
  const type = asIs ? {} : { 'content-type': 'application/json; charset=utf-8' };
  const length = status === 204 ? {} : { 'content-length': String(bytes.length) };
  response.writeHead(status, { ...type, ...kept, ...length });
  response.end(status === 204 ? undefined : bytes);
}

function onFirstPage(path: string): string {
  const url = new URL(path, 'http://forge');
  url.searchParams.set('page', '1');
  return `${url.pathname}${url.search}`;
}

/** A full page in each forge's way of saying that more is to come: by a number, a link, a total, or by being full. */
function endless(path: string, answer: Reply): Reply {
  const query = new URL(path, 'http://forge').searchParams;
  const page = Number(query.get('page') ?? '1');
  const size = Number(query.get('per_page') ?? query.get('limit') ?? '1');
  const items = JSON.parse(String(answer.body)) as unknown[];
  const headers = {
    ...answer.headers,
    'x-page': String(page),
    'x-next-page': String(page + 1),
    'x-total-count': '1000000',
    link: `<http://forge${path}&page=${page + 1}>; rel="next"`,
  };
  return { ...answer, headers, body: Array.from({ length: size }, (_, at) => items[at % items.length]) };
}
