import type { AccountChoice, AsUser, AtScope, ScopeRole, TeamChoice } from '../port.ts';
import { access, instanceId, isActive } from './choice.ts';
import { type Client, numberOf } from './client.ts';
import { credentialError } from './errors.ts';
import { Group, Member, User } from './schema.ts';

/* People and teams. GitLab has no teams beside groups: a subgroup is one, and everything about it is told as of any group. */

export async function listTeams(
  client: Client,
  { userToken, signal, path }: AsUser & { path: string },
): Promise<TeamChoice[]> {
  const ask = { as: { token: userToken, whose: 'person' as const }, signal, about: path };
  const group = await client.call(Group, ask, (api) => api.groups.show(path, { withProjects: false }));
  const below = await client.all(Group, ask, (api, options) =>
    api.groups.allDescendantGroups(group.id, { orderBy: 'id', sort: 'asc', pagination: 'offset', ...options }),
  );
  return below.map(({ id, name, full_path: fullPath }) => ({ id, name, path: fullPath }));
}

export async function findAccount(
  client: Client,
  { userToken, signal, login }: AsUser & { login: string },
): Promise<AccountChoice | null> {
  const ask = { as: { token: userToken, whose: 'person' as const }, signal, about: login };
  const { items } = await client.page(User, ask, 1, (api, options) =>
    api.users.all({ username: login, pagination: 'offset', ...options }),
  );
  const found = items.find((user) => user.username.toLowerCase() === login.toLowerCase());
  return found ? { subject: found.id, login: found.username, name: found.name || found.username } : null;
}

/** The token's bot belongs to the group or project that it was made for, and so is told who else does. */
export async function standingAt(
  client: Client,
  input: AtScope & { ownerId: string; person: { subject: string; login: string } },
): Promise<ScopeRole | null> {
  const { credential, ownerId, person, signal, path, level } = input;
  if (credential.kind !== 'token') throw credentialError();
  // A project's token is no member of the group around it; an instance's administrators are told to administrators.
  if (level !== 'group' || ownerId === instanceId) return null;
  const ask = { as: { token: credential.token, whose: 'scope' as const }, signal, about: path };
  const group = await client.find(Group, ask, (api) => api.groups.show(numberOf(ownerId), { withProjects: false }));
  if (!group) return null;
  const member = await client.find(Member, ask, (api) =>
    api.members.group.show(group.id, numberOf(person.subject), { includeInherited: true }),
  );
  if (!isActive(member) || member.access_level < access.guest) return 'none';
  return member.access_level >= access.owner ? 'admin' : 'member';
}
