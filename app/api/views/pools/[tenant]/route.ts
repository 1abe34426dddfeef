import { poolsNow } from '#lib/enrollment/index.ts';
import { view } from '#lib/tenant/index.ts';

export const GET = view<{ tenant: string }, unknown>('pool:see', (ctx, { searchParams }) =>
  poolsNow(ctx, searchParams.get('since')),
);
