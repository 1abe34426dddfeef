const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** How long after each attempt the next one comes, unless the receiver asks for longer. */
const delaysMs = [10 * second, minute, 5 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 8 * hour, 8 * hour];

/** A message that was not taken by then is given up. */
export const giveUpAfterMs = 24 * hour;
/** An endpoint that let this many messages in a row be given up is disabled. */
export const givenUpMost = 5;
/** After a rotation the secret before signs too for this long. */
export const bothSecretsMs = 24 * hour;
/** What was sent is kept this long. */
export const logKeptMs = 30 * 24 * hour;

/**
 * When to try again after `attempts` of them failed, or null where the message is given up: none is left, or the next would
 * come more than a day after the first. `retryAfterMs` is what the receiver asked for.
 */
export function nextAttempt(attempts: number, beganAt: Date, now: Date, retryAfterMs: number): Date | null {
  const delay = delaysMs[attempts - 1];
  if (delay === undefined) return null;
  const next = now.getTime() + Math.max(delay, retryAfterMs);
  return next - beganAt.getTime() > giveUpAfterMs ? null : new Date(next);
}

/** The `Retry-After` of an answer, in ms: seconds or a date (RFC 9110, 10.2.3). 0 where it says nothing of use. */
export function retryAfterMs(header: string | null, now: Date): number {
  if (header === null) return 0;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * second;
  const at = Date.parse(header);
  return Number.isNaN(at) ? 0 : Math.max(0, at - now.getTime());
}
