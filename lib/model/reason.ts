/*
 * Why a condition of an enrollment is as it is, in a word. What such a word means, what the portal does by itself and what a
 * person does are said for each of them in docs/troubleshoot.md, which a test holds to this list.
 */

export const reasons = [
  // As it should be.
  'AsWanted',
  'Ready',
  'NotReached',
  // At the forge.
  'AppMissing',
  'AppSuspended',
  'PermissionMissing',
  'RepositoryNotSelected',
  'ScopeGone',
  'ScopeMoved',
  'TokenMissing',
  'TokenEnded',
  'TokenScopeMissing',
  'RoleMissing',
  'RegistrationDisabled',
  'ServerTooOld',
  'WithoutWebhook',
  // In the cluster, and at the caches.
  'ClusterAway',
  'NamespaceTerminating',
  'RunnerPodsUnheld',
  'NoCacheServer',
  'NoController',
  'PoolNotReady',
  'Conflict',
  'FoundNewer',
  // Runners.
  'Registering',
  'ListenerStarting',
  'RunnerStarting',
  'RunnerOffline',
  'RunnerPaused',
  'RunnerOutdated',
  'RunnersLast',
  'NoPlaces',
  'Suspended',
  'BudgetSpent',
  // Going.
  'Removing',
  // What the other side answered.
  'Away',
  'ServerFailed',
  'RateLimited',
  'ChangedMeanwhile',
  'QuotaExceeded',
  'Refused',
  'Invalid',
  'Failed',
] as const;
export type Reason = (typeof reasons)[number];
