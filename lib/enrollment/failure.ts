import { ClusterRefused } from '#lib/cluster/index.ts';
import type { AppError, ErrorCode } from '#lib/errors.ts';
import { ForgeError } from '#lib/forge/index.ts';
import type { Reason } from '#lib/model/index.ts';
import type { PhaseResult } from './conditions.ts';
import type { Phase } from './pass.ts';

/* What a phase that failed says: why, in a word, and who has to act. */

export function isRetryable(error: AppError): boolean {
  return ['unavailable', 'rate_limited', 'internal', 'stale'].includes(error.code);
}

const sideOf: Record<string, PhaseResult['waitingFor']> = {
  ForgeReady: 'forge',
  ForgeGone: 'forge',
  CacheReady: 'cache',
  CacheGone: 'cache',
};

const reasonOf: Partial<Record<ErrorCode, Reason>> = {
  unavailable: 'Away',
  stale: 'ChangedMeanwhile',
  rate_limited: 'RateLimited',
  conflict: 'Conflict',
  forbidden: 'Refused',
  invalid: 'Invalid',
};

/** What is the portal's at a forge bears its name and no other's, so that a conflict is two at once. */
const reasonOfForge: typeof reasonOf = {
  ...reasonOf,
  conflict: 'ChangedMeanwhile',
  not_found: 'ScopeGone',
  unauthenticated: 'TokenEnded',
};

/** A create that was cut off is counted though nothing was made, until the cluster counts anew: what is over by that needs nobody. */
function isOverQuota(error: AppError): boolean {
  return error instanceof ClusterRefused && error.isOverQuota;
}

function reasonFor(error: AppError): Reason {
  if (error instanceof ForgeError) return error.reason ?? reasonOfForge[error.code] ?? 'Failed';
  if (isOverQuota(error)) return 'QuotaExceeded';
  const hasFailed = error.code === 'unavailable' && error instanceof ClusterRefused;
  return hasFailed ? 'ServerFailed' : (reasonOf[error.code] ?? 'Failed');
}

/** What heals by itself waits for the other side, what does not waits for a person. More phases than one ask the forge. */
function waitedForOf(phase: Pick<Phase, 'type'>, error: AppError): PhaseResult['waitingFor'] {
  if (error instanceof ForgeError) return error.waitingFor;
  const heals = isRetryable(error) || isOverQuota(error);
  return heals ? (sideOf[phase.type] ?? 'cluster') : 'operator';
}

/** An error as a condition. */
export function resultOf(phase: Pick<Phase, 'type'>, error: AppError): PhaseResult {
  return {
    status: 'False',
    reason: reasonFor(error),
    message: [error.screen.happened, error.screen.todo].filter(Boolean).join(' '),
    waitingFor: waitedForOf(phase, error),
  };
}
