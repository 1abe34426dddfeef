import { unsafeDb } from '../db/index.ts';
import { notFound } from '../errors.ts';
import type { Accepted, DeliveryInput } from './accept.ts';
import { acceptOwnDelivery } from './own-app.ts';
import { acceptHookDelivery } from './own-hook.ts';

/** A delivery to a webhook of somebody's own: at GitHub an organization's App, elsewhere one enrollment's hook. */
export async function acceptDirectedDelivery(input: DeliveryInput & { ownerId: string }): Promise<Accepted> {
  const { ownerId, ...rest } = input;
  const connection = await unsafeDb().forgeConnection.findUnique({
    where: { id: input.connectionId },
    select: { kind: true },
  });
  if (!connection) throw notFound('This webhook');
  return connection.kind === 'github'
    ? acceptOwnDelivery({ ...rest, githubAppId: ownerId })
    : acceptHookDelivery({ ...rest, enrollmentId: ownerId });
}
