import type { ScopeLevel } from '../../model/index.ts';
import type { ScopeChoice, ScopeRole } from '../port.ts';
import type { Installation, Membership, Repository } from './schema.ts';

/** GitHub's answers as the port's words. Pure: values in, values out. */

/**
 * What runners cannot live without, by ARC's documentation ("Authenticating ARC to the GitHub API"). `actions: read`, by
 * which we hear of jobs, is not among it: an installation without it serves jobs all the same.
 */
const needed: Partial<Record<ScopeLevel, Record<string, 'read' | 'write'>>> = {
  organization: { organization_self_hosted_runners: 'write', metadata: 'read' },
  repository: { administration: 'write', metadata: 'read' },
};

export function missingPermissions(level: ScopeLevel, granted: Record<string, string>): string[] {
  const missing = Object.entries(needed[level] ?? {}).filter(([name, need]) => !holds(granted[name], need));
  return missing.map(([name, need]) => `${name}: ${need}`);
}

function holds(granted: string | undefined, need: 'read' | 'write'): boolean {
  return granted === need || granted === 'write' || granted === 'admin';
}

export function membershipRole({ state, role }: Membership): ScopeRole {
  return state !== 'active' || role === 'billing_manager' ? 'none' : role;
}

/** Everybody may read a public repository, so reading alone makes nobody a member. */
export function repositoryRole({ permissions, private: hidden }: Repository): ScopeRole {
  if (permissions?.admin) return 'admin';
  return permissions?.push || hidden ? 'member' : 'none';
}

export function organizationChoice(
  org: { id: string; login: string; name?: string | null | undefined },
  installation: Installation | null,
  installUrl: string,
): ScopeChoice {
  return {
    level: 'organization',
    path: org.login,
    scopeId: org.id,
    name: org.name || org.login,
    ownerId: org.id,
    private: false,
    ...installationPart('organization', installation, installUrl),
  };
}

export function repositoryChoice(
  repository: Repository,
  installation: Installation | null,
  installUrl: string,
): ScopeChoice {
  return {
    level: 'repository',
    path: repository.full_name,
    scopeId: repository.id,
    name: repository.name,
    ownerId: repository.owner.id,
    private: repository.private,
    ...installationPart('repository', installation, installUrl),
  };
}

function installationPart(level: ScopeLevel, installation: Installation | null, installUrl: string) {
  const credential = 'installation' as const;
  if (!installation) return { installation: null, installUrl, credential };
  return {
    credential,
    installation: {
      id: installation.id,
      suspended: installation.suspended_at !== null,
      permissionsMissing: missingPermissions(level, installation.permissions),
      repositorySelection: installation.repository_selection,
    },
    installUrl: installation.html_url,
  };
}
