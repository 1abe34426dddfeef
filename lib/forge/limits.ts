import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';

/*
 * Until when a forge wants to hear nothing of somebody (F13). A limit is the asker's and not one call's: whoever asks as them
 * meanwhile, for another task, plan or page, is refused here and sends nothing. Each process learns it by itself, from one
 * answer at most.
 */

/** Of a limit that names no time. GitHub's rule, which fits the minute-long windows of the others: a minute at least, then exponential. */
const unnamedMs = { first: 60_000, most: 3600_000 };
/** A limit that comes so long after the end of the one before is the first again. */
const quietMs = 3600_000;
/** No forge's window is longer than an hour: a longer wait is a mistake, and would keep an asker out until the process ends. */
const saidMsMost = 6 * 3600_000;
/** More askers than any portal has; what has ended longest goes first. */
const keptMost = 10_000;

/** For how long a limit says to wait, in ms; `unnamed` where it does not say. */
export type LimitSaid = number | 'unnamed';

export type Limits = {
  /** Throws `rate_limited` with what is left, where this asker's limit is not over; before each request. */
  assertOpen(who: string): void;
  /** Keeps a limit that the forge has just said, and makes the error of it. `log` names no secret. */
  limited(who: string, said: LimitSaid, log: string): AppError;
};

type Kept = { untilMs: number; unnamedMs: number };

const kept = new Map<string, Kept>();

/** The limits of one connection's askers, whichever of its adapters asks. `name` is the forge's, as a person reads it. */
export function limitsOf({ id, baseUrl }: { id: string; baseUrl: string }, name: string): Limits {
  const keyOf = (who: string) => `${id} ${baseUrl} ${who}`;
  return {
    assertOpen(who) {
      const leftMs = (kept.get(keyOf(who))?.untilMs ?? 0) - Date.now();
      if (leftMs > 0) throw limitError(name, leftMs, `${baseUrl}: not asked, since a limit is not over`);
    },
    limited(who, said, log) {
      const key = keyOf(who);
      const nowMs = Date.now();
      const next = nextOf(kept.get(key), said, nowMs);
      // Put last, so that the first ones are those that were limited longest ago.
      kept.delete(key);
      kept.set(key, next);
      if (kept.size > keptMost) kept.delete(kept.keys().next().value ?? '');
      return limitError(name, next.untilMs - nowMs, log);
    },
  };
}

function nextOf(before: Kept | undefined, said: LimitSaid, nowMs: number): Kept {
  if (said !== 'unnamed')
    return { untilMs: Math.max(nowMs + Math.min(said, saidMsMost), before?.untilMs ?? 0), unnamedMs: 0 };
  // Of several that were under way at once, each is told of the same limit.
  if (before && before.untilMs > nowMs) return before;
  const isAgain = before !== undefined && nowMs - before.untilMs < quietMs;
  const waitMs = Math.min(unnamedMs.most, isAgain ? Math.max(unnamedMs.first, before.unnamedMs * 2) : unnamedMs.first);
  return { untilMs: nowMs + waitMs, unnamedMs: waitMs };
}

/** A secret as a part of a key: what is kept tells nothing of it. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64');
}

function limitError(name: string, retryAfterMs: number, log: string): AppError {
  const minutes = Math.ceil(retryAfterMs / 60_000);
  return new AppError('rate_limited', {
    log,
    retryAfterMs,
    screen: {
      happened: `${name} answers no more requests of ours for now.`,
      todo: `It goes on by itself in ${minutes === 1 ? 'a minute' : `${minutes} minutes`}.`,
    },
  });
}
