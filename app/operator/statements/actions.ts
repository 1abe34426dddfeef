'use server';

import { revalidatePath } from 'next/cache';
import { CloseInput, closeMonth, payerBySlug } from '#lib/billing/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

export const close = operatorAction('operator:change', CloseInput, async (by, { tenant, period }) => {
  await closeMonth(by, await payerBySlug(tenant), period, new Date());
  revalidatePath('/operator/statements');
});
