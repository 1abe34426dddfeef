import { createHash } from 'node:crypto';
import { held } from './held.ts';

/*
 * What this process saw of the others: when each forge and cluster last answered, why it last did not, and what a forge says
 * that it still takes. In memory; who shows it writes it down.
 */

export type Standing = { answeredAt: number | null; failedAt: number | null; failure: string | null };
/** Of one asker: what is left of how many until when. */
export type Allowance = { remaining: number; limit: number; resetsAt: number };
export type ForgeStanding = Standing & { allowances: Map<string, Allowance> };
export type Seen = { forges: Map<string, ForgeStanding>; clusters: Map<string, Standing> };

const unseen: Standing = { answeredAt: null, failedAt: null, failure: null };
/** More askers than a forge has of ours within an hour; those whose window is over go first. */
const askersMost = 2_000;

/** `failure` in words that operators read: no secret, and nothing of the other side's own. */
export type Answer = { failure: string | null };

function after(before: Standing, { failure }: Answer, now: number): Standing {
  return failure === null ? { ...before, answeredAt: now } : { ...before, failedAt: now, failure };
}

export function sawForge(connectionId: string, answer: Answer, now = Date.now()): void {
  const { forges } = held().seen;
  const before = forges.get(connectionId) ?? { ...unseen, allowances: new Map() };
  forges.set(connectionId, { ...before, ...after(before, answer, now) });
}

export function sawCluster(clusterId: string, answer: Answer, now = Date.now()): void {
  const { clusters } = held().seen;
  clusters.set(clusterId, after(clusters.get(clusterId) ?? unseen, answer, now));
}

type HeadersLike = { get(name: string): string | null };

function numberIn(headers: HeadersLike, names: readonly string[]): number | null {
  const text = names.map((name) => headers.get(name)).find((value) => value !== null);
  return text && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/**
 * What GitHub and GitLab say of the asker's window in every answer; Forgejo has none.
 * https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api and GitLab's "Rate limit headers".
 */
export function allowanceIn(headers: HeadersLike): Allowance | null {
  const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map((part) =>
    numberIn(headers, [`x-ratelimit-${part}`, `ratelimit-${part}`]),
  );
  if (limit == null || remaining == null || reset == null || limit === 0) return null;
  return { limit, remaining, resetsAt: reset * 1000 };
}

/** `asker` is by what they ask, and may be a secret: of it a hash is kept. */
export function sawAllowance(connectionId: string, asker: string, allowance: Allowance, now = Date.now()): void {
  const allowances = held().seen.forges.get(connectionId)?.allowances;
  if (!allowances) return;
  const who = createHash('sha256').update(asker).digest('base64url').slice(0, 12);
  allowances.delete(who);
  allowances.set(who, allowance);
  for (const [other, { resetsAt }] of allowances)
    if (resetsAt <= now || allowances.size > askersMost) allowances.delete(other);
}

/** Of those whose window is not over, the one that has the least share left; null where nobody was told of any. */
export function tightest(connectionId: string, now = Date.now()): Allowance | null {
  const open = [...(held().seen.forges.get(connectionId)?.allowances.values() ?? [])].filter(
    ({ resetsAt }) => resetsAt > now,
  );
  const share = ({ remaining, limit }: Allowance) => remaining / limit;
  return open.toSorted((a, b) => share(a) - share(b))[0] ?? null;
}

/** All of it, as it can be written down. */
export function seenNow(now = Date.now()): {
  forges: Record<string, Standing & { allowance: Allowance | null }>;
  clusters: Record<string, Standing>;
} {
  const { forges, clusters } = held().seen;
  const standing = ({ answeredAt, failedAt, failure }: Standing) => ({ answeredAt, failedAt, failure });
  return {
    forges: Object.fromEntries(
      [...forges].map(([id, each]) => [id, { ...standing(each), allowance: tightest(id, now) }]),
    ),
    clusters: Object.fromEntries(clusters),
  };
}
