import { acceptOwnDelivery, readRawBody } from '#lib/delivery/index.ts';
import { openRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

type Params = { connection: string; app: string };

/**
 * Where an organization's own App sends its webhooks, signed with that App's secret and no other. Nobody is signed in here:
 * `acceptOwnDelivery` checks the signature before it reads or keeps anything.
 */
export const POST = openRoute<Params>('webhook', async (request, { connection: connectionId, app: githubAppId }) => {
  const rawBody = await readRawBody(request);
  const given = { connectionId, githubAppId, headers: request.headers, rawBody };
  const { status, duplicate } = await acceptOwnDelivery(given);
  return { status, body: { duplicate } };
});
