import { AppError, type ErrorCode } from '../errors.ts';
import type { ScopeProblem } from './port.ts';

type WaitingFor = 'forge' | 'admin' | 'operator';

/** What no retry heals. Most of it is in the hands of the scope's admins: a token, a role, a setting at the forge. */
const unhealed: Partial<Record<ErrorCode, WaitingFor>> = {
  forbidden: 'admin',
  not_found: 'admin',
  unauthenticated: 'admin',
  // What the portal itself should not have asked, or an address that it may not.
  invalid: 'operator',
};

/**
 * What a call to a forge ended in. Who asks a forge in the midst of other work, which asks the cluster too, is told by it whom
 * to wait for.
 */
export class ForgeError extends AppError {
  readonly waitingFor: WaitingFor;
  /** The word for it, where an observation has one for the same. */
  readonly reason: ScopeProblem['reason'] | undefined;

  constructor(
    code: ErrorCode,
    options: ConstructorParameters<typeof AppError>[1] & {
      waitingFor?: WaitingFor;
      reason?: ScopeProblem['reason'];
    },
  ) {
    super(code, options);
    this.waitingFor = options.waitingFor ?? unhealed[code] ?? 'forge';
    this.reason = options.reason;
  }
}

/**
 * The same calls, of which each says that it was a forge that failed: what the guard and the limits say does not tell.
 */
export function ofForge<T extends object>(calls: T): T {
  const telling = Object.entries(calls).map(([name, each]: [string, unknown]) => [name, tellingOne(each)]);
  return Object.fromEntries(telling) as T;
}

function tellingOne(call: unknown): unknown {
  if (typeof call !== 'function') return call;
  return (...given: unknown[]): unknown => {
    try {
      const answer: unknown = call(...given);
      return answer instanceof Promise ? answer.catch(throwForgeError) : answer;
    } catch (error) {
      return throwForgeError(error);
    }
  };
}

function throwForgeError(error: unknown): never {
  if (!(error instanceof AppError) || error instanceof ForgeError) throw error;
  const { code, message: log, screen, retryAfterMs, cause } = error;
  throw new ForgeError(code, { log, screen, cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}
