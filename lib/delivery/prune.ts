import { unsafeDb } from '../db/index.ts';
import { env } from '../env.ts';

const dayMs = 24 * 3_600_000;
const rowsMost = 5_000;

/**
 * Forgets the deliveries that are older than the configured days, a few thousand at a time, so that no transaction is long;
 * any number of workers may do so at once. Returns how many.
 */
export async function pruneDeliveries(now: Date): Promise<number> {
  const before = new Date(now.getTime() - env().FLYWHEEL_DELIVERY_DAYS * dayMs);
  let gone = 0;
  for (;;) {
    const count = await unsafeDb().$executeRaw`
      delete from delivery where (connection_id, delivery_id) in (
        select connection_id, delivery_id from delivery where received_at < ${before}
        order by received_at limit ${rowsMost} for update skip locked)`;
    gone += count;
    if (count < rowsMost) return gone;
  }
}
