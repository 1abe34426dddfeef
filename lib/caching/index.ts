/**
 * What the caches of a tenant are: its views and how they are set, every token that was issued, and what the caches do for it.
 *
 * It promises: a view's name is its tenant's alone; a token is written down before anybody holds it, with its end and where it
 * is used, and never its value; a token that is revoked is said to end when it does end; figures come from what the caches and
 * Attic's database told, and what they do not tell is null and never guessed.
 *
 * It may touch the database, and cache servers through lib/cache and the guard. It does not know enrollments: which of them
 * want a cache, and what runners are given, is of lib/enrollment, which asks here for views and tokens.
 */
export {
  atticServerOf,
  hasAttic,
  cacheServerPlace,
  statisticsPlace,
  statisticsUrlOf,
  type OpenServer,
} from './server.ts';
export {
  issuePersonToken,
  isRunnerTokenGood,
  issueRunnerToken,
  listTokens,
  PersonTokenInput as CacheTokenInput,
  personTokenDaysMost,
  personTokensMost,
  revokeToken,
  TokenId,
  type Revoked,
  type TokenRow,
  type ViewScope,
} from './tokens.ts';
export {
  changeView,
  ChangeViewInput,
  createView,
  NewViewInput,
  removeView,
  RemoveViewInput,
  viewsMost,
  viewTask,
  type ViewRow,
} from './views.ts';
export { reconcileViews } from './reconcile-views.ts';
export { readCaches } from './readings.ts';
export { daysOf, hitRate, sizingAdvice, sumOf, type Advice, type CacheDay } from './usage.ts';
export {
  bazelView,
  cacheViews,
  cachesSummary,
  retentionEffect,
  RetentionQuestion,
  viewDays,
  type BazelView,
  type CachesSummary,
  type CacheViewRow,
  type Effect,
  type Known,
} from './page.ts';
export {
  CacheServerEntry,
  changeCacheServer,
  ChangeCacheServerInput,
  enterCacheServer,
  tryCacheServer,
  changeBazelWay,
  BazelWayInput,
  cacheServers,
  checkCacheServer,
  CheckServerInput,
  type CacheServerRow,
  type Checked,
} from './operator.ts';
