import { exportTenant } from '#lib/enrollment/index.ts';
import { route } from '#lib/tenant/index.ts';

/** Everything of the tenant in its cluster, for who goes on without the portal. */
export const GET = route<{ tenant: string }>('cluster:see', (ctx) => exportTenant(ctx));
