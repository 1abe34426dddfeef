import { countUnread } from '#lib/notice/index.ts';
import { view } from '#lib/tenant/index.ts';

export const GET = view<{ tenant: string }, { unread: number }>('tenant:see', async (ctx) => ({
  unread: await countUnread({ of: 'tenant', ctx }),
}));
