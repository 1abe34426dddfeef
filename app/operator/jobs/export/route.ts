import { operatorRoute } from '#lib/tenant/index.ts';
import { exportAllJobs } from '#lib/usage/index.ts';

export const GET = operatorRoute('operator:see', (_, request) =>
  exportAllJobs(new URL(request.url).searchParams, new Date()),
);
