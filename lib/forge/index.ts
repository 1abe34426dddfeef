/**
 * The forges: one port, and one folder of the same shape for each kind.
 *
 * It promises that an enrollment reads the same whatever the forge, that identity is an id and not a name, and that no
 * request leaves but through the guard (guard.ts), which pins a checked address, follows no redirect and bounds time and
 * size. The contract is the comment on `Forge`; contract.test.ts holds every installed forge to it.
 *
 * It may touch the network. It does not read the database or the configuration: a connection comes as a value. It knows
 * no tenant, keeps no secret, and never waits for a rate limit to pass: it says until when, sends nothing for whom it is of
 * meanwhile, and the caller parks the work.
 */
export { forgeOf, webhookOf } from './registry.ts';
export { ForgeError } from './forge-error.ts';
export { guardedFetch, guardOf } from './guard.ts';
export { tellingOf } from './told.ts';
export { refusalOf } from './address.ts';
export type { GuardedFetch } from './guard.ts';
export { appManifest, assertKeyOf, githubApiUrl, githubApps, installPageUrl, manifestFormUrl } from './github-app.ts';
export type { AppItself, AppManifest, AppUse, InstallationOf, NewApp, WebhookState } from './github-app.ts';
export { hookSecret } from './hook-secret.ts';
export { runnerGroupPrefix } from './runner-group.ts';
export type * from './port.ts';
