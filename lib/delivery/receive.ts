import type { Arriving } from '../body.ts';
import { AppError, toAppError } from '../errors.ts';
import { count } from '../telemetry/index.ts';
import { connectionHook } from './accept.ts';
import { directedHook } from './directed.ts';
import type { Accepted, Hook } from './hook.ts';
import { withRawBody } from './raw-body.ts';

/**
 * Takes one delivery as it arrives. Anybody can send one, so the body, which is what costs, comes last: first there must be
 * such a webhook, and the headers must carry a proof. Throws as `acceptDelivery` and `withRawBody` do.
 */
export async function receiveDelivery(request: Arriving, to: Address): Promise<Accepted> {
  let hook: Hook | undefined;
  const tell = (outcome: string) => count('deliveries', { forge: hook?.forge ?? 'unknown', outcome });
  try {
    hook = await hookAt(to);
    const accepted = await take(hook, request);
    tell(accepted.duplicate ? 'duplicate' : 'accepted');
    return accepted;
  } catch (error) {
    tell(toAppError(error).code);
    throw error;
  }
}

type Address = { connectionId: string; ownerId?: string };

function hookAt({ connectionId, ownerId }: Address): Promise<Hook> {
  return ownerId === undefined ? connectionHook(connectionId) : directedHook(connectionId, ownerId);
}

async function take(hook: Hook, request: Arriving): Promise<Accepted> {
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
