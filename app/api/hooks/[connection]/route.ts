import { acceptDelivery, readRawBody } from '#lib/delivery/index.ts';
import { openRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

/**
 * Where a forge sends its webhooks. Nobody is signed in here: the permission is the signature over the raw body, which
 * `acceptDelivery` checks before it reads or keeps anything.
 */
export const POST = openRoute<{ connection: string }>('webhook', async (request, { connection: connectionId }) => {
  const rawBody = await readRawBody(request);
  const { status, duplicate } = await acceptDelivery({ connectionId, headers: request.headers, rawBody });
  return { status, body: { duplicate } };
});
