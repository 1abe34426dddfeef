import { z } from 'zod';
import type { AccountChoice, AsUser, AtScope, MembershipScope, ScopeRole, TeamChoice } from '../port.ts';
import { membershipRole } from './choice.ts';
import type { Client } from './client.ts';
import { nonsenseError, type Refusal } from './errors.ts';
import { Installation, MemberOf, Organization, PublicUser, Team, TeamMembership } from './schema.ts';

/*
 * People and teams. A team is `<organization's id>/<its own>`: the route that takes both survives every renaming, and is
 * open to an App's user token, which `GET /user/teams` is not (docs.github.com, "Endpoints available for GitHub App user
 * access tokens").
 */

function isHidden({ status }: Refusal): boolean {
  return status === 404 || status === 403;
}

export async function listTeams(client: Client, { userToken, signal, path }: AsUser & { path: string }) {
  const ask = { as: { user: userToken }, signal, about: path, params: { org: path } };
  const { id, login } = await client.call('GET /orgs/{org}', Organization, ask);
  const teams = await client.all('GET /orgs/{org}/teams', z.array(Team), (page) => page, ask);
  return teams.map((team): TeamChoice => ({
    id: `${id}/${team.id}`,
    name: team.name,
    path: `${login}/${team.slug}`,
  }));
}

/** One question a team, and none about teams of organizations that the person is not in. An organization's owner is a maintainer. */
export async function teamScopes(
  client: Client,
  { userToken, signal }: AsUser,
  teamIds: readonly string[],
  self: { login: string; organizationIds: ReadonlySet<string> },
): Promise<MembershipScope[]> {
  const asked = teamIds.filter((id) => self.organizationIds.has(id.split('/')[0] ?? ''));
  const found = await Promise.all(
    asked.map(async (ownerId): Promise<MembershipScope[]> => {
      const [organization = '', team = ''] = ownerId.split('/');
      const route = 'GET /organizations/{org}/team/{team}/memberships/{username}';
      const params = { org: organization, team, username: self.login };
      const ask = { as: { user: userToken }, signal, about: 'your teams', params, absent: isHidden };
      const membership = await client.find(route, TeamMembership, ask);
      if (membership?.state !== 'active') return [];
      const role = membership.role === 'maintainer' ? 'admin' : 'member';
      return [{ of: 'team', ownerId, login: ownerId, role }];
    }),
  );
  return found.flat();
}

export async function findAccount(
  client: Client,
  { userToken, signal, login }: AsUser & { login: string },
): Promise<AccountChoice | null> {
  const ask = { as: { user: userToken }, signal, about: login, params: { username: login } };
  const found = await client.find('GET /users/{username}', PublicUser, ask);
  // Organizations answer too, and nobody signs in as one.
  if (!found || found.type !== 'User') return null;
  return { subject: found.id, login: found.login, name: found.name ?? found.login };
}

/** By the App, which may read members; the installation says what the account is called now. */
export async function standingAt(
  client: Client,
  input: AtScope & { ownerId: string; person: { subject: string; login: string } },
): Promise<ScopeRole | null> {
  const { credential, ownerId, person, signal } = input;
  if (ownerId === person.subject) return 'admin';
  if (credential.kind !== 'installation' || !client.hasApp) return null;
  const { installationId } = credential;
  const installation = await client.find('GET /app/installations/{installation_id}', Installation, {
    as: { app: true },
    signal,
    about: input.path,
    params: { installation_id: installationId },
  });
  if (!installation || installation.suspended_at || installation.account.id !== ownerId) return null;
  // A repository of another person's: who collaborates there is no member of the account.
  if (installation.account.type !== 'Organization') return 'none';
  return roleIn(client, installation, person, signal);
}

async function roleIn(
  client: Client,
  { id, account }: Installation,
  { subject }: { subject: string },
  signal: AbortSignal | undefined,
): Promise<ScopeRole | null> {
  const ask = { as: { installation: id }, signal, about: account.login };
  // By id, since a login that was given up may be somebody else's.
  const user = await client.find('GET /user/{account_id}', PublicUser, { ...ask, params: { account_id: subject } });
  if (!user) return 'none';
  if (user.id !== subject) throw nonsenseError(account.login, 'GET /user/{account_id}', 'another account');
  const membership = await client.find('GET /orgs/{org}/memberships/{username}', MemberOf, {
    ...ask,
    params: { org: account.login, username: user.login },
    // 403 is an App that may not read members, which tells nothing.
    absent: ({ status }) => status === 404,
  });
  const isThem = membership?.user.id === subject && membership.organization.id === account.id;
  return isThem ? membershipRole(membership) : 'none';
}
