import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BazelRemotes, type Instance, startBazelRemotes } from '#sandbox/bazel-remote/index.ts';
import { readBazelCache } from '../index.ts';
import { counters, samplesOf } from './metrics.ts';

const sha = (password: string) => createHash('sha1').update(password).digest('base64');
const login = (user: string, password: string) => `${user}:{SHA}${sha(password)}\n`;

let remotes: BazelRemotes;
const instances: Record<string, Instance> = {};
let nowMs = Date.parse('2026-03-01T00:00:00Z');

beforeEach(async () => {
  for (const name of ['bazel-acme', 'bazel-bolt'])
    instances[name] = { htpasswd: login('runner', name), allowUnauthenticatedReads: true, maxBytes: 1000 };
  const now = () => new Date(nowMs);
  remotes = await startBazelRemotes({ port: 0, instanceOf: (namespace) => instances[namespace], now });
});
afterEach(() => remotes.stop());

const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

async function put(namespace: string, bytes: Buffer, headers: Record<string, string> = {}): Promise<number> {
  const key = createHash('sha256').update(bytes).digest('hex');
  const init = { method: 'PUT', body: new Uint8Array(bytes), headers };
  return (await fetch(`${remotes.urlOf(namespace)}/cas/${key}`, init)).status;
}

async function get(namespace: string, path: string, headers: Record<string, string> = {}): Promise<number> {
  return (await fetch(`${remotes.urlOf(namespace)}${path}`, { headers })).status;
}

describe('the stand-in', () => {
  test('reads for anybody, writes by a login, and tenants have nothing in common', async () => {
    const bytes = randomBytes(100);
    const path = `/cas/${createHash('sha256').update(bytes).digest('hex')}`;
    expect(await put('bazel-acme', bytes)).toBe(401);
    expect(await put('bazel-acme', bytes, basic('runner', 'bazel-bolt'))).toBe(401);
    expect(await put('bazel-acme', bytes, basic('runner', 'bazel-acme'))).toBe(200);
    expect(await get('bazel-acme', path)).toBe(200);
    expect(await get('bazel-bolt', path)).toBe(404);
    expect(await get('bazel-nobody', path)).toBe(502);
    // A wrong login is refused, though none would do.
    expect(await get('bazel-acme', path, basic('runner', 'wrong'))).toBe(401);
  });

  test('without unauthenticated reads nothing but /status is open', async () => {
    instances['bazel-acme'] = { htpasswd: login('a', 'a'), allowUnauthenticatedReads: false, maxBytes: 1000 };
    expect(await get('bazel-acme', '/status')).toBe(200);
    expect(await get('bazel-acme', '/metrics')).toBe(401);
    expect(await get('bazel-acme', '/metrics', basic('a', 'a'))).toBe(200);
  });

  test.each([
    ['missing', undefined],
    ['malformed', 'runner\n'],
    ['cut off', login('runner', 'x').slice(0, 12)],
  ])('a password file that is %s drops the request, and only until it is mended', async (_, htpasswd) => {
    const good = instances['bazel-acme'];
    instances['bazel-acme'] = { htpasswd, allowUnauthenticatedReads: true, maxBytes: 1000 };
    await expect(put('bazel-acme', randomBytes(1), basic('runner', 'x'))).rejects.toThrow('fetch failed');
    if (good) instances['bazel-acme'] = good;
    expect(await put('bazel-acme', randomBytes(1), basic('runner', 'bazel-acme'))).toBe(200);
  });
});

describe('reading one', () => {
  const read = () => readBazelCache({ url: remotes.urlOf('bazel-acme'), fetch });
  const runner = basic('runner', 'bazel-acme');

  test('tells size, hits, misses, what went and how old it was', async () => {
    const many = Array.from({ length: 12 }, () => randomBytes(100));
    for (const bytes of many) {
      expect(await put('bazel-acme', bytes, runner)).toBe(200);
      nowMs += 3600_000;
    }
    const newest = createHash('sha256')
      .update(many.at(-1) ?? '')
      .digest('hex');
    for (let each = 0; each < 3; each += 1) expect(await get('bazel-acme', `/cas/${newest}`)).toBe(200);
    expect(await get('bazel-acme', `/ac/${newest}`)).toBe(404);
    expect(await read()).toEqual({
      sizeBytes: 1000,
      logicalBytes: 1000,
      limitBytes: 1000,
      objects: 10,
      hits: 0,
      misses: 1,
      servedObjects: 3,
      evictedBytes: 200,
      evictionAgeSeconds: 10 * 3600,
    });
    remotes.restart('bazel-acme');
    expect(await read()).toMatchObject({ objects: 10, misses: 0, evictedBytes: 0 });
  });

  test.each([
    ['no status', { '/status': '{}', '/metrics': 'a 1' }],
    ['no metrics', { '/status': '{"CurrSize":1,"UncompressedSize":1,"MaxSize":1,"NumFiles":1}', '/metrics': '<html>' }],
  ])('what cannot be read is said to be so: %s', async (_, pages) => {
    const server = createServer((request, response) => response.end(pages[request.url as '/status'] ?? ''));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await expect(readBazelCache({ url, fetch })).rejects.toMatchObject({ code: 'unavailable' });
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  test('one that is away is away', async () => {
    await expect(readBazelCache({ url: 'http://127.0.0.1:9', fetch })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(readBazelCache({ url: remotes.urlOf('bazel-nobody'), fetch })).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});

test('Prometheus’ text is read with labels in any order, and what is no number is passed over', () => {
  const text = [
    '# HELP a b',
    'a{x="1",y="a\\"b,}"} 2 1700000000',
    'a{y="q",x="1"} 3e1',
    'a NaN',
    'b +Inf',
    'broken',
    '',
  ];
  const samples = samplesOf(text.join('\r\n').replaceAll('\r', ''));
  expect(counters(samples, 'a', { x: '1' })).toBe(32);
  expect(counters(samples, 'a', { x: '2' })).toBe(0);
  expect(samples.find(({ name }) => name === 'b')?.value).toBe(Number.POSITIVE_INFINITY);
});
