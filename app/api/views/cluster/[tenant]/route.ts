import { clusterLook } from '#lib/enrollment/index.ts';
import { view } from '#lib/tenant/index.ts';

export const GET = view<{ tenant: string }, unknown>('cluster:see', (ctx) => clusterLook(ctx));
