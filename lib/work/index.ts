/**
 * The task table: keys that somebody must look at.
 *
 * It promises: one row for each (kind, key), so a key never runs twice at once; a wake is kept with the transaction that
 * caused it and is never lost, not even one that comes during a run; a worker that dies loses its keys to others within
 * `leaseMs`; a worker that was merely slow cannot finish, or pass `lease.check()`, once another has taken its key.
 * It touches the task table alone. It knows no domain: what a kind means is in lib/main.ts.
 */
export { isAnyHeld, leaseMs, queueNow, wake, wakeSql, type QueueOf } from './queue.ts';
export { loop } from './loop.ts';
export type { Lease, Outcome, Task, Tasks } from './loop.ts';
