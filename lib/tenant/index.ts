/**
 * Who asks, for whom: sign-in, membership, permissions, audit, and the doors that everything else stands behind.
 *
 * It promises that each door begins with the permission it needs, answers a stranger exactly as it answers for what does
 * not exist, and turns every error into what a person may read, once. Identity is (connection, subject), never an e-mail
 * address. It may touch the database, cookies and headers. It knows no forge: sign-in objects come to it as values.
 */
export * from './permission.ts';
export type { AuditEntry, Ctx, CtxTenant, Person, PersonCtx, PersonIdentity } from './ctx.ts';
export { actorName, appendAudit, appendSystemAudit } from './audit.ts';
export { anchorChains, anchorsByKey, anchorsIn, resignAnchors } from './audit-anchor.ts';
export type { Anchor } from './audit-anchor.ts';
export { AuditQuery, exportAllAudit, exportAudit, listAllAudit, listAudit } from './audit-view.ts';
export type { AuditPage, AuditRow } from './audit-view.ts';
export { containing } from './same-text.ts';
export type { FieldChange } from './audit-diff.ts';
export { verifyAudit } from './audit-verify.ts';
export type { ChainReport } from './audit-verify.ts';
export {
  action,
  openAction,
  openDoor,
  openRoute,
  operatorAction,
  operatorPage,
  operatorRoute,
  operatorView,
  page,
  personAction,
  personPage,
  personRoute,
  programRoute,
  route,
  view,
} from './door.ts';
export { layout, isOwnOrigin, logFailure } from './door.ts';
export { through } from './through.ts';
export { escapeHtml, htmlPage } from './html.ts';
export type { ActionInput, ActionResult, ActionState, ShownError } from './door.ts';
export { operatorCtx, tenantCtx, tenantsOf } from './membership.ts';
export type { TenantChoice } from './membership.ts';
export { followedTeams, forgeRolesOf, scopeKey, syncMemberships } from './standings.ts';
export type { ForgeStanding } from './standings.ts';
export { followForgesBy, heldFields, heldRole, wantCheck } from './follow.ts';
export type { AskForge, FollowedIdentity, Told } from './follow.ts';
export {
  cookieName,
  currentPerson,
  endAllSessions,
  endOtherSessions,
  endOwnSession,
  endSession,
  isSecurePortal,
  listSessions,
} from './session.ts';
export type { SessionRow } from './session.ts';
export { authOptions, authSecret, authSecretBehind } from './sign-in.ts';
export type { SignInForge, SignInProfile, SignInRequest } from './sign-in.ts';
export { keepPersonToken, userToken } from './token.ts';
export type { UserTokens } from './token.ts';
export {
  addPersonToken,
  addTenantToken,
  apiScopes,
  apiScopeWords,
  apiTokenDaysMost,
  ApiTokenId,
  ApiTokenInput,
  askerOfApiToken,
  besideOperator,
  countRequest,
  listPersonTokens,
  listTenantTokens,
  overAllowance,
  revokePersonToken,
  revokeShownToken,
  revokeTenantToken,
  scopeFor,
} from './api-token.ts';
export type { Allowance, ApiScope, ApiTokenOnce, ApiTokenRow, TokenCtx } from './api-token.ts';
export { asOperator, asPerson, inTenant } from './api-door.ts';
export { decideDevice, DeviceCode, DeviceDecision, findDevice, readDevice } from './device.ts';
export type { DeviceView } from './device.ts';
export { answerDeviceCode, answerDeviceToken } from './device-door.ts';
export { answersKeptMs, forgetPast } from './forget.ts';
export { renameTenant } from './people.ts';
export { listMembers, reasonOf, RoleInput, setMemberRole } from './members.ts';
export type { Member } from './members.ts';
export { acceptInvitation, createInvitation, listInvitations, readInvitation, revokeInvitation } from './invitation.ts';
export type { Invited, InvitationView, PendingInvitation } from './invitation.ts';
export {
  disableUser,
  enableUser,
  endSessionsOf,
  listAllTenants,
  listPeople,
  operatorOverview,
  PersonInput,
} from './operator.ts';
export type { OperatorOverview, PersonRow } from './operator.ts';
