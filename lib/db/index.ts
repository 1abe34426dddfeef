/**
 * The database: a client that sees one tenant, one that sees all, and sealed secrets.
 *
 * It promises two fences. `tenantDb(id)` adds the tenant to every query of a tenant's table and runs it in a transaction
 * whose `app.tenant_id` is set; Postgres row security, forced, then shows the application role that tenant's rows alone,
 * and none at all where nothing was set. `unsafeDb()` takes the role flywheel_system, which sees every tenant; who may
 * call it is a list in safety.test.ts. Neither role owns a table or may pass by row security.
 *
 * It may touch Postgres and the configuration. It knows no rule of the domain.
 */
export { closeDb, tenantDb, tenantTransaction, unsafeDb, unsafeTransaction, databaseUrl } from './client.ts';
export type { TenantDb, TenantTx, UnsafeDb, UnsafeTx } from './client.ts';
export { globalModels, tenantModels } from './models.ts';
export { open, openBytes, resealedBytes, seal, sealBytes } from './seal.ts';
export { keyIdBytes, keysFor, presentKey, secretKeys } from './keys.ts';
export type { SecretKey } from './keys.ts';
export { resealTexts, sealedTexts, textsByKey } from './reseal.ts';
export type { ByKey, Resealed } from './reseal.ts';
export * from './generated/enums.ts';
export { Prisma } from './generated/client.ts';
export type * from './generated/models.ts';
