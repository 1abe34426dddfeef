import { unsafeDb } from '#lib/db/index.ts';

const dayMs = 24 * 3_600_000;
/** Longer than anybody comes back to a plan: by then the world has overtaken it. */
const keptDays = 30;
const rowsMost = 1_000;

/**
 * Forgets plans that nobody applied, and that are older than thirty days: one is made by each look at what would change, and
 * holds all of it. What was applied stays, as the history of its enrollment; so does what an operator was asked about, which
 * the request's page shows. Returns how many.
 */
export async function prunePlans(now: Date): Promise<number> {
  const before = new Date(now.getTime() - keptDays * dayMs);
  let gone = 0;
  for (;;) {
    const count = await unsafeDb().$executeRaw`
      delete from plan where id in (
        select id from plan
        where state in ('open', 'stale', 'discarded') and created_at < ${before}
          and not exists (select from approval_request where plan_id = plan.id)
        limit ${rowsMost} for update skip locked)`;
    gone += count;
    if (count < rowsMost) return gone;
  }
}
