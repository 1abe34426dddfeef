import { tenantTransaction } from '#lib/db/index.ts';
import type { Ctx } from './ctx.ts';

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
