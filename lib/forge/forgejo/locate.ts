import type { ScopeLevel } from '../../model/index.ts';
import type { AtScope } from '../port.ts';
import type { Ask, Client } from './client.ts';
import { installationError, levelError, notFoundError, type Refusal } from './errors.ts';
import { listOf, Organization, Repository, Team, User } from './schema.ts';

/** Where a scope is now, and the beginning of every route about its runners and hooks. */
export type Located = {
  path: string;
  ownerId: string;
  base: string;
  params: Record<string, string>;
  /** False for a repository alone, where somebody switched them off. */
  hasActions: boolean;
};

type Wanted = { level: ScopeLevel; scopeId: string; path: string };

/**
 * The scope of this id, whatever it is called by now. A name may be another's by the time it is used, so that what is found
 * by name is compared by id. Null where there is none, or this token does not see it.
 */
export async function locate(client: Client, wanted: Wanted, ask: Ask): Promise<Located | null> {
  if (wanted.level === 'repository') return locateRepository(client, wanted, ask);
  if (wanted.level === 'organization') return locateOrganization(client, wanted, ask);
  if (wanted.level !== 'account') throw levelError(wanted.level);
  // Only its own token reaches an account's runners, so the token tells which account it is.
  const user = await client.call('GET /user', User, ask);
  if (user.id !== wanted.scopeId) return null;
  return { path: user.login, ownerId: user.id, base: '/user', params: {}, hasActions: true };
}

export async function located(client: Client, input: AtScope): Promise<Located & { ask: Ask }> {
  const ask = askAtScope(input);
  const found = await locate(client, input, ask);
  if (!found) throw notFoundError(input.path);
  return { ...found, ask: { ...ask, params: found.params } };
}

export function askAtScope({ credential, signal, path }: AtScope): Ask {
  if (credential.kind !== 'token') throw installationError(path);
  return { as: { scope: credential.token }, signal, about: path };
}

async function locateRepository(client: Client, { scopeId }: Wanted, ask: Ask): Promise<Located | null> {
  const repository = await client.find('GET /repositories/{id}', Repository, { ...ask, params: { id: scopeId } });
  if (!repository) return null;
  const { owner, name: repo, full_name: path, has_actions: hasActions } = repository;
  const params = { owner: owner.login, repo };
  return { path, ownerId: owner.id, base: '/repos/{owner}/{repo}', params, hasActions };
}

/** No route takes an organization's id. Its old name leads to the new one until somebody else takes it. */
async function locateOrganization(client: Client, { scopeId, path }: Wanted, ask: Ask): Promise<Located | null> {
  const named = await findOrganization(client, path, ask);
  const found = named?.id === scopeId ? named : await organizationOfTeams(client, scopeId, ask);
  if (!found) return null;
  return { path: found.name, ownerId: found.id, base: '/orgs/{org}', params: { org: found.name }, hasActions: true };
}

async function organizationOfTeams(client: Client, id: string, ask: Ask): Promise<Organization | null> {
  const teams = await teamsOf(client, ask);
  return teams.find(({ organization }) => organization.id === id)?.organization ?? null;
}

/** By its name or a former one. */
export async function findOrganization(client: Client, name: string, ask: Ask): Promise<Organization | null> {
  const route = 'GET /orgs/{org}';
  const moved = movedTo(/\/orgs\/([^/?]+)$/);
  const found = await client.find(route, Organization, { ...ask, params: { org: name }, absent: moved.absent });
  if (found || !moved.names) return found;
  return client.find(route, Organization, { ...ask, params: { org: moved.names[0] ?? '' } });
}

/** By its path or a former one. */
export async function findRepository(client: Client, path: string, ask: Ask): Promise<Repository | null> {
  const route = 'GET /repos/{owner}/{repo}';
  const moved = movedTo(/\/repos\/([^/?]+)\/([^/?]+)$/);
  const [owner = '', repo = ''] = path.split('/');
  const found = await client.find(route, Repository, { ...ask, params: { owner, repo }, absent: moved.absent });
  if (found || !moved.names) return found;
  const [newOwner = '', newRepo = ''] = moved.names;
  return client.find(route, Repository, { ...ask, params: { owner: newOwner, repo: newRepo } });
}

/**
 * The guard hands redirects back. One that only changes names within the same route (301 for a repository, 307 for an
 * account) is a renaming, and the names are asked for anew at this very forge; any other is followed nowhere.
 */
function movedTo(pattern: RegExp): Moved {
  const moved: Moved = {
    absent({ status, headers }) {
      if (status !== 301 && status !== 307) return status === 404;
      const names = pattern.exec(headers.get('location') ?? '')?.slice(1);
      if (names) moved.names = names.map((name) => decodeURIComponent(name));
      return names !== undefined;
    },
  };
  return moved;
}

type Moved = { absent: (refusal: Refusal) => boolean; names?: string[] };

export function teamsOf(client: Client, ask: Ask): Promise<Team[]> {
  return client.all('GET /user/teams', listOf(Team), { ...ask, params: {} });
}
