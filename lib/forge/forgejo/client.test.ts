import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { ForgeConnectionValue } from '../port.ts';
import { forgejoClient, serverOf } from './client.ts';
import { limitSaid, scopesLacking } from './errors.ts';
import { listOf } from './schema.ts';

type Expected = { request: string; status?: number; headers?: Record<string, string>; body?: unknown };

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A strict forge: it answers what is expected, in that order, and 599 to anything else; what was not asked for fails too. */
async function strictForge(expected: Expected[]) {
  const left = [...expected];
  const seen: { request: string; authorization: string }[] = [];
  const server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`;
    seen.push({ request: line, authorization: request.headers.authorization ?? '' });
    const next = left[0]?.request === line ? left.shift() : undefined;
    if (!next) return void response.writeHead(599).end(`unexpected ${line}`);
    const text = typeof next.body === 'string' ? next.body : JSON.stringify('body' in next ? next.body : {});
    response.writeHead(next.status ?? 200, { 'content-type': 'application/json', ...next.headers }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connection: ForgeConnectionValue = {
    id: 'c',
    kind: 'forgejo',
    baseUrl,
    clientId: 'i',
    clientSecret: 's',
    allowLoopback: true,
  };
  return { client: forgejoClient(connection), seen, done: () => expect(left).toEqual([]) };
}

const thing = 'GET /api/v1/thing';
const Thing = z.object({ a: z.number() });
const user = { as: { user: 'secret-canary' }, about: 'acme' };

describe('a request', () => {
  test('carries its token in the header and its parameters in the path and the query', async () => {
    const forge = await strictForge([{ request: 'GET /api/v1/orgs/a%2Fb/x?q=c+d', body: { a: 1 } }]);
    const ask = { ...user, params: { org: 'a/b', q: 'c d' } };
    expect(await forge.client.call('GET /orgs/{org}/x', Thing, ask)).toEqual({ a: 1 });
    expect(forge.seen[0]?.authorization).toBe('token secret-canary');
  });

  test.each(['..', '.', ''])('to a name that would change the route (%j) is not sent', async (org) => {
    const forge = await strictForge([]);
    const work = forge.client.call('GET /orgs/{org}/x', Thing, { ...user, params: { org } });
    await expect(work).rejects.toMatchObject({ code: 'not_found' });
    expect(forge.seen).toEqual([]);
  });
});

describe('A7: a forge that answers nonsense', () => {
  test.each([
    ['HTML', '<html>'],
    ['nothing', ''],
    ['another shape', { b: 1 }],
    ['a million levels', `{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`],
    ['a redirect', '', 302],
  ])('%s', async (_, body, status = 200) => {
    const forge = await strictForge([
      { request: thing, body, status, headers: { location: 'http://169.254.169.254/' } },
    ]);
    await expect(forge.client.call('GET /thing', Thing, user)).rejects.toMatchObject({ code: 'unavailable' });
    expect(forge.seen).toHaveLength(1);
  });

  test('pages without end are cut', async () => {
    const body = Array.from({ length: 50 }, () => ({ a: 1 }));
    const headers = { link: '<http://x/>; rel="next"' };
    const pages = Array.from({ length: 201 }, (_, i) => ({
      request: `${thing}?page=${i + 1}&limit=50`,
      body,
      headers,
    }));
    const forge = await strictForge(pages);
    await expect(forge.client.all('GET /thing', listOf(Thing), user)).rejects.toMatchObject({ code: 'unavailable' });
    expect(forge.seen).toHaveLength(200);
  });
});

describe('F25: pages', () => {
  const page = (number: number) => `${thing}?page=${number}&limit=50`;
  const items = (count: number) => Array.from({ length: count }, () => ({ a: 1 }));

  test('of a server whose pages are smaller than was asked for are read to the end', async () => {
    const headers = { 'x-total-count': '45' };
    const forge = await strictForge([
      { request: page(1), body: items(20), headers },
      { request: page(2), body: items(20), headers },
      { request: page(3), body: items(5), headers },
    ]);
    expect(await forge.client.all('GET /thing', listOf(Thing), user)).toHaveLength(45);
    forge.done();
  });

  test('without a count end where no next one is named; null is an empty list', async () => {
    const forge = await strictForge([
      {
        request: page(1),
        body: items(50),
        headers: { link: '<http://x/?page=2>; rel="next",<http://x/>; rel="last"' },
      },
      { request: page(2), body: null },
    ]);
    expect(await forge.client.all('GET /thing', listOf(Thing), user)).toHaveLength(50);
    forge.done();
  });
});

describe('what a refusal means', () => {
  test.each([
    [401, 'token is required', 'unauthenticated'],
    [403, 'token does not have at least one of required scope(s): [read:user]', 'forbidden'],
    [403, 'Must be an organization owner', 'forbidden'],
    [404, 'not found', 'not_found'],
    [409, 'exists', 'conflict'],
    [418, 'teapot', 'internal'],
    [429, '', 'rate_limited'],
    [502, '', 'unavailable'],
  ])('%s %s is %s', async (status, message, code) => {
    const forge = await strictForge([{ request: thing, status, body: { message } }]);
    const error: unknown = await forge.client.call('GET /thing', Thing, user).catch((each: unknown) => each);
    expect(error).toMatchObject({ name: 'AppError', code });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('secret-canary');
  });

  test('a limit is no answer, whatever else is', async () => {
    const forge = await strictForge([{ request: thing, status: 429 }]);
    const work = forge.client.find('GET /thing', Thing, { ...user, absent: () => true });
    await expect(work).rejects.toMatchObject({ code: 'rate_limited' });
  });

  test('an ended token of a scope is no person’s to sign in again for', async () => {
    const forge = await strictForge([{ request: thing, status: 401 }]);
    const work = forge.client.call('GET /thing', Thing, { as: { scope: 't' }, about: 'acme' });
    await expect(work).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('a missing scope is named on the screen', async () => {
    const message =
      'token does not have at least one of required scope(s), required=[write:organization], token scope=all';
    const forge = await strictForge([{ request: thing, status: 403, body: { message } }]);
    const screen = { happened: expect.stringContaining('write:organization') };
    await expect(forge.client.call('GET /thing', Thing, user)).rejects.toMatchObject({ screen });
  });

  test.each([
    ['…required scope(s): [read:user]', ['read:user']],
    [
      '…required scope(s), required=[read:user write:organization], token scope=all',
      ['read:user', 'write:organization'],
    ],
    ['…required scope(s)', []],
    ['Must be an organization owner', null],
  ])('%s lacks %j', (message, scopes) => {
    expect(scopesLacking(message)).toEqual(scopes);
  });
});

describe('F14: how long a limit says to wait', () => {
  const date = 'Sun, 01 Nov 2026 10:00:00 GMT';
  test.each([
    ['seconds', 429, { 'retry-after': '7' }, 7000],
    ['a date, by the server’s clock', 429, { 'retry-after': 'Sun, 01 Nov 2026 10:00:30 GMT', date }, 30_000],
    ['a date that is over', 429, { 'retry-after': date, date }, 1000],
    ['nothing', 429, {}, 'unnamed'],
    ['nonsense', 429, { 'retry-after': 'soon' }, 'unnamed'],
    ['no limit at all', 403, { 'retry-after': '7' }, null],
  ])('%s', (_, status, headers, expected) => {
    expect(limitSaid({ status, headers: new Headers(headers as Record<string, string>) })).toBe(expected);
  });
});

test.each([
  ['15.0.1+gitea-1.22.0', { software: 'forgejo', major: 15, minor: 0 }],
  ['11.0.3-12-abc+gitea-1.22.0', { software: 'forgejo', major: 11, minor: 0 }],
  ['1.26.0', { software: 'gitea', major: 1, minor: 26 }],
  ['1.27.0+dev-3-gabc', { software: 'gitea', major: 1, minor: 27 }],
  ['odd', { software: 'gitea', major: 0, minor: 0 }],
])('%s is read', (version, server) => {
  expect(serverOf(version)).toEqual(server);
});
