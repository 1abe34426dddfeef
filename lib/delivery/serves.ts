import type { WorkflowJob } from '../forge/index.ts';
import { scopeContains, type ScopeLevel } from '../model/index.ts';

/**
 * Whether runners of this scope serve that repository. Compared by the forge's ids: paths are renamed, and a name that was
 * given up may be taken by somebody else. Only of GitLab's groups, which nest and which its events do not name, the path
 * decides, as it was when the enrollment was last looked at.
 */
export function servesRepository(
  scope: { level: ScopeLevel; scopeId: string; path: string },
  job: Pick<WorkflowJob, 'repositoryId' | 'repository' | 'ownerId' | 'enterpriseId'>,
): boolean {
  if (scope.level === 'instance') return true;
  if (scope.level === 'group')
    return scopeContains({ forge: '', ...scope }, { forge: '', level: 'project', path: job.repository });
  if (scope.level === 'repository' || scope.level === 'project') return scope.scopeId === job.repositoryId;
  if (scope.level === 'enterprise') return scope.scopeId === job.enterpriseId;
  return scope.scopeId === job.ownerId;
}
