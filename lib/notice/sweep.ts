import { unsafeDb } from '#lib/db/index.ts';
import { logKeptMs } from './schedule.ts';

/** Longer than anything that is told once goes on being so. */
const noticesKeptMs = 2 * 365 * 24 * 3600_000;

/** Lets go of what was sent, and of what was told, long ago. What still waits stays. */
export async function sweepNotices(now: Date): Promise<void> {
  const before = (ms: number) => ({ createdAt: { lt: new Date(now.getTime() - ms) } });
  await unsafeDb().webhookMessage.deleteMany({ where: { state: { not: 'waiting' }, ...before(logKeptMs) } });
  await unsafeDb().notice.deleteMany({ where: before(noticesKeptMs) });
}
