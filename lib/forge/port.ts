import type { ForgeKind, ScopeLevel } from '../model/index.ts';

/** A forge that an operator entered, opened for use: the secrets are plain here and live no longer than the call. */
export type ForgeConnectionValue = {
  id: string;
  kind: ForgeKind;
  /** The forge's origin, without a trailing slash. */
  baseUrl: string;
  clientId: string;
  clientSecret: string;
  /** GitHub only: the App that stands for the platform. Without it nobody can enrol, but people can sign in. */
  app?: { id: string; slug: string; privateKey: string; webhookSecret: string } | undefined;
  /** True in the sandbox alone, where forges live on loopback. */
  allowLoopback: boolean;
};

/** Every call can be cancelled; what it had already sent may still take effect. */
export type Cancel = { signal?: AbortSignal | undefined };

/** The access token of a person: what it may see is what that person may see. */
export type AsUser = Cancel & { userToken: string };

export type UserTokens = {
  accessToken: string;
  refreshToken: string | null;
  expiresAt: Date | null;
};

export type Profile = {
  /** The forge's own id of the account: it survives a rename and is never an e-mail address. */
  subject: string;
  login: string;
  name: string;
  imageUrl: string | null;
};

export type SignIn = {
  authorizationUrl: string;
  tokenUrl: string;
  scopes: string[];
  pkce: true;
  /** False where a token would be full power over the account, so that it is dropped once the sign-in is done. */
  keepsToken: boolean;
  /** Exchanges the code at the token end-point, through the guard. */
  exchange(input: Cancel & { code: string; codeVerifier: string; redirectUri: string }): Promise<UserTokens>;
  fetchProfile(accessToken: string, cancel?: Cancel): Promise<Profile>;
  /** Throws `unauthenticated` where the person has to sign in again. */
  refresh(refreshToken: string, cancel?: Cancel): Promise<UserTokens>;
};

export type RepositorySelection = 'all' | 'selected';

export type ScopeInstallation = {
  id: string;
  suspended: boolean;
  /** `organization_self_hosted_runners: write` and the like, which the installation has not been given. */
  permissionsMissing: string[];
  repositorySelection: RepositorySelection;
};

export type ScopeChoice = {
  level: ScopeLevel;
  path: string;
  /** The forge's own id of the organization or repository. */
  scopeId: string;
  name: string;
  ownerId: string;
  private: boolean;
  /** Null where the App is not installed there, or where its installation leaves this repository out. */
  installation: ScopeInstallation | null;
  /** Where a person installs the App, or mends what its installation lacks. */
  installUrl: string;
};

export type ScopeRole = 'admin' | 'member' | 'none';

export type MembershipScope = { ownerId: string; login: string; role: 'admin' | 'member' };

export type ScopeObservation = {
  /** Whether the scope is there. False also where no installation lets us see it: `installation` is then null. */
  exists: boolean;
  /** Where it is now; it may have been renamed since it was enrolled. */
  path: string;
  /** May carry another id than the one asked for: the App was taken away and installed again. */
  installation: {
    id: string;
    accountId: string;
    accountLogin: string;
    accountType: string;
    suspendedAt: Date | null;
    permissions: Record<string, string>;
    repositorySelection: RepositorySelection;
  } | null;
  /** False where the installation is of selected repositories and this one is not among them. */
  covered: boolean;
  missingPermissions: string[];
  /** Whether the organization has runner groups of its own; never at repository level. */
  runnerGroups: boolean;
};

export type InOrganization = Cancel & { installationId: string; org: string };

export type RunnerGroup = {
  id: string;
  name: string;
  visibility: string;
  allowsPublicRepositories: boolean;
};

export type Unsupported = { unsupported: true };

export type Webhook = {
  event: string;
  action: string | null;
  deliveryId: string;
  installationId: string | null;
  /** Parsed JSON, not yet checked against any schema. */
  payload: unknown;
};

export type WebhookInput = { headers: { get(name: string): string | null }; rawBody: Uint8Array };

/** What an event says about who the App is installed for. `removed` where it was uninstalled. */
export type InstallationEvent = {
  externalId: string;
  accountId: string;
  accountLogin: string;
  accountType: string;
  repositorySelection: RepositorySelection;
  permissions: Record<string, string>;
  suspendedAt: Date | null;
  removed: boolean;
};

export type WorkflowJob = {
  externalId: string;
  /** `owner/name` as it was when the event was made. */
  repository: string;
  repositoryId: string;
  owner: string;
  ownerId: string;
  /** The enterprise's id, where the organization belongs to one. */
  enterpriseId: string | null;
  labels: string[];
  state: 'queued' | 'running' | 'completed';
  conclusion: string | null;
  runnerName: string | null;
  workflow: string | null;
  name: string | null;
  queuedAt: Date;
  startedAt: Date | null;
  completedAt: Date | null;
};

/** What the door of the webhooks needs: one secret, and no power over the forge. */
export type WebhookReader = {
  /** Throws `unauthenticated` unless the raw body carries the secret's signature; reads nothing before that. */
  verifyWebhook(secret: string, input: WebhookInput): Webhook;
  /** Null for a payload that is not a job's. */
  readWorkflowJob(payload: unknown): WorkflowJob | null;
  /** Null for a payload that is not about an installation itself. */
  readInstallation(payload: unknown): InstallationEvent | null;
  /** The account that the payload is about: an organization's or a repository's owner. Null where it names none. */
  readAccountId(payload: unknown): string | null;
};

/**
 * One forge, for all tenants at once. The contract, which lib/forge/contract.test.ts holds every adapter to:
 *
 * - **Identity** is an id. A path or a login is a way to find one, and whatever is found by name is compared by id where
 *   an id is known. Ids are strings.
 * - **Power.** A call with `userToken` sees what that person sees. A call with `installationId` is made by the App. No
 *   answer about a person's role comes from anywhere but that person's own token.
 * - **Paging** is done here. `listScopes` returns a page and a cursor, which is opaque and belongs to that person and
 *   query; everything else reads to the end, at most 100 pages of 100.
 * - **Limits.** A request takes at most 30 s, 10 s of it to connect, and an answer is at most 10 MB unpacked. Redirects
 *   are not followed. Nothing here waits or retries, save once with a new token where the forge says that the old one
 *   has ended, and once with a corrected clock.
 * - **`ensureX`** is idempotent, looks by name before it creates and returns what it did; null says that nothing was sent
 *   but questions. After a lost answer, calling again is right.
 * - **Threads.** A Forge holds nothing but tokens it can mint again; any number of calls may run at once.
 * - **Errors** are AppErrors and change nothing unless they say so:
 *   `unavailable` the forge is away, slow or answers nonsense: try again later ·
 *   `rate_limited` with `retryAfterMs`: send nothing for this installation or person until then ·
 *   `unauthenticated` the person's token has ended: they sign in again ·
 *   `forbidden` the forge refuses the App (suspended, a permission missing, key replaced): no retry heals it ·
 *   `not_found` there is no such scope, or the caller may not see it ·
 *   `invalid` the forge is of a kind that is not installed, or something was asked that it never allows.
 */
export type Forge = {
  kind: ForgeKind;
  /** Where an owner installs the App, also for accounts that are not listed because it is not installed there yet. */
  installUrl(cancel?: Cancel): Promise<string>;
  signIn: SignIn;

  /** Organizations and repositories that this person administers; `query` is a part of the path. */
  listScopes(
    input: AsUser & { query?: string | undefined; cursor?: string | undefined },
  ): Promise<{ scopes: ScopeChoice[]; nextCursor: string | null }>;

  /**
   * One scope and this person's role there. `role` is the proof that enrolment rests on: only 'admin' may claim a scope.
   * An installation is named only to its administrators, and only where it is that account's own. GitHub tells nobody's
   * role in an organization before the App is installed there: an owner's is 'none' until then, with `installUrl` beside.
   */
  findScope(input: AsUser & { level: ScopeLevel; path: string }): Promise<ScopeChoice & { role: ScopeRole }>;

  /** The accounts that this person belongs to, their own among them: what tenant membership is derived from. */
  listMembershipScopes(input: AsUser): Promise<MembershipScope[]>;

  /** What is true of an enrolled scope now, by the App's credentials. A missing scope is an answer and not an error. */
  observeScope(
    input: Cancel & { installationId: string; level: ScopeLevel; scopeId: string; path: string },
  ): Promise<ScopeObservation>;

  observeRunnerGroup(input: InOrganization & { name: string }): Promise<RunnerGroup | null>;

  /** Makes the group exist for all repositories of the organization. The name begins with `flywheel-`. */
  ensureRunnerGroup(
    input: InOrganization & { name: string; allowsPublicRepositories: false },
  ): Promise<{ change: 'created' | 'updated' | null; id: string; name: string } | Unsupported>;

  /** Never removes a group whose name does not begin with `flywheel-`. */
  removeRunnerGroup(input: InOrganization & { id: string }): Promise<{ change: 'removed' | null }>;

  /** `webhookOf(kind).verifyWebhook` with this connection's secret. */
  verifyWebhook(input: WebhookInput): Webhook;
  readWorkflowJob(payload: unknown): WorkflowJob | null;
};
