/**
 * An Attic server for the sandbox and for tests: cache views, tokens and their rules, uploads, and what Nix reads.
 *
 * It promises Attic's own decisions: HS256 or RS256 tokens, an exact cache name before the first wildcard in the order of the token,
 * an invalid token is nobody, a name one may do nothing with answers 401 whether or not it exists, bytes are stored once for
 * all views and a path is readable only through a view that it was pushed to. Narinfos carry a real signature.
 *
 * It does not do: chunks on disk, compression, garbage collection, `attic-cache-info`, issuer and audience binding.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Answer, type Ask, keepState, type Kept, Reply, Routes, startService } from '#sandbox/stand-in/index.ts';
import { grantedFor, nothing, readToken, type Permissions, type Token, type Verifier } from './token.ts';

export interface AtticOptions {
  port: number;
  /** Without it caches and bytes end with the process. */
  statePath?: string;
  /** One of both, as in Attic's configuration: the second is the PEM of an RSA key. */
  hs256SecretBase64?: string;
  rs256SecretBase64?: string;
  publicUrl?: string;
  now?: () => Date;
}

export interface Attic {
  url: string;
  state: AtticState;
  /** What an operator may change in the server's configuration. */
  configure(change: Partial<AtticConfiguration>): void;
  /** Another key, as after a restart with another configuration: what the former one signed is nobody's any more. */
  rekey(hs256SecretBase64: string): void;
  /** How many requests have come. */
  asked(): number;
  stop(): Promise<void>;
}

export interface AtticConfiguration {
  /** Off, an upload of a NAR that is there already is believed without its bytes. */
  requireProofOfPossession: boolean;
}

export interface Cache {
  name: string;
  privateKeyPem: string;
  keyName: string;
  isPublic: boolean;
  storeDir: string;
  priority: number;
  upstreamCacheKeyNames: string[];
  retentionPeriodSeconds: number | null;
  createdAt: string;
}

/** One store path in one view. The bytes are found by `narHash`, in no view in particular. */
export interface StoredPath {
  cache: string;
  storePathHash: string;
  storePath: string;
  references: string[];
  deriver: string | null;
  narHash: string;
  narSize: number;
  createdAt: string;
  createdBy: string | null;
  /** When its NAR was last given out. */
  lastAccessedAt?: string;
}

export interface AtticState {
  caches: Record<string, Cache>;
  paths: Record<string, StoredPath>;
  nars: Record<string, { size: number; chunks?: string[] }>;
  /** Bytes by hash; a state of before has `true`, which is one byte. */
  chunks: Record<string, number | true>;
}

const chunkBytes = 64 * 1024;
const CacheName = /^[A-Za-z0-9][A-Za-z0-9\-_+]{0,49}$/;

export async function startAttic(options: AtticOptions): Promise<Attic> {
  const kept = keepState<AtticState>(options.statePath, () => ({ caches: {}, paths: {}, nars: {}, chunks: {} }));
  const server = new Server(kept, verifierOf(options), new Bytes(options.statePath), options.now ?? (() => new Date()));
  const routes = server.routes();
  let requests = 0;
  const service = await startService('Attic', options.port, (ask) => {
    requests += 1;
    const found = routes.find(ask.method === 'HEAD' ? 'GET' : ask.method, ask.path);
    return found ? found.handler({ ...ask, params: found.params }) : fail('NotFound');
  });
  server.url = (options.publicUrl ?? service.url).replace(/\/$/, '');
  return {
    url: server.url,
    state: kept.value,
    asked: () => requests,
    configure: (change) => Object.assign(server.configuration, change),
    rekey: (hs256SecretBase64) => {
      server.verifier = verifierOf({ hs256SecretBase64 });
    },
    stop: async () => {
      await service.stop();
      kept.flush();
    },
  };
}

function verifierOf({ hs256SecretBase64, rs256SecretBase64 }: Partial<AtticOptions>): Verifier {
  if (rs256SecretBase64 !== undefined)
    return { algorithm: 'RS256', key: createPublicKey(Buffer.from(rs256SecretBase64, 'base64')) };
  if (hs256SecretBase64 === undefined) throw new Error('Attic wants a key.');
  return { algorithm: 'HS256', key: Buffer.from(hs256SecretBase64, 'base64') };
}

const errors = {
  NotFound: [404, 'The URL you requested was not found.'],
  Unauthorized: [401, 'Unauthorized.'],
  NoSuchCache: [404, 'The requested cache does not exist.'],
  NoSuchObject: [404, 'The requested object does not exist.'],
  CacheAlreadyExists: [400, 'The cache already exists.'],
  AccessError: [403, 'Access error: User does not have permission to complete this action.'],
  RequestError: [400, 'General request error'],
  IncompleteNar: [503, 'The requested NAR has missing chunks and needs to be repaired.'],
} as const;

function fail(error: keyof typeof errors, detail?: string): never {
  const [code, message] = errors[error];
  throw new Reply({ status: code, body: { code, error, message: detail ? `${message}: ${detail}` : message } });
}

/** What the web framework in front of Attic says of a body or a path that does not parse: plain text. */
function unreadable(status: number, text: string): never {
  throw new Reply({ status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: text });
}

const Keypair = z.union([z.literal('Generate'), z.object({ Keypair: z.string() })]);
const NewCache = z.object({
  keypair: Keypair,
  is_public: z.boolean(),
  store_dir: z.string(),
  priority: z.number().int(),
  upstream_cache_key_names: z.array(z.string()),
});
const CacheChange = NewCache.partial().extend({
  retention_period: z.union([z.literal('Global'), z.object({ Period: z.number().int().min(0) })]).optional(),
});
const NarInfo = z.object({
  cache: z.string().regex(CacheName),
  store_path_hash: z.string().regex(/^[0-9a-z]{32}$/),
  store_path: z.string().startsWith('/'),
  references: z.array(z.string()),
  deriver: z.string().nullish(),
  nar_hash: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  nar_size: z.number().int().min(0),
});

class Server {
  readonly #kept: Kept<AtticState>;
  readonly #bytes: Bytes;
  readonly #now: () => Date;
  url = '';
  verifier: Verifier;
  readonly configuration: AtticConfiguration = { requireProofOfPossession: true };

  constructor(kept: Kept<AtticState>, verifier: Verifier, bytes: Bytes, now: () => Date) {
    this.#kept = kept;
    this.verifier = verifier;
    this.#bytes = bytes;
    this.#now = now;
  }

  routes(): Routes {
    const routes = new Routes();
    const config = '/_api/v1/cache-config/:cache';
    const on = (method: string, path: string, handle: (ask: Ask, token: Token | undefined) => Answer): void => {
      routes.on(method, path, async (ask) =>
        handle(ask, await readToken(ask.headers.authorization, this.verifier, this.#now())),
      );
    };
    on('GET', config, (ask, token) => this.#show(this.#need(ask.params['cache'], token, 'pull').cache));
    on('POST', config, (ask, token) => this.#create(ask, token));
    on('PATCH', config, (ask, token) => this.#change(ask, token));
    on('DELETE', config, (ask, token) => this.#destroy(ask, token));
    on('POST', '/_api/v1/get-missing-paths', (ask, token) => this.#missing(ask, token));
    on('PUT', '/_api/v1/upload-path', (ask, token) => this.#upload(ask, token));
    on('GET', '/:cache/nix-cache-info', (ask, token) =>
      this.#cacheInfo(this.#need(ask.params['cache'], token, 'pull').cache),
    );
    on('GET', '/:cache/nar/:path', (ask, token) => this.#nar(ask, token));
    on('GET', '/:cache/:path', (ask, token) => this.#narinfo(ask, token));
    return routes;
  }

  /** Finds a view and checks one right on it. Without any right on the name, it is as if nobody knew the name. */
  #need(
    given: string | undefined,
    token: Token | undefined,
    right: keyof Permissions,
  ): { cache: Cache; held: Permissions } {
    const name = cacheName(given);
    const cache = this.#kept.value.caches[name];
    const held = token ? grantedFor(token, name) : { ...nothing };
    if (cache?.isPublic) held.pull = true;
    const known = Object.values(held).includes(true);
    if (!cache) return fail(known ? 'NoSuchCache' : 'Unauthorized');
    if (!held[right]) return fail(known ? 'AccessError' : 'Unauthorized');
    return { cache, held };
  }

  #show(cache: Cache): Answer {
    const retention = cache.retentionPeriodSeconds;
    return {
      status: 200,
      body: {
        substituter_endpoint: `${this.url}/${cache.name}`,
        api_endpoint: `${this.url}/`,
        keypair: null,
        public_key: publicKey(cache),
        is_public: cache.isPublic,
        store_dir: cache.storeDir,
        priority: cache.priority,
        upstream_cache_key_names: cache.upstreamCacheKeyNames,
        retention_period: retention === null ? 'Global' : { Period: retention },
      },
    };
  }

  /** The body may name a retention period; as at Attic it is not read. */
  #create(ask: Ask, token: Token | undefined): Answer {
    const name = cacheName(ask.params['cache']);
    const held = token ? grantedFor(token, name) : nothing;
    if (!held.createCache) return fail(Object.values(held).includes(true) ? 'AccessError' : 'Unauthorized');
    const wanted = body(ask, NewCache);
    if (this.#kept.value.caches[name]) return fail('CacheAlreadyExists');
    this.#kept.value.caches[name] = {
      name,
      ...keypair(name, wanted.keypair),
      isPublic: wanted.is_public,
      storeDir: wanted.store_dir,
      priority: wanted.priority,
      upstreamCacheKeyNames: wanted.upstream_cache_key_names,
      retentionPeriodSeconds: null,
      createdAt: this.#now().toISOString(),
    };
    return this.#saved();
  }

  #change(ask: Ask, token: Token | undefined): Answer {
    const { cache, held } = this.#need(ask.params['cache'], token, 'configureCache');
    const wanted = body(ask, CacheChange);
    if (Object.values(wanted).every((value) => value === undefined))
      return fail('RequestError', 'No modifiable fields were set.');
    if (wanted.retention_period !== undefined && !held.configureRetention) return fail('AccessError');
    if (wanted.keypair) Object.assign(cache, keypair(cache.name, wanted.keypair));
    cache.isPublic = wanted.is_public ?? cache.isPublic;
    cache.storeDir = wanted.store_dir ?? cache.storeDir;
    cache.priority = wanted.priority ?? cache.priority;
    cache.upstreamCacheKeyNames = wanted.upstream_cache_key_names ?? cache.upstreamCacheKeyNames;
    const { retention_period: retention } = wanted;
    if (retention !== undefined) cache.retentionPeriodSeconds = retention === 'Global' ? null : retention.Period;
    return this.#saved();
  }

  #destroy(ask: Ask, token: Token | undefined): Answer {
    const { cache } = this.#need(ask.params['cache'], token, 'destroyCache');
    const { caches, paths, nars } = this.#kept.value;
    delete caches[cache.name];
    for (const [key, path] of Object.entries(paths)) if (path.cache === cache.name) delete paths[key];
    for (const hash of Object.keys(nars)) {
      if (Object.values(paths).some((path) => path.narHash === hash)) continue;
      delete nars[hash];
      this.#bytes.drop(hash);
    }
    return this.#saved();
  }

  #missing(ask: Ask, token: Token | undefined): Answer {
    const wanted = body(ask, z.object({ cache: z.string(), store_path_hashes: z.array(z.string()) }));
    const { cache } = this.#need(wanted.cache, token, 'push');
    const missing = wanted.store_path_hashes.filter((hash) => !this.#kept.value.paths[`${cache.name}/${hash}`]);
    return { status: 200, body: { missing_paths: missing } };
  }

  /** The NAR comes as the body, after its description where that was too long for a header. */
  #upload(ask: Ask, token: Token | undefined): Answer {
    const preamble = Number(ask.headers['x-attic-nar-info-preamble-size'] ?? 0);
    const described = preamble > 0 ? ask.rawBody.subarray(0, preamble).toString() : ask.headers['x-attic-nar-info'];
    if (typeof described !== 'string') return fail('RequestError', 'X-Attic-Nar-Info must be set');
    const info = NarInfo.safeParse(parseJson(described));
    if (!info.success) return fail('RequestError', 'The NAR information is not valid');
    const { cache } = this.#need(info.data.cache, token, 'push');
    const nar = ask.rawBody.subarray(preamble);
    const { nar_hash: hash, nar_size: size } = info.data;
    const known = this.#kept.value.nars[hash] !== undefined;
    const isBelieved = known && !this.configuration.requireProofOfPossession;
    const isProven = hash === `sha256:${createHash('sha256').update(nar).digest('hex')}` && nar.length === size;
    if (!isBelieved && !isProven) return fail('RequestError', 'The NAR does not match its hash or size');
    const fraction = known ? 1 : this.#keepNar(hash, nar);
    this.#kept.value.paths[`${cache.name}/${info.data.store_path_hash}`] = {
      cache: cache.name,
      storePathHash: info.data.store_path_hash,
      storePath: info.data.store_path,
      references: info.data.references,
      deriver: info.data.deriver ?? null,
      narHash: hash,
      narSize: size,
      createdAt: this.#now().toISOString(),
      createdBy: token?.subject ?? null,
    };
    this.#kept.save();
    const more = known ? {} : { file_size: nar.length };
    return { status: 200, body: { kind: known ? 'Deduplicated' : 'Uploaded', ...more, frac_deduplicated: fraction } };
  }

  /** Keeps the bytes and returns the share of them that was there before, in whatever view. */
  #keepNar(hash: string, nar: Buffer): number {
    let sharedBytes = 0;
    const chunks: string[] = [];
    for (let at = 0; at < nar.length; at += chunkBytes) {
      const chunk = nar.subarray(at, at + chunkBytes);
      const id = createHash('sha256').update(chunk).digest('base64');
      if (this.#kept.value.chunks[id]) sharedBytes += chunk.length;
      this.#kept.value.chunks[id] = chunk.length;
      chunks.push(id);
    }
    this.#bytes.put(hash, nar);
    this.#kept.value.nars[hash] = { size: nar.length, chunks };
    return nar.length === 0 ? 0 : sharedBytes / nar.length;
  }

  #cacheInfo(cache: Cache): Answer {
    const text = `WantMassQuery: 1\nStoreDir: ${cache.storeDir}\nPriority: ${cache.priority}\n`;
    return { status: 200, headers: { 'content-type': 'text/x-nix-cache-info' }, body: text };
  }

  /** Attic looks for the path first: an unknown one is 404 to anybody, a known one of a private view 401 to strangers. */
  #stored(ask: Ask, token: Token | undefined, hash: string): { path: StoredPath; cache: Cache } {
    const path = this.#kept.value.paths[`${cacheName(ask.params['cache'])}/${hash}`];
    if (!path) return fail('NoSuchObject');
    return { path, cache: this.#need(path.cache, token, 'pull').cache };
  }

  #narinfo(ask: Ask, token: Token | undefined): Answer {
    const [hash, kind] = (ask.params['path'] as string).split('.', 2);
    if (kind !== 'narinfo') return fail('NotFound');
    const { path, cache } = this.#stored(ask, token, hash as string);
    return { status: 200, headers: { 'content-type': 'text/x-nix-narinfo' }, body: narinfo(path, cache) };
  }

  #nar(ask: Ask, token: Token | undefined): Answer {
    const [hash, kind] = (ask.params['path'] as string).split('.', 2);
    if (kind !== 'nar') return fail('NotFound');
    const { path } = this.#stored(ask, token, hash as string);
    const nar = this.#bytes.get(path.narHash);
    path.lastAccessedAt = this.#now().toISOString();
    this.#saved();
    return nar
      ? { status: 200, headers: { 'content-type': 'application/x-nix-nar' }, body: nar }
      : fail('IncompleteNar');
  }

  #saved(): Answer {
    this.#kept.save();
    return { status: 200 };
  }
}

function cacheName(given: string | undefined): string {
  return given !== undefined && CacheName.test(given) ? given : unreadable(400, 'Invalid URL: Invalid cache name');
}

function body<T>(ask: Ask, schema: z.ZodType<T>): T {
  if (!(ask.headers['content-type'] ?? '').includes('json'))
    unreadable(415, 'Expected request with `Content-Type: application/json`');
  const parsed = schema.safeParse(ask.body);
  return parsed.success
    ? parsed.data
    : unreadable(422, `Failed to deserialize the JSON body into the target type: ${parsed.error.issues[0]?.message}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Nix writes a secret key as `name:base64(seed + public key)`. */
function keypair(cache: string, wanted: z.infer<typeof Keypair>): { keyName: string; privateKeyPem: string } {
  if (wanted === 'Generate') {
    const { privateKey } = generateKeyPairSync('ed25519');
    return { keyName: cache, privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  }
  const [keyName = '', encoded = ''] = wanted.Keypair.split(':', 2);
  const seed = Buffer.from(encoded, 'base64');
  if (!keyName || seed.length !== 64)
    unreadable(422, 'Failed to deserialize the JSON body into the target type: keypair');
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  const key = createPrivateKey({ key: Buffer.concat([prefix, seed.subarray(0, 32)]), format: 'der', type: 'pkcs8' });
  return { keyName, privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

function publicKey(cache: Cache): string {
  const key: KeyObject = createPublicKey(cache.privateKeyPem);
  const { x = '' } = key.export({ format: 'jwk' });
  return `${cache.keyName}:${Buffer.from(x, 'base64url').toString('base64')}`;
}

function narinfo(path: StoredPath, cache: Cache): string {
  const narHash = `sha256:${nixBase32(Buffer.from(path.narHash.slice('sha256:'.length), 'hex'))}`;
  const references = path.references.map((r) => (r.startsWith('/') ? r : `${cache.storeDir}/${r}`));
  const fingerprint = `1;${path.storePath};${narHash};${path.narSize};${references.join(',')}`;
  const signature = sign(null, Buffer.from(fingerprint), createPrivateKey(cache.privateKeyPem)).toString('base64');
  return [
    `StorePath: ${path.storePath}`,
    `URL: nar/${path.storePathHash}.nar`,
    'Compression: none',
    `NarHash: ${narHash}`,
    `NarSize: ${path.narSize}`,
    `References: ${path.references.join(' ')}`,
    ...(path.deriver ? [`Deriver: ${path.deriver}`] : []),
    `Sig: ${cache.keyName}:${signature}`,
    '',
  ].join('\n');
}

/** Nix's own base 32: another alphabet, and the digits from the far end. */
export function nixBase32(bytes: Uint8Array): string {
  const alphabet = '0123456789abcdfghijklmnpqrsvwxyz';
  const length = Math.ceil((bytes.length * 8) / 5);
  let text = '';
  for (let n = length - 1; n >= 0; n -= 1) {
    const bit = n * 5;
    const at = Math.floor(bit / 8);
    const low = (bytes[at] ?? 0) >> (bit % 8);
    const high = (bytes[at + 1] ?? 0) << (8 - (bit % 8));
    text += alphabet[(low | high) & 31];
  }
  return text;
}

/** NARs by hash, in files beside the state or, without one, in memory. */
class Bytes {
  readonly #directory: string | undefined;
  readonly #memory = new Map<string, Buffer>();

  constructor(statePath: string | undefined) {
    this.#directory = statePath === undefined ? undefined : `${statePath}.nars`;
    if (this.#directory) mkdirSync(this.#directory, { recursive: true });
  }

  put(hash: string, nar: Buffer): void {
    if (this.#directory) writeFileSync(this.#file(this.#directory, hash), nar);
    else this.#memory.set(hash, Buffer.from(nar));
  }

  get(hash: string): Buffer | undefined {
    if (!this.#directory) return this.#memory.get(hash);
    try {
      return readFileSync(this.#file(this.#directory, hash));
    } catch {
      return undefined;
    }
  }

  drop(hash: string): void {
    if (this.#directory) rmSync(this.#file(this.#directory, hash), { force: true });
    this.#memory.delete(hash);
  }

  #file(directory: string, hash: string): string {
    return join(directory, hash.slice('sha256:'.length));
  }
}
