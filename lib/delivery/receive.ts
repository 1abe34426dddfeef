import { AppError } from '../errors.ts';
import { connectionHook } from './accept.ts';
import { directedHook } from './directed.ts';
import type { Accepted } from './hook.ts';
import { type Incoming, withRawBody } from './raw-body.ts';

/**
 * Takes one delivery as it arrives. Anybody can send one, so the body, which is what costs, comes last: first there must be
 * such a webhook, and the headers must carry a proof. Throws as `acceptDelivery` and `withRawBody` do.
 */
export async function receiveDelivery(
  request: Incoming,
  { connectionId, ownerId }: { connectionId: string; ownerId?: string },
): Promise<Accepted> {
  const hook = await (ownerId === undefined ? connectionHook(connectionId) : directedHook(connectionId, ownerId));
  const { headers } = request;
  if (!hook.reader.proofHeaders.some((name) => headers.get(name))) throw unproven(hook.reader.proofHeaders);
  return withRawBody(request, (rawBody) => hook.take({ headers, rawBody }));
}

function unproven(names: readonly string[]): AppError {
  return new AppError('unauthenticated', {
    log: `webhook: none of ${names.join(', ')} was sent`,
    screen: {
      happened: 'The delivery is not signed, so its body was not read.',
      todo: 'Give the webhook at the forge its secret.',
    },
  });
}
