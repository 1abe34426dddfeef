import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { ScopeLevel } from '../../model/index.ts';
import type { AsUser, Forge, ForgeConnectionValue, MembershipScope, ScopeChoice, ScopeRole } from '../port.ts';
import { membershipRole, organizationChoice, repositoryChoice, repositoryRole } from './choice.ts';
import { type Client, pageSize } from './client.ts';
import { levelError, notFoundError, type Refusal } from './errors.ts';
import { teamScopes } from './people.ts';
import { findEnterpriseScope } from './token.ts';
import { assertVersion } from './version.ts';
import {
  Installation,
  InstallationPage,
  Membership,
  Moved,
  Organization,
  Repository,
  RepositoryPage,
  User,
} from './schema.ts';

/** A list that goes on behind this page has no end. */
const pageMax = 1000;
/** A search looks this far at once, so that one call stays within seconds; the cursor goes on from there. */
const pagesAtOnce = 10;

type Listed = { scopes: ScopeChoice[]; nextCursor: string | null };
type Found = ScopeChoice & { role: ScopeRole };
type Listing = AsUser & { query?: string | undefined; cursor?: string | undefined };

/** What a person has a say in, asked with that person's own token. */
export function githubScopes(client: Client, connection: ForgeConnectionValue, installUrl: Forge['installUrl']) {
  return {
    async list(input: Listing): Promise<Listed> {
      return listScopes(client, await installUrl(input), input);
    },
    async find(input: AsUser & { level: ScopeLevel; path: string }): Promise<Found> {
      const { level, path } = input;
      if (level === 'enterprise' || level === 'organization' || level === 'repository')
        await assertVersion(client, askAs(input, path));
      if (level === 'enterprise') return findEnterpriseScope(client, connection, input);
      if (level !== 'organization' && level !== 'repository') throw levelError(level);
      const find = level === 'organization' ? findOrganization : findRepository;
      return find(client, await installUrl(input), input);
    },
    async memberships(input: AsUser & { teamIds?: readonly string[] }): Promise<MembershipScope[]> {
      const self = await client.call('GET /user', User, askAs(input, 'your account'));
      const organizations = (await activeMemberships(client, input)).flatMap((each): MembershipScope[] => {
        const role = membershipRole(each);
        const { id: ownerId, login } = each.organization;
        return role === 'none' ? [] : [{ of: 'account', ownerId, login, role }];
      });
      const organizationIds = new Set(organizations.map(({ ownerId }) => ownerId));
      const teams = await teamScopes(client, input, input.teamIds ?? [], { login: self.login, organizationIds });
      return [{ of: 'account', ownerId: self.id, login: self.login, role: 'admin' }, ...organizations, ...teams];
    },
  };
}

function askAs({ userToken, signal }: AsUser, about: string) {
  return { as: { user: userToken }, signal, about };
}

function activeMemberships(client: Client, input: AsUser): Promise<Membership[]> {
  const ask = { ...askAs(input, 'your organizations'), params: { state: 'active' } };
  return client.all('GET /user/memberships/orgs', z.array(Membership), (page) => page, ask);
}

// ------------------------------------------------------------------------------------------------ listing

/** Organizations come with the first page; the cursor is the next page of repositories. */
async function listScopes(client: Client, installUrl: string, input: Listing): Promise<Listed> {
  const wanted = (input.query ?? '').trim().toLowerCase();
  const reach = await reachOf(client, input);
  const scopes: ScopeChoice[] = [];
  const add = (choices: ScopeChoice[]) =>
    scopes.push(...choices.filter((choice) => choice.path.toLowerCase().includes(wanted)));
  const first = pageOf(input.cursor);
  if (first === 1) add(await organizationsOf(client, input, reach, installUrl));
  for (let page = first; page < first + pagesAtOnce; page += 1) {
    const { choices, isLast } = await repositoriesOn(page, client, input, reach, installUrl);
    add(choices);
    if (isLast || page === pageMax) return { scopes, nextCursor: null };
    if (scopes.length >= pageSize / 2) return { scopes, nextCursor: String(page + 1) };
  }
  return { scopes, nextCursor: String(first + pagesAtOnce) };
}

function pageOf(cursor: string | undefined): number {
  const page = Number(cursor ?? '1');
  return Number.isInteger(page) && page >= 1 && page <= pageMax ? page : 1;
}

async function organizationsOf(client: Client, input: AsUser, reach: Reach, installUrl: string) {
  const administered = (await activeMemberships(client, input)).filter((each) => membershipRole(each) === 'admin');
  return administered.map(({ organization }) =>
    organizationChoice(organization, reach.installationOf(organization.id), installUrl),
  );
}

async function repositoriesOn(page: number, client: Client, input: AsUser, reach: Reach, installUrl: string) {
  const params = { per_page: pageSize, page, sort: 'full_name' };
  const all = await client.call('GET /user/repos', z.array(Repository), {
    ...askAs(input, 'your repositories'),
    params,
  });
  const choices: ScopeChoice[] = [];
  for (const repository of all.filter((each) => each.permissions?.admin)) {
    choices.push(repositoryChoice(repository, await reach.installationCovering(repository), installUrl));
  }
  return { choices, isLast: all.length < pageSize };
}

type Reach = {
  installationOf(accountId: string): Installation | null;
  installationCovering(repository: Repository): Promise<Installation | null>;
};

/** The installations that this person may see, and lazily the repositories of those that were given only some. */
async function reachOf(client: Client, input: AsUser): Promise<Reach> {
  const ask = askAs(input, 'your installations');
  const installations = await client
    .all('GET /user/installations', InstallationPage, (page) => page.installations, ask)
    .catch(noneIfForbidden);
  const byAccount = new Map(installations.map((each) => [each.account.id, each]));
  const selected = new Map<string, Promise<Set<string>>>();

  async function selectedIds(installationId: string): Promise<Set<string>> {
    const route = 'GET /user/installations/{installation_id}/repositories';
    const params = { installation_id: installationId };
    const all = await client.all(route, RepositoryPage, (page) => page.repositories, { ...ask, params });
    return new Set(all.map((each) => each.id));
  }

  return {
    installationOf: (accountId) => byAccount.get(accountId) ?? null,
    async installationCovering(repository) {
      const installation = byAccount.get(repository.owner.id);
      // What a suspended installation covers is not shown to anybody.
      if (!installation || installation.repository_selection === 'all' || installation.suspended_at)
        return installation ?? null;
      const ids = selected.get(installation.id) ?? selectedIds(installation.id);
      selected.set(installation.id, ids);
      return (await ids).has(repository.id) ? installation : null;
    },
  };
}

/** A classic token and an OAuth app's belong to no App, and see no installation. */
function noneIfForbidden(error: unknown): Installation[] {
  if (error instanceof AppError && error.code === 'forbidden') return [];
  throw error;
}

// ------------------------------------------------------------------------------------------------ finding

async function findOrganization(client: Client, installUrl: string, input: AsUser & { path: string }): Promise<Found> {
  const ask = { ...askAs(input, input.path), params: { org: input.path } };
  const org = await client.call('GET /orgs/{org}', Organization, ask);
  // 403 where the App is not installed: GitHub then does not tell an App's user token who belongs there.
  const absent = ({ status }: Refusal) => status === 404 || status === 403;
  const membership = await client.find('GET /user/memberships/orgs/{org}', Membership, { ...ask, absent });
  const role = membership?.organization.id === org.id ? membershipRole(membership) : 'none';
  const installation = await installationFor(role, client, 'organization', org.login, org.id, input.signal);
  return { ...organizationChoice(org, installation, installUrl), role };
}

async function findRepository(client: Client, installUrl: string, input: AsUser & { path: string }): Promise<Found> {
  const [owner = '', repo = ''] = input.path.split('/');
  const ask = askAs(input, input.path);
  const params = { owner, repo };
  const found = await client.call('GET /repos/{owner}/{repo}', z.union([Repository, Moved]), { ...ask, params });
  const repository = 'id' in found ? found : await movedRepository(client, input, found.url);
  const role = repositoryRole(repository);
  const { full_name: path, owner: account } = repository;
  const installation = await installationFor(role, client, 'repository', path, account.id, input.signal);
  return { ...repositoryChoice(repository, installation, installUrl), role };
}

/** The guard hands redirects back. This one is followed to what GitHub documents it to be: the same repository by its id. */
function movedRepository(client: Client, input: AsUser & { path: string }, url: string): Promise<Repository> {
  const id = /\/repositories\/(\d+)$/.exec(url)?.[1];
  if (id === undefined) throw notFoundError(input.path);
  return client.call('GET /repositories/{id}', Repository, { ...askAs(input, input.path), params: { id } });
}

/** For administrators alone, and only if it is that very account's: a name may change hands between two requests. */
async function installationFor(
  role: ScopeRole,
  client: Client,
  level: 'organization' | 'repository',
  path: string,
  accountId: string,
  signal: AbortSignal | undefined,
): Promise<Installation | null> {
  if (role !== 'admin' || !client.hasApp) return null;
  const found = await findInstallation(client, level, path, signal);
  return found?.account.id === accountId ? found : null;
}

/** The App's installation that serves this organization or repository. */
export async function findInstallation(
  client: Client,
  level: 'organization' | 'repository',
  path: string,
  signal: AbortSignal | undefined,
): Promise<Installation | null> {
  const ask = { as: { app: true as const }, signal, about: path };
  const [owner = '', repo = ''] = path.split('/');
  return level === 'organization'
    ? client.find('GET /orgs/{org}/installation', Installation, { ...ask, params: { org: path } })
    : client.find('GET /repos/{owner}/{repo}/installation', Installation, { ...ask, params: { owner, repo } });
}
