import type { Cancel, MembershipScope, TeamChoice } from '#lib/forge/index.ts';
import { followedTeams, type PersonCtx } from '#lib/tenant/index.ts';
import { actAs, openForge } from './connections.ts';
import { ownAppStandings } from './github-app.ts';

/* What people are on a forge: where the roles of tenants come from. lib/tenant keeps them, and asks nothing itself. */

/** Everything that a person's own token tells of them there, and what only an organization's own App tells. */
export async function standingsBy(
  connectionId: string,
  userToken: string,
  cancel: Cancel = {},
): Promise<MembershipScope[]> {
  const forge = await openForge(connectionId);
  const teamIds = await followedTeams(connectionId);
  return ownAppStandings(connectionId, await forge.listMembershipScopes({ userToken, teamIds, ...cancel }));
}

/**
 * The teams of an organization (subgroups of a group) that this person is shown, for a tenant to be bound to one: its `id` is
 * the tenant's `teamExternalId`. Whether they may bind it is the caller's to ask, by their role in the organization.
 */
export async function listTeamsOf(by: PersonCtx, connectionId: string, orgPath: string): Promise<TeamChoice[]> {
  const { forge, token } = await actAs(by, connectionId);
  return forge.listTeams({ userToken: token, path: orgPath });
}
