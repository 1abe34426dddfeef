import { acceptDirectedDelivery, readRawBody } from '#lib/delivery/index.ts';
import { openRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

type Params = { connection: string; owner: string };

/**
 * Where the webhooks arrive that are somebody's own: an organization's GitHub App's, or the hook of one enrollment at GitLab
 * or Forgejo. Each is signed with its own secret, which is checked before anything is read or kept.
 */
export const POST = openRoute<Params>('webhook', async (request, { connection: connectionId, owner: ownerId }) => {
  const rawBody = await readRawBody(request);
  const given = { connectionId, ownerId, headers: request.headers, rawBody };
  const { status, duplicate } = await acceptDirectedDelivery(given);
  return { status, body: { duplicate } };
});
