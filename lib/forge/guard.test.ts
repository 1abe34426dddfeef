import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { isPublicAddress, refusalOf } from './address.ts';
import { guardedFetch } from './guard.ts';

const stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  return `http://127.0.0.1:${await listen(server)}`;
}

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const sandboxFetch = guardedFetch({ allowLoopback: true });
const unusedResolver = () => Promise.reject(new Error('nothing may be resolved'));

describe('A5: what is refused before a connection is made', () => {
  test.each([
    'http://169.254.169.254/latest/meta-data',
    'https://169.254.169.254/latest/meta-data',
    'https://[::ffff:169.254.169.254]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://[fd00:ec2::254]/',
    'https://[fe80::1]/',
    'https://[::1]/',
    'https://[::]/',
    'https://0x7f.1/',
    'https://2130706433/',
    'https://0177.0.0.1/',
    'https://127.0.0.1/',
    'https://0.0.0.0/',
    'https://10.0.0.1/',
    'https://172.31.255.255/',
    'https://192.168.1.1/',
    'https://100.64.0.1/',
    'https://localhost/',
    'https://localhost./',
    'https://foo.localhost/',
    'https://kubernetes/',
    'https://kubernetes.default.svc/',
    'https://kubernetes.default.svc.cluster.local/',
    'https://metadata.google.internal/',
    'https://user@github.com/',
    'https://user:password@github.com/',
    'https://github.com:22/',
    'https://github.com:25/',
    'http://github.com/',
    'file:///etc/passwd',
    'gopher://github.com/',
    'not a url',
  ])('%s', async (url) => {
    const fetch = guardedFetch({ allowLoopback: false, resolve: unusedResolver });
    await expect(fetch(url)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('public https is let through, on the usual ports', () => {
    for (const url of [
      'https://github.com',
      'https://git.example.org:8443',
      'https://forge.example.org:3000',
      'https://140.82.121.3',
    ]) {
      expect(refusalOf(new URL(url), false)).toBeNull();
    }
  });

  test('the sandbox opens loopback and nothing else', () => {
    expect(refusalOf(new URL('http://127.0.0.1:4000'), true)).toBeNull();
    expect(refusalOf(new URL('http://localhost:4000'), true)).toBeNull();
    expect(refusalOf(new URL('http://[::1]:4000'), true)).toBeNull();
    expect(refusalOf(new URL('http://127.0.0.1:22'), true)).not.toBeNull();
    expect(refusalOf(new URL('https://10.0.0.1'), true)).not.toBeNull();
    expect(refusalOf(new URL('http://github.com'), true)).not.toBeNull();
  });

  test('an error names the host and never the path, where a token might be', async () => {
    const error = await guardedFetch({ allowLoopback: false })('https://10.0.0.1/secret-canary').catch((e: Error) => e);
    expect(JSON.stringify(error) + String(error)).not.toContain('secret-canary');
  });

  test.each(['8.8.8.8', '140.82.121.3', '2606:50c0:8000::64'])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  test.each(['', 'github.com', '::ffff:8.8.8.8', '2002:7f00:1::', '2001:db8::1', '255.255.255.255', 'ff02::1'])(
    '%s is not',
    (address) => expect(isPublicAddress(address)).toBe(false),
  );
});

describe('A6: rebinding and redirects', () => {
  test('a name that resolves inside is refused at the connection, by whichever answer', async () => {
    const answers = [
      [{ address: '127.0.0.1', family: 4 }],
      [
        { address: '140.82.121.3', family: 4 },
        { address: '10.0.0.1', family: 4 },
      ],
      [{ address: '::1', family: 6 }],
      [],
    ];
    for (const answer of answers) {
      const fetch = guardedFetch({ allowLoopback: true, resolve: async () => answer });
      await expect(fetch('https://rebind.example.org/')).rejects.toMatchObject({ code: 'invalid' });
    }
  });

  test('the address that was checked is the one that is connected to: nothing is resolved a second time', async () => {
    let asked = 0;
    const url = await serve((_, response) => response.end('here'));
    const fetch = guardedFetch({
      allowLoopback: true,
      resolve: async () => {
        asked += 1;
        return [{ address: asked === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
      },
    });
    const response = await fetch(url.replace('127.0.0.1', 'localhost'));
    expect(await response.text()).toBe('here');
    expect(asked).toBe(1);
  });

  test('localhost that resolves elsewhere is refused in the sandbox', async () => {
    const fetch = guardedFetch({ allowLoopback: true, resolve: async () => [{ address: '10.0.0.1', family: 4 }] });
    await expect(fetch('http://localhost:4000/')).rejects.toMatchObject({ code: 'invalid' });
  });

  test.each(['http://10.0.0.1/', 'http://127.0.0.1:1/', 'https://github.com/'])(
    'a redirect to %s is handed back',
    async (location) => {
      let requests = 0;
      const url = await serve((_, response) => {
        requests += 1;
        response.writeHead(302, { location }).end();
      });
      const response = await sandboxFetch(url);
      expect(response.status).toBe(302);
      expect(requests).toBe(1);
    },
  );
});

describe('A7: answers without end', () => {
  test('10 GB are cut at the cap, and the server sees the connection end', async () => {
    let sent = 0;
    const ended = Promise.withResolvers<void>();
    const url = await serve((_, response) => {
      response.on('close', () => ended.resolve());
      const block = Buffer.alloc(1024 * 1024);
      const pump = () => {
        while (!response.destroyed && sent < 10 * 1024 ** 3 && response.write(block)) sent += block.length;
        sent += block.length;
      };
      response.on('drain', pump);
      pump();
    });
    await expect(sandboxFetch(url)).rejects.toMatchObject({ code: 'unavailable' });
    await ended.promise;
    expect(sent).toBeLessThan(100 * 1024 ** 2);
  });

  test('a gzip bomb is counted unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 ** 2));
    expect(bomb.length).toBeLessThan(100_000);
    const url = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
    await expect(sandboxFetch(url)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('more than'),
    });
  });

  test('a small gzip answer arrives unpacked', async () => {
    const url = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"a":1}')),
    );
    const response = await sandboxFetch(url);
    expect(response.headers.get('content-encoding')).toBeNull();
    expect(await response.json()).toEqual({ a: 1 });
  });

  test.each(['headers', 'body'])('slowloris: one byte at a time in the %s ends with the total time', async (where) => {
    const port = await listen(
      createTcpServer((socket) => {
        const slow = where === 'headers' ? 'HTTP/1.1 200 OK\r\nx: ' : 'HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n';
        socket.write(slow);
        const timer = setInterval(() => socket.write('a'), 20);
        socket.on('close', () => clearInterval(timer)).on('error', () => undefined);
      }),
    );
    const fetch = guardedFetch({ allowLoopback: true, totalTimeoutMs: 300 });
    const began = performance.now();
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: 'unavailable' });
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test('a caller that gives up gets its own reason back', async () => {
    const url = await serve(() => undefined);
    const reason = new Error('the lease was lost');
    await expect(sandboxFetch(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const later = new AbortController();
    const waiting = sandboxFetch(url, { signal: later.signal });
    setTimeout(() => later.abort(reason), 20);
    await expect(waiting).rejects.toBe(reason);
  });

  test('nobody there', async () => {
    const url = await serve(() => undefined);
    for (const stop of stops.splice(0)) await stop();
    await expect(sandboxFetch(url)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('hosts that the operator named as living in a private network', () => {
  const privateHosts = ['forge.internal', '10.1.2.3', 'gitlab'];

  test.each(['http://forge.internal/x', 'https://forge.internal:8443/', 'https://10.1.2.3/', 'http://gitlab:8080/'])(
    '%s may be asked',
    (url) => {
      expect(refusalOf(new URL(url), false, new Set(privateHosts))).toBeNull();
    },
  );

  test.each([
    'http://other.internal/',
    'https://10.1.2.4/',
    'http://forge.internal:22/',
    'https://user@forge.internal/',
    'https://forge.internal.evil.test/',
  ])('%s is none of them', (url) => {
    expect(refusalOf(new URL(url), false, new Set(privateHosts))).not.toBeNull();
  });

  test.each(['127.0.0.1', '::1', '169.254.169.254', '100.100.100.200', 'fd00:ec2::254', 'fe80::1', '0.0.0.0'])(
    'named or not, %s is never connected to',
    async (address) => {
      const family = address.includes(':') ? 6 : 4;
      const resolve = () => Promise.resolve([{ address, family }]);
      const fetch = guardedFetch({ allowLoopback: false, privateHosts, resolve });
      await expect(fetch('https://forge.internal/')).rejects.toMatchObject({ code: 'invalid' });
      const literal = `https://${family === 6 ? `[${address}]` : address}/`;
      expect(refusalOf(new URL(literal), false, new Set([address]))).not.toBeNull();
    },
  );

  test('what such a name resolves to may be private, what another one does may not', async () => {
    const resolve = () => Promise.resolve([{ address: '10.255.255.1', family: 4 }]);
    const limits = { allowLoopback: false, resolve, connectTimeoutMs: 50, totalTimeoutMs: 200 };
    const named = guardedFetch({ ...limits, privateHosts })('https://forge.internal/');
    await expect(named).rejects.toMatchObject({ code: 'unavailable' });
    const other = guardedFetch({ ...limits, privateHosts })('https://forge.example.com/');
    await expect(other).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('an authority of the operator’s own', () => {
  const pem = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures/tls', name), 'utf8');

  async function serveTls(): Promise<string> {
    const options = { key: pem('server-key.pem'), cert: pem('server.pem') };
    const server = createTlsServer(options, (_, response) => response.end('yes'));
    return `https://localhost:${await listen(server)}`;
  }

  test('vouches for its servers', async () => {
    const url = await serveTls();
    const answer = await guardedFetch({ allowLoopback: true, caBundle: pem('authority.pem') })(url);
    expect(await answer.text()).toBe('yes');
  });

  test('and without it they are not believed', async () => {
    await expect(sandboxFetch(await serveTls())).rejects.toMatchObject({ code: 'unavailable' });
  });
});
