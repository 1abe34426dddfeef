import { exportAllAudit, operatorRoute } from '#lib/tenant/index.ts';

export const GET = operatorRoute('operator:see', (_, request) =>
  exportAllAudit(new URL(request.url).searchParams, new Date()),
);
