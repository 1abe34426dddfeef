import { statementFile } from '#lib/billing/index.ts';
import { route } from '#lib/tenant/index.ts';

export const GET = route<{ tenant: string; period: string }>('billing:see', ({ tenant }, request, { period }) =>
  statementFile(tenant.slug, period, new URL(request.url).searchParams.get('format') ?? 'pdf', new Date()),
);
