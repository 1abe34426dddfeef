import { unsafeDb } from '../db/index.ts';
import { notFound } from '../errors.ts';
import type { DeliveryInput } from './accept.ts';
import type { Accepted, Hook } from './hook.ts';
import { ownAppHook } from './own-app.ts';
import { enrollmentHook } from './own-hook.ts';

/** A delivery to a webhook of somebody's own: at GitHub an organization's App, elsewhere one enrollment's hook. */
export async function acceptDirectedDelivery(input: DeliveryInput & { ownerId: string }): Promise<Accepted> {
  return (await directedHook(input.connectionId, input.ownerId)).take(input);
}

/** Throws `not_found` where there is no such webhook. */
export async function directedHook(connectionId: string, ownerId: string): Promise<Hook> {
  const where = { id: connectionId };
  const connection = await unsafeDb().forgeConnection.findUnique({ where, select: { kind: true } });
  if (!connection) throw notFound('This webhook');
  return connection.kind === 'github' ? ownAppHook(connectionId, ownerId) : enrollmentHook(connectionId, ownerId);
}
