'use server';

import { revalidatePath } from 'next/cache';
import { z } from 'zod';
import { TenantSlug } from '#lib/model/index.ts';
import { resume, suspend, SuspendInput } from '#lib/tenancy/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

export const stop = operatorAction('operator:change', SuspendInput, async (by, input) => {
  await suspend(by, input);
  revalidatePath('/operator', 'layout');
});

export const goOn = operatorAction('operator:change', z.strictObject({ slug: TenantSlug }), async (by, input) => {
  await resume(by, input);
  revalidatePath('/operator', 'layout');
});
