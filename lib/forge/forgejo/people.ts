import type { AccountChoice, AsUser, AtScope, MembershipScope, ScopeRole, TeamChoice } from '../port.ts';
import type { Client } from './client.ts';
import { notFoundError, type Refusal } from './errors.ts';
import { askAtScope, findOrganization, located } from './locate.ts';
import { FoundUsers, listOf, Organization, OrgPermissions, type Team, TeamItem, User } from './schema.ts';

/*
 * People and teams. A team is `<organization's id>/<its own>`. Nobody in a team stands above the others: who may change it are
 * the owners of its organization.
 */

export async function listTeams(
  client: Client,
  { userToken, signal, path }: AsUser & { path: string },
): Promise<TeamChoice[]> {
  const ask = { as: { user: userToken }, signal, about: path };
  const organization = await findOrganization(client, path, ask);
  if (!organization) throw notFoundError(path);
  const params = { org: organization.name };
  const teams = await client.all('GET /orgs/{org}/teams', listOf(TeamItem), { ...ask, params });
  return teams.map(({ id, name }) => ({
    id: `${organization.id}/${id}`,
    name,
    path: `${organization.name}/${name}`,
  }));
}

/** Pure: of these teams, those that somebody with these teams is in or, owning the organization, over. */
export function teamScopes(teams: readonly Team[], teamIds: readonly string[]): MembershipScope[] {
  return teamIds.flatMap((ownerId): MembershipScope[] => {
    const [organizationId, id] = ownerId.split('/');
    const around = teams.filter(({ organization }) => organization.id === organizationId);
    const owns = around.some(({ permission }) => permission === 'owner');
    if (!owns && around.every((team) => team.id !== id)) return [];
    return [{ of: 'team', ownerId, login: ownerId, role: owns ? 'admin' : 'member' }];
  });
}

export async function findAccount(
  client: Client,
  { userToken, signal, login }: AsUser & { login: string },
): Promise<AccountChoice | null> {
  const ask = { as: { user: userToken }, signal, about: login, params: { login } };
  const absent = ({ status }: Refusal) => status === 404 || status === 301 || status === 307;
  const found = await client.find('GET /users/{login}', User, { ...ask, absent });
  // Forgejo shows an organization as a user, too, and only its own route tells the two apart; where that is closed to this
  // token, nobody can sign in as an organization anyway.
  const closed = ({ status }: Refusal) => absent({ status } as Refusal) || status === 403;
  const params = { org: login };
  const asOrganization =
    found && (await client.find('GET /orgs/{org}', Organization, { ...ask, params, absent: closed }));
  if (!found || asOrganization?.id === found.id) return null;
  return { subject: found.id, login: found.login, name: found.full_name || found.login };
}

/** By the scope's access token, which tells it of an organization alone: a repository's may not read those. */
export async function standingAt(
  client: Client,
  input: AtScope & { ownerId: string; person: { subject: string; login: string } },
): Promise<ScopeRole | null> {
  const { ownerId, person, level } = input;
  if (ownerId === person.subject) return 'admin';
  if (level !== 'organization') return null;
  const { path } = await located(client, input);
  const ask = askAtScope(input);
  // By id, since a login that was given up may be somebody else's.
  const { items } = await client.page('GET /users/search', FoundUsers, 1, { ...ask, params: { uid: person.subject } });
  const user = items.find(({ id }) => id === person.subject);
  if (!user) return 'none';
  const params = { login: user.login, org: path };
  const held = await client.find('GET /users/{login}/orgs/{org}/permissions', OrgPermissions, { ...ask, params });
  if (!held?.can_read) return 'none';
  return held.is_owner ? 'admin' : 'member';
}
