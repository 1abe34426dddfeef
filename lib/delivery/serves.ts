import type { WorkflowJob } from '../forge/index.ts';
import type { ScopeLevel } from '../model/index.ts';

/**
 * Whether runners of this scope serve that repository. Compared by the forge's ids: paths are renamed, and a name that was
 * given up may be taken by somebody else.
 */
export function servesRepository(
  scope: { level: ScopeLevel; scopeId: string },
  job: Pick<WorkflowJob, 'repositoryId' | 'ownerId' | 'enterpriseId'>,
): boolean {
  if (scope.level === 'repository' || scope.level === 'project') return scope.scopeId === job.repositoryId;
  if (scope.level === 'enterprise') return scope.scopeId === job.enterpriseId;
  return scope.level !== 'instance' && scope.scopeId === job.ownerId;
}
