/**
 * Inbound webhooks: verify, keep, wake, answer.
 *
 * It promises that nothing is kept or woken before the raw body was verified against the connection's own secret; that
 * the delivery, what it says about a job and the wakes are one transaction, so that a 202 is durable; and that a lost,
 * doubled or reordered delivery changes only when we look, never what we find.
 *
 * It may touch the database, as the system, since a forge knows no tenant. It asks no forge and no cluster anything: the
 * worker looks at the world again.
 */
export { acceptDelivery } from './accept.ts';
export type { Accepted, DeliveryInput } from './accept.ts';
export { acceptDirectedDelivery } from './directed.ts';
export { readRawBody, rawBodyBytesMax } from './raw-body.ts';
export { mergeJob } from './job-state.ts';
export type { JobReading } from './job-state.ts';
