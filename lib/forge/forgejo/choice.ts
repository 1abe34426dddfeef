import type { ScopeLevel } from '../../model/index.ts';
import type { ScopeChoice, ScopeRole } from '../port.ts';
import type { Organization, Repository, Team, User } from './schema.ts';

/** Forgejo's answers as the port's words. Pure: values in, values out. */

export type Role = { organizationId: string; name: string; role: 'admin' | 'member' };

/** Where a person belongs, from their teams: its owners alone may register an organization's runners. */
export function rolesOf(teams: Team[]): Role[] {
  const roles = new Map<string, Role>();
  for (const { organization, permission } of teams) {
    const role = permission === 'owner' || roles.get(organization.id)?.role === 'admin' ? 'admin' : 'member';
    roles.set(organization.id, { organizationId: organization.id, name: organization.name, role });
  }
  return [...roles.values()];
}

/**
 * Whoever may administer a repository may still not register its runners: that is its owner's, or the owners' of its
 * organization (Forgejo 15, routers/api/v1/api.go, `reqOwner`). Everybody may read a public one, which makes nobody a member.
 */
export function repositoryRole(repository: Repository, person: User, roles: Role[]): ScopeRole {
  const { owner, permissions, private: hidden } = repository;
  const organization = roles.find((each) => each.organizationId === owner.id);
  if (owner.id === person.id || organization?.role === 'admin') return 'admin';
  return permissions?.push || hidden ? 'member' : 'none';
}

export function accountChoice(user: User, installUrl: string): ScopeChoice {
  const name = user.full_name || user.login;
  return choice('account', { path: user.login, scopeId: user.id, ownerId: user.id, name, private: false }, installUrl);
}

export function organizationChoice(
  organization: Pick<Organization, 'id' | 'name' | 'full_name'>,
  installUrl: string,
): ScopeChoice {
  const { id, name: path, full_name: fullName } = organization;
  return choice('organization', { path, scopeId: id, ownerId: id, name: fullName || path, private: false }, installUrl);
}

export function repositoryChoice(repository: Repository, installUrl: string): ScopeChoice {
  const { id: scopeId, full_name: path, name, owner, private: hidden } = repository;
  return choice('repository', { path, scopeId, ownerId: owner.id, name, private: hidden }, installUrl);
}

function choice(
  level: ScopeLevel,
  scope: Pick<ScopeChoice, 'path' | 'scopeId' | 'ownerId' | 'name' | 'private'>,
  installUrl: string,
): ScopeChoice {
  return { level, ...scope, installation: null, installUrl, credential: 'token' };
}
