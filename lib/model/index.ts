/**
 * The enrollment model: forge scope, operator tenant, execution pool, cache/state plane, as types, schemas and rules.
 *
 * It promises that every rule which can be said without I/O is said here once, and that the form, the REST body and the
 * YAML document are checked by the same schema. It touches nothing: no clock, no environment, no network. It does not
 * know how a rule is stored, shown or enforced in a cluster.
 */
export * from './approval.ts';
export * from './cache-client.ts';
export * from './document.ts';
export * from './enrollment.ts';
export * from './label.ts';
export * from './placement.ts';
export * from './plane.ts';
export * from './pool.ts';
export * from './pool-entry.ts';
export * from './quantity.ts';
export * from './quota.ts';
export * from './reason.ts';
export * from './reference.ts';
export * from './schedule.ts';
export * from './scope.ts';
export * from './security-class.ts';
export * from './sharing.ts';
export * from './tenant.ts';
