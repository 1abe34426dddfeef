import { createHash, randomBytes } from 'node:crypto';
import { AppError } from '../../errors.ts';
import { ensureAtticView, removeAtticView } from './index.ts';
import { type AtticServer, ownToken } from './client.ts';

/*
 * Whether a server keeps tenants' paths apart in spite of storing them once. With `require-proof-of-possession` off, whoever
 * knows a NAR's hash can have it put into a view of theirs without sending it, and then read it (attic
 * server/src/api/v1/upload_path.rs). No call of its API says which it is; an upload of nothing under a known hash does.
 */

/** No tenant's slug has these letters (it is reserved), so the view is nobody's. */
const probeViewPrefix = 'flywheel+probe-';
const narBytes = 128 * 1024;
/** The letters of Nix's base 32. */
const storeHashLetters = '0123456789abcdfghijklmnpqrsvwxyz';

export type ProofOfPossession = 'required' | 'not-required';

/** Makes a view that is nobody's, uploads to it, asks for the same bytes without having them, and removes it all. */
export async function probeProofOfPossession(server: AtticServer, signal?: AbortSignal): Promise<ProofOfPossession> {
  const view = { server, name: `${probeViewPrefix}${randomBytes(6).toString('hex')}`, signal };
  await ensureAtticView({ ...view, isPublic: false });
  try {
    const token = await ownToken(view, { r: true, w: true });
    const nar = randomBytes(narBytes);
    const put = (body: Uint8Array) => upload({ server, cache: view.name, token, nar, body, signal });
    const honest = await put(nar);
    if (!honest.ok) throw unusable(server, honest.status);
    const dishonest = await put(randomBytes(1));
    return dishonest.ok ? 'not-required' : 'required';
  } finally {
    await removeAtticView(view);
  }
}

type Upload = {
  server: AtticServer;
  cache: string;
  token: string;
  nar: Uint8Array;
  body: Uint8Array;
  signal?: AbortSignal | undefined;
};

async function upload({ server, cache, token, nar, body, signal }: Upload): Promise<{ ok: boolean; status: number }> {
  const hash = [...randomBytes(32)].map((byte) => storeHashLetters[byte % 32]).join('');
  const info = {
    cache,
    store_path_hash: hash,
    store_path: `/nix/store/${hash}-flywheel-probe`,
    references: [],
    system: null,
    deriver: null,
    sigs: [],
    ca: null,
    nar_hash: `sha256:${createHash('sha256').update(nar).digest('hex')}`,
    nar_size: nar.length,
  };
  const response = await server.fetch(`${server.url}/_api/v1/upload-path`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${token}`,
      'x-attic-nar-info': JSON.stringify(info),
      'content-type': 'application/octet-stream',
    },
    body: Buffer.from(body),
    signal: signal ?? null,
  });
  await response.arrayBuffer();
  return { ok: response.ok, status: response.status };
}

function unusable({ url }: AtticServer, status: number): AppError {
  return new AppError('unavailable', {
    log: `Attic at ${url} answered ${status} to an upload of the probe`,
    screen: {
      happened: 'The cache server did not take an upload, so that nothing can be said of it.',
      todo: 'Check its storage and its log, then go through the checklist again.',
    },
  });
}
