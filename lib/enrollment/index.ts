/**
 * Enrollments: what one should be, and how the world is made to match.
 *
 * A person's walk is forward only: startEnrollment -> savePools -> savePlanes -> makePlan -> approvePlan. What is approved is the
 * spec at a generation; from then on `reconcileEnrollment` alone writes to forge, cluster and cache, as a list of phases
 * over one scope, and says how far it is in conditions. `prove` of a scope is always the person's own token.
 *
 * It may touch every room below it. It never writes outside but in a reconcile pass, under a lease.
 */
export { forgeConnectionsOf, openConnection, openForge } from './connections.ts';
export {
  beginConnection,
  beginInstall,
  beginOwnApp,
  beginPlatformApp,
  CreatedQuery,
  finishApp,
  finishInstall,
  forgeRows,
  InstalledQuery,
  InstallInput,
  manifestForm,
  NewConnectionInput,
  OwnKeyInput,
  ownAppsOf,
  PlatformAppInput,
  PlatformKeyInput,
  replaceOwnKey,
  replacePlatformKey,
} from './github-app.ts';
export type { ForgeRow, OwnAppRow } from './github-app.ts';
export { addForge, callbackUrl, enterForge, ForgeEntry, NewForgeInput, tryForge } from './new-forge.ts';
export { invite, InviteInput } from './invite.ts';
export { prunePlans } from './prune-plans.ts';
export { askForge, followForges, listTeamsOf, standingsBy } from './standings.ts';
export { clusterLook, exportTenant, type ClusterLook } from './cluster-look.ts';
export { changeForge, ChangeForgeInput } from './change-forge.ts';
export { OwnSecretInput, replaceOwnSecret } from './webhook-secret.ts';
export { listCredentials, rotateCredential, RotateInput, type CredentialRow } from './credential-view.ts';
export {
  enterPersonToken,
  personTokenAdvice,
  PersonTokenInput,
  replaceForgeToken,
  ReplaceTokenInput,
  tokenWish,
} from './forge-token.ts';
export type { TokenWish } from './forge-token.ts';
export {
  defaultQuota,
  enrollmentDraft,
  freeSlug,
  listScopesOf,
  newTenant,
  leaveAdopted,
  WarmthInput,
  savePlanes,
  savePools,
  startEnrollment,
  StartInput,
} from './draft.ts';
export type { EnrollmentDraft, NewTenant } from './draft.ts';
export { AdoptInput, draftAdoption, foundSets, type FoundSet, type FoundSets } from './adopt.ts';
export { accountOf, setSharing, SharingInput, sharingOf, type SharingView } from './sharing.ts';
export { applySchedules, scheduleTask, wakeSchedules } from './warm.ts';
export { planWarmth, poolDetail, previewWarmth, type PoolDetail, type WeekPreview } from './pool-detail.ts';
export {
  ApplyRolloutInput,
  applyRollout,
  changePool,
  enterPool,
  operatorPool,
  operatorPools,
  planRollouts,
  repairPool,
  PoolFields,
  RolloutInput,
  rolloutView,
  type OperatorPool,
  type OperatorPoolRow,
  type RolloutView,
} from './pool-catalog.ts';
export {
  approvePlan,
  checkPlan,
  discardDraft,
  makePlan,
  operatorReasons,
  PlanChange,
  planSpec,
  previewSpec,
  withdrawAll,
} from './plan.ts';
export { documentsOf, specByName } from './documents-of.ts';
export { sharesAttic, tenantChanges, type MovedEnrollment, type TenantChanges } from './move-changes.ts';
export { moveTask, type Prepared } from './prepare.ts';
export { leaveCluster } from './leave-cluster.ts';
export type { Grant } from './plan.ts';
export { allocationOf, isStopped, lockLine, presentAllocation, refuseOversold, type Allocation } from './allocation.ts';
export { classOf } from './runner-set.ts';
export { approvedPools, catalog, forgetPools, poolsByName, type CatalogPool } from './catalog.ts';
export { quotaColumns, quotaOf } from './rows.ts';
export { cacheStillThere, forgeStillThere, type Evidence } from './evidence.ts';
export { tellOfExpiry } from './tell.ts';
export { tellOfUnknown } from './found.ts';
export { reconcileEnrollment, type ReconcileDeps } from './reconcile.ts';
export { enrollmentView, listEnrollments, planView, tenantOverview } from './view.ts';
export type { EnrollmentSummary, EnrollmentView, PlanView, PhaseView, PoolView, TenantOverview } from './view.ts';
export { poolsNow } from './pools-now.ts';
export type { PoolNow, PoolsNow } from './pools-now.ts';
export { wakeOfChange } from './drift.ts';
// What the doctor and the proof, a room above, go by.
export { atScope } from './at-scope.ts';
export { heldBack, parsedConditions } from './conditions.ts';
export { openForgeFor } from './connections.ts';
export { bazelReadersOf } from './bazel-readers.ts';
export { keptBazelAccess, keptCredential } from './credentials.ts';
export { forgetControllers } from './registration.ts';
export { enrollmentRow, specOf, type EnrollmentRow } from './rows.ts';
export { documentObjects } from './document.ts';
export { connectionPlace, githubAppPlace } from './places.ts';
