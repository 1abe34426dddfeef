import type { ScopeLevel } from '../../model/index.ts';
import type { AsUser, MembershipScope, ScopeChoice, ScopeRole } from '../port.ts';
import { accountChoice, organizationChoice, repositoryChoice, repositoryRole, type Role, rolesOf } from './choice.ts';
import type { Ask, Client } from './client.ts';
import { levelError, notFoundError } from './errors.ts';
import { findOrganization, findRepository, teamsOf } from './locate.ts';
import { teamScopes } from './people.ts';
import { listOf, Repository, type Team, User } from './schema.ts';

/** A list that goes on behind this page has no end. */
const pageMax = 1000;
/** A search looks this far at once, so that one call stays within seconds; the cursor goes on from there. */
const pagesAtOnce = 10;
/** As many are enough for one answer. */
const choicesAtOnce = 50;

type Listed = { scopes: ScopeChoice[]; nextCursor: string | null };
type Found = ScopeChoice & { role: ScopeRole };
type Listing = AsUser & { query?: string | undefined; cursor?: string | undefined };

/** What a person has a say in, asked with that person's own token. */
export function forgejoScopes(client: Client, installUrl: string) {
  return {
    list: (input: Listing) => listScopes(client, installUrl, input),
    find: (input: AsUser & { level: ScopeLevel; path: string }) => findScope(client, installUrl, input),
    async memberships(input: AsUser & { teamIds?: readonly string[] }): Promise<MembershipScope[]> {
      const { self, roles, teams } = await personOf(client, input);
      const own: MembershipScope = { of: 'account', ownerId: self.id, login: self.login, role: 'admin' };
      const organizations = roles.map(({ organizationId, name, role }): MembershipScope => ({
        of: 'account',
        ownerId: organizationId,
        login: name,
        role,
      }));
      return [own, ...organizations, ...teamScopes(teams, input.teamIds ?? [])];
    },
  };
}

type Person = { self: User; roles: Role[]; teams: Team[] };

async function personOf(client: Client, input: AsUser): Promise<Person> {
  const self = await client.call('GET /user', User, askAs(input, 'your account'));
  const teams = await teamsOf(client, askAs(input, 'your organizations'));
  return { self, roles: rolesOf(teams), teams };
}

function askAs({ userToken, signal }: AsUser, about: string): Ask {
  return { as: { user: userToken }, signal, about };
}

// ------------------------------------------------------------------------------------------------ listing

/** The account and its organizations come with the first page; the cursor is the next page of repositories. */
async function listScopes(client: Client, installUrl: string, input: Listing): Promise<Listed> {
  const wanted = (input.query ?? '').trim().toLowerCase();
  const person = await personOf(client, input);
  const scopes: ScopeChoice[] = [];
  const add = (choices: ScopeChoice[]) =>
    scopes.push(...choices.filter((choice) => choice.path.toLowerCase().includes(wanted)));
  const first = pageOf(input.cursor);
  if (first === 1) add(accountsOf(person, installUrl));
  for (let number = first; number < first + pagesAtOnce; number += 1) {
    const ask = askAs(input, 'your repositories');
    const { items, isLast } = await client.page('GET /user/repos', listOf(Repository), number, ask);
    const administered = items.filter((each) => repositoryRole(each, person.self, person.roles) === 'admin');
    add(administered.map((each) => repositoryChoice(each, installUrl)));
    if (isLast || number === pageMax) return { scopes, nextCursor: null };
    if (scopes.length >= choicesAtOnce) return { scopes, nextCursor: String(number + 1) };
  }
  return { scopes, nextCursor: String(first + pagesAtOnce) };
}

function accountsOf({ self, roles }: Person, installUrl: string): ScopeChoice[] {
  const owned = roles.filter(({ role }) => role === 'admin');
  return [
    accountChoice(self, installUrl),
    ...owned.map(({ organizationId: id, name }) => organizationChoice({ id, name }, installUrl)),
  ];
}

function pageOf(cursor: string | undefined): number {
  const page = Number(cursor ?? '1');
  return Number.isInteger(page) && page >= 1 && page <= pageMax ? page : 1;
}

// ------------------------------------------------------------------------------------------------ finding

async function findScope(
  client: Client,
  installUrl: string,
  input: AsUser & { level: ScopeLevel; path: string },
): Promise<Found> {
  const { level, path } = input;
  if (level === 'account') return findAccount(client, installUrl, input);
  if (level !== 'organization' && level !== 'repository') throw levelError(level);
  const ask = askAs(input, path);
  if (level === 'organization') {
    const organization = await findOrganization(client, path, ask);
    if (!organization) throw notFoundError(path);
    const { roles } = await personOf(client, input);
    const role = roles.find((each) => each.organizationId === organization.id)?.role ?? 'none';
    return { ...organizationChoice(organization, installUrl), role };
  }
  const repository = await findRepository(client, path, ask);
  if (!repository) throw notFoundError(path);
  const { self, roles } = await personOf(client, input);
  return { ...repositoryChoice(repository, installUrl), role: repositoryRole(repository, self, roles) };
}

/** Nobody but its person has a say in an account. */
async function findAccount(client: Client, installUrl: string, input: AsUser & { path: string }): Promise<Found> {
  const ask = askAs(input, input.path);
  const self = await client.call('GET /user', User, ask);
  if (self.login.toLowerCase() === input.path.toLowerCase())
    return { ...accountChoice(self, installUrl), role: 'admin' };
  const other = await client.call('GET /users/{login}', User, { ...ask, params: { login: input.path } });
  return { ...accountChoice(other, installUrl), role: 'none' };
}
