/**
 * Cache planes: a tenant's own part of a cache server, tokens for it, and what it tells of itself.
 *
 * It promises that a view is made, compared and removed by its exact name, that every token names exact caches and never a
 * pattern, that `ensureX` is idempotent and says what it did, and that Attic's own database is read and never written.
 *
 * It may touch the network through the `fetch` that comes with the server; callers give a guarded one (lib/forge). It
 * reads no database of ours and no configuration, keeps no secret, and does not decide who may have which view.
 */
export { ensureAtticView, observeAtticView, readAtticView, removeAtticView, tryAtticToken } from './attic/index.ts';
export { probeProofOfPossession, type ProofOfPossession } from './attic/probe.ts';
export {
  probeStatistics,
  readRetentionEffect,
  readViewStatistics,
  type RetentionEffect,
  type ViewStatistics,
} from './attic/statistics.ts';
export { keyIdOf, openedKey, signAtticToken, signingAlgorithms } from './attic/token.ts';
export type { AtticPermissions, AtticToken, SigningKey } from './attic/token.ts';
export type { AtticServer, AtticView, AtticViewWish } from './attic/index.ts';
export { readBazelCache, type BazelCache, type BazelReading } from './bazel/index.ts';
