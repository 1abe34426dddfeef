import { z } from 'zod';
import type { Standing } from './badge.ts';

/** What one check of a proof found. `instead`: it could not be tried, and what was looked at in its place was as it should be. */
export const CheckResult = z.object({
  check: z.enum(['credential', 'route', 'attic', 'isolation', 'bazel']),
  state: z.enum(['held', 'instead', 'broken', 'off', 'waiting']),
  words: z.string(),
  at: z.string(),
  /** Of the job: what it asked for, and the jobs of its workflow that were there before it. */
  label: z.string().optional(),
  before: z.array(z.string()).optional(),
});
export type CheckResult = z.infer<typeof CheckResult>;
/** A state that is not known here is one to wait for. */
const StoredCheck = CheckResult.extend({ state: CheckResult.shape.state.catch('waiting') });
/** As they are stored, also by a worker of the next version: a check that is not known here is left out. */
export const CheckResults = z
  .array(z.unknown())
  .transform((checks) => checks.flatMap((check) => StoredCheck.safeParse(check).data ?? []));

/** How often a proof is due. */
export const proofEveryMs = 6 * 3600_000;

type Ended = { state: string; endedAt: Date | null };

/** How the proof stands by its last run that ended: what held long ago is not said to hold. */
export function standingOf(last: Ended | null, now: Date): Standing {
  if (!last?.endedAt) return 'none';
  if (last.state === 'broken') return 'broken';
  return now.getTime() - last.endedAt.getTime() > 2 * proofEveryMs ? 'stale' : 'held';
}
