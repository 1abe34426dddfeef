import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import type { Condition } from '#lib/model/index.ts';
import { notify, type NoticeInput } from '#lib/notice/index.ts';
import type { Lease } from '#lib/work/index.ts';
import type { EnrollmentRow } from './rows.ts';

/* What people are told of enrollments without asking: that one is not ready, and that an access token ends. */

/** What heals by itself is told of when it has not, for this long. */
const slowMs = 15 * 60_000;

type Told = Pick<EnrollmentRow, 'id' | 'tenantId' | 'name' | 'state' | 'generation'> & { tenant: { slug: string } };

const waitedFor: Record<Condition['waitingFor'], string> = {
  nobody: 'nobody',
  portal: 'the portal',
  admin: 'an admin of this tenant',
  operator: 'the operator',
  forge: 'the forge',
  cluster: 'the cluster',
  cache: 'the cache',
};

/**
 * The notice of an enrollment that is not ready, or not yet withdrawn; null while it may yet become so by itself. Once for each
 * reason of a generation.
 */
export function failureNotice(row: Told, ready: Condition | undefined, now: Date): NoticeInput | null {
  if (!ready || ready.status !== 'False') return null;
  const needsPerson = ready.waitingFor === 'admin' || ready.waitingFor === 'operator';
  const isSlow = now.getTime() - Date.parse(ready.since) >= slowMs;
  if (!needsPerson && !isSlow) return null;
  const who = waitedFor[ready.waitingFor];
  const what = row.state === 'withdrawing' ? 'withdrawn' : 'ready';
  return {
    tenantId: row.tenantId,
    kind: 'enrollment-failed',
    title: needsPerson ? `${row.name} is not ${what}` : `${row.name} is not ${what} after ${slowMs / 60_000} minutes`,
    body: `${ready.message} It waits for ${who}.`,
    href: `/t/${row.tenant.slug}/enrollments/${row.id}`,
    dedupeKey: `enrollment/${row.id}/${row.generation}/${ready.reason}${needsPerson ? '' : '/slow'}`,
  };
}

/** Tells of it, unless this worker knows that it was told: a pass that changes nothing asks the database nothing more. */
export async function tellOfFailure(
  row: EnrollmentRow,
  ready: Condition | undefined,
  { now, lease, seen }: { now: Date; lease: Lease; seen: Map<string, number> },
): Promise<void> {
  const notice = failureNotice(row, ready, now);
  const mark = notice && `${row.id}/told/${notice.dedupeKey}`;
  if (!notice || !mark || seen.has(mark)) return;
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await notify(tx, notice);
  });
  seen.set(mark, now.getTime());
}

const dayMs = 24 * 3600_000;

/** When somebody is told that a token ends, the last first: the name stands in the key, so that each is told once. */
const stages = [
  { name: 'ended', withinMs: 0, says: 'has ended' },
  { name: '3-days', withinMs: 3 * dayMs, says: 'ends within three days' },
  { name: '14-days', withinMs: 14 * dayMs, says: 'ends within two weeks' },
] as const;

/** Looks at all access tokens that people entered, and tells of those that end: 14 days before, 3 days before, and when it is so. */
export async function tellOfExpiry(now: Date): Promise<void> {
  const horizon = new Date(now.getTime() + stages[2].withinMs);
  const rows = await unsafeDb().credential.findMany({
    // What the portal renews by itself is nobody's to think of.
    where: { kind: 'forge-token', expiresAt: { lte: horizon } },
    select: { id: true, tenantId: true, enrollmentId: true, owner: true, expiresAt: true },
  });
  for (const row of rows) await tellOfOne(row, now);
}

type Ending = { id: string; tenantId: string; enrollmentId: string; owner: string | null; expiresAt: Date | null };

async function tellOfOne({ id, tenantId, enrollmentId, owner, expiresAt }: Ending, now: Date): Promise<void> {
  const left = expiresAt === null ? Infinity : expiresAt.getTime() - now.getTime();
  const stage = stages.find(({ withinMs }) => left <= withinMs);
  const enrollment = await unsafeDb().enrollment.findFirst({
    where: { id: enrollmentId, state: 'active' },
    select: { name: true, tenant: { select: { slug: true } } },
  });
  if (!stage || !expiresAt || !enrollment) return;
  const at = expiresAt.toISOString();
  const whose = owner === null ? '' : ` of ${owner}`;
  const notice: NoticeInput = {
    tenantId,
    kind: 'credential-expiring',
    title: `The access token of ${enrollment.name} ${stage.says}`,
    body: `The token${whose} is good until ${at.slice(0, 16).replace('T', ' ')} UTC. Without a new one no runner is registered any more.`,
    href: `/t/${enrollment.tenant.slug}/credentials`,
    dedupeKey: `credential/${id}/${at}/${stage.name}`,
  };
  await unsafeTransaction((tx) => notify(tx, notice));
}
