import type { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { ScopeLevel } from '../../model/index.ts';
import { ForgeError } from '../forge-error.ts';
import type { LimitSaid } from '../limits.ts';
import { loggable } from '../loggable.ts';
import type { ForgeConnectionValue } from '../port.ts';
import type { Ask } from './client.ts';
import { Refused } from './schema.ts';

export type Refusal = { status: number; message: string; headers: Record<string, string | undefined> };

/** What GitHub answered, if it was GitHub that answered: Octokit also says 500 when nobody did. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof Error) || !('status' in error) || !('response' in error)) return undefined;
  const response = error.response as { status: number; headers?: Record<string, string | undefined> } | undefined;
  if (!response) return undefined;
  return { status: response.status, message: error.message, headers: response.headers ?? {} };
}

type Asked = Pick<ForgeConnectionValue, 'baseUrl' | 'app'>;

/** What a refused or failed call means to us; see the contract on `Forge`. */
export function callError(error: unknown, connection: Asked, ask: Ask): AppError {
  const { baseUrl: forge, app } = connection;
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof AppError) return each;
  }
  const refusal = refusalOf(error);
  if (!refusal) return brokenError(error, connection);
  const log = refusalLog(refusal, forge, ask);
  if (refusal.status === 401) return 'user' in ask.as ? signInAgainError(log) : appRefusedError(log, ask.about, app);
  if (refusal.status === 403) return forbiddenError(refusal, log, ask);
  if (refusal.status === 404) return notFoundError(ask.about);
  if (refusal.status === 409) return conflictError(log, ask.about);
  if (refusal.status >= 500) return awayError(log, forge);
  return unexpectedError(log, forge);
}

export function refusalLog({ status, message }: Refusal, forge: string, { about }: Pick<Ask, 'about'>): string {
  return `${forge} for ${about}: ${status} ${loggable(message)}`;
}

/**
 * How long a limit says to wait, or null where it is none. A primary limit is over at `x-ratelimit-reset`, reckoned by
 * GitHub's own clock; a secondary one after `retry-after`, where it names that.
 */
export function limitSaid({ status, message, headers }: Refusal): LimitSaid | null {
  if (status !== 403 && status !== 429) return null;
  const retryAfterS = Number(headers['retry-after']);
  if (headers['retry-after'] !== undefined && Number.isFinite(retryAfterS)) return Math.max(retryAfterS * 1000, 1000);
  const resetS = Number(headers['x-ratelimit-reset']);
  if (headers['x-ratelimit-remaining'] === '0' && Number.isFinite(resetS)) {
    const nowMs = Date.parse(headers['date'] ?? '') || Date.now();
    return Math.max(resetS * 1000 - nowMs, 1000);
  }
  return status === 429 || /rate limit|abuse detection/i.test(message) ? 'unnamed' : null;
}

/** The same of the token end-point's answer. */
export function grantLimitSaid({ status, headers }: Response, answer: unknown): LimitSaid | null {
  const { message } = Refused.safeParse(answer).data ?? { message: '' };
  return limitSaid({ status, message, headers: Object.fromEntries(headers) });
}

/**
 * The token end-point where it decides nothing about the grant, since it is away. What OAuth calls `server_error` and
 * `temporarily_unavailable` comes with such a status, and ends nobody's sign-in.
 */
export function undecidedError(forge: string, { status }: Response): AppError | null {
  return status >= 500 ? awayError(`${forge}: the token end-point answered ${status}`, forge) : null;
}

function signInAgainError(log: string): AppError {
  return new AppError('unauthenticated', {
    log,
    screen: { happened: 'Your sign-in at GitHub has ended.', todo: 'Sign in again.' },
  });
}

/** Who keeps the App’s key, and what they do. */
function keptBy(app: Asked['app']): { waitingFor: 'admin' | 'operator'; todo: string } {
  if (!app?.isOwn) return { waitingFor: 'operator', todo: 'The operator must check the App’s id and private key.' };
  const todo = `An admin of the tenant must make a new private key for the App ${app.slug} at GitHub, and enter it under Settings, GitHub Apps.`;
  return { waitingFor: 'admin', todo };
}

function appRefusedError(log: string, about: string, app: Asked['app']): AppError {
  const { waitingFor, todo } = keptBy(app);
  const happened = `GitHub refuses the App’s credentials for ${about}.`;
  return new ForgeError('forbidden', { log, waitingFor, screen: { happened, todo } });
}

function forbiddenError({ message }: Refusal, log: string, ask: Ask): AppError {
  const suspended = /suspended/i.test(message);
  return new ForgeError('forbidden', {
    log,
    ...(suspended ? { reason: 'AppSuspended' as const } : {}),
    screen: {
      happened: suspended
        ? `The App’s installation on ${ask.about} is suspended.`
        : `GitHub does not let ${'user' in ask.as ? 'you' : 'the App'} do that on ${ask.about}.`,
      todo: suspended
        ? 'An owner must unsuspend it in the organization’s settings at GitHub.'
        : 'An owner must check the permissions of the App’s installation at GitHub.',
    },
  });
}

function conflictError(log: string, about: string): AppError {
  return new AppError('conflict', {
    log,
    screen: { happened: `Somebody changed ${about} at the same time.`, todo: 'Try again.' },
  });
}

function awayError(log: string, forge: string): AppError {
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

/** Neither the forge's answer nor the guard's: a key that is no key, or a mistake of ours. The message could quote it. */
function brokenError(error: unknown, { baseUrl, app }: Asked): AppError {
  const { waitingFor, todo } = keptBy(app);
  return new ForgeError('internal', {
    log: `${baseUrl}: the request could not be made (${error instanceof Error ? error.name : typeof error})`,
    waitingFor,
    screen: { happened: 'The portal could not make its request to the forge.', todo },
  });
}

export function notFoundError(about: string): AppError {
  return new AppError('not_found', {
    log: `GitHub shows no ${about}`,
    screen: {
      happened: `${about} does not exist, or it is not shown to you.`,
      todo: 'Check the name, and that the App is installed there.',
    },
  });
}

export function notAnAppError(connectionId: string): AppError {
  return new ForgeError('forbidden', {
    log: `connection ${connectionId} has no App`,
    waitingFor: 'operator',
    screen: {
      happened: 'This forge has no App, so nothing can be enrolled on it.',
      todo: 'The operator must register one.',
    },
  });
}

export function nonsenseError(forge: string, route: string, why: z.ZodError | string): AppError {
  const paths = typeof why === 'string' ? why : why.issues.map((issue) => issue.path.join('.')).join(', ');
  return new AppError('unavailable', {
    log: `${forge}: ${route} answered what we cannot read: ${paths.slice(0, 200)}`,
    screen: {
      happened: `${new URL(forge).hostname} answered something that the portal does not understand.`,
      changed: 'We cannot say whether anything was changed there.',
      todo: 'If this stays, the operator must check that address.',
    },
  });
}

export function levelError(level: ScopeLevel): AppError {
  return new AppError('invalid', {
    log: `github: no App registers runners at level ${level}`,
    screen:
      level === 'enterprise'
        ? {
            happened: 'GitHub lets no App and no fine-grained token register runners for an enterprise.',
            todo: 'An owner of the enterprise must make a classic token; or enrol its organizations one by one.',
          }
        : { happened: `GitHub has no level ${level}.`, todo: 'Choose an organization or a repository.' },
  });
}

/** Organizations and repositories are served by an App's installation, never by somebody's token. */
export function credentialError(path: string): AppError {
  return new AppError('invalid', {
    log: `${path} was to be reached with a token`,
    screen: { happened: `${path} is served by a GitHub App, not by an access token.`, todo: 'Install the App on it.' },
  });
}

export function tokenEndedError(path: string): AppError {
  return new ForgeError('forbidden', {
    log: `GitHub does not know the token of ${path}`,
    reason: 'TokenEnded',
    screen: {
      happened: `The access token of ${path} has ended or was revoked.`,
      todo: 'An owner must enter a new one.',
    },
  });
}

export function mayNotManageError(path: string): AppError {
  return new ForgeError('forbidden', {
    log: `the token of ${path} may not look at its runner groups`,
    reason: 'RoleMissing',
    screen: {
      happened: `The access token of ${path} may not manage its runners.`,
      todo: 'Enter a classic token of an owner, with the scopes that are asked for.',
    },
  });
}

/** Below an enterprise GitHub is reached by Apps alone. */
export function tokenError(): AppError {
  return new AppError('invalid', {
    log: 'an access token was offered to GitHub for a scope that an App serves',
    screen: { happened: 'This GitHub scope is enrolled with an App, not with an access token.' },
  });
}
