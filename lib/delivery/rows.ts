import type { Prisma, UnsafeTx } from '../db/index.ts';
import type { InstallationEvent, Webhook } from '../forge/index.ts';
import { wake } from '../work/index.ts';

/**
 * Keeps the delivery unless it is kept already; false for a repeat. Of the payload only the head is kept: it is up to
 * 25 MB of other people's data, and nothing reads it again.
 */
export async function insertDelivery(tx: UnsafeTx, connectionId: string, webhook: Webhook): Promise<boolean> {
  const { deliveryId, event, installationId, action } = webhook;
  const inserted = await tx.$executeRaw`
    insert into delivery (connection_id, delivery_id, event, installation_id, payload, handled_at)
    values (${connectionId}, ${deliveryId}, ${event}, ${installationId}, ${JSON.stringify({ action })}::jsonb, now())
    on conflict do nothing`;
  return inserted === 1;
}

/**
 * An installation is this connection's if we saw it here before, or enrolled it here. Where its account is known, the
 * delivery must be about that account.
 */
export async function isKnownInstallation(
  tx: UnsafeTx,
  connectionId: string,
  installationId: string,
  accountId: string | null,
): Promise<boolean> {
  const installation = await tx.installation.findUnique({
    where: { connectionId_externalId: { connectionId, externalId: installationId } },
    select: { accountId: true },
  });
  if (installation) return accountId === null || installation.accountId === accountId;
  const enrolled = await tx.enrollment.findFirst({ where: { connectionId, installationId }, select: { id: true } });
  return enrolled !== null;
}

/**
 * The installation as the event tells it. Events overtake each other, so this is a hint that shows on pages at once; what
 * an enrollment rests on, the reconciler asks the forge. A removed one is not brought back by an event that is late: a new
 * installation has a new id.
 */
export async function recordInstallation(tx: UnsafeTx, connectionId: string, event: InstallationEvent): Promise<void> {
  const { removed, externalId, ...told } = event;
  const data = { ...told, observedAt: new Date(), ...(removed ? { removedAt: new Date() } : {}) };
  await tx.installation.upsert({
    where: { connectionId_externalId: { connectionId, externalId } },
    create: { connectionId, externalId, ...data },
    update: data,
  });
}

/** What was seen of these installations counts no longer: the reconciler looks at them anew. */
export async function touchInstallations(tx: UnsafeTx, where: Prisma.InstallationWhereInput): Promise<void> {
  await tx.installation.updateMany({ where, data: { observedAt: new Date() } });
}

/** Asks for a look at every live enrollment of this installation or account: by id, and not by what it was called. */
export async function wakeEnrollmentsOf(
  tx: UnsafeTx,
  connectionId: string,
  installationId: string | null,
  accountId: string | null,
): Promise<void> {
  const any = [
    ...(installationId === null ? [] : [{ installationId }]),
    ...(accountId === null ? [] : [{ scopeId: accountId }]),
  ];
  if (any.length === 0) return;
  await touchInstallations(tx, {
    connectionId,
    OR: [
      ...(installationId === null ? [] : [{ externalId: installationId }]),
      ...(accountId === null ? [] : [{ accountId }]),
    ],
  });
  const live = await tx.enrollment.findMany({
    where: { connectionId, state: { in: ['active', 'withdrawing'] }, OR: any },
    select: { id: true },
    // Always the same order, so that two deliveries that wake the same keys cannot wait for each other.
    orderBy: { id: 'asc' },
  });
  for (const { id } of live) await wake(tx, 'enrollment', id);
}
