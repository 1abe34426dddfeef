import { route } from '#lib/tenant/index.ts';
import { exportJobs } from '#lib/usage/index.ts';

export const GET = route<{ tenant: string }>('job:see', (ctx, request) =>
  Promise.resolve(exportJobs(ctx, new URL(request.url).searchParams, new Date())),
);
