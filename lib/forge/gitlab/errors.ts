import type { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { ScopeLevel } from '../../model/index.ts';
import { ForgeError } from '../forge-error.ts';
import type { LimitSaid } from '../limits.ts';
import { loggable } from '../loggable.ts';
import type { Ask } from './client.ts';

export type Refusal = { status: number; message: string; headers: Headers };

/** Any answer of GitLab's that is not a success. */
export class RefusedByGitlab extends Error {
  override name = 'RefusedByGitlab';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(`GitLab answered ${refusal.status}`);
    this.refusal = refusal;
  }
}

export function refusalOf(error: unknown): Refusal | undefined {
  return error instanceof RefusedByGitlab ? error.refusal : undefined;
}

/** What a refused or failed call means to us; see the contract on `Forge`. */
export function callError(error: unknown, forge: string, ask: Ask): AppError {
  if (error instanceof AppError) return error;
  const refusal = refusalOf(error);
  if (!refusal) return brokenError(error, forge);
  const log = refusalLog(refusal, forge, ask);
  if (refusal.status === 401) return tokenEndedError(log, ask);
  if (refusal.status === 403) return forbiddenError(refusal, log, ask);
  if (refusal.status === 404) return notFoundError(ask.about);
  if (refusal.status === 409) return conflictError(log, ask.about);
  if (refusal.status >= 500) return awayError(log, forge);
  // A redirect is handed back by the guard, and an API that answers with one is not where we think it is.
  if (refusal.status < 400) return nonsenseError(forge, ask.about, `a redirect, ${refusal.status}`);
  return unexpectedError(log, forge);
}

export function refusalLog({ status, message }: Refusal, forge: string, { about }: Pick<Ask, 'about'>): string {
  return `${forge} for ${about}: ${status} ${loggable(message)}`;
}

/**
 * How long a limit says to wait, or null where it is none: after `Retry-After`, else until `RateLimit-Reset` by GitLab's own
 * clock (https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers).
 */
export function limitSaid({ status, headers }: Pick<Refusal, 'status' | 'headers'>): LimitSaid | null {
  if (status !== 429) return null;
  const retryAfterS = Number(headers.get('retry-after') ?? Number.NaN);
  if (Number.isFinite(retryAfterS)) return Math.max(retryAfterS * 1000, 1000);
  const resetS = Number(headers.get('ratelimit-reset') ?? Number.NaN);
  if (!Number.isFinite(resetS)) return 'unnamed';
  const nowMs = Date.parse(headers.get('date') ?? '') || Date.now();
  return Math.max(resetS * 1000 - nowMs, 1000);
}

const endedWords = {
  person: { happened: 'Your sign-in at GitLab has ended.', todo: 'Sign in again.' },
  given: {
    happened: 'GitLab does not know this access token, or it has ended.',
    todo: 'Make a new one and give it here.',
  },
};

function tokenEndedError(log: string, { as, about }: Ask): AppError {
  if (as.whose !== 'scope') return new AppError('unauthenticated', { log, screen: endedWords[as.whose] });
  return new ForgeError('forbidden', {
    log,
    reason: 'TokenEnded',
    screen: {
      happened: `The access token for ${about} has ended or was revoked.`,
      todo: 'Somebody who may must give the enrollment a new one.',
    },
  });
}

export function lacksScope({ message }: Refusal): boolean {
  return /insufficient_scope|higher privileges/i.test(message);
}

function forbiddenError(refusal: Refusal, log: string, { as, about }: Ask): AppError {
  const scopes = lacksScope(refusal);
  return new ForgeError('forbidden', {
    log,
    ...(scopes ? { reason: 'TokenScopeMissing' as const } : {}),
    screen: {
      happened: scopes
        ? `The token lacks a scope that ${about} needs.`
        : `GitLab does not let ${as.whose === 'person' ? 'you' : 'this access token'} do that on ${about}.`,
      todo: scopes
        ? 'Make an access token with the scopes that are asked for.'
        : 'Check the role there: it may be too low.',
    },
  });
}

/** The role is right and the answer is no: whoever owns the group or the server has switched it off, which no reading tells. */
export function registrationError(about: string): AppError {
  return new ForgeError('forbidden', {
    log: `GitLab refuses to make a runner for ${about}`,
    reason: 'RegistrationDisabled',
    screen: {
      happened: `GitLab lets this access token make no runner for ${about}.`,
      todo: 'Check its role there, and that runners may be registered (Settings, CI/CD, Runners; also in the groups above).',
    },
  });
}

export function grantError(forge: string, error: string): AppError {
  const mistaken = error === 'invalid_client' || error === 'unauthorized_client' || error === 'invalid_redirect_uri';
  return new AppError(mistaken ? 'forbidden' : 'unauthenticated', {
    // `error` is one of OAuth's own words; it is cut in case it is anything else.
    log: `${forge} refused a grant: ${error.replace(/[^\w ]/g, '').slice(0, 60)}`,
    screen: mistaken
      ? {
          happened: 'GitLab refuses the portal itself.',
          todo: 'The operator must check the application’s id, secret and redirect URI.',
        }
      : endedWords.person,
  });
}

function conflictError(log: string, about: string): AppError {
  return new AppError('conflict', {
    log,
    screen: { happened: `Somebody changed ${about} at the same time.`, todo: 'Try again.' },
  });
}

export function awayError(log: string, forge: string): AppError {
  return new AppError('unavailable', {
    log,
    screen: {
      happened: `${new URL(forge).hostname} is not able to answer now.`,
      changed: 'If a change was on its way, we cannot say whether it arrived.',
      todo: 'The portal looks again by itself; try again in a minute.',
    },
  });
}

function unexpectedError(log: string, forge: string): AppError {
  return new AppError('internal', {
    log,
    screen: {
      happened: `${new URL(forge).hostname} refused what the portal asked for.`,
      todo: 'Tell the operator; the log says more.',
    },
  });
}

/** Neither GitLab's answer nor the guard's: a mistake of ours. The message could quote what was sent. */
function brokenError(error: unknown, forge: string): AppError {
  return new ForgeError('internal', {
    waitingFor: 'operator',
    log: `${forge}: the request could not be made (${error instanceof Error ? error.name : typeof error})`,
    screen: { happened: 'The portal could not make its request to GitLab.', todo: 'Tell the operator.' },
  });
}

export function notFoundError(about: string): AppError {
  return new AppError('not_found', {
    log: `GitLab shows no ${about}`,
    screen: {
      happened: `${about} does not exist, or it is not shown to you.`,
      todo: 'Check the name, and your role there.',
    },
  });
}

export function nonsenseError(forge: string, asked: string, why: z.ZodError | string): AppError {
  const paths = typeof why === 'string' ? why : why.issues.map((issue) => issue.path.join('.')).join(', ');
  return new AppError('unavailable', {
    log: `${forge}: ${asked} answered what we cannot read: ${paths.slice(0, 200)}`,
    screen: {
      happened: `${new URL(forge).hostname} answered something that the portal does not understand.`,
      changed: 'We cannot say whether anything was changed there.',
      todo: 'If this stays, the operator must check that address.',
    },
  });
}

export function levelError(level: ScopeLevel): AppError {
  return new AppError('invalid', {
    log: `gitlab: there is no level ${level}`,
    screen: { happened: `GitLab has no level ${level}.`, todo: 'Choose a project, a group or the whole instance.' },
  });
}

export function credentialError(): AppError {
  return new AppError('invalid', {
    log: 'gitlab: asked to act by an installation',
    screen: { happened: 'GitLab has no Apps to act by.', todo: 'Give the enrollment an access token.' },
  });
}

/** Another call for the same runner won. */
export function runnerConflictError(name: string): AppError {
  return conflictError(`the runner ${name} was made twice at once`, `the runner ${name}`);
}

export function foreignRunnerError(name: string): AppError {
  return new AppError('invalid', {
    log: `the runner ${name} is not ours to change`,
    screen: { happened: `The runner ${name} was not made by the portal for this scope.`, todo: 'Change it at GitLab.' },
  });
}
