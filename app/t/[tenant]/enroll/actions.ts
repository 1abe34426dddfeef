'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { discardDraft, enrollmentDraft, makePlan, planView, savePlanes, savePools } from '#lib/enrollment/index.ts';
import { invalidFields } from '#lib/errors.ts';
import { PoolName, type PoolChoice } from '#lib/model/index.ts';
import { SubmitInput, submitPlan } from '#lib/tenancy/index.ts';
import { action } from '#lib/tenant/index.ts';

const Count = z
  .string()
  .regex(/^\d{1,4}$/, 'is a whole number')
  .transform(Number);

const Sizes = z
  .object({ minRunners: Count, maxRunners: Count })
  .refine(({ minRunners, maxRunners }) => minRunners <= maxRunners, {
    path: ['minRunners'],
    error: 'is more than the most',
  });

const PoolFields = z.record(z.string(), z.looseObject({ chosen: z.literal('on').optional() }));

/** The sizes of a pool that is not chosen are sent too and mean nothing, so they are read only where it is. */
const Pools = z.object({ enrollmentId: z.uuid(), pools: PoolFields.default({}) }).transform((form, check) => {
  const pools: PoolChoice[] = [];
  for (const [pool, fields] of Object.entries(form.pools)) {
    if (!fields.chosen) continue;
    const sizes = Sizes.safeParse(fields);
    if (sizes.success) pools.push({ pool, ...sizes.data });
    for (const issue of sizes.error?.issues ?? []) {
      check.addIssue({ code: 'custom', path: ['pools', pool, ...issue.path], message: issue.message });
    }
  }
  if (Object.values(form.pools).every(({ chosen }) => !chosen)) {
    check.addIssue({ code: 'custom', path: ['pools'], message: 'Choose at least one pool.' });
  }
  return { enrollmentId: form.enrollmentId, pools };
});

export const choosePools = action('enrollment:plan', Pools, async (ctx, input) => {
  await savePools(ctx, input);
  redirect(`/t/${ctx.tenant.slug}/enroll/${input.enrollmentId}/planes`);
});

const Planes = z.object({
  enrollmentId: z.uuid(),
  attic: z.enum(['off', 'private', 'public']),
  bazel: z.literal('on').optional(),
  bazelSizeGib: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, 'is a whole number of GiB')
    .default('20')
    .transform(Number),
  untrusted: z.array(PoolName).max(1000).default([]),
});

/** Makes the plan too, since only that is missing then. */
export const choosePlanes = action(
  'enrollment:plan',
  Planes,
  async (ctx, { enrollmentId, attic, bazel, bazelSizeGib, untrusted }) => {
    const planes = {
      ...(attic === 'off' ? {} : { attic: { public: attic === 'public' } }),
      ...(bazel ? { bazel: { sizeGib: bazelSizeGib } } : {}),
      ...(untrusted.length > 0 && (attic !== 'off' || bazel) ? { untrusted } : {}),
    };
    await savePlanes(ctx, { enrollmentId, planes });
    const { state } = await enrollmentDraft(ctx, enrollmentId);
    const planId = await makePlan(ctx, { enrollmentId, kind: state === 'draft' ? 'enroll' : 'change' });
    redirect(`/t/${ctx.tenant.slug}/enroll/${enrollmentId}/plan?plan=${planId}`);
  },
);

const MakePlan = z.strictObject({ enrollmentId: z.uuid(), kind: z.enum(['enroll', 'change']) });

/** Also how a stale plan is looked at anew. */
export const plan = action('enrollment:plan', MakePlan, async (ctx, input) => {
  const planId = await makePlan(ctx, input);
  redirect(`/t/${ctx.tenant.slug}/enroll/${input.enrollmentId}/plan?plan=${planId}`);
});

const PlanWithdrawal = z.strictObject({ enrollmentId: z.uuid() });

export const planWithdrawal = action('enrollment:withdraw', PlanWithdrawal, async (ctx, { enrollmentId }) => {
  const planId = await makePlan(ctx, { enrollmentId, kind: 'withdraw' });
  redirect(`/t/${ctx.tenant.slug}/enroll/${enrollmentId}/plan?plan=${planId}`);
});

const Approve = z.strictObject({ ...SubmitInput.shape, typed: z.string().max(100).optional() });

export const approve = action(
  'enrollment:approve',
  Approve,
  async (ctx, { planId, typed, note }) => {
    const { kind, enrollmentId } = await planView(ctx, planId);
    if (kind === 'withdraw') {
      const { name } = await enrollmentDraft(ctx, enrollmentId);
      if (typed !== name) throw invalidFields({ typed: `is not ${name}` });
    }
    const { requestId } = await submitPlan(ctx, { planId, note });
    if (requestId) redirect(`/t/${ctx.tenant.slug}/requests/${requestId}`);
    redirect(`/t/${ctx.tenant.slug}/enrollments/${enrollmentId}`);
  },
  { fresh: async (ctx, { planId }) => (await planView(ctx, planId)).kind === 'withdraw' },
);

const Discard = z.strictObject({ enrollmentId: z.uuid() });

export const discard = action('enrollment:plan', Discard, async (ctx, { enrollmentId }) => {
  await discardDraft(ctx, enrollmentId);
  redirect('/home?all');
});
