import { countUnread } from '#lib/notice/index.ts';
import { operatorView } from '#lib/tenant/index.ts';

export const GET = operatorView('operator:see', async (by) => ({ unread: await countUnread({ of: 'operator', by }) }));
