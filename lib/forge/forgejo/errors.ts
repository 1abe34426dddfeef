import type { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { ScopeLevel } from '../../model/index.ts';
import { ForgeError } from '../forge-error.ts';
import type { LimitSaid } from '../limits.ts';
import { loggable } from '../loggable.ts';
import type { Ask } from './client.ts';

/** What the forge answered where it did not do what was asked. */
export type Refusal = { status: number; message: string; headers: Headers };

/** What a refused call means to us; see the contract on `Forge`. */
export function callError(refusal: Refusal, forge: string, ask: Ask): AppError {
  const { status } = refusal;
  const log = refusalLog(refusal, forge, ask);
  if (status === 401) return ask.as && 'user' in ask.as ? tokenEndedError(log, forge) : credentialError(log, ask.about);
  if (status === 403) return forbiddenError(refusal, log, ask);
  if (status === 404) return notFoundError(ask.about);
  if (status === 409) return conflictError(log, ask.about);
  if (status >= 500) return awayError(log, forge);
  if (status < 400) return nonsenseError(forge, ask.about, `a redirect, ${status}`);
  return unexpectedError(log, forge);
}

export function refusalLog({ status, message }: Refusal, forge: string, { about }: Pick<Ask, 'about'>): string {
  return `${forge} for ${about}: ${status} ${loggable(message)}`;
}

/**
 * How long a limit says to wait, or null where it is none. `retry-after` is seconds or a date. Neither forge limits by itself;
 * what stands before it does.
 */
export function limitSaid({ status, headers }: Pick<Refusal, 'status' | 'headers'>): LimitSaid | null {
  if (status !== 429) return null;
  const said = headers.get('retry-after');
  if (said === null) return 'unnamed';
  const waitMs = /^\d+$/.test(said) ? Number(said) * 1000 : Date.parse(said) - serverNowMs(headers);
  return Number.isFinite(waitMs) ? Math.max(waitMs, 1000) : 'unnamed';
}

/**
 * The token end-point where it decides nothing about the grant, since it is away. What OAuth calls `server_error` and
 * `temporarily_unavailable` comes with such a status, and ends nobody's sign-in.
 */
export function undecidedError(forge: string, { status }: Response): AppError | null {
  return status >= 500 ? awayError(`${forge}: the token end-point answered ${status}`, forge) : null;
}

/** A date is reckoned by the clock that it was written by. */
function serverNowMs(headers: Headers): number {
  return Date.parse(headers.get('date') ?? '') || Date.now();
}

/**
 * The scopes that a token lacks, as its refusal names them, or null where it is refused for another reason. Forgejo writes
 * `… required scope(s): [write:user]`, Gitea 1.26 `… required scope(s), required=[write:user], token scope=…`.
 */
export function scopesLacking(message: string): string[] | null {
  const named = /required scope\(s\)[:,]?\s*(?:required=)?\[([^\]]*)\]/.exec(message)?.[1];
  if (named !== undefined) return named.split(/[\s,]+/).filter((scope) => /^[\w:]+$/.test(scope));
  return message.includes('required scope') ? [] : null;
}

function tokenEndedError(log: string, forge: string): AppError {
  return new AppError('unauthenticated', {
    log,
    screen: { happened: `Your access to ${hostOf(forge)} has ended.`, todo: 'Give a new access token.' },
  });
}

function credentialError(log: string, about: string): AppError {
  return new ForgeError('forbidden', {
    log,
    reason: 'TokenEnded',
    screen: { happened: `The access token for ${about} is no longer valid.`, todo: 'Give a new access token.' },
  });
}

function forbiddenError({ message }: Refusal, log: string, ask: Ask): AppError {
  const lacking = scopesLacking(message);
  if (lacking) return scopeMissingError(log, lacking);
  return new AppError('forbidden', {
    log,
    screen: {
      happened: `${ask.as && 'user' in ask.as ? 'You may' : 'The owner of the access token may'} not do that on ${ask.about}.`,
      todo: 'An owner must do it, or give the token.',
    },
  });
}

function scopeMissingError(log: string, lacking: string[]): AppError {
  return new ForgeError('forbidden', {
    log,
    reason: 'TokenScopeMissing',
    screen: {
      happened: `The access token lacks ${lacking.length > 0 ? lacking.join(', ') : 'a scope'}.`,
      todo: 'Make a new one with it; the scopes of a token cannot be changed.',
    },
  });
}

function conflictError(log: string, about: string): AppError {
  return new AppError('conflict', {
    log,
    screen: { happened: `Somebody changed ${about} at the same time.`, todo: 'Try again.' },
  });
}

/** Another call for the same runner won. */
export function runnerConflictError(name: string): AppError {
  return conflictError(`the runner ${name} was registered twice at once`, `the runner ${name}`);
}

function awayError(log: string, forge: string): AppError {
  return new AppError('unavailable', {
    log,
    screen: {
      happened: `${hostOf(forge)} is not able to answer now.`,
      changed: 'If a change was on its way, we cannot say whether it arrived.',
      todo: 'The portal looks again by itself; try again in a minute.',
    },
  });
}

function unexpectedError(log: string, forge: string): AppError {
  return new AppError('internal', {
    log,
    screen: {
      happened: `${hostOf(forge)} refused what the portal asked for.`,
      todo: 'Tell the operator; the log says more.',
    },
  });
}

export function notFoundError(about: string): AppError {
  return new AppError('not_found', {
    log: `${about} is not there, or hidden`,
    screen: { happened: `${about} does not exist, or you may not see it.`, todo: 'Check its name.' },
  });
}

export function nonsenseError(forge: string, route: string, why: z.ZodError | string): AppError {
  const paths = typeof why === 'string' ? why : why.issues.map((issue) => issue.path.join('.')).join(', ');
  return new AppError('unavailable', {
    log: `${forge}: ${route} answered what we cannot read: ${paths.slice(0, 200)}`,
    screen: {
      happened: `${hostOf(forge)} answered something that the portal does not understand.`,
      changed: 'We cannot say whether anything was changed there.',
      todo: 'If this stays, the operator must check that address.',
    },
  });
}

export function levelError(level: ScopeLevel | 'person'): AppError {
  return new AppError('invalid', {
    log: `forgejo: there is no level ${level}`,
    screen: {
      happened: `Forgejo has no level ${level}.`,
      todo: 'Choose a repository, an organization or your account.',
    },
  });
}

/** There are no Apps here: an installation could only be another forge's. */
export function installationError(path: string): AppError {
  return new AppError('invalid', {
    log: `${path} was to be reached by an installation`,
    screen: { happened: `${path} is reached by an access token.`, todo: 'Give an access token for it.' },
  });
}

export function notOursError(name: string): AppError {
  return new AppError('invalid', {
    log: `the runner ${name} is not ours to change`,
    screen: { happened: `The runner ${name} was not registered by the portal.`, todo: 'Change it at the forge.' },
  });
}

/** Without a list of runners, one whose registration's answer was lost could never be found again. */
export function tooOldError(forge: string): AppError {
  return new ForgeError('forbidden', {
    log: `${forge} has no API for runners`,
    reason: 'ServerTooOld',
    screen: { happened: tooOldMessage(forge), todo: 'Its operator must upgrade it.' },
  });
}

export function tooOldMessage(forge: string): string {
  return `${hostOf(forge)} is too old to have its runners managed. Forgejo 15 or Gitea 1.24 is needed.`;
}

export function hostOf(forge: string): string {
  return new URL(forge).hostname;
}
