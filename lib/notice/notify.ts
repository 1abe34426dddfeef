import type { TenantTx } from '#lib/db/index.ts';
import { wake } from '#lib/work/index.ts';
import { noticeKinds, type NoticeKind } from './kinds.ts';
import { addMessages } from './message.ts';

export type NoticeInput = {
  /** Whom it concerns; null for what concerns no single tenant, which only operators or one person are told. */
  tenantId: string | null;
  kind: NoticeKind;
  /** One line without a full stop. */
  title: string;
  /** What happened and what to do, in sentences. Never a secret: it is shown, and sent to the tenant's own endpoints. */
  body: string;
  /** Where in the portal to see to it. */
  href: `/${string}`;
  /** What it is about. Within tenant, audience and person the same key is told once, ever. */
  dedupeKey: string;
  /** Whose it is, for kinds that are one person's. */
  userId?: string;
};

/** The key of the task that delivers to an endpoint is the endpoint's id. */
export const webhookTask = 'webhook';

const titleMost = 200;
const bodyMost = 2_000;

/**
 * Tells of something in the caller's transaction: it is told if and only if that commits, once for each key. What a tenant is
 * told also goes to the endpoints that the tenant gave for the kind. Answers whether it was news.
 */
export async function notify(tx: TenantTx, notice: NoticeInput): Promise<boolean> {
  const { tenantId, kind, href, dedupeKey, userId } = notice;
  const text = { title: notice.title.slice(0, titleMost), body: notice.body.slice(0, bodyMost) };
  let isNews = false;
  for (const audience of noticeKinds[kind].to) {
    if (audience === 'person' && userId === undefined) throw new TypeError(`${kind} is one person's`);
    if (audience === 'tenant' && tenantId === null) throw new TypeError(`${kind} is a tenant's`);
    const whose = audience === 'person' ? { userId: userId ?? null } : {};
    const row = { tenantId, audience, ...whose, kind, ...text, href, dedupeKey };
    const { count } = await tx.notice.createMany({ data: [row], skipDuplicates: true });
    if (count === 0) continue;
    isNews = true;
    if (audience === 'tenant' && tenantId !== null) {
      const endpoints = await addMessages(tx, tenantId, { kind, ...text, href });
      await wake(tx, webhookTask, endpoints);
    }
  }
  return isNews;
}
