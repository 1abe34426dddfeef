import { z } from 'zod';
import { unsafeDb, type Prisma } from '#lib/db/index.ts';
import { tenantsOf, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { kindsSeenBy, labelOf } from './kinds.ts';

/* What somebody is told, and what of it they have read. A notice is read by a person, so each statement names theirs. */

/** Whose notices are meant: those of a tenant, as the person sees them; the operators'; or the person's over all tenants. */
export type Inbox = { of: 'tenant'; ctx: Ctx } | { of: 'operator'; by: PersonCtx } | { of: 'person'; by: PersonCtx };

function readerOf(inbox: Inbox): string {
  return (inbox.of === 'tenant' ? inbox.ctx : inbox.by).person.userId;
}

/** The notices of an inbox. The doors let nobody ask for operators' who is none. */
async function scopeOf(inbox: Inbox): Promise<Prisma.NoticeWhereInput> {
  const userId = readerOf(inbox);
  const own = { audience: 'person' as const, userId };
  if (inbox.of === 'operator') return { audience: 'operator' };
  if (inbox.of === 'tenant') {
    const { tenant, role } = inbox.ctx;
    const seen = { audience: 'tenant' as const, kind: { in: kindsSeenBy(role) } };
    return { tenantId: tenant.id, OR: [seen, own] };
  }
  const tenants = await tenantsOf(inbox.by);
  const seen = tenants.map(({ id, role }) => ({
    tenantId: id,
    audience: 'tenant' as const,
    kind: { in: kindsSeenBy(role) },
  }));
  return { OR: [own, ...seen] };
}

async function unreadScope(inbox: Inbox): Promise<Prisma.NoticeWhereInput> {
  return { AND: [await scopeOf(inbox), { reads: { none: { userId: readerOf(inbox) } } }] };
}

/** Counting on would tell nobody more. */
export const unreadMost = 100;

/** How many are unread, up to `unreadMost`. */
export async function countUnread(inbox: Inbox): Promise<number> {
  return unsafeDb().notice.count({ where: await unreadScope(inbox), take: unreadMost });
}

export type NoticeRow = {
  id: string;
  kind: string;
  label: string;
  title: string;
  body: string;
  href: string | null;
  createdAt: string;
  isRead: boolean;
};

export const NoticeQuery = z.object({
  before: z.guid().or(z.literal('')).catch('').default(''),
  show: z.enum(['all', 'unread']).catch('all').default('all'),
});
export type NoticeQuery = z.infer<typeof NoticeQuery>;

export type NoticePage = { rows: NoticeRow[]; nextId: string | null; unread: number };

const pageSize = 50;

export async function listNotices(inbox: Inbox, { before, show }: NoticeQuery): Promise<NoticePage> {
  const scope = show === 'unread' ? await unreadScope(inbox) : await scopeOf(inbox);
  const [rows, unread] = await Promise.all([
    unsafeDb().notice.findMany({
      where: { AND: [scope, before === '' ? {} : { id: { lt: before } }] },
      include: { reads: { where: { userId: readerOf(inbox) } } },
      orderBy: { id: 'desc' },
      take: pageSize + 1,
    }),
    countUnread(inbox),
  ]);
  const page = rows.slice(0, pageSize);
  return {
    rows: page.map(({ id, kind, title, body, href, createdAt, reads }) => ({
      id,
      kind,
      label: labelOf(kind),
      title,
      body,
      href,
      createdAt: createdAt.toISOString(),
      isRead: reads.length > 0,
    })),
    nextId: rows.length > pageSize ? (page.at(-1)?.id ?? null) : null,
    unread,
  };
}

export const NoticeId = z.strictObject({ noticeId: z.guid() });

/** Marks one as read and answers where it leads; null for what there is not, or is somebody else's. */
export async function markRead(inbox: Inbox, noticeId: string): Promise<{ href: string | null } | null> {
  const where = { AND: [await scopeOf(inbox), { id: noticeId }] };
  const notice = await unsafeDb().notice.findFirst({ where, select: { id: true, href: true } });
  if (!notice) return null;
  await keepRead(inbox, [notice.id]);
  return { href: notice.href };
}

export async function markAllRead(inbox: Inbox): Promise<void> {
  const where = await unreadScope(inbox);
  for (;;) {
    const unread = await unsafeDb().notice.findMany({ where, select: { id: true }, take: 1000 });
    await keepRead(
      inbox,
      unread.map(({ id }) => id),
    );
    if (unread.length < 1000) return;
  }
}

async function keepRead(inbox: Inbox, ids: readonly string[]): Promise<void> {
  const userId = readerOf(inbox);
  await unsafeDb().noticeRead.createMany({ data: ids.map((noticeId) => ({ noticeId, userId })), skipDuplicates: true });
}
