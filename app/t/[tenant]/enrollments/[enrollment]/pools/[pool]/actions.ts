'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { leaveAdopted, planWarmth, previewWarmth, WarmthInput } from '#lib/enrollment/index.ts';
import { systemClock } from '#lib/clock.ts';
import { PoolName, WarmSchedule } from '#lib/model/index.ts';
import { action } from '#lib/tenant/index.ts';

const Count = z
  .string()
  .regex(/^\d{1,4}$/, 'is a whole number')
  .transform(Number);

const Rows = z.record(z.string().regex(/^\d{1,3}$/), z.looseObject({ days: z.array(z.string()).default([]) }));

const Holidays = z
  .string()
  .max(2000)
  .default('')
  .transform((text) => text.split(/[\s,]+/).filter((day) => day !== ''));

/**
 * The editor's fields as what is asked for. Rows of the table keep their own numbers, so that an error stands in its row when
 * another was taken out before it.
 */
const Warmth = z
  .strictObject({
    enrollmentId: z.uuid(),
    pool: PoolName,
    minRunners: Count,
    scheduled: z.literal('yes').optional(),
    timeZone: z.string().trim().default(''),
    windows: Rows.default({}),
    holidays: Holidays,
    week: z.union([z.literal(''), z.iso.date('is a day such as 2026-12-25')]).default(''),
    intent: z.enum(['preview', 'plan']).default('preview'),
  })
  .transform(({ enrollmentId, pool, minRunners, scheduled, week, intent, ...fields }, check) => {
    const asked = { enrollmentId, pool, minRunners };
    const weekOf = week === '' ? null : new Date(`${week}T12:00:00Z`);
    if (!scheduled) return { intent, weekOf, input: WarmthInput.parse({ ...asked, schedule: null }) };
    const numbers = Object.keys(fields.windows);
    const windows = Object.values(fields.windows).map(({ runners, ...rest }) => ({
      ...rest,
      runners: Number(runners),
    }));
    const schedule = WarmSchedule.safeParse({ timeZone: fields.timeZone, windows, holidays: fields.holidays });
    for (const { path, message } of schedule.error?.issues ?? [])
      check.addIssue({ code: 'custom', path: fieldOf(path, numbers), message });
    return schedule.success ? { intent, weekOf, input: { ...asked, schedule: schedule.data } } : z.NEVER;
  });

function fieldOf([first, index, field]: readonly PropertyKey[], numbers: readonly string[]): string[] {
  if (first === 'holidays') return ['holidays'];
  if (first !== 'windows' || typeof index !== 'number') return [String(first)];
  return ['windows', numbers[index] ?? '', String(field ?? 'days')];
}

/** Shows a week of it, or makes the plan and goes there. */
export const changeWarmth = action('enrollment:plan', Warmth, async (ctx, { intent, input, weekOf }) => {
  const now = systemClock.now();
  if (intent === 'preview') return previewWarmth(ctx, input, now, weekOf ?? now);
  const planId = await planWarmth(ctx, input);
  return redirect(`/t/${ctx.tenant.slug}/enroll/${input.enrollmentId}/plan?plan=${planId}`);
});

const Leave = z.strictObject({ enrollmentId: z.uuid(), pool: PoolName });

/** On to the wizard's sizes, with the set's own template left behind in the draft. */
export const followCatalog = action('enrollment:plan', Leave, async (ctx, { enrollmentId, pool }) => {
  await leaveAdopted(ctx, enrollmentId, pool);
  redirect(`/t/${ctx.tenant.slug}/enroll/${enrollmentId}/pools`);
});
