import { exportFocus } from '#lib/billing/index.ts';
import { route } from '#lib/tenant/index.ts';

export const GET = route<{ tenant: string }>('billing:see', ({ tenant }, request) =>
  Promise.resolve(
    exportFocus({ tenantId: tenant.id, name: tenant.slug }, new URL(request.url).searchParams, new Date()),
  ),
);
