import { z } from 'zod';
import { tenantTransaction, unsafeDb } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import type { IdleRule } from './attribute.ts';
import { tagPrefix } from './focus.ts';
import { idleRulesAt } from './month.ts';
import { boundsOf, periodAt } from './period.ts';

/** A word of a tenant's own for what it pays, which goes into its exports as it was written. */
export const TagInput = z.strictObject({
  repository: z.string().trim().max(300).default(''),
  key: z
    .string()
    .trim()
    .min(1, 'is needed')
    .max(100)
    .refine((key) => !key.toLowerCase().startsWith(tagPrefix), `does not begin with ${tagPrefix}, which is ours`),
  value: z.string().trim().max(300),
});
export const TagKey = z.strictObject({ repository: z.string().max(300).default(''), key: z.string().min(1).max(100) });

export type TagRow = { repository: string; key: string; value: string };

export async function listTags(ctx: Pick<Ctx, 'db'>): Promise<TagRow[]> {
  const rows = await ctx.db.costTag.findMany({ orderBy: [{ repository: 'asc' }, { key: 'asc' }] });
  return rows.map(({ repository, key, value }) => ({ repository, key, value }));
}

export async function setTag(ctx: Ctx, input: z.infer<typeof TagInput>): Promise<void> {
  const tenantId = ctx.tenant.id;
  const { repository, key, value } = input;
  await tenantTransaction(tenantId, async (tx) => {
    const where = { tenantId_repository_key: { tenantId, repository, key } };
    await tx.costTag.upsert({ where, create: { tenantId, repository, key, value }, update: { value } });
    await ctx.audit(tx, { action: 'cost-tag:set', target: `cost-tag/${repository}/${key}`, after: { value } });
  });
}

export async function removeTag(ctx: Ctx, { repository, key }: z.infer<typeof TagKey>): Promise<void> {
  const tenantId = ctx.tenant.id;
  await tenantTransaction(tenantId, async (tx) => {
    const { count } = await tx.costTag.deleteMany({ where: { tenantId, repository, key } });
    if (count === 0) throw notFound('This tag');
    await ctx.audit(tx, { action: 'cost-tag:remove', target: `cost-tag/${repository}/${key}` });
  });
}

/** Each pool of the catalog with who bears its idle time this month. */
export async function costRules(now: Date): Promise<{ pool: string; idle: IdleRule }[]> {
  const [pools, rules] = await Promise.all([
    unsafeDb().pool.findMany({ orderBy: { position: 'asc' }, select: { name: true } }),
    idleRulesAt(boundsOf(periodAt(now)).from),
  ]);
  return pools.map(({ name }) => ({ pool: name, idle: rules.get(name) ?? 'by-use' }));
}
