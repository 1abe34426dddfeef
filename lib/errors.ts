/** What can go wrong, in the words that decide an HTTP status and whether a retry can heal it. */
export const errorCodes = {
  /** Not even of the form that could be checked. */
  malformed: 400,
  invalid: 422,
  unauthenticated: 401,
  /** Signed in, and asked to sign in once more. */
  reauthenticate: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  stale: 409,
  precondition_failed: 412,
  too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  unavailable: 503,
  internal: 500,
} as const;
export type ErrorCode = keyof typeof errorCodes;

/** What a person reads: what happened, whether anything was changed, what to do. */
export type Screen = {
  happened: string;
  changed: string;
  todo?: string;
  /** Messages by form field, where a field is to blame. */
  fields?: Record<string, string>;
};

export const nothingChanged = 'Nothing was changed.';

/**
 * The one error that is thrown inside; each door converts it once. `log` is for the operator's log and may name hosts and
 * statuses, never secrets; `screen` is for the person.
 */
export class AppError extends Error {
  override name = 'AppError';
  readonly code: ErrorCode;
  readonly screen: Screen;
  /** Earliest useful retry, where the other side named one. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    options: {
      log: string;
      screen: Omit<Screen, 'changed'> & { changed?: string };
      retryAfterMs?: number;
      cause?: unknown;
    },
  ) {
    super(options.log, { cause: options.cause });
    this.code = code;
    this.screen = { ...options.screen, changed: options.screen.changed ?? nothingChanged };
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A form or document that does not fit, with the message at its field. */
export function invalidFields(
  fields: Record<string, string>,
  happened = 'Some of what was entered does not fit.',
): AppError {
  return new AppError('invalid', {
    log: `invalid: ${JSON.stringify(fields)}`,
    screen: { happened, fields, todo: 'Mend what is marked and try again.' },
  });
}

export function notFound(what = 'This page'): AppError {
  return new AppError('not_found', {
    log: `${what} not found`,
    screen: {
      happened: `${what} does not exist, or you may not see it.`,
      todo: 'Check the address, or sign in as somebody who may.',
    },
  });
}

/** Any thrown value as an AppError; what was not foreseen stays vague on the screen and whole in the log. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isDatabaseAway(error)) return databaseAway(error);
  return new AppError('internal', {
    log: error instanceof Error ? error.message : String(error),
    cause: error,
    screen: {
      happened: 'Something failed that we did not foresee.',
      changed: 'We cannot say whether anything was changed.',
      todo: 'Reload the page to see the present state; if it stays, give the request id to the operator.',
    },
  });
}

/** Not reachable, timed out, closed, no free connection: https://www.prisma.io/docs/orm/reference/error-reference */
const awayCodes = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028']);
/** What a raw query says instead, whose own code is always P2010 (DriverAdapterError of @prisma/driver-adapter-utils 7). */
const awayKinds = new Set(['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TooManyConnections']);

type DatabaseError = {
  code?: unknown;
  meta?: { driverAdapterError?: { cause?: { kind?: unknown; originalCode?: unknown } } };
};

/** Known by shape: this file stands below the room of the database. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, meta } = error as DatabaseError;
  return awayCodes.has(String(code)) || awayKinds.has(String(meta?.driverAdapterError?.cause?.kind));
}

/**
 * What a raw statement with `nowait` ends in where somebody holds the row: `lock_not_available`
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
export function isLockHeld(error: unknown): boolean {
  return (error as DatabaseError | null)?.meta?.driverAdapterError?.cause?.originalCode === '55P03';
}

const databaseRetryMs = 5_000;

function databaseAway(error: unknown): AppError {
  return new AppError('unavailable', {
    log: error instanceof Error ? error.message : 'the database is away',
    cause: error,
    retryAfterMs: databaseRetryMs,
    screen: {
      happened: 'The portal’s database does not answer.',
      changed: 'What was under way is either whole or not there at all.',
      todo: 'Try again in a moment; if it stays, tell the operator.',
    },
  });
}
