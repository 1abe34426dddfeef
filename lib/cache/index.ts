/**
 * Cache planes: a tenant's own part of a cache server, and tokens for it.
 *
 * It promises that a view is made, compared and removed by its exact name, that every token names exact caches and never a
 * pattern, and that `ensureX` is idempotent and says what it did.
 *
 * It may touch the network through the `fetch` that comes with the server; callers give a guarded one (lib/forge). It
 * reads no database and no configuration, keeps no secret, and does not decide who may have which view.
 */
export { ensureAtticView, observeAtticView, readAtticView, removeAtticView, tryAtticToken } from './attic/index.ts';
export { signAtticToken } from './attic/token.ts';
export type { AtticPermissions, AtticToken } from './attic/token.ts';
export type { AtticServer, AtticView, AtticViewWish } from './attic/index.ts';
