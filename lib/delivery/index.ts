/**
 * Inbound webhooks: verify, keep, wake, answer.
 *
 * It promises that nothing is kept or woken before the raw body was verified against the connection's own secret; that
 * the delivery, with what it says about a job, and the wakes are one transaction, so that a 202 is durable and a worker takes
 * the job into the ledger; and that a lost, doubled or reordered delivery changes only when we look, never what we find. No body is read before there is such a webhook
 * and the headers carry a proof, and all bodies together hold a bounded memory.
 *
 * The ledger of jobs is here, since both of its witnesses end in it: the forge's deliveries, and what the watch of a cluster
 * saw, which whoever watches hands in. Late, twice, out of order or in part, they end in the same row.
 *
 * It may touch the database, as the system, since a forge knows no tenant. It asks no forge and no cluster anything: the
 * worker looks at the world again.
 */
export { acceptDelivery } from './accept.ts';
export type { DeliveryInput } from './accept.ts';
export { acceptDirectedDelivery } from './directed.ts';
export type { Accepted } from './hook.ts';
export { pruneDeliveries } from './prune.ts';
export { bytesInFlight } from './raw-body.ts';
export { receiveDelivery } from './receive.ts';
export { jobsTask } from './rows.ts';
export { takeJobs } from './take-jobs.ts';
export { mendLedger, recordSeen, type JobSeen } from './seen.ts';
