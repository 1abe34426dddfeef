import { tenantTransaction } from '#lib/db/index.ts';
import type { Ctx } from './ctx.ts';

export type AuditRow = {
  id: string;
  at: string;
  actor: string;
  action: string;
  target: string;
  before: unknown;
  after: unknown;
  requestId: string | null;
};

const auditPage = 100;

/** Newest first. Ids are UUIDs of version 7, so that an id is also a place in time. */
export async function listAudit(ctx: Ctx, beforeId?: string): Promise<{ rows: AuditRow[]; nextId: string | null }> {
  const rows = await ctx.db.audit.findMany({
    where: beforeId === undefined ? {} : { id: { lt: beforeId } },
    orderBy: { id: 'desc' },
    take: auditPage + 1,
  });
  const shown = rows.slice(0, auditPage).map(({ id, at, actor, action, target, before, after, requestId }) => ({
    id,
    at: at.toISOString(),
    actor,
    action,
    target,
    before,
    after,
    requestId,
  }));
  return { rows: shown, nextId: rows.length > auditPage ? (shown.at(-1)?.id ?? null) : null };
}

/** The name that people read. The slug names namespaces and labels and never changes. */
export async function renameTenant(ctx: Ctx, displayName: string): Promise<void> {
  await tenantTransaction(ctx.tenant.id, async (tx) => {
    await tx.tenant.update({ where: { id: ctx.tenant.id }, data: { displayName } });
    await ctx.audit(tx, {
      action: 'tenant:rename',
      target: `tenant/${ctx.tenant.slug}`,
      before: { displayName: ctx.tenant.displayName },
      after: { displayName },
    });
  });
}
