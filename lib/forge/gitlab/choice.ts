import type { ScopeLevel } from '../../model/index.ts';
import type { ScopeChoice, ScopeRole, TokenAdvice } from '../port.ts';
import { levelError } from './errors.ts';
import type { Group, Member, Project } from './schema.ts';

/** GitLab's answers as the port's words. Pure: values in, values out. */

/** https://docs.gitlab.com/api/access_requests/#valid-access-levels */
export const access = { guest: 10, maintainer: 40, owner: 50 } as const;

/** GitLab's only one has no id of its own. */
export const instanceId = 'instance';

export type GitlabLevel = 'project' | 'group' | 'instance';

export function gitlabLevel(level: ScopeLevel): GitlabLevel {
  if (level === 'project' || level === 'group' || level === 'instance') return level;
  throw levelError(level);
}

/** Who may make runners (https://docs.gitlab.com/api/users/#create-a-runner-linked-to-a-user); an instance wants its administrator. */
export const roleNeeded = {
  project: { level: access.maintainer, name: 'Maintainer' },
  group: { level: access.owner, name: 'Owner' },
  instance: { level: Infinity, name: 'Administrator' },
} as const;

/**
 * What a token needs: `POST /user/runners` takes `create_runner`, everything under `/runners/:id` takes `manage_runner`
 * (lib/api/user_runners.rb, lib/api/ci/runners.rb), and to find a runner by its name, or the scope itself, one has to read.
 * `api` is all three and more.
 */
const runnerScopes = ['create_runner', 'manage_runner', 'read_api'];
const personScopes = ['read_api'];

export function neededScopes(scopesFor: 'person' | ScopeLevel): string[] {
  return scopesFor === 'person' ? personScopes : runnerScopes;
}

export function missingScopes(granted: string[], needed: string[]): string[] {
  return granted.includes('api') ? [] : needed.filter((scope) => !granted.includes(scope));
}

export function tokenAdvice(baseUrl: string, scopesFor: 'person' | ScopeLevel, path: string): TokenAdvice {
  const scopes = neededScopes(scopesFor);
  if (scopesFor === 'person') return { createUrl: personalUrl(baseUrl, scopes), scopes, role: 'Any' };
  const level = gitlabLevel(scopesFor);
  const role = roleNeeded[level].name;
  // The page of personal tokens takes what to fill in from its address.
  const createUrl = level === 'instance' ? personalUrl(baseUrl, scopes) : tokenUrl(baseUrl, level, path);
  return { createUrl, scopes, role };
}

function personalUrl(baseUrl: string, scopes: string[]): string {
  return `${tokenUrl(baseUrl, 'instance', '')}?name=Flywheel&scopes=${scopes.join(',')}`;
}

export function tokenUrl(baseUrl: string, level: GitlabLevel, path: string): string {
  if (level === 'instance') return `${baseUrl}/-/user_settings/personal_access_tokens`;
  const at = path.split('/').map(encodeURIComponent).join('/');
  return `${baseUrl}/${level === 'group' ? 'groups/' : ''}${at}/-/settings/access_tokens`;
}

/** Null is no membership. An administrator may do everything everywhere, member or not. */
export function roleOf(member: Member | null, least: number, isAdmin: boolean): ScopeRole {
  if (isAdmin) return 'admin';
  if (!isActive(member) || member.access_level < access.guest) return 'none';
  return member.access_level >= least ? 'admin' : 'member';
}

export function isActive(member: Member | null): member is Member {
  return member !== null && (member.membership_state ?? 'active') === 'active';
}

const noInstallation = { installation: null, credential: 'token' } as const;

export function groupChoice(baseUrl: string, group: Group): ScopeChoice {
  return {
    level: 'group',
    path: group.full_path,
    scopeId: group.id,
    name: group.full_name || group.name,
    ownerId: group.id,
    private: group.visibility !== 'public',
    installUrl: tokenUrl(baseUrl, 'group', group.full_path),
    ...noInstallation,
  };
}

export function projectChoice(baseUrl: string, project: Project): ScopeChoice {
  return {
    level: 'project',
    path: project.path_with_namespace,
    scopeId: project.id,
    name: project.name,
    ownerId: project.namespace.id,
    private: project.visibility !== 'public',
    installUrl: tokenUrl(baseUrl, 'project', project.path_with_namespace),
    ...noInstallation,
  };
}

export function instanceChoice(baseUrl: string): ScopeChoice {
  return {
    level: 'instance',
    path: '',
    scopeId: instanceId,
    name: new URL(baseUrl).host,
    ownerId: instanceId,
    private: true,
    installUrl: tokenUrl(baseUrl, 'instance', ''),
    ...noInstallation,
  };
}
