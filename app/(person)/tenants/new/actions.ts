'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { TenantName, TenantSlug } from '#lib/model/index.ts';
import { askForTenant, newTeam, NewTenantInput } from '#lib/tenancy/index.ts';
import { personAction } from '#lib/tenant/index.ts';
import { QuotaForm } from '../../../quota-input.ts';

const Make = z.object({
  kind: NewTenantInput.shape.kind,
  slug: TenantSlug,
  displayName: TenantName,
  parent: TenantSlug.optional(),
  quota: QuotaForm,
  note: NewTenantInput.shape.note,
});

export const make = personAction(Make, async (by, input) => {
  const slug = input.kind === 'team' ? await newTeam(by, input) : await askForTenant(by, input);
  redirect(input.kind === 'team' ? `/t/${slug}` : `/t/${slug}/requests`);
});
