/**
 * Tenancy: what tenants there are, what each was given, and how that comes to be.
 *
 * It promises that what only an operator may grant is granted by one: a managed customer, an enterprise, more quota than
 * comes by itself, a pool that is scarce or powerful. What is granted never exceeds what the tenant above has left, whoever
 * asks at the same time; a tenant's steps (asked, question, answer, granted, refused) are kept as they were said. Suspension
 * stops runners and nothing else; leaving takes everything away and ends with what was looked for and not found.
 *
 * It may touch the database and the rooms below. It writes nothing outside: enrollments do, when they are woken.
 */
export {
  askForQuota,
  askForTenant,
  NewTenantInput,
  newTeam,
  parentsFor,
  QuotaInput,
  setTeamQuota,
  TeamQuotaInput,
} from './ask.ts';
export { askToMove, family, MoveInput, moveChoices, type Family, type FamilyRow } from './family.ts';
export {
  answer,
  AnswerInput,
  requestView,
  requestsOf,
  takeBack,
  TakeBackInput,
  type RequestRow,
  type RequestView,
} from './requests.ts';
export { approvals, approvalView, type ApprovalView } from './approvals.ts';
export { approve, ApproveInput, askBack, reject, WordsInput } from './decide.ts';
export { submitPlan, SubmitInput } from './submit.ts';
export { resume, suspend, SuspendInput } from './suspend.ts';
export {
  AbandonInput,
  abandonCluster,
  applyMove,
  callOffMove,
  ClusterMoveInput,
  discardMove,
  MoveIdInput,
  planMove,
} from './move.ts';
export { reconcileMove } from './carry-out.ts';
export {
  clusterRows,
  clusterView,
  moveProgress,
  progressOf,
  moveView,
  presentMove,
  underWay,
  type ClusterHealth,
  type ClusterRow,
  type ClusterView,
  type MoveProgress,
  type MoveRow,
  type MoveView,
  type StandingTenant,
} from './clusters.ts';
export { limitWords, type MovePlan } from './move-plan.ts';
export {
  beginLeaving,
  departureOf,
  LeaveInput,
  leaving,
  reconcileTenant,
  type Departure,
  type Leaving,
} from './leave.ts';
export { clusterFit, type ClusterFit } from './capacity.ts';
export { followTeam, FollowTeamInput, teamChoices, type TeamChoices } from './team.ts';
