import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { ForgeConnectionValue } from '../port.ts';
import { type Ask, gitlabClient, numberOf } from './client.ts';
import { limitSaid } from './errors.ts';

type Expected = {
  request: string;
  status?: number;
  headers?: Record<string, string>;
  /** Sent as JSON, or as it is where it is a string. */
  body?: unknown;
  afterMs?: number;
};
type Seen = { request: string; authorization: string; body: string };

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A strict forge: it answers what is expected, in that order, and 599 to anything else; what was not asked for fails too. */
async function strictForge(expected: Expected[]) {
  const left = [...expected];
  const seen: Seen[] = [];
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`;
    let body = '';
    for await (const chunk of request as AsyncIterable<Buffer>) body += chunk.toString();
    seen.push({ request: line, authorization: request.headers.authorization ?? '', body });
    const at = left.findIndex((each) => each.request === line);
    const next = left.splice(at, at < 0 ? 0 : 1)[0];
    if (!next || at < 0) return void response.writeHead(599).end(`unexpected ${line}`);
    const text = typeof next.body === 'string' ? next.body : JSON.stringify(next.body ?? {});
    const headers = { 'content-type': 'application/json', ...next.headers };
    setTimeout(() => response.writeHead(next.status ?? 200, headers).end(text), next.afterMs ?? 0);
  }
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connection: ForgeConnectionValue = {
    id: 'c',
    kind: 'gitlab',
    baseUrl,
    clientId: 'i',
    clientSecret: 's',
    allowLoopback: true,
  };
  return { client: gitlabClient(connection), seen, done: () => expect(left).toEqual([]) };
}

const user = 'GET /api/v4/user';
const Thing = z.object({ a: z.number() });
const person: Ask = { as: { token: 'secret-canary', whose: 'person' }, about: 'acme' };
const scope: Ask = { as: { token: 'secret-canary', whose: 'scope' }, about: 'acme' };

type Strict = Awaited<ReturnType<typeof strictForge>>;
const askUser = ({ client }: Strict, ask = person) => client.call(Thing, ask, (api) => api.users.showCurrentUser());

test('a request carries the token and nothing of GitBeaker’s own ways', async () => {
  const forge = await strictForge([
    { request: 'PUT /api/v4/runners/7', body: { a: 1 } },
    { request: 'DELETE /api/v4/runners/7', status: 204, body: '' },
    { request: 'GET /api/v4/groups/tinyland%2Flab?with_projects=false', body: { a: 2 } },
  ]);
  const changes = { runUntagged: false, tagList: ['a', 'b'], maintenanceNote: 'ä' };
  await forge.client.call(Thing, scope, (api) => api.runners.edit(7, changes));
  expect(forge.seen[0]?.authorization).toBe('Bearer secret-canary');
  expect(JSON.parse(forge.seen[0]?.body ?? '')).toEqual({
    run_untagged: false,
    tag_list: ['a', 'b'],
    maintenance_note: 'ä',
  });
  await forge.client.call(z.unknown(), scope, (api) => api.runners.remove({ runnerId: 7 }));
  expect(forge.seen[1]?.body).toBe('');
  await forge.client.call(Thing, scope, (api) => api.groups.show('tinyland/lab', { withProjects: false }));
  forge.done();
});

describe('what a refusal means', () => {
  test.each([
    [401, 'person', 'unauthenticated'],
    [401, 'given', 'unauthenticated'],
    [401, 'scope', 'forbidden'],
    [403, 'person', 'forbidden'],
    [404, 'scope', 'not_found'],
    [409, 'scope', 'conflict'],
    [422, 'scope', 'internal'],
    [429, 'scope', 'rate_limited'],
    [500, 'scope', 'unavailable'],
    [502, 'person', 'unavailable'],
    [302, 'person', 'unavailable'],
  ] as const)('%i to a %s’s token is %s, asked once', async (status, whose, code) => {
    const headers = { location: 'http://169.254.169.254/' };
    const forge = await strictForge([{ request: user, status, headers, body: { message: `${status} No` } }]);
    const work = askUser(forge, { ...person, as: { token: 't', whose } });
    await expect(work).rejects.toMatchObject({ name: 'AppError', code });
    expect(forge.seen).toHaveLength(1);
  });

  test('a missing scope is said to be one', async () => {
    const body = {
      error: 'insufficient_scope',
      error_description: 'The request requires higher privileges',
      scope: 'api',
    };
    const forge = await strictForge([{ request: user, status: 403, body }]);
    await expect(askUser(forge)).rejects.toMatchObject({
      screen: { happened: expect.stringContaining('lacks a scope') },
    });
  });

  test('a limit is never an absence', async () => {
    const forge = await strictForge([
      { request: user, status: 404 },
      { request: user, status: 429 },
    ]);
    const find = () =>
      forge.client.find(Thing, { ...person, absent: () => true }, (api) => api.users.showCurrentUser());
    expect(await find()).toBeNull();
    await expect(find()).rejects.toMatchObject({ code: 'rate_limited' });
  });

  test('A23: no token is in an error, whatever the forge quotes', async () => {
    const forge = await strictForge([{ request: user, status: 500, body: { message: 'away' } }]);
    const error: unknown = await askUser(forge).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(AppError);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error)) + String(error)).not.toContain('secret-canary');
  });
});

describe('A7: a forge that answers nonsense', () => {
  test.each([
    ['HTML', '<html>'],
    ['nothing', ''],
    ['another shape', { b: 1 }],
    ['a million levels', `{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`],
    ['more than is read', `{"a":1,"b":"${'x'.repeat(11 * 1024 * 1024)}"}`],
  ])('%s', async (_, body) => {
    const forge = await strictForge([{ request: user, body }]);
    await expect(askUser(forge)).rejects.toMatchObject({ code: 'unavailable' });
  });

  const things = (page: number) => `GET /api/v4/projects?page=${page}&per_page=100`;

  function allProjects({ client }: Strict) {
    return client.all(Thing, person, (api, options) => api.projects.all({ ...options, pagination: 'offset' }));
  }

  test('pages are read to the last, as GitLab numbers them', async () => {
    const at = (page: number, next: string) => ({
      request: `${things(page)}&pagination=offset`,
      headers: { 'x-next-page': next, link: `<http://127.0.0.1:1/x?page=${next}>; rel="next"` },
      body: [{ a: page }],
    });
    const forge = await strictForge([at(1, '2'), at(2, '3'), at(3, '')]);
    expect(await allProjects(forge)).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }]);
    forge.done();
  });

  test('pages without end are cut', async () => {
    const pages = Array.from({ length: 101 }, (_, i) => ({
      request: `${things(i + 1)}&pagination=offset`,
      headers: { 'x-next-page': String(i + 2) },
      body: [{ a: 1 }],
    }));
    const forge = await strictForge(pages);
    await expect(allProjects(forge)).rejects.toMatchObject({ code: 'unavailable' });
    expect(forge.seen).toHaveLength(100);
  });

  test('a list that is none', async () => {
    const forge = await strictForge([{ request: `${things(1)}&pagination=offset`, body: { a: 1 } }]);
    await expect(allProjects(forge)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

test('a caller that gives up gets its own reason, before and meanwhile', async () => {
  const forge = await strictForge([{ request: user, body: { a: 1 }, afterMs: 1000 }]);
  const reason = new Error('the lease was lost');
  await expect(askUser(forge, { ...person, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(forge.seen).toHaveLength(0);
  const meanwhile = askUser(forge, { ...person, signal: AbortSignal.timeout(50) });
  await expect(meanwhile).rejects.toMatchObject({ name: 'TimeoutError' });
});

test('A5: a forge inside a network is not asked', async () => {
  const connection = { id: 'c', kind: 'gitlab' as const, baseUrl: 'https://10.0.0.1', clientId: '', clientSecret: '' };
  const client = gitlabClient({ ...connection, allowLoopback: false });
  await expect(client.call(Thing, person, (api) => api.users.showCurrentUser())).rejects.toMatchObject({
    code: 'invalid',
  });
});

test.each(['', '1/../../x', '1?x', ' 1', '9'.repeat(16)])('%j is no id', (id) => {
  expect(() => numberOf(id)).toThrow(expect.objectContaining({ code: 'invalid' }));
});

describe('F13, F14: how long a limit says to wait', () => {
  const date = 'Sun, 01 Nov 2026 10:00:00 GMT';
  const reset = String(Date.parse(date) / 1000 + 2400);
  test.each([
    ['until its reset, by the forge’s clock', 429, { 'ratelimit-reset': reset, date }, 2_400_000],
    ['a reset that is over', 429, { 'ratelimit-reset': '1', date }, 1000],
    ['retry-after', 429, { 'retry-after': '7' }, 7000],
    ['both: the nearer word is retry-after', 429, { 'retry-after': '9', 'ratelimit-reset': reset, date }, 9000],
    ['without a word', 429, {}, 'unnamed'],
    ['a date for retry-after, which GitLab never sends', 429, { 'retry-after': date }, 'unnamed'],
    ['a refusal', 403, { 'ratelimit-reset': reset }, null],
  ])('%s', (_, status, headers, expected) => {
    expect(limitSaid({ status, headers: new Headers(headers as Record<string, string>) })).toBe(expected);
  });
});
