import { receiveDelivery } from '#lib/delivery/index.ts';
import { openRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

type Params = { connection: string; owner: string };

/**
 * Where the webhooks arrive that are somebody's own: an organization's GitHub App's, or the hook of one enrollment at GitLab
 * or Forgejo. Each is signed with its own secret, which is checked before anything is kept.
 */
export const POST = openRoute<Params>('webhook', async (request, { connection: connectionId, owner: ownerId }) => {
  const { status, duplicate } = await receiveDelivery(request, { connectionId, ownerId });
  return { status, body: { duplicate } };
});
