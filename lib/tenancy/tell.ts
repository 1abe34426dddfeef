import type { UnsafeTx } from '#lib/db/index.ts';
import { requestKindLabel, type RequestKind } from '#lib/model/index.ts';
import { notify } from '#lib/notice/index.ts';

/* Who is told of what happens to a tenant, in the transaction of what happens. */

type About = { id: string; tenantId: string; kind: RequestKind; slug: string; messageId: string };
type Moved = 'asked' | 'answer' | 'question' | 'approved' | 'rejected';

/** An operator is told that something waits, the tenant what came of it. Each step is told once. */
export async function tellOfRequest(
  tx: UnsafeTx,
  { id, tenantId, kind, slug, messageId }: About,
  step: Moved,
  text: string,
): Promise<void> {
  const what = requestKindLabel[kind];
  const body = text === '' ? 'Nothing was said with it.' : text;
  const own = { tenantId, href: `/t/${slug}/requests/${id}` as const, body };
  const dedupeKey = `request/${messageId}`;
  const title = {
    asked: `${slug} asks: ${what}`,
    answer: `${slug} answered: ${what}`,
    question: `An operator asks back: ${what}`,
    approved: `Granted: ${what}`,
    rejected: `Refused: ${what}`,
  }[step];
  const isForOperators = step === 'asked' || step === 'answer';
  await notify(tx, {
    ...own,
    kind: noticeOf[step],
    title,
    dedupeKey,
    ...(isForOperators ? { href: `/operator/approvals/${id}` as const } : {}),
  });
}

const noticeOf = {
  asked: 'approval-asked',
  answer: 'approval-asked',
  question: 'approval-question',
  approved: 'approval-given',
  rejected: 'approval-rejected',
} as const;

export async function tellOfSuspension(
  tx: UnsafeTx,
  { id, slug, at, reason }: { id: string; slug: string; at: Date; reason: string },
): Promise<void> {
  await notify(tx, {
    tenantId: id,
    kind: 'tenant-suspended',
    title: `${slug} is suspended`,
    body: `No runner starts, and what is enrolled stays. ${reason}`,
    href: `/t/${slug}`,
    dedupeKey: `suspended/${at.toISOString()}`,
  });
}

export async function tellOfDeparture(tx: UnsafeTx, { id, slug }: { id: string; slug: string }): Promise<void> {
  await notify(tx, {
    tenantId: id,
    kind: 'tenant-left',
    title: `${slug} has left`,
    body: 'The report says what was looked for and not found. Bills and the audit are kept.',
    href: `/t/${slug}/settings/leave`,
    dedupeKey: 'left',
  });
}

export async function tellOfMove(
  tx: UnsafeTx,
  {
    id,
    slug,
    moveId,
    from,
    to,
    isDone,
  }: Record<'id' | 'slug' | 'moveId' | 'from' | 'to', string> & { isDone: boolean },
): Promise<void> {
  await notify(tx, {
    tenantId: id,
    kind: 'tenant-moved',
    title: isDone ? `${slug} runs on the cluster ${to} now` : `${slug} stays on the cluster ${from}`,
    body: isDone
      ? `Nothing of it is left on ${from}. Labels, credentials and caches are called as before.`
      : `Its move to ${to} was called off, and nothing of it is left there.`,
    href: `/t/${slug}/cluster`,
    dedupeKey: `moved/${moveId}`,
  });
}
