/**
 * Attic's API as its server of 2026-06 speaks it: GET, POST, PATCH and DELETE of /_api/v1/cache-config/{cache}. There is
 * no list of caches and no list of tokens, so a view is known by its name alone.
 *
 * Each call signs itself a token that names exactly this cache, may do exactly this, and ends within minutes.
 */
import { AppError, nothingChanged } from '../../errors.ts';
import { defaultViewSettings, type ViewSettings } from '../../model/index.ts';
import { type OneView, request, tried } from './client.ts';
export type { AtticServer } from './client.ts';
import type { CacheConfig } from './schema.ts';

export type AtticView = ViewSettings & {
  name: string;
  /** `<cache>:<base64>`, for trusted-public-keys. */
  publicKey: string;
  substituterUrl: string;
};

/** What is left out of the settings is as for a new view. */
export type AtticViewWish = OneView & Partial<ViewSettings> & Pick<ViewSettings, 'isPublic'>;

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
  const wanted = settingsOf(wish);
  const before = await observeAtticView(wish);
  if (!before) await request(wish, 'POST', { cc: true }, creation(wanted));
  const present = before ?? (await readCreated(wish));
  // A creation takes no retention, and of two at once the other's is what is found.
  const isChanged = await mend(wish, wanted, present);
  return { change: before ? (isChanged ? 'updated' : null) : 'created', ...addressOf(present) };
}

function settingsOf({ isPublic, priority, upstreamKeys, retentionSeconds }: AtticViewWish): ViewSettings {
  return {
    isPublic,
    priority: priority ?? defaultViewSettings.priority,
    upstreamKeys: upstreamKeys ?? defaultViewSettings.upstreamKeys,
    retentionSeconds: retentionSeconds === undefined ? defaultViewSettings.retentionSeconds : retentionSeconds,
  };
}

/** Changes what differs, and nothing else. */
async function mend(asked: OneView, wanted: ViewSettings, present: ViewSettings): Promise<boolean> {
  const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const isKept = isSame(wanted.retentionSeconds, present.retentionSeconds);
  const change = {
    ...(wanted.isPublic === present.isPublic ? {} : { is_public: wanted.isPublic }),
    ...(wanted.priority === present.priority ? {} : { priority: wanted.priority }),
    ...(isSame(wanted.upstreamKeys, present.upstreamKeys) ? {} : { upstream_cache_key_names: wanted.upstreamKeys }),
    ...(isKept ? {} : { retention_period: retentionOf(wanted) }),
  };
  if (Object.keys(change).length === 0) return false;
  await request(asked, 'PATCH', isKept ? { cr: true } : { cr: true, cq: true }, change);
  return true;
}

function retentionOf({ retentionSeconds }: ViewSettings): CacheConfig['retention_period'] {
  return retentionSeconds === null ? 'Global' : { Period: retentionSeconds };
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

function creation({ isPublic, priority, upstreamKeys }: ViewSettings): object {
  return {
    keypair: 'Generate',
    is_public: isPublic,
    store_dir: '/nix/store',
    priority,
    upstream_cache_key_names: upstreamKeys,
  };
}

/** With soft deletion configured, Attic keeps a removed name taken: creation then says "exists" and reading "no such". */
async function readCreated(wish: OneView): Promise<AtticView> {
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
  const retention = config.retention_period ?? 'Global';
  return {
    name,
    isPublic: config.is_public,
    priority: config.priority,
    upstreamKeys: config.upstream_cache_key_names,
    retentionSeconds: retention === 'Global' ? null : retention.Period,
    publicKey: config.public_key,
    substituterUrl: config.substituter_endpoint,
  };
}

function addressOf(view: AtticView): { publicKey: string; substituterUrl: string } {
  return { publicKey: view.publicKey, substituterUrl: view.substituterUrl };
}
