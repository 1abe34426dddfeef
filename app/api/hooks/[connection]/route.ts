import { receiveDelivery } from '#lib/delivery/index.ts';
import { openRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

/**
 * Where a forge sends its webhooks. Nobody is signed in here: the permission is the signature over the raw body, without
 * which nothing is kept, and without whose header nothing is read.
 */
export const POST = openRoute<{ connection: string }>('webhook', async (request, { connection: connectionId }) => {
  const { status, duplicate } = await receiveDelivery(request, { connectionId });
  return { status, body: { duplicate } };
});
