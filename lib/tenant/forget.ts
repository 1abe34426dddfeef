import { unsafeDb } from '#lib/db/index.ts';
import { forgetAttempts } from './attempts.ts';
import { deviceLoginMs, forgetDevices } from './device.ts';

/** What was answered under an idempotency key is kept for so long: it may hold what is shown once. */
export const answersKeptMs = 24 * 3600_000;

/** Lets go of what programs left behind and nobody can ask for any more, whether they ask again or not. */
export async function forgetPast(now: Date): Promise<void> {
  const kept = new Date(now.getTime() - answersKeptMs);
  await unsafeDb().apiAnswer.deleteMany({ where: { createdAt: { lt: kept } } });
  await forgetDevices(now);
  await forgetAttempts(now, deviceLoginMs);
}
