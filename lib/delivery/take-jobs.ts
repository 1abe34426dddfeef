import { z } from 'zod';
import { unsafeDb, unsafeTransaction } from '../db/index.ts';
import type { WorkflowJob } from '../forge/index.ts';
import { observe } from '../telemetry/index.ts';
import type { Outcome } from '../work/index.ts';
import { recordJobs } from './jobs.ts';

const takenMost = 500;

const At = z.coerce.date();

/** A job as `keepDeliveries` wrote it down. */
const KeptJob = z.object({
  externalId: z.string(),
  repository: z.string(),
  repositoryId: z.string(),
  owner: z.string(),
  ownerId: z.string().nullable(),
  enterpriseId: z.string().nullable(),
  labels: z.array(z.string()),
  /** What a former version kept says nothing of it. */
  runId: z.string().nullable().default(null),
  state: z.enum(['queued', 'running', 'completed']),
  conclusion: z.string().nullable(),
  runnerName: z.string().nullable(),
  workflow: z.string().nullable(),
  name: z.string().nullable(),
  queuedAt: At,
  startedAt: At.nullable(),
  completedAt: At.nullable(),
}) satisfies z.ZodType<WorkflowJob>;

/**
 * Takes what deliveries told of a connection's jobs into the ledger, the oldest first, until nothing waits. One worker at a
 * time does it for a connection; what it has taken in is marked in the same transaction, so that one that dies takes nothing
 * in twice and leaves nothing out. What cannot be written holds nothing else up: it waits, and its error is thrown at the end.
 */
export async function takeJobs({ key: connectionId }: { key: string }): Promise<Outcome> {
  const refused = new Map<string, unknown>();
  for (;;) {
    const ids = await waitingAt(connectionId, [...refused.keys()]);
    if (ids.length === 0) break;
    try {
      await take(connectionId, ids);
    } catch {
      for (const id of ids) await take(connectionId, [id]).catch((error: unknown) => refused.set(id, error));
    }
  }
  for (const error of refused.values()) throw error;
  return { kind: 'gone' };
}

async function waitingAt(connectionId: string, except: readonly string[]): Promise<string[]> {
  const rows = await unsafeDb().delivery.findMany({
    where: { connectionId, handledAt: null, deliveryId: { notIn: [...except] } },
    select: { deliveryId: true },
    orderBy: { receivedAt: 'asc' },
    take: takenMost,
  });
  return rows.map(({ deliveryId }) => deliveryId);
}

type Waiting = { id: string; job: unknown; forge: string; lagSeconds: number };

async function take(connectionId: string, ids: readonly string[]): Promise<void> {
  const taken = await unsafeTransaction(async (tx) => {
    const rows = await tx.$queryRaw<Waiting[]>`
      select delivery_id as id, payload -> 'job' as job, extract(epoch from clock_timestamp() - received_at)::float as "lagSeconds",
        (select kind::text from forge_connection where id = ${connectionId}) as forge
      from delivery
      where connection_id = ${connectionId} and delivery_id = any(${ids}) and handled_at is null
      order by received_at for update`;
    const jobs = rows.map(({ job }) => KeptJob.parse(job));
    if (jobs.length > 0) await recordJobs(tx, connectionId, jobs);
    await tx.$executeRaw`
      update delivery set handled_at = now(), payload = payload - 'job'
      where connection_id = ${connectionId} and delivery_id = any(${rows.map(({ id }) => id)})`;
    return rows;
  });
  for (const { forge, lagSeconds } of taken) observe('deliveryLag', { forge }, lagSeconds);
}
