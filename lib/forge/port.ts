import type { ForgeKind, ScopeLevel } from '../model/index.ts';

/** A forge that an operator entered, opened for use: the secrets are plain here and live no longer than the call. */
export type ForgeConnectionValue = {
  id: string;
  kind: ForgeKind;
  /** The forge's origin, without a trailing slash. */
  baseUrl: string;
  clientId: string;
  clientSecret: string;
  /** What this connection's webhooks are signed with. */
  webhookSecret?: string | undefined;
  /** GitHub only: the App that stands for the platform. Without it people can sign in, and enrol with an App of their own. */
  app?: AppKey | undefined;
  /** True in the sandbox alone, where forges live on loopback. */
  allowLoopback: boolean;
  /** Hosts that the operator's configuration names as living in a private network. */
  privateHosts?: readonly string[] | undefined;
  /** PEM of the authorities that vouch for this forge, beside the system's own. */
  caBundle?: string | undefined;
};

export type AppKey = {
  id: string;
  slug: string;
  privateKey: string;
  /** An organization's own: the admins of its tenant keep its key, and not the operator. */
  isOwn?: boolean | undefined;
};

/**
 * What the portal acts by at an enrolled scope: an installation of the connection's App (GitHub), or an access token that an
 * admin or operator gave (GitLab, Forgejo, GitHub enterprises). An organization with an App of its own is reached by a
 * connection that carries that App.
 */
export type ScopeCredential = { kind: 'installation'; installationId: string } | { kind: 'token'; token: string };

/** A scope and the power over it. `scopeId` is the identity; `path` is what it was last called. */
export type AtScope = Cancel & { credential: ScopeCredential; level: ScopeLevel; scopeId: string; path: string };

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
  /**
   * False where a token would be full power over the account, so that it is dropped once the sign-in is done. The person then
   * gives an access token of limited scopes (`checkToken`), which from there on is their `userToken`.
   */
  keepsToken: boolean;
  /**
   * What is added to the authorization's address where somebody is to show again that it is they. GitLab then signs them out and
   * asks anew (`prompt=login`); GitHub can only be asked to show its account picker; Forgejo can be asked for nothing.
   */
  confirm: Record<string, string>;
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
  /** Null where the App is not installed there, where its installation leaves this repository out, and where there are no Apps. */
  installation: ScopeInstallation | null;
  /** Where a person installs the App, mends what its installation lacks, or makes the access token for this scope. */
  installUrl: string;
  /** What an enrollment of this scope acts by. */
  credential: ScopeCredential['kind'];
};

export type ScopeRole = 'admin' | 'member' | 'none';

/** An account that a person belongs to, or a team within one, by the forge's id of it: see `TeamChoice`. */
export type MembershipScope = { of: 'account' | 'team'; ownerId: string; login: string; role: 'admin' | 'member' };

/**
 * A team of an organization, or a subgroup of a group. `id` is what the adapter finds it by again, whatever it is called by
 * then; GitHub's and Forgejo's carry the organization's id before their own, `2001/4001`. `path` is for people to read.
 */
export type TeamChoice = { id: string; name: string; path: string };

/** Somebody's account, as an admin names it who invites them. */
export type AccountChoice = { subject: string; login: string; name: string };

/** Why no runner can be registered there now, and what a person does about it, as a sentence each. */
export type ScopeProblem = {
  /** A condition's reason. */
  reason:
    | 'AppMissing'
    | 'AppSuspended'
    | 'ScopeGone'
    | 'RepositoryNotSelected'
    | 'PermissionMissing'
    | 'TokenEnded'
    | 'TokenScopeMissing'
    | 'RoleMissing'
    | 'ServerTooOld'
    | 'RegistrationDisabled';
  message: string;
};

export type ScopeObservation = {
  /** Whether the scope is there. False also where the credential does not let us see it. */
  exists: boolean;
  /** Where it is now; it may have been renamed since it was enrolled. */
  path: string;
  /** To whom it belongs now, as `ScopeChoice` has it: a scope can be transferred. Null where it is not seen. */
  ownerId: string | null;
  /** False where it is known beforehand that this credential can make no webhook there. */
  webhooks: boolean;
  /** The most basic reason why runners cannot be registered; null where they can. */
  problem: ScopeProblem | null;
  /** When the access token ends; null where it does not, where the forge does not say, and for an App. */
  tokenExpiresAt: Date | null;
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
  /** Whether the organization or enterprise has runner groups of its own; false at every other level. */
  runnerGroups: boolean;
};

/** What an access token is, as its forge tells it. */
export type TokenFacts = {
  /** The account it belongs to; of a GitLab group or project token, its bot's. */
  subject: string;
  login: string;
  /** Null where the forge does not tell. */
  scopes: string[] | null;
  /** Scopes that it lacks for what was asked; empty where it has them or the forge does not tell. */
  missingScopes: string[];
  expiresAt: Date | null;
};

/** How to make the access token that a level wants. */
export type TokenAdvice = { createUrl: string; scopes: string[]; role: string };

/** A runner that the portal registered at a forge, or found there under our name. */
export type ForgeRunner = {
  id: string;
  /** Begins with `flywheel-`. */
  name: string;
  status: 'online' | 'offline' | 'never_contacted' | 'paused';
  contactedAt: Date | null;
  /** Whether it runs a job now; null where a list does not tell (GitLab: `retire` asks). */
  busy: boolean | null;
};

/** What a runner process proves itself with. Shown by the forge once; `uuid` is Forgejo's. */
export type RunnerSecret = { token: string; uuid: string | null; expiresAt: Date | null };

export type EnsuredRunner = {
  change: 'created' | 'updated' | 'replaced' | null;
  runner: ForgeRunner;
  /** Null where `known` is still right: the caller holds it. */
  secret: RunnerSecret | null;
  /** Whether the forge forgets the runner when it has had a job; only of a new one. */
  ephemeral: boolean;
};

export type RunnerGroup = {
  id: string;
  name: string;
  visibility: string;
  allowsPublicRepositories: boolean;
};

export type Unsupported = { unsupported: true };

/** Whether a workflow was started, or why the forge does not permit it, as the end of a sentence. */
export type Dispatched = { sent: true } | (Unsupported & { why: string });

export type Webhook = {
  event: string;
  /**
   * `job`: readWorkflowJob reads it. `installation`: readInstallation does. `scope`: something a scope rests on may have moved.
   * `people`: somebody's place in the account or in a team of it has changed; readPerson says whose.
   */
  about: 'job' | 'installation' | 'scope' | 'people' | 'other';
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
  /** Null where the event does not tell (GitLab, whose groups nest): the caller then goes by the path. */
  ownerId: string | null;
  /** The enterprise's id, where the organization belongs to one. */
  enterpriseId: string | null;
  labels: string[];
  /** The workflow run that it is a job of, where a runner is told the same number (GitHub). */
  runId: string | null;
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
  /** A delivery carries at least one of these, in lower case, or it proves nothing and its body need not be read. */
  proofHeaders: readonly string[];
  /** Throws `unauthenticated` unless the raw body carries the secret's signature; reads nothing before that. */
  verifyWebhook(secret: string, input: WebhookInput): Webhook;
  /** Null for a payload that is not a job's. */
  readWorkflowJob(payload: unknown): WorkflowJob | null;
  /** Null for a payload that is not about an installation itself. */
  readInstallation(payload: unknown): InstallationEvent | null;
  /** The account that the payload is about: an organization's or a repository's owner. Null where it names none. */
  readAccountId(payload: unknown): string | null;
  /** The person that the payload is about, by the forge's id of them. Null where it is about several, or about none. */
  readPerson(payload: unknown): string | null;
  /** The repository or project that the payload is about, by id and by its path then. Null where it names none. */
  readRepository(payload: unknown): { id: string; path: string } | null;
};

/**
 * One forge, for all tenants at once. The contract, which lib/forge/contract.test.ts holds every adapter to:
 *
 * - **Identity** is an id. A path or a login is a way to find one, and whatever is found by name is compared by id where
 *   an id is known. Ids are strings.
 * - **Power.** A call with `userToken` sees what that person sees; one with a `credential` is made by the enrolled scope's App
 *   or access token. What a person may claim is told by that person's own token alone; `standingAt` tells only whether
 *   somebody still is what they were.
 * - **Paging** is done here. `listScopes` returns a page and a cursor, which is opaque and belongs to that person and
 *   query; everything else reads to the end, at most 100 pages of 100.
 * - **Limits.** A request takes at most 30 s, 10 s of it to connect, and an answer is at most 10 MB unpacked. Redirects
 *   are not followed. Nothing here waits or retries, save once with a new token where the forge says that the old one
 *   has ended, and once with a corrected clock.
 * - **`ensureX`** is idempotent, looks by name before it creates and returns what it did; null says that nothing was sent
 *   but questions. After a lost answer, calling again is right.
 * - **Threads.** A Forge holds nothing but tokens it can mint again and limits that it was told of; any number of calls may
 *   run at once.
 * - **Errors** are AppErrors, which `forgeOf` has say whom to wait for (ForgeError), and change nothing unless they say so:
 *   `unavailable` the forge is away, slow or answers nonsense: try again later ·
 *   `rate_limited` with `retryAfterMs`: nothing is sent for this installation or person until then, whoever asks ·
 *   `unauthenticated` the person's token has ended: they sign in again ·
 *   `forbidden` the forge refuses the App or the token (suspended, a permission missing, key replaced): no retry heals it ·
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

  /**
   * The accounts that this person belongs to, their own first: what tenant membership is derived from. Of teams, those of
   * `teamIds` that the person is in: who may change a team's members (GitHub: its maintainers; GitLab: Maintainers of the
   * subgroup; Forgejo, whose teams have none: owners of the organization) is its admin.
   */
  listMembershipScopes(input: AsUser & { teamIds?: readonly string[] }): Promise<MembershipScope[]>;

  /** The teams of an organization that this person is shown. `not_found` where they see no such organization. */
  listTeams(input: AsUser & { path: string }): Promise<TeamChoice[]>;

  /** The account of a person by its present login; null where there is none. */
  findAccount(input: AsUser & { login: string }): Promise<AccountChoice | null>;

  /**
   * What somebody is in the account that owns an enrolled scope, asked by the scope's own credential, for when their own
   * token cannot be asked by. Null where that credential may not tell; `none` only where the forge said so.
   */
  standingAt(
    input: AtScope & { ownerId: string; person: { subject: string; login: string } },
  ): Promise<ScopeRole | null>;

  /** What is true of an enrolled scope now, by its credential. A missing scope is an answer and not an error. */
  observeScope(input: AtScope): Promise<ScopeObservation>;

  /**
   * What an access token is. `unauthenticated` where the forge does not know it or it has ended. `scopesFor` says what it
   * will be used for: a person's own listing, or the runners of a scope of that level.
   */
  checkToken(input: Cancel & { token: string; scopesFor: 'person' | ScopeLevel }): Promise<TokenFacts>;
  tokenAdvice(scopesFor: 'person' | ScopeLevel, path: string): TokenAdvice;

  observeRunnerGroup(input: AtScope & { name: string }): Promise<RunnerGroup | null>;

  /** Makes the group exist for all repositories of the scope. The name begins with `flywheel-`. */
  ensureRunnerGroup(
    input: AtScope & { name: string; allowsPublicRepositories: false },
  ): Promise<{ change: 'created' | 'updated' | null; id: string; name: string } | Unsupported>;

  /** Never removes a group whose name does not begin with `flywheel-`. */
  removeRunnerGroup(input: AtScope & { id: string }): Promise<{ change: 'removed' | null }>;

  /**
   * Null where a controller in the cluster registers runners by itself (GitHub's ARC); else how the portal does.
   *
   * - `list`: the runners of this scope itself whose name begins with `flywheel-`.
   * - `ensure`: exactly one runner of that name with these labels. `known` is the id whose secret the caller holds. Is it
   *   there, it is kept (and its labels mended); is another of that name there, whose secret was lost with an answer, it is
   *   given a new secret or replaced, so that there is never a second one (F15).
   *   A new one is made so that the forge forgets it after its first job, where the forge can.
   *   A new secret in good time is another runner under another name beside the one that serves: both work until the former
   *   is retired.
   * - `retire`: ends a runner and none of its jobs. One that is busy takes no more of them where the forge can say so, and is
   *   there until it is asked for again; null change where it is gone already.
   * - `remove`: null change where it is gone already; refuses a runner whose name does not begin with `flywheel-`.
   * - `hold`: takes no more jobs, and says so where people of the forge look; it ends none. What was paused there by hand stays
   *   so when it is let go. Null as a whole where a forge has no such place.
   * - `leave`: the registration ends itself, by its own secret and with no power over the scope; null change where the forge
   *   knows no such secret. Null as a whole where a forge lets none do so.
   */
  runners: {
    list(input: AtScope): Promise<ForgeRunner[]>;
    ensure(input: AtScope & { name: string; labels: string[]; known: string | null }): Promise<EnsuredRunner>;
    retire(input: AtScope & { id: string }): Promise<{ change: 'removed' | null } | { busy: true }>;
    remove(input: AtScope & { id: string }): Promise<{ change: 'removed' | null }>;
    hold:
      | ((input: AtScope & { id: string; isHeld: boolean }) => Promise<{ change: 'held' | 'released' | null }>)
      | null;
    leave: ((input: Cancel & { token: string }) => Promise<{ change: 'removed' | null }>) | null;
  } | null;

  /**
   * Makes the scope send its job events to `url`, signed with the connection's secret: one hook, found by its URL. Answers
   * `unsupported` where the forge sends them without it (GitHub's App), where the plan has no hooks at that level, and where
   * the credential may not make one: the portal then looks by itself, only later.
   */
  ensureWebhook(input: AtScope & { url: string }): Promise<{ change: 'created' | 'updated' | null } | Unsupported>;
  removeWebhook(input: AtScope & { url: string }): Promise<{ change: 'removed' | null } | Unsupported>;

  /**
   * Starts a workflow that somebody put into a repository within the scope, on its default branch. Null where the portal knows
   * no way to: the forge's jobs are then seen only when people start them.
   */
  dispatchWorkflow:
    | ((
        input: AtScope & { repository: string; workflow: string; inputs: Record<string, string> },
      ) => Promise<Dispatched>)
    | null;

  /** `webhookOf(kind).verifyWebhook` with this connection's secret. */
  verifyWebhook(input: WebhookInput): Webhook;
  readWorkflowJob(payload: unknown): WorkflowJob | null;
};
