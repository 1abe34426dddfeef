import { z } from 'zod';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { wakeTenant } from './ask.ts';
import { tellOfSuspension } from './tell.ts';

/* Suspension: no runner starts, here and in all tenants below. Registrations, caches and namespaces stay as they are. */

export const SuspendInput = z.strictObject({
  slug: TenantSlug,
  reason: z.string().trim().min(1, 'is needed').max(500),
});

async function tenantBySlug(slug: string) {
  const tenant = await unsafeDb().tenant.findUnique({ where: { slug } });
  if (!tenant) throw notFound('This tenant');
  return tenant;
}

export async function suspend(by: PersonCtx, { slug, reason }: z.infer<typeof SuspendInput>): Promise<void> {
  const tenant = await tenantBySlug(slug);
  await change(by, tenant, 'active', {
    data: { state: 'suspended', suspendedAt: new Date(), suspendReason: reason },
    action: 'tenant:suspend',
    after: { reason },
  });
}

export async function resume(by: PersonCtx, { slug }: { slug: string }): Promise<void> {
  const tenant = await tenantBySlug(slug);
  await change(by, tenant, 'suspended', {
    data: { state: 'active', suspendedAt: null, suspendReason: null },
    action: 'tenant:resume',
    after: {},
  });
}

type Change = {
  data: { state: 'suspended' | 'active'; suspendedAt: Date | null; suspendReason: string | null };
  action: string;
  after: object;
};

async function change(
  by: PersonCtx,
  { id, slug, state }: { id: string; slug: string; state: string },
  from: 'active' | 'suspended',
  { data, action, after }: Change,
): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const moved = await tx.tenant.updateMany({ where: { id, state: from }, data });
    if (moved.count !== 1)
      throw new AppError('conflict', {
        log: `${action} of a tenant that is ${state}`,
        screen: { happened: `This tenant is not ${from}, so this cannot be done.` },
      });
    await appendAudit(tx, by, id, { action, target: `tenant/${slug}`, after });
    if (data.suspendedAt)
      await tellOfSuspension(tx, { id, slug, at: data.suspendedAt, reason: data.suspendReason ?? '' });
    await wakeFamily(tx, id);
  });
}

async function wakeFamily(tx: UnsafeTx, tenantId: string): Promise<void> {
  await wakeTenant(tx, tenantId);
  const children = await tx.tenant.findMany({ where: { parentId: tenantId }, select: { id: true } });
  for (const { id } of children) await wakeFamily(tx, id);
}
