import type { ScopeLevel } from '../../model/index.ts';
import type { AsUser, MembershipScope, ScopeChoice, ScopeRole } from '../port.ts';
import { gitlabLevel, groupChoice, instanceChoice, instanceId, projectChoice, roleNeeded, roleOf } from './choice.ts';
import type { Ask, Client } from './client.ts';
import { notFoundError, type Refusal } from './errors.ts';
import { Group, Member, Project, User } from './schema.ts';

/** A search looks this far at once, so that one call stays within seconds; the cursor goes on from there. */
const pagesAtOnce = 10;
/** Enough to choose from on one screen. */
const choicesEnough = 50;
/** GitLab refuses to look further into a list by page numbers than 50,000 items. */
const pageMax = 500;

type Listed = { scopes: ScopeChoice[]; nextCursor: string | null };
type Found = ScopeChoice & { role: ScopeRole };
type Asked = AsUser & { teamIds?: readonly string[] };
type Listing = AsUser & { query?: string | undefined; cursor?: string | undefined };

/** What a person has a say in, asked with that person's own token. */
export function gitlabScopes(client: Client) {
  return {
    list: (input: Listing): Promise<Listed> => listScopes(client, input),
    async find(input: AsUser & { level: ScopeLevel; path: string }): Promise<Found> {
      const find = { project: findProject, group: findGroup, instance: findInstance }[gitlabLevel(input.level)];
      return find(client, input);
    },
    memberships: (input: Asked): Promise<MembershipScope[]> => listMemberships(client, input),
  };
}

function askAs({ userToken, signal }: AsUser, about: string): Ask {
  return { as: { token: userToken, whose: 'person' }, signal, about };
}

function selfOf(client: Client, input: AsUser): Promise<User> {
  return client.call(User, askAs(input, 'your account'), (api) => api.users.showCurrentUser());
}

/** Role from above included: an Owner of a group is one of every group in it. */
function groupsWith(client: Client, input: AsUser, least: 'GUEST' | 'MAINTAINER' | 'OWNER'): Promise<Group[]> {
  const ask = askAs(input, 'your groups');
  return client.all(Group, ask, (api, options) =>
    api.groups.all({ minAccessLevel: api.levels[least], orderBy: 'id', sort: 'asc', pagination: 'offset', ...options }),
  );
}

/** A person's own namespace stands for them, since it is what owns their projects. */
async function listMemberships(client: Client, input: Asked): Promise<MembershipScope[]> {
  const self = await selfOf(client, input);
  const owned = new Set((await groupsWith(client, input, 'OWNER')).map((group) => group.id));
  const groups = await groupsWith(client, input, 'GUEST');
  const own: MembershipScope = {
    of: 'account',
    ownerId: self.namespace_id ?? `user-${self.id}`,
    login: self.username,
    role: 'admin',
  };
  const instance: MembershipScope[] = self.is_admin
    ? [{ of: 'account', ownerId: instanceId, login: new URL(client.baseUrl).host, role: 'admin' }]
    : [];
  const role = (group: Group) => (owned.has(group.id) ? 'admin' : 'member');
  return [
    own,
    ...instance,
    ...groups.map((group): MembershipScope => {
      const { id: ownerId, full_path: login } = group;
      return { of: 'account', ownerId, login, role: role(group) };
    }),
    ...(await subgroupScopes(client, input, groups)),
  ];
}

/** The subgroups that a tenant follows: Maintainers see to their people, as GitHub's maintainers do. */
async function subgroupScopes(client: Client, input: Asked, groups: readonly Group[]): Promise<MembershipScope[]> {
  const wanted = new Set(input.teamIds ?? []);
  const asked = groups.filter(({ id }) => wanted.has(id));
  if (asked.length === 0) return [];
  const maintained = new Set((await groupsWith(client, input, 'MAINTAINER')).map(({ id }) => id));
  return asked.map(({ id: ownerId, full_path: login }) => ({
    of: 'team',
    ownerId,
    login,
    role: maintained.has(ownerId) ? 'admin' : 'member',
  }));
}

// ------------------------------------------------------------------------------------------------ listing

type Cursor = { of: 'groups' | 'projects'; page: number };

/** The instance first, for its administrators; then groups page by page, then projects. */
async function listScopes(client: Client, input: Listing): Promise<Listed> {
  const wanted = (input.query ?? '').trim().toLowerCase();
  const scopes: ScopeChoice[] = [];
  const add = (choices: ScopeChoice[]) =>
    scopes.push(...choices.filter((choice) => choice.path.toLowerCase().includes(wanted)));
  if (input.cursor === undefined && (await selfOf(client, input)).is_admin) add([instanceChoice(client.baseUrl)]);
  let at: Cursor | null = cursorOf(input.cursor);
  for (let pages = 0; pages < pagesAtOnce && at !== null && scopes.length < choicesEnough; pages += 1) {
    const { choices, next } = await choicesAt(client, input, at);
    add(choices);
    at = next;
  }
  return { scopes, nextCursor: at && `${at.of}:${at.page}` };
}

function cursorOf(text = ''): Cursor {
  const [of, number] = text.split(':');
  const page = Number(number);
  const known = of === 'groups' || of === 'projects';
  return known && Number.isInteger(page) && page >= 1 && page <= pageMax ? { of, page } : { of: 'groups', page: 1 };
}

/** By ascending id, so that what is made meanwhile comes last and moves nothing between the pages. */
async function choicesAt(client: Client, input: AsUser, { of, page }: Cursor) {
  const after = (next: number | null) => (next === null || next > pageMax ? null : { of, page: next });
  if (of === 'groups') {
    const got = await client.page(Group, askAs(input, 'your groups'), page, (api, options) =>
      api.groups.all({
        minAccessLevel: api.levels.OWNER,
        orderBy: 'id',
        sort: 'asc',
        pagination: 'offset',
        ...options,
      }),
    );
    const choices = got.items.map((group) => groupChoice(client.baseUrl, group));
    return { choices, next: after(got.next) ?? { of: 'projects' as const, page: 1 } };
  }
  const got = await client.page(Project, askAs(input, 'your projects'), page, (api, options) =>
    api.projects.all({
      membership: true,
      minAccessLevel: api.levels.MAINTAINER,
      archived: false,
      orderBy: 'id',
      sort: 'asc',
      pagination: 'offset',
      ...options,
    }),
  );
  return { choices: got.items.map((project) => projectChoice(client.baseUrl, project)), next: after(got.next) };
}

// ------------------------------------------------------------------------------------------------ finding

/** GitLab hides a member list from those who are not in it, in either way. */
function isHidden({ status }: Refusal): boolean {
  return status === 404 || status === 403;
}

async function findGroup(client: Client, input: AsUser & { path: string }): Promise<Found> {
  const ask = askAs(input, input.path);
  const group = await client.call(Group, ask, (api) => api.groups.show(input.path, { withProjects: false }));
  const self = await selfOf(client, input);
  const member = await client.find(Member, { ...ask, absent: isHidden }, (api) =>
    api.members.group.show(group.id, Number(self.id), { includeInherited: true }),
  );
  const role = roleOf(member, roleNeeded.group.level, self.is_admin ?? false);
  return { ...groupChoice(client.baseUrl, group), role };
}

/** A project that moved is still found by its old path: what it is called now comes with the answer. */
async function findProject(client: Client, input: AsUser & { path: string }): Promise<Found> {
  const ask = askAs(input, input.path);
  const project = await client.call(Project, ask, (api) => api.projects.show(input.path));
  const self = await selfOf(client, input);
  const member = await client.find(Member, { ...ask, absent: isHidden }, (api) =>
    api.members.project.show(project.id, Number(self.id), { includeInherited: true }),
  );
  const role = roleOf(member, roleNeeded.project.level, self.is_admin ?? false);
  return { ...projectChoice(client.baseUrl, project), role };
}

async function findInstance(client: Client, input: AsUser & { path: string }): Promise<Found> {
  if (input.path !== '') throw notFoundError(input.path);
  const self = await selfOf(client, input);
  // Whoever has an account belongs to the instance, and only its administrators have a say in it.
  return { ...instanceChoice(client.baseUrl), role: self.is_admin ? 'admin' : 'member' };
}
