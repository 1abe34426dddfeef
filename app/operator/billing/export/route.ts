import { exportCosts } from '#lib/billing/index.ts';
import { operatorRoute } from '#lib/tenant/index.ts';

export const GET = operatorRoute('operator:see', (_, request) =>
  exportCosts(null, new URL(request.url).searchParams, 'all', new Date()),
);
