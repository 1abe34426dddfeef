/**
 * Attic's API as its server of 2026-06 speaks it: GET, POST, PATCH and DELETE of /_api/v1/cache-config/{cache}. There is
 * no list of caches and no list of tokens, so a view is known by its name alone.
 *
 * Each call signs itself a token that names exactly this cache, may do exactly this, and ends within minutes.
 */
import { AppError, nothingChanged } from '../../errors.ts';
import { type OneView, request, tried } from './client.ts';
export type { AtticServer } from './client.ts';
import type { CacheConfig } from './schema.ts';

export type AtticView = {
  name: string;
  isPublic: boolean;
  /** `<cache>:<base64>`, for trusted-public-keys. */
  publicKey: string;
  substituterUrl: string;
};

export type AtticViewWish = OneView & { isPublic: boolean };

/** Lower wins in Nix and cache.nixos.org has 40: what is upstream comes from there, what is ours from here. */
const priority = 41;
const upstreamKeys = ['cache.nixos.org-1'];

/** The view as it is, or null. A missing view is an answer and not an error. */
export async function observeAtticView(input: OneView): Promise<AtticView | null> {
  const config = await request(input, 'GET', { r: true });
  return config && viewOf(input.name, config);
}

/** The view as it is; throws `not_found` where there is none. */
export async function readAtticView(input: OneView): Promise<AtticView> {
  const view = await observeAtticView(input);
  if (view) return view;
  throw new AppError('not_found', {
    log: `Attic has no cache ${input.name}`,
    screen: {
      happened: `The cache view ${input.name} does not exist on its server.`,
      todo: 'It is made again at the next reconcile.',
    },
  });
}

/**
 * Makes the view exist and be as wished. Looks first, so that a lost answer to a creation is found again and not repeated.
 */
export async function ensureAtticView(
  wish: AtticViewWish,
): Promise<{ change: 'created' | 'updated' | null; publicKey: string; substituterUrl: string }> {
  const before = await observeAtticView(wish);
  if (!before) {
    await request(wish, 'POST', { cc: true }, creation(wish));
    return { change: 'created', ...addressOf(await readCreated(wish)) };
  }
  if (before.isPublic === wish.isPublic) return { change: null, ...addressOf(before) };
  await request(wish, 'PATCH', { cr: true }, { is_public: wish.isPublic });
  return { change: 'updated', ...addressOf(before) };
}

/** Removes the view by name; null where it was not there. Paths that other views share stay in the store. */
export async function removeAtticView(input: OneView): Promise<{ change: 'removed' | null }> {
  if (!(await observeAtticView(input))) return { change: null };
  await request(input, 'DELETE', { r: true, cd: true });
  return { change: 'removed' };
}

/** What a token that somebody holds opens at one view: the portal's own right is not used. */
export async function tryAtticToken(input: OneView & { token: string }): Promise<{ reads: boolean; pushes: boolean }> {
  return tried(input, input.token);
}

function creation(wish: AtticViewWish): object {
  return {
    keypair: 'Generate',
    is_public: wish.isPublic,
    store_dir: '/nix/store',
    priority,
    upstream_cache_key_names: upstreamKeys,
  };
}

/** With soft deletion configured, Attic keeps a removed name taken: creation then says "exists" and reading "no such". */
async function readCreated(wish: AtticViewWish): Promise<AtticView> {
  const view = await observeAtticView(wish);
  if (view) return view;
  throw new AppError('conflict', {
    log: `Attic keeps the name ${wish.name} of a removed cache and does not give it out again`,
    screen: {
      happened: `The name ${wish.name} was used before on this cache server and is still held there.`,
      changed: nothingChanged,
      todo: 'The operator must purge the removed cache on the server.',
    },
  });
}

function viewOf(name: string, config: CacheConfig): AtticView {
  return {
    name,
    isPublic: config.is_public,
    publicKey: config.public_key,
    substituterUrl: config.substituter_endpoint,
  };
}

function addressOf(view: AtticView): { publicKey: string; substituterUrl: string } {
  return { publicKey: view.publicKey, substituterUrl: view.substituterUrl };
}
