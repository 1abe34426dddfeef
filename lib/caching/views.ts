import { z } from 'zod';
import { Prisma, unsafeTransaction, type CacheViewModel, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import {
  atticViewName,
  defaultViewSettings,
  enrolledViewLabels,
  ViewLabel,
  viewLabelOf,
  viewName,
  ViewSettings,
  viewTrusts,
} from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { atticServerOf } from './server.ts';

/*
 * A tenant's views as people ask for them. A row is what is wanted; the task `viewTask`, by the tenant's id, makes the server
 * match (reconcile-views.ts). The views that enrollments make are theirs: people set them, and neither make nor remove them, and
 * the enrollments' passes make them match.
 */

export type ViewRow = CacheViewModel;

/** The key of the task is the tenant's id. */
export const viewTask = 'cache-view';

/** Each view is in the tokens of all runners, so there is a bound. */
export const viewsMost = 10;

const daySeconds = 24 * 3600;
const retentionDaysMost = Math.floor((2 ** 31 - 1) / daySeconds);

/** As a form sends it: nothing is the server's own retention. */
const Days = z
  .string()
  .trim()
  .regex(/^\d{0,6}$/, 'is whole days')
  .transform((text) => (text === '' ? null : Number(text)))
  .refine((days) => days === null || days <= retentionDaysMost, `is at most ${retentionDaysMost} days`)
  .default(null);

const Priority = z
  .string()
  .trim()
  .regex(/^\d{1,4}$/, 'is a whole number')
  .transform(Number)
  .pipe(ViewSettings.shape.priority)
  .default(defaultViewSettings.priority);

const upstreamList = z
  .string()
  .max(2000)
  .default('')
  .transform((text) => text.split(/[\s,]+/).filter(Boolean))
  .pipe(ViewSettings.shape.upstreamKeys);

const settings = {
  isPublic: z
    .literal('yes')
    .optional()
    .transform((said) => said === 'yes'),
  priority: Priority,
  upstreamKeys: upstreamList,
  /** Empty is the server's own, 0 for ever. */
  retentionDays: Days,
};

export const NewViewInput = z.strictObject({
  label: ViewLabel,
  trust: z.enum(viewTrusts).default('trusted'),
  ...settings,
});
export const ChangeViewInput = z.strictObject({ viewId: z.uuid(), ...settings });
export const RemoveViewInput = z.strictObject({ viewId: z.uuid(), typed: z.string().max(60) });

function settingsOf(input: z.infer<typeof ChangeViewInput> | z.infer<typeof NewViewInput>): ViewSettings {
  const { isPublic, priority, upstreamKeys, retentionDays } = input;
  return {
    isPublic,
    priority,
    upstreamKeys,
    retentionSeconds: retentionDays === null ? null : retentionDays * daySeconds,
  };
}

/** Whether an enrollment makes it, and takes it away. */
export function isEnrolled({ name }: Pick<ViewRow, 'name'>): boolean {
  return enrolledViewLabels.includes(viewLabelOf(name));
}

/** A further view, made at the server within seconds. */
export async function createView(ctx: Ctx, input: z.infer<typeof NewViewInput>): Promise<{ viewId: string }> {
  const tenantId = ctx.tenant.id;
  const server = await atticServerOf(ctx.tenant);
  const name = viewName(ctx.tenant.slug, input.label);
  const asked = settingsOf(input);
  return unsafeTransaction(async (tx) => {
    // Two at once take turns, so that neither passes the limit by.
    await tx.$queryRaw`select 1 from tenant where id = ${tenantId}::uuid for no key update`;
    const there = await tx.cacheView.findMany({ where: { tenantId, plane: 'attic' }, select: { name: true } });
    if (!server || !there.some((view) => view.name === atticViewName(ctx.tenant.slug))) throw withoutAttic();
    if (there.some((view) => view.name === name))
      throw invalidFields({ label: 'is taken: this tenant has a view of that name' });
    if (there.length >= viewsMost) throw invalidFields({ label: `A tenant has at most ${viewsMost} views.` });
    const { id } = await tx.cacheView
      .create({ data: { tenantId, serverId: server.id, plane: 'attic', name, trust: input.trust, ...asked } })
      .catch(taken);
    await ctx.audit(tx, { action: 'cache-view:create', target: `cache-view/${name}`, after: asked });
    await wake(tx, viewTask, tenantId);
    return { viewId: id };
  });
}

/** The index over all tenants has the last word; whose it is, is not said. */
function taken(error: unknown): never {
  const isTaken = error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
  throw isTaken ? invalidFields({ label: 'is taken on this server' }) : error;
}

function withoutAttic(): AppError {
  return new AppError('conflict', {
    log: 'no enrollment of the tenant has Attic',
    screen: {
      happened: 'No enrollment of this tenant uses Attic.',
      todo: 'Turn Attic on in an enrollment first; further views come beside its own.',
    },
  });
}

async function owned(tx: UnsafeTx, ctx: Ctx, id: string): Promise<ViewRow> {
  const row = await tx.cacheView.findFirst({
    where: { id, tenantId: ctx.tenant.id, plane: 'attic', removingAt: null },
  });
  if (!row) throw notFound('This view');
  return row;
}

/** Another setting, made so at the server within seconds. Who may read the views of enrollments is set in the enrollments. */
export async function changeView(ctx: Ctx, input: z.infer<typeof ChangeViewInput>): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const row = await owned(tx, ctx, input.viewId);
    const asked = { ...settingsOf(input), ...(isEnrolled(row) ? { isPublic: row.isPublic } : {}) };
    const { isPublic, priority, upstreamKeys, retentionSeconds } = row;
    // After the last look whatever this machine's clock says, so that it is never taken for what was seen then.
    const changedAt = new Date(Math.max(Date.now(), (row.observedAt?.getTime() ?? 0) + 1));
    await tx.cacheView.update({ where: { id: row.id }, data: { ...asked, changedAt } });
    await ctx.audit(tx, {
      action: 'cache-view:change',
      target: `cache-view/${row.name}`,
      before: { isPublic, priority, upstreamKeys, retentionSeconds },
      after: asked,
    });
    await (isEnrolled(row) ? wakeHolders(tx, row) : wake(tx, viewTask, ctx.tenant.id));
  });
}

/** Asks for its removal; what other views have of it stays in the store. */
export async function removeView(ctx: Ctx, { viewId, typed }: z.infer<typeof RemoveViewInput>): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const row = await owned(tx, ctx, viewId);
    if (isEnrolled(row))
      throw new AppError('conflict', {
        log: `the view ${row.name} is an enrollment's`,
        screen: {
          happened: 'This view belongs to the enrollments of the tenant.',
          todo: 'Turn Attic off in them, and it goes with the last.',
        },
      });
    if (typed !== row.name) throw invalidFields({ typed: `is not ${row.name}` });
    await tx.cacheView.update({ where: { id: row.id }, data: { removingAt: new Date() } });
    await ctx.audit(tx, { action: 'cache-view:remove', target: `cache-view/${row.name}` });
    await wake(tx, viewTask, ctx.tenant.id);
  });
}

/** The tenant's enrollments: they make their own views, and their runners' tokens list exact ones. */
export async function wakeHolders(tx: UnsafeTx, { tenantId }: Pick<ViewRow, 'tenantId'>): Promise<void> {
  const rows = await tx.enrollment.findMany({ where: { tenantId, state: 'active' }, select: { id: true } });
  await wake(
    tx,
    'enrollment',
    rows.map(({ id }) => id),
  );
}
