import { exportCosts, familyOf } from '#lib/billing/index.ts';
import { route } from '#lib/tenant/index.ts';

export const GET = route<{ tenant: string }>('billing:see', async ({ tenant }, request) =>
  exportCosts(await familyOf(tenant.id), new URL(request.url).searchParams, tenant.slug, new Date()),
);
