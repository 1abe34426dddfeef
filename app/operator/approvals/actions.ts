'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { PoolName } from '#lib/model/index.ts';
import { approve, ApproveInput, askBack, reject, WordsInput } from '#lib/tenancy/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';
import { QuotaForm } from '../../quota-input.ts';

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

const Grant = z
  .object({
    requestId: z.uuid(),
    note: ApproveInput.shape.note,
    quota: QuotaForm.optional(),
    pools: z.record(PoolName, Sizes).optional(),
    changed: z.literal('on').optional(),
    clusterId: ApproveInput.shape.clusterId,
    beyondCapacity: z.literal('on').optional(),
  })
  // What is sent unchanged is what was asked for.
  .transform(({ requestId, note, quota, pools, changed, clusterId, beyondCapacity }) => ({
    requestId,
    note,
    ...(clusterId === undefined ? {} : { clusterId }),
    beyondCapacity: beyondCapacity === 'on',
    ...(changed && quota ? { quota } : {}),
    ...(changed && pools ? { pools: Object.entries(pools).map(([pool, sizes]) => ({ pool, ...sizes })) } : {}),
  }));

export const grant = operatorAction('operator:change', Grant, async (by, input) => {
  await approve(by, input);
  revalidatePath('/operator', 'layout');
  redirect('/operator/approvals');
});

export const refuse = operatorAction('operator:change', WordsInput, async (by, input) => {
  await reject(by, input);
  revalidatePath('/operator', 'layout');
  redirect('/operator/approvals');
});

export const question = operatorAction('operator:change', WordsInput, async (by, input) => {
  await askBack(by, input);
  revalidatePath('/operator', 'layout');
  redirect('/operator/approvals');
});
