import { Prisma, type UnsafeTx, unsafeDb } from '../db/index.ts';
import type { InstallationEvent, Webhook, WorkflowJob } from '../forge/index.ts';
import type { ScopeLevel } from '../model/index.ts';
import { wake, wakeSql } from '../work/index.ts';

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

/** The key of the task that takes what was told of a connection's jobs into the ledger is the connection's id. */
export const jobsTask = 'jobs';

/** A delivery about a job, in place of whose payload stands what was read of it. */
export type ToldJob = Omit<Webhook, 'payload'> & { accountId: string | null; job: WorkflowJob | null };

/**
 * Keeps deliveries about jobs, with what each says, for the worker to take into the ledger, and wakes it: one statement, which
 * is durable when it answers. Answers the ids of those that were not kept already, each once.
 */
export async function keepDeliveries(connectionId: string, told: readonly ToldJob[]): Promise<Set<string>> {
  const given = told.map(({ deliveryId, event, installationId, action, job }) => ({
    deliveryId,
    event,
    installationId,
    payload: job ? { action, job } : { action },
  }));
  // Always in the same order, and the task after all of them, so that two who keep the same deliveries cannot wait for each other:
  // `exists` would be content with the first, and the rest be kept with the task's row held.
  const woken = Prisma.sql`select ${connectionId}::text as key where (select bool_or(is_job) from kept)`;
  const rows = await unsafeDb().$queryRaw<{ delivery_id: string }[]>`
    /* prepared: keep_deliveries */
    with kept as (
      insert into delivery (connection_id, delivery_id, event, installation_id, payload, handled_at)
      select ${connectionId}, "deliveryId", event, "installationId", payload, case when payload ? 'job' then null else now() end
      from jsonb_to_recordset(${JSON.stringify(given)}::jsonb)
        as given ("deliveryId" text, event text, "installationId" text, payload jsonb)
      order by "deliveryId"
      on conflict do nothing
      returning delivery_id, payload ? 'job' as is_job),
    ${wakeSql(jobsTask, woken)}
    select delivery_id from kept cross join told`;
  return new Set(rows.map((row) => row.delivery_id));
}

/** The accounts of those of these installations that are this connection's; null where only an enrollment knows it. */
export async function knownInstallations(
  tx: Pick<UnsafeTx, '$queryRaw'>,
  connectionId: string,
  ids: readonly string[],
): Promise<Map<string, string | null>> {
  const rows = await tx.$queryRaw<{ id: string; account: string | null }[]>`
    select external_id as id, account_id as account from installation
    where connection_id = ${connectionId} and external_id = any(${ids})
    union all
    select installation_id, null from enrollment
    where connection_id = ${connectionId} and installation_id = any(${ids})`;
  // Two that differ are an installation and its enrollment: the account is what the former says.
  const known = new Map<string, string | null>();
  for (const { id, account } of rows) known.set(id, known.get(id) ?? account);
  return known;
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
  const known = await knownInstallations(tx, connectionId, [installationId]);
  return isOfAccount(known, installationId, accountId);
}

export function isOfAccount(
  known: ReadonlyMap<string, string | null>,
  installationId: string,
  accountId: string | null,
): boolean {
  const account = known.get(installationId);
  return account !== undefined && (account === null || accountId === null || account === accountId);
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

/** What an event names, by id and not by what it was called. */
export type Named = { installationId: string | null; accountId: string | null; repositoryId: string | null };

/** Asks for a look at every live enrollment of what an event names. */
export async function wakeEnrollmentsOf(
  tx: UnsafeTx,
  connectionId: string,
  { installationId, accountId, repositoryId }: Named,
): Promise<void> {
  const any: Prisma.EnrollmentWhereInput[] = [
    ...(installationId === null ? [] : [{ installationId }]),
    ...(accountId === null ? [] : [{ scopeId: accountId }]),
    // Repositories are numbered apart from accounts, so the same number may be both.
    ...(repositoryId === null ? [] : [{ scopeId: repositoryId, level: { in: repositoryLevels } }]),
  ];
  if (any.length === 0) return;
  const live = await tx.enrollment.findMany({
    where: { connectionId, state: { in: ['active', 'withdrawing'] }, OR: any },
    select: { id: true, installationId: true },
  });
  // A transferred repository is served by another installation than the one that tells of it.
  const serving = [installationId, ...live.map((row) => row.installationId)].filter((id) => id !== null);
  await touchInstallations(tx, {
    connectionId,
    OR: [{ externalId: { in: serving } }, ...(accountId === null ? [] : [{ accountId }])],
  });
  await wakeTold(
    tx,
    live.map(({ id }) => id),
  );
}

/** Wakes these, and has the forge asked anew, where a pass would else go by what it saw minutes ago. */
export async function wakeTold(tx: UnsafeTx, ids: readonly string[]): Promise<void> {
  await tx.enrollment.updateMany({ where: { id: { in: [...ids] } }, data: { toldAt: new Date() } });
  await wake(tx, 'enrollment', ids);
}

const repositoryLevels: ScopeLevel[] = ['repository', 'project'];
