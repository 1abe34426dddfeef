import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Attic, nixBase32, startAttic } from './index.ts';

const secret = randomBytes(32);
const hs256SecretBase64 = secret.toString('base64');
let attic: Attic;

beforeEach(async () => {
  attic = await startAttic({ port: 0, hs256SecretBase64 });
});
afterEach(() => attic.stop());

type Caches = Record<string, Record<string, number>>;

function token(caches: Caches, change: { key?: Uint8Array; expired?: boolean } = {}): Promise<string> {
  return new SignJWT({ 'https://jwt.attic.rs/v1': { caches } })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('tenant-acme')
    .setExpirationTime(change.expired ? '-1h' : '1h')
    .sign(change.key ?? secret);
}

const all = { r: 1, w: 1, d: 1, cc: 1, cr: 1, cq: 1, cd: 1 };
const newCache = {
  keypair: 'Generate',
  is_public: false,
  store_dir: '/nix/store',
  priority: 41,
  upstream_cache_key_names: ['cache.nixos.org-1'],
};

async function call(
  method: string,
  path: string,
  jwt?: string,
  body?: unknown,
): Promise<{ status: number; body: unknown; text: string }> {
  const headers = {
    ...(jwt ? { authorization: `Bearer ${jwt}` } : {}),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const response = await fetch(`${attic.url}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, body: text.startsWith('{') ? (JSON.parse(text) as unknown) : undefined };
}

const config = (name: string): string => `/_api/v1/cache-config/${name}`;

test('a view is made, read, changed and deleted', async () => {
  const jwt = await token({ 'acme+main': all });
  const made = await call('POST', config('acme%2Bmain'), jwt, newCache);
  expect([made.status, made.text]).toEqual([200, '']);
  expect((await call('POST', config('acme+main'), jwt, newCache)).body).toMatchObject({
    code: 400,
    error: 'CacheAlreadyExists',
  });
  expect((await call('GET', config('acme+main'), jwt)).body).toEqual({
    substituter_endpoint: `${attic.url}/acme+main`,
    api_endpoint: `${attic.url}/`,
    keypair: null,
    public_key: expect.stringMatching(/^acme\+main:[A-Za-z0-9+/]{43}=$/),
    is_public: false,
    store_dir: '/nix/store',
    priority: 41,
    upstream_cache_key_names: ['cache.nixos.org-1'],
    retention_period: 'Global',
  });
  expect((await call('PATCH', config('acme+main'), jwt, {})).status).toBe(400);
  expect((await call('PATCH', config('acme+main'), jwt, { retention_period: { Period: 86400 } })).status).toBe(200);
  expect((await call('GET', config('acme+main'), jwt)).body).toMatchObject({ retention_period: { Period: 86400 } });
  expect((await call('DELETE', config('acme+main'), jwt)).status).toBe(200);
  expect((await call('GET', config('acme+main'), jwt)).body).toMatchObject({ code: 404, error: 'NoSuchCache' });
});

test('creating takes all of its fields and no retention', async () => {
  const jwt = await token({ a: all });
  const { priority: _, ...lacking } = newCache;
  expect((await call('POST', config('a'), jwt, lacking)).status).toBe(422);
  expect((await call('POST', config('a'), jwt, { ...newCache, retention_period: { Period: 1 } })).status).toBe(200);
  expect((await call('GET', config('a'), jwt)).body).toMatchObject({ retention_period: 'Global' });
  expect((await call('POST', config('-bad'), jwt, newCache)).status).toBe(400);
});

test('each change needs its own right, and retention one more', async () => {
  await call('POST', config('a'), await token({ a: all }), newCache);
  const reader = await token({ a: { r: 1 } });
  expect((await call('POST', config('b'), await token({ b: { r: 1 } }), newCache)).status).toBe(403);
  expect((await call('PATCH', config('a'), reader, { priority: 1 })).body).toMatchObject({
    code: 403,
    error: 'AccessError',
  });
  expect((await call('DELETE', config('a'), reader)).status).toBe(403);
  expect((await call('PATCH', config('a'), await token({ a: { cr: 1 } }), { retention_period: 'Global' })).status).toBe(
    403,
  );
  expect(
    (await call('PATCH', config('a'), await token({ a: { cr: 1, cq: 1 } }), { retention_period: 'Global' })).status,
  ).toBe(200);
});

test('a name one may do nothing with answers 401, there or not', async () => {
  await call('POST', config('private'), await token({ private: all }), newCache);
  const other = await token({ other: all });
  for (const jwt of [
    other,
    undefined,
    await token({ private: all }, { key: randomBytes(32) }),
    await token({ private: all }, { expired: true }),
  ]) {
    for (const path of [config('private'), config('absent'), '/private/nix-cache-info', '/absent/nix-cache-info']) {
      expect((await call('GET', path, jwt)).body).toMatchObject({ code: 401, error: 'Unauthorized' });
    }
  }
});

test('an invalid token is nobody, who may still read what is public', async () => {
  await call('POST', config('open'), await token({ open: all }), { ...newCache, is_public: true });
  const broken = await token({ open: all }, { expired: true });
  const info = await call('GET', '/open/nix-cache-info', broken);
  expect(info.text).toBe('WantMassQuery: 1\nStoreDir: /nix/store\nPriority: 41\n');
  expect((await call('DELETE', config('open'), broken)).status).toBe(403);
});

test('an exact name wins, then the first wildcard: never a union', async () => {
  await call('POST', config('acme-eu'), await token({ 'acme-eu': all }), newCache);
  const status = async (caches: Caches): Promise<number> =>
    (await call('GET', config('acme-eu'), await token(caches))).status;
  expect(await status({ 'acme-*': { r: 1 } })).toBe(200);
  expect(await status({ 'acme-*': { w: 1 }, 'acme-eu*': { r: 1 } })).toBe(403);
  expect(await status({ 'acme-eu*': { r: 1 }, 'acme-*': { w: 1 } })).toBe(200);
  expect(await status({ '*': { r: 1 }, 'acme-eu': { w: 1 } })).toBe(403);
  expect(await status({ 'acme+*': { r: 1 } })).toBe(401);
});

function upload(jwt: string, cache: string, hash: string, nar: Buffer, change: object = {}): Promise<Response> {
  const info = {
    cache,
    store_path_hash: hash,
    store_path: `/nix/store/${hash}-hello`,
    references: [`${hash}-hello`],
    system: null,
    deriver: null,
    sigs: [],
    ca: null,
    nar_hash: `sha256:${createHash('sha256').update(nar).digest('hex')}`,
    nar_size: nar.length,
    ...change,
  };
  const headers = {
    authorization: `Bearer ${jwt}`,
    'x-attic-nar-info': JSON.stringify(info),
    'content-type': 'application/octet-stream',
  };
  return fetch(`${attic.url}/_api/v1/upload-path`, { method: 'PUT', headers, body: new Uint8Array(nar) });
}

test('what is pushed is stored once, signed per view, and readable only where it was pushed', async () => {
  const jwt = await token({ a: all, b: all });
  for (const name of ['a', 'b']) await call('POST', config(name), jwt, newCache);
  const hash = '0'.repeat(31) + 'a';
  const nar = randomBytes(200_000);
  expect(
    (
      await call('POST', '/_api/v1/get-missing-paths', await token({ a: { w: 1 } }), {
        cache: 'a',
        store_path_hashes: [hash],
      })
    ).body,
  ).toEqual({ missing_paths: [hash] });
  expect((await upload(jwt, 'a', hash, nar, { nar_size: 1 })).status).toBe(400);
  expect(await (await upload(jwt, 'a', hash, nar)).json()).toEqual({
    kind: 'Uploaded',
    file_size: 200_000,
    frac_deduplicated: 0,
  });
  expect((await call('GET', `/b/${hash}.narinfo`, jwt)).body).toMatchObject({ code: 404, error: 'NoSuchObject' });
  expect(await (await upload(jwt, 'b', hash, nar)).json()).toEqual({ kind: 'Deduplicated', frac_deduplicated: 1 });
  const longer = (await (
    await upload(jwt, 'a', hash.replace('a', 'b'), Buffer.concat([nar.subarray(0, 131_072), randomBytes(131_072)]))
  ).json()) as { frac_deduplicated: number };
  expect(longer.frac_deduplicated).toBeCloseTo(0.5);
  expect((await call('GET', `/a/${hash}.narinfo`, await token({ c: all }))).status).toBe(401);
  const bytes = await fetch(`${attic.url}/b/nar/${hash}.nar`, {
    headers: { authorization: `Basic ${Buffer.from(`x:${jwt}`).toString('base64')}` },
  });
  expect(Buffer.from(await bytes.arrayBuffer()).equals(nar)).toBe(true);

  const narinfo = Object.fromEntries(
    (await call('GET', `/b/${hash}.narinfo`, jwt)).text
      .trim()
      .split('\n')
      .map((line) => line.split(': ') as [string, string]),
  );
  const shown = (await call('GET', config('b'), jwt)).body as { public_key: string };
  const key = createPublicKey({
    format: 'jwk',
    key: {
      kty: 'OKP',
      crv: 'Ed25519',
      x: Buffer.from(shown.public_key.split(':')[1] as string, 'base64').toString('base64url'),
    },
  });
  const fingerprint = `1;${narinfo['StorePath']};${narinfo['NarHash']};${narinfo['NarSize']};/nix/store/${narinfo['References']}`;
  expect(
    verify(
      null,
      Buffer.from(fingerprint),
      key,
      Buffer.from((narinfo['Sig'] as string).split(':')[1] as string, 'base64'),
    ),
  ).toBe(true);
});

test('hashes are written as Nix writes them', () => {
  expect(nixBase32(createHash('sha256').update('').digest())).toBe(
    '0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73',
  );
});

test('a restart keeps caches and bytes', async () => {
  const statePath = join(mkdtempSync(join(tmpdir(), 'attic-')), 'state.json');
  const jwt = await token({ a: all });
  const hash = 'z'.repeat(32);
  await attic.stop();
  attic = await startAttic({ port: 0, hs256SecretBase64, statePath });
  await call('POST', config('a'), jwt, newCache);
  await upload(jwt, 'a', hash, Buffer.from('nar'));
  await attic.stop();
  attic = await startAttic({ port: 0, hs256SecretBase64, statePath });
  expect((await call('GET', `/a/nar/${hash}.nar`, jwt)).text).toBe('nar');
});
