import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';

/* How often something may be tried, where no token says who tries it; counted in the database, whichever process is asked. */

export type AttemptLimit = { most: number; windowMs: number };

/** Counts one more attempt; throws where it is one too many within the window. */
export async function countAttempt(key: string, { most, windowMs }: AttemptLimit, now: Date): Promise<void> {
  const ended = new Date(now.getTime() - windowMs);
  const [row] = await unsafeDb().$queryRaw<{ since: Date; attempts: number }[]>`
    /* prepared: count_attempt */
    insert into attempt_count as c (key, since, attempts) values (${key}, ${now}, 1)
    on conflict (key) do update set
      since = case when c.since <= ${ended} then excluded.since else c.since end,
      attempts = case when c.since <= ${ended} then 1 else c.attempts + 1 end
    returning since, attempts`;
  const { since, attempts } = row ?? { since: now, attempts: 1 };
  if (attempts <= most) return;
  const retryAfterMs = Math.max(1000, since.getTime() + windowMs - now.getTime());
  throw new AppError('rate_limited', {
    log: `too many attempts: ${key}`,
    retryAfterMs,
    screen: {
      happened: 'This was tried too often.',
      todo: `Go on in ${Math.ceil(retryAfterMs / 60_000)} min.`,
    },
  });
}

/** Lets go of what no window reaches any more. */
export async function forgetAttempts(now: Date, windowMs: number): Promise<void> {
  await unsafeDb().attemptCount.deleteMany({ where: { since: { lt: new Date(now.getTime() - windowMs) } } });
}
