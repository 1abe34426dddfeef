import { generateKeyPairSync } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { ForgeConnectionValue } from '../port.ts';
import { apiBaseUrl, githubClient } from './client.ts';
import { limitSaid } from './errors.ts';

const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString();

type Expected = {
  request: string;
  status?: number;
  headers?: Record<string, string>;
  /** Sent as JSON, or as it is where it is a string. */
  body?: unknown;
  afterMs?: number;
};
type Seen = { request: string; authorization: string };

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A strict forge: it answers what is expected, in that order, and 599 to anything else; what was not asked for fails too. */
async function strictForge(
  expected: Expected[],
): Promise<{ connection: ForgeConnectionValue; seen: Seen[]; done(): void }> {
  const left = [...expected];
  const seen: Seen[] = [];
  const server = createServer((request, response) => void answer(request, response));
  function answer(request: IncomingMessage, response: ServerResponse): void {
    const line = `${request.method} ${request.url}`;
    seen.push({ request: line, authorization: request.headers.authorization ?? '' });
    const at = left.findIndex((each) => each.request === line);
    const next = left.splice(at, at < 0 ? 0 : 1)[0];
    if (!next || at < 0) return void response.writeHead(599).end(`unexpected ${line}`);
    const text = typeof next.body === 'string' ? next.body : JSON.stringify(next.body ?? {});
    const headers = { 'content-type': 'application/json', ...next.headers };
    setTimeout(() => response.writeHead(next.status ?? 200, headers).end(text), next.afterMs ?? 0);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const app = { id: '12345', slug: 'flywheel', privateKey, webhookSecret: 'w' };
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    connection: { id: 'c', kind: 'github', baseUrl, clientId: 'i', clientSecret: 's', app, allowLoopback: true },
    seen,
    done: () => expect(left).toEqual([]),
  };
}

const mint = 'POST /api/v3/app/installations/1/access_tokens';
const thing = 'GET /api/v3/thing';
const Thing = z.object({ a: z.number() });

function token(name: string, lifeMs = 3_600_000) {
  return { token: name, expires_at: new Date(Date.now() + lifeMs).toISOString() };
}

const asInstallation = { as: { installation: '1' }, about: 'acme' };

describe('installation tokens', () => {
  test('are minted once and used until shortly before they end', async () => {
    const forge = await strictForge([
      { request: mint, status: 201, body: token('ghs_one', 60_000) },
      { request: thing, body: { a: 1 } },
      { request: mint, status: 201, body: token('ghs_two') },
      { request: thing, body: { a: 2 } },
      { request: thing, body: { a: 3 } },
    ]);
    const client = githubClient(forge.connection);
    for (const a of [1, 2, 3]) expect(await client.call('GET /thing', Thing, asInstallation)).toEqual({ a });
    forge.done();
  });

  test('F20: a 401 is answered with one new token and no more', async () => {
    const forge = await strictForge([
      { request: mint, status: 201, body: token('ghs_one') },
      { request: thing, status: 401, body: { message: 'Bad credentials' } },
      { request: mint, status: 201, body: token('ghs_two') },
      { request: thing, status: 401, body: { message: 'Bad credentials' } },
    ]);
    const work = githubClient(forge.connection).call('GET /thing', Thing, asInstallation);
    await expect(work).rejects.toMatchObject({ code: 'forbidden' });
    forge.done();
  });

  test('of two forges with the same installation number never meet', async () => {
    const forges = await Promise.all(
      ['ghs_first', 'ghs_second'].map((name) =>
        strictForge([
          { request: mint, status: 201, body: token(name), afterMs: 50 },
          { request: thing, body: { a: 1 } },
        ]),
      ),
    );
    await Promise.all(forges.map((forge) => githubClient(forge.connection).call('GET /thing', Thing, asInstallation)));
    expect(forges.map((forge) => forge.seen[1]?.authorization)).toEqual(['Bearer ghs_first', 'Bearer ghs_second']);
  });
});

describe('the App’s own token', () => {
  const app = { as: { app: true as const }, about: 'the App' };

  test('F19: is dated back and lives ten minutes at most', async () => {
    const forge = await strictForge([{ request: 'GET /api/v3/app', body: { a: 1 } }]);
    await githubClient(forge.connection).call('GET /app', Thing, app);
    const { iat = 0, exp = 0, iss } = decodeJwt(forge.seen[0]?.authorization.split(' ')[1] ?? '');
    const nowS = Date.now() / 1000;
    expect(iss).toBe('12345');
    expect(iat).toBeLessThan(nowS - 20);
    expect(exp - iat).toBeLessThanOrEqual(600);
  });

  test('F19: a clock ten minutes off is corrected by the forge’s own', async () => {
    const forgeNow = new Date(Date.now() - 600_000);
    const forge = await strictForge([
      {
        request: 'GET /api/v3/app',
        status: 401,
        headers: { date: forgeNow.toUTCString() },
        body: {
          message: "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        },
      },
      { request: 'GET /api/v3/app', body: { a: 1 } },
    ]);
    expect(await githubClient(forge.connection).call('GET /app', Thing, app)).toEqual({ a: 1 });
    const { iat = 0 } = decodeJwt(forge.seen[1]?.authorization.split(' ')[1] ?? '');
    expect(Math.abs(iat - (forgeNow.getTime() / 1000 - 30))).toBeLessThan(5);
    forge.done();
  });

  test('a key that is none is said to be so, without a word of it', async () => {
    const forge = await strictForge([]);
    const connection = {
      ...forge.connection,
      app: { id: '1', slug: 's', privateKey: 'secret-canary', webhookSecret: '' },
    };
    const error = await githubClient(connection)
      .call('GET /app', Thing, app)
      .catch((each: Error) => each);
    expect(error).toMatchObject({ code: 'internal', screen: { todo: expect.stringContaining('private key') } });
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain('secret-canary');
  });

  test('a connection without an App says so', async () => {
    const forge = await strictForge([]);
    const client = githubClient({ ...forge.connection, app: undefined });
    await expect(client.call('GET /app', Thing, app)).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('A7: a forge that answers nonsense', () => {
  const user = { as: { user: 'ghu_x' }, about: 'acme' };

  test.each([
    ['HTML', '<html>'],
    ['nothing', ''],
    ['another shape', { b: 1 }],
    ['a million levels', `{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`],
    ['a number beyond reckoning', '{"a":123456789012345678901234567890}'],
  ])('%s', async (_, body) => {
    const forge = await strictForge([{ request: thing, body }]);
    const work = githubClient(forge.connection).call('GET /thing', Thing, user);
    await expect(work).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('a content type that is none', async () => {
    const forge = await strictForge([{ request: thing, headers: { 'content-type': ';;;' }, body: { a: 1 } }]);
    const work = githubClient(forge.connection).call('GET /thing', Thing, user);
    await expect(work).rejects.toMatchObject({ name: 'AppError' });
  });

  test('pages without end are cut', async () => {
    const page = Array.from({ length: 100 }, () => ({ a: 1 }));
    const pages = Array.from({ length: 101 }, (_, i) => ({
      request: `${thing}?per_page=100&page=${i + 1}`,
      body: page,
    }));
    const forge = await strictForge(pages);
    const work = githubClient(forge.connection).all('GET /thing', z.array(Thing), (items) => items, user);
    await expect(work).rejects.toMatchObject({ code: 'unavailable' });
    expect(forge.seen).toHaveLength(100);
  });

  test('a redirect to elsewhere is not followed', async () => {
    const forge = await strictForge([
      { request: thing, status: 302, headers: { location: 'http://169.254.169.254/' }, body: { message: 'moved' } },
    ]);
    const work = githubClient(forge.connection).call('GET /thing', Thing, user);
    await expect(work).rejects.toMatchObject({ code: 'unavailable' });
    expect(forge.seen).toHaveLength(1);
  });
});

test.each([
  ['https://github.com', 'https://api.github.com'],
  ['https://acme.ghe.com', 'https://api.acme.ghe.com'],
  ['https://git.example.org', 'https://git.example.org/api/v3'],
  ['http://127.0.0.1:4000', 'http://127.0.0.1:4000/api/v3'],
  ['https://github.com.evil.example', 'https://github.com.evil.example/api/v3'],
])('the API of %s is at %s', (baseUrl, api) => {
  expect(apiBaseUrl(baseUrl)).toBe(api);
});

describe('F13, F14: how long a limit says to wait', () => {
  const date = 'Sun, 01 Nov 2026 10:00:00 GMT';
  const resetS = Date.parse(date) / 1000 + 2400;
  test.each([
    [
      'primary, by the forge’s clock',
      403,
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(resetS), date },
      '',
      2_400_000,
    ],
    ['primary, over already', 403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1', date }, '', 1000],
    ['secondary, with a time', 403, { 'retry-after': '7' }, '', 7000],
    [
      'both: the nearer word is retry-after',
      429,
      { 'retry-after': '9', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(resetS), date },
      '',
      9000,
    ],
    ['secondary, without one', 403, {}, 'You have exceeded a secondary rate limit.', 'unnamed'],
    ['429 and not a word', 429, {}, '', 'unnamed'],
    ['a refusal', 403, { 'x-ratelimit-remaining': '4999' }, 'Resource not accessible by integration', null],
    ['no such thing', 404, { 'x-ratelimit-remaining': '0' }, 'Not Found', null],
  ])('%s', (_, status, headers, message, expected) => {
    expect(limitSaid({ status, headers, message })).toBe(expected);
  });
});
