import { exportFocus } from '#lib/billing/index.ts';
import { operatorRoute } from '#lib/tenant/index.ts';

export const GET = operatorRoute('operator:see', (_, request) =>
  Promise.resolve(exportFocus({ tenantId: null, name: 'all' }, new URL(request.url).searchParams, new Date())),
);
