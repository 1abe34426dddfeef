import { exportAudit, route } from '#lib/tenant/index.ts';

export const GET = route<{ tenant: string }>('audit:see', (ctx, request) =>
  Promise.resolve(exportAudit(ctx, new URL(request.url).searchParams, new Date())),
);
