import { endpointView, listMessages } from '#lib/notice/index.ts';
import { view } from '#lib/tenant/index.ts';

export const GET = view<{ tenant: string; endpoint: string }, unknown>(
  'settings:see',
  async (ctx, { params, searchParams }) => {
    const { id } = await endpointView(ctx, params.endpoint, new Date());
    return listMessages(ctx, id, searchParams.get('before') ?? undefined);
  },
);
