import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Prisma, seal, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, invalidFields, notFound, toAppError, type Screen } from '#lib/errors.ts';
import {
  appManifest,
  assertKeyOf,
  githubApps,
  installPageUrl,
  manifestFormUrl,
  type AppManifest,
  type ForgeConnectionValue,
  type MembershipScope,
  type NewApp,
  type WebhookState,
} from '#lib/forge/index.ts';
import { appendAudit, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { actAs, openConnection, openConnectionFor, reach, type ActsBy } from './connections.ts';
import {
  adminOf,
  createTenant,
  freeSlug,
  provenScope,
  refuseEnrolled,
  refusePath,
  startEnrollment,
  type StartInput,
} from './draft.ts';
import { connectionIdForm, endErrand, errandOf, errandOfKind, sendOff, takeBack, type Errand } from './errands.ts';
import { assertAnswers, CaBundle } from './new-forge.ts';
import { connectionPlace, githubAppPlace } from './places.ts';
import { accountOf, refuseAnotherIn } from './sharing.ts';
import { liveStates } from './rows.ts';
import { RunnerEgress } from './runner-egress.ts';
import { wakeServedBy } from './served.ts';

/*
 * A GitHub App's life: made from a manifest, installed, given a new key. Two uses: the connection's App, which the operator
 * makes and every tenant may use, and an App of one organization's own, whose key is worth nothing elsewhere. GitHub tells
 * an App's secrets once, to us; they go sealed into a row in the same call, and nobody is ever shown them.
 */

const createdUrl = () => `${env().PORTAL_URL}/api/github/created`;
const installedUrl = () => `${env().PORTAL_URL}/enroll/installed`;
const hookUrl = (connectionId: string, githubAppId: string | null) =>
  `${env().PORTAL_URL}/api/hooks/${connectionId}${githubAppId === null ? '' : `/${githubAppId}`}`;
const leaveUrl = (state: string) => `/api/github/leave?${new URLSearchParams({ state }).toString()}`;

// ------------------------------------------------------------------------------------------------ leaving

export type ManifestForm = { action: string; manifest: AppManifest };

/** The form that takes this person to GitHub, which then asks them to confirm. The state is not ended by looking at it. */
export async function manifestForm(by: PersonCtx, state: string): Promise<ManifestForm> {
  const errand = await errandOf(by, state);
  if (errand.kind === 'install') throw notFound();
  if (errand.kind === 'platform-app') {
    requireOperator(by);
    const { organization, create } = errand.details;
    const baseUrl = create?.baseUrl ?? (await githubConnection(errand.connectionId)).baseUrl;
    return {
      action: manifestFormUrl(baseUrl, organization, state),
      manifest: manifestOf('platform', `Flywheel ${new URL(env().PORTAL_URL).hostname}`, {
        hookUrl: hookUrl(errand.connectionId, null),
        callbackUrls: [`${env().PORTAL_URL}/api/auth/callback/${errand.connectionId}`],
      }),
    };
  }
  const { accountLogin, githubAppId } = errand.details;
  const { baseUrl } = await githubConnection(errand.connectionId);
  return {
    action: manifestFormUrl(baseUrl, accountLogin, state),
    manifest: manifestOf('organization', `Flywheel ${accountLogin}`, {
      hookUrl: hookUrl(errand.connectionId, githubAppId),
      callbackUrls: [],
    }),
  };
}

function manifestOf(
  use: 'platform' | 'organization',
  name: string,
  more: { hookUrl: string; callbackUrls: string[] },
): AppManifest {
  const portalUrl = env().PORTAL_URL;
  return appManifest({ use, name, portalUrl, redirectUrl: createdUrl(), setupUrl: installedUrl(), ...more });
}

function requireOperator(by: PersonCtx): void {
  if (!by.person.isOperator) throw notFound();
}

async function githubConnection(id: string): Promise<ForgeConnectionValue> {
  const connection = await openConnection(id);
  if (connection.kind === 'github') return connection;
  throw new AppError('invalid', {
    log: `connection ${id} is ${connection.kind}`,
    screen: { happened: 'Only GitHub has Apps.', todo: 'Enrol this scope with an access token.' },
  });
}

// ------------------------------------------------------------------------------------------------ the platform's App

/** An origin and nothing more; whether it may be reached at all is the guard's to say. */
const BaseUrl = z.url({ protocol: /^https?$/ }).transform((url, context) => {
  const { origin, pathname, search, hash, username } = new URL(url);
  if (pathname === '/' && search === '' && hash === '' && username === '') return origin;
  context.addIssue('is to be the address alone, such as https://github.example.org');
  return z.NEVER;
});
const Organization = z
  .string()
  .trim()
  .regex(/^([A-Za-z0-9](-?[A-Za-z0-9]){0,38})?$/, 'is no name of an organization')
  .transform((name) => name || null);

export const PlatformAppInput = z.strictObject({
  connectionId: z.string().regex(connectionIdForm, 'lower-case letters, digits and hyphens, at most 60'),
  organization: Organization.default(null),
});

export const NewConnectionInput = PlatformAppInput.extend({
  name: z.string().trim().min(1, 'is missing').max(60),
  baseUrl: BaseUrl,
  caBundle: CaBundle,
  runnerEgress: RunnerEgress.default(null),
});

/** Begins making the App of a connection that has none; returns where the operator goes. */
export async function beginPlatformApp(by: PersonCtx, input: z.output<typeof PlatformAppInput>): Promise<string> {
  const { connectionId, organization } = input;
  const connection = await githubConnection(connectionId);
  if (connection.app) throw hasAppAlready();
  const { baseUrl, caBundle = null } = connection;
  await assertAnswers({ kind: 'github', baseUrl, caBundle }, 'organization');
  const details = { organization, create: null };
  return leaveUrl(await sendOff(by, { kind: 'platform-app', connectionId, details }));
}

/**
 * The same for a GitHub that is not entered yet: the connection comes into being with its App. Its address is tried first: an
 * App that was made where the portal cannot ask for its secrets is lost.
 */
export async function beginConnection(by: PersonCtx, input: z.output<typeof NewConnectionInput>): Promise<string> {
  const { connectionId, organization, ...create } = input;
  const { baseUrl, caBundle } = create;
  const taken = await unsafeDb().forgeConnection.findFirst({ where: { OR: [{ id: connectionId }, { baseUrl }] } });
  if (taken?.id === connectionId) throw invalidFields({ connectionId: 'is taken' });
  if (taken) throw invalidFields({ baseUrl: `is entered already, as ${taken.id}` });
  await assertAnswers({ kind: 'github', baseUrl, caBundle });
  const details = { organization, create };
  return leaveUrl(await sendOff(by, { kind: 'platform-app', connectionId, details }));
}

function hasAppAlready(): AppError {
  return new AppError('conflict', {
    log: 'the connection has an App',
    screen: {
      happened: 'This forge has an App already, and enrollments may rest on it.',
      todo: 'Give it a new key instead, or change it at GitHub.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ an organization's own

/**
 * Begins an App of the organization's own, or goes on with the one that is there; where GitHub does not know that one any
 * more, another is made to take its place. Nothing is proven yet and nothing is enrolled: GitHub lets only those make an App
 * for an organization who may, and the scope is proven when they are back.
 */
export async function beginOwnApp(by: PersonCtx, start: StartInput): Promise<string> {
  const { forge, token } = await actAs(by, start.connectionId);
  await githubConnection(start.connectionId);
  if (start.level !== 'organization') throw refusePath('Only an organization can have an App of its own.');
  const scope = await forge.findScope({ userToken: token, level: start.level, path: start.path });
  if (scope.role === 'member')
    throw refusePath(`You do not administer ${scope.path}.`, 'Ask one of its owners to enrol it.');
  const existing = 'slug' in start.tenant ? await adminOf(by, start.tenant.slug) : null;
  const own = existing && (await ownAppOf(existing.tenant.id, start.connectionId, scope.scopeId));
  const page = own && (await pageOf(own));
  // What the App that is gone has served lives on, and waits for the one that takes its place.
  const waiting = own && page === null ? await servedBy(own) : null;
  await refuseEnrolled(start.connectionId, scope, waiting?.id);
  if (existing) await refuseAnotherIn(existing, accountOf({ ...scope, connectionId: start.connectionId }));
  if (own && page !== null) return installOwn(by, own, start, page);
  const { scopeId: accountId, path: accountLogin } = scope;
  const takesPlace = {
    githubAppId: own?.id ?? randomUUID(),
    goneAppId: own?.appId ?? null,
    goneKeyReplacedAt: own?.keyReplacedAt?.toISOString() ?? null,
  };
  const details = { start, ...takesPlace, accountId, accountLogin };
  return unsafeTransaction(async (tx) => {
    // From here on it is theirs until they are back.
    if ('new' in start.tenant) await freeSlug(tx, start.tenant.new.slug, 'tenant.new.slug', by);
    return leaveUrl(await sendOff(by, { kind: 'own-app', connectionId: start.connectionId, details }, tx));
  });
}

type OwnApp = {
  id: string;
  tenantId: string;
  connectionId: string;
  accountId: string;
  slug: string;
  appId: string;
  keyReplacedAt: Date | null;
};

async function ownAppOf(tenantId: string, connectionId: string, accountId: string): Promise<OwnApp | null> {
  const where = { tenantId_connectionId_accountId: { tenantId, connectionId, accountId } };
  return unsafeDb().githubApp.findUnique({ where });
}

/** Null where GitHub knows neither the App nor its key any more. */
async function pageOf(own: OwnApp): Promise<string | null> {
  const app = await githubApps(await openConnectionFor({ ...own, githubAppId: own.id })).known();
  return app && app.htmlUrl;
}

/** The live enrollment of the App's own organization: a scope is enrolled once. */
async function servedBy({ id, accountId }: OwnApp): Promise<{ id: string; path: string } | null> {
  return unsafeDb().enrollment.findFirst({
    where: { githubAppId: id, level: 'organization', scopeId: accountId, state: { in: [...liveStates] } },
    select: { id: true, path: true },
  });
}

/** To GitHub's page on which an owner installs the App, and back with a state of its own. */
async function installOwn(by: PersonCtx, own: OwnApp, start: StartInput, htmlUrl: string): Promise<string> {
  const details = { path: start.path, own: { githubAppId: own.id, start } };
  const state = await sendOff(by, { kind: 'install', connectionId: own.connectionId, details });
  return installPageUrl(htmlUrl, own.accountId, state);
}

// ------------------------------------------------------------------------------------------------ back with a new App

/** What GitHub adds to the address that it sends the person back to. */
export const CreatedQuery = z.object({ code: z.string().min(1).max(200), state: z.string().min(1).max(200) });

type Created = z.output<typeof CreatedQuery>;

const otherTabMs = 1_500;

/**
 * Takes the new App in: its secrets are sealed into a row before anything else is done with them. The state ends with that
 * row, so that who comes again after a failure comes to the same; what cannot be kept is named, to be deleted at GitHub.
 * Returns where to go.
 */
export async function finishApp(by: PersonCtx, created: Created): Promise<string> {
  const errand = await errandOfKind(by, created.state, ['platform-app', 'own-app']);
  return errand.kind === 'platform-app' ? finishPlatformApp(by, errand, created) : finishOwnApp(by, errand, created);
}

/** GitHub tells an App's secrets once. A code that it does not know was spent, by an answer that never came or by another tab. */
async function converted(
  by: PersonCtx,
  connection: ForgeConnectionValue,
  { code, state }: Created,
  owner: string | null,
): Promise<NewApp> {
  try {
    return await githubApps(connection).convert(code);
  } catch (error) {
    if (!(error instanceof AppError) || !['not_found', 'unavailable'].includes(error.code)) throw error;
    // Of two tabs the second has a code that is spent; what became of it, the first one says as soon as it has kept it.
    if (error.code === 'not_found') await sleep(otherTabMs);
    await errandOf(by, state);
    throw unsureApp(error, settingsUrl(connection, owner));
  }
}

function settingsUrl({ baseUrl }: ForgeConnectionValue, owner: string | null): string {
  return `${baseUrl}${owner === null ? '' : `/organizations/${encodeURIComponent(owner)}`}/settings/apps`;
}

function unsureApp(error: AppError, url: string): AppError {
  const isSpent = error.code === 'not_found';
  return new AppError('unavailable', {
    log: error.message,
    cause: error,
    screen: {
      happened: isSpent
        ? 'GitHub has told the secrets of this App before, and the answer did not arrive here.'
        : `The new App’s secrets did not arrive. ${error.screen.happened}`,
      changed: 'The portal kept nothing. The App is there at GitHub.',
      todo: isSpent
        ? `Delete the App that you just made, at ${url}, and begin again in the portal.`
        : `Reload this page in a moment. If it does not help, delete the App that you just made, at ${url}, and begin again.`,
    },
  });
}

/** Keeps what was converted; an App that could not be kept is named, since nobody can use it any more. */
async function keptOrNamed<T>(made: NewApp, url: string, keep: () => Promise<T>): Promise<T> {
  try {
    return await keep();
  } catch (error) {
    const { code, message, screen, retryAfterMs } = toAppError(error);
    const todo = `Delete the App ${made.slug} at ${url}, and begin again in the portal.`;
    throw new AppError(code, {
      log: `App ${made.slug} could not be kept: ${message}`,
      cause: error,
      screen: {
        happened: `${screen.happened} ${fieldsOf(screen)}`.trim(),
        changed: `The portal keeps no secret of the App ${made.slug}, which is there at GitHub.`,
        todo,
      },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
}

/** What was said at the fields of a form that is no longer there. */
function fieldsOf({ fields = {} }: Screen): string {
  return Object.entries(fields)
    .map(([field, message]) => `${field.split('.').at(-1)} ${message}.`)
    .join(' ');
}

async function finishPlatformApp(by: PersonCtx, errand: Errand<'platform-app'>, created: Created): Promise<string> {
  requireOperator(by);
  const { connectionId: id, details } = errand;
  const { create, organization } = details;
  const connection = create
    ? { ...emptyConnection, id, baseUrl: create.baseUrl, caBundle: create.caBundle ?? undefined, ...reach() }
    : await githubConnection(id);
  const made = await converted(by, connection, created, organization);
  await keptOrNamed(made, settingsUrl(connection, organization), () =>
    keepPlatformApp(by, errand, made, created.state),
  );
  return `/operator/forges?${new URLSearchParams({ made: id }).toString()}`;
}

async function keepPlatformApp(
  by: PersonCtx,
  { connectionId: id, details: { create } }: Errand<'platform-app'>,
  made: NewApp,
  state: string,
): Promise<void> {
  const data = await sealedConnection(id, made);
  await unsafeTransaction(async (tx) => {
    await endErrand(tx, by, state);
    if (create) await tx.forgeConnection.create({ data: { id, kind: 'github', ...create, ...data } });
    else {
      const kept = await tx.forgeConnection.updateMany({ where: { id, appId: null }, data });
      if (kept.count !== 1) throw hasAppAlready();
    }
    await appendAudit(tx, by, null, {
      action: 'forge:create-app',
      target: `forge/${id}`,
      after: { app: made.slug, appId: made.id, owner: made.owner.login },
    });
  });
}

const emptyConnection = { kind: 'github' as const, clientId: '', clientSecret: '' };

async function sealedConnection(id: string, made: NewApp) {
  return {
    clientId: made.clientId,
    sealedClientSecret: await seal(made.clientSecret, connectionPlace(id, 'client_secret')),
    appId: made.id,
    appSlug: made.slug,
    sealedPrivateKey: await seal(made.privateKey, connectionPlace(id, 'private_key')),
    sealedWebhookSecret: await seal(made.webhookSecret, connectionPlace(id, 'webhook_secret')),
  };
}

async function finishOwnApp(by: PersonCtx, errand: Errand<'own-app'>, created: Created): Promise<string> {
  const { connectionId, details } = errand;
  const { start, githubAppId: id, accountId, accountLogin } = details;
  const connection = await githubConnection(connectionId);
  const made = await converted(by, connection, created, accountLogin);
  // The page at GitHub was of this organization, but a manifest can be posted to another one's, or to a person's own.
  if (made.owner.id !== accountId) throw wrongOwner(made, accountLogin);
  const own = await keptOrNamed(made, settingsUrl(connection, accountLogin), async () => {
    const existing = 'slug' in start.tenant ? await adminOf(by, start.tenant.slug) : null;
    return unsafeTransaction(async (tx) => {
      await endErrand(tx, by, created.state);
      const tenant = existing?.tenant ?? (await createTenant(tx, by, start));
      const row = { id, tenantId: tenant.id, connectionId };
      return { slug: tenant.slug, app: await keepOwnApp(tx, by, row, made, goneOf(details)) };
    });
  });
  return installOwn(by, own.app, { ...start, path: made.owner.login, tenant: { slug: own.slug } }, made.htmlUrl);
}

/** An App whose place another takes, as it was when that was begun. */
type Gone = { appId: string; keyReplacedAt: string | null };

function goneOf({ goneAppId: appId, goneKeyReplacedAt: keyReplacedAt }: Errand<'own-app'>['details']): Gone | null {
  return appId === null ? null : { appId, keyReplacedAt };
}

function wrongOwner({ owner, slug }: NewApp, wanted: string): AppError {
  return new AppError('forbidden', {
    log: `App ${slug} belongs to ${owner.login} (${owner.id}), not to ${wanted}`,
    screen: {
      happened: `The App was made for ${owner.login} and not for ${wanted}.`,
      changed: 'The portal kept nothing of it.',
      todo: `Delete the App ${slug} at GitHub and begin again.`,
    },
  });
}

async function keepOwnApp(
  tx: UnsafeTx,
  by: PersonCtx,
  row: { id: string; tenantId: string; connectionId: string },
  made: NewApp,
  gone: Gone | null,
): Promise<OwnApp> {
  const { tenantId, connectionId } = row;
  const data = {
    ...row,
    accountId: made.owner.id,
    accountLogin: made.owner.login,
    appId: made.id,
    slug: made.slug,
    sealedPrivateKey: await seal(made.privateKey, githubAppPlace(row, 'private_key')),
    sealedWebhookSecret: await seal(made.webhookSecret, githubAppPlace(row, 'webhook_secret')),
    createdById: by.person.userId,
  };
  const own = gone === null ? await tx.githubApp.create({ data }) : await takePlaceOf(tx, gone, data);
  await appendAudit(tx, by, tenantId, {
    action: gone === null ? 'github-app:create' : 'github-app:replace',
    target: `github-app/${made.slug}`,
    ...(gone === null ? {} : { before: { appId: gone.appId } }),
    after: { appId: made.id, account: made.owner.login, connection: connectionId },
  });
  return own;
}

/**
 * A new App in the row of one that is gone, so that what rests on the row goes on. Only where that one is still there: of two
 * people who each made another, the second would end the first one's; and one that was given a new key meanwhile is not gone,
 * but in use again. What was seen of the former says nothing of this.
 */
async function takePlaceOf(
  tx: UnsafeTx,
  { appId, keyReplacedAt }: Gone,
  data: Prisma.GithubAppUncheckedCreateInput & { id: string },
): Promise<OwnApp> {
  const { id, tenantId, connectionId, accountId } = data;
  const kept = await tx.githubApp.updateMany({
    where: { id, tenantId, connectionId, accountId, appId, keyReplacedAt },
    data: { ...data, createdAt: new Date(), keyReplacedAt: null, usedAt: null },
  });
  if (kept.count !== 1) throw changedMeanwhile();
  const own = await tx.githubApp.findUniqueOrThrow({ where: { id } });
  await lookAgain(tx, own);
  return own;
}

/** Wakes what the App serves, and has GitHub asked anew, where a pass would else go by what it saw minutes ago. */
async function lookAgain(tx: UnsafeTx, { id, connectionId }: OwnApp): Promise<void> {
  await tx.enrollment.updateMany({ where: { connectionId, githubAppId: id }, data: { toldAt: new Date() } });
  await wakeServedBy(tx, { connectionId, githubAppId: id });
}

// ------------------------------------------------------------------------------------------------ installing

export const InstallInput = z.strictObject({
  connectionId: z.string().min(1).max(100),
  /** What the person wants to enrol, to come back to it. */
  path: z.string().min(1).max(400).nullable().default(null),
});

/** Begins the installation of the connection's App; returns GitHub's page for it. */
export async function beginInstall(by: PersonCtx, input: z.output<typeof InstallInput>): Promise<string> {
  const { connectionId, path } = input;
  const { forge } = await actAs(by, connectionId);
  const installUrl = new URL(await forge.installUrl());
  const state = await sendOff(by, { kind: 'install', connectionId, details: { path, own: null } });
  installUrl.searchParams.set('state', state);
  return installUrl.toString();
}

export const InstalledQuery = z.object({
  installation_id: z.string().max(30).optional(),
  setup_action: z.string().max(30).optional(),
  state: z.string().min(1).max(200).optional(),
});

/**
 * Somebody comes back from GitHub's installation page. Nothing in the address is believed (A13): the state must be this
 * person's, and the installation must be among those that GitHub shows to this very person, or be their own App's. Without a
 * state they come from GitHub by themselves, nothing is looked up, and the wizard begins at its beginning. Returns where to go.
 */
export async function finishInstall(by: PersonCtx, query: z.output<typeof InstalledQuery>): Promise<string> {
  if (query.state === undefined) return '/enroll';
  const errand = await takeBack(by, query.state, ['install']);
  const id = query.installation_id;
  // A member may only ask an owner to install it; there is nothing yet to come back to.
  if (id === undefined) return enrollUrl(errand.connectionId, errand.details.path);
  const { own } = errand.details;
  return own ? finishOwnInstall(by, errand.connectionId, own, id) : finishSharedInstall(by, errand, id);
}

function enrollUrl(connectionId: string, path: string | null): string {
  return `/enroll?${new URLSearchParams({ connection: connectionId, ...(path === null ? {} : { q: path }) }).toString()}`;
}

async function finishSharedInstall(by: PersonCtx, errand: Errand<'install'>, id: string): Promise<string> {
  const { connectionId: connection, details } = errand;
  const { token } = await actAs(by, connection);
  const apps = githubApps(await githubConnection(connection));
  const installation = await apps.installationOfUser({ userToken: token, id });
  if (!installation) throw await foreignInstallation(by, id);
  const { accountLogin, accountType } = installation;
  const isWanted = details.path?.split('/')[0]?.toLowerCase() === accountLogin.toLowerCase();
  const path = isWanted && details.path !== null ? details.path : accountLogin;
  // A person's own account is no scope; one of its repositories is.
  if (!path.includes('/') && accountType !== 'Organization') return enrollUrl(connection, path);
  const level = path.includes('/') ? 'repository' : 'organization';
  return `/enroll/tenant?${new URLSearchParams({ connection, level, path }).toString()}`;
}

async function finishOwnInstall(
  by: PersonCtx,
  connectionId: string,
  { githubAppId, start }: { githubAppId: string; start: StartInput },
  id: string,
): Promise<string> {
  const own = await unsafeDb().githubApp.findFirst({ where: { id: githubAppId, connectionId } });
  if (!own) throw notFound('The organization’s own App');
  const waiting = await servedBy(own);
  if (waiting) return resumeServed(by, own, { start, path: waiting.path, enrollmentId: waiting.id }, id);
  const started = await startEnrollment(by, start, own);
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: started.enrollmentId } });
  // The draft rests on what GitHub told the App itself. An address that names another installation was not GitHub's.
  if (row.installationId !== id) {
    await unsafeDb().enrollment.deleteMany({ where: { id: row.id, state: 'draft' } });
    throw await foreignInstallation(by, id);
  }
  return `/t/${started.tenantSlug}/enroll/${started.enrollmentId}/pools`;
}

/** An enrollment that outlived its App has nothing to begin: it is looked at again, by the installation that is there now. */
async function resumeServed(
  by: PersonCtx,
  own: OwnApp,
  { start, path, enrollmentId }: { start: StartInput; path: string; enrollmentId: string },
  id: string,
): Promise<string> {
  const { connectionId, tenantId } = own;
  const existing = 'slug' in start.tenant ? await adminOf(by, start.tenant.slug) : null;
  if (existing?.tenant.id !== tenantId) throw notFound('The organization’s own App');
  const scope = await provenScope(by, { connectionId, tenantId, githubAppId: own.id, level: 'organization', path });
  if (scope.installation?.id !== id) throw await foreignInstallation(by, id);
  await unsafeTransaction((tx) => lookAgain(tx, own));
  return `/t/${existing.tenant.slug}/enrollments/${enrollmentId}`;
}

async function foreignInstallation(by: PersonCtx, id: string): Promise<AppError> {
  await appendAudit(unsafeDb(), by, null, { action: 'access:denied', target: `installation ${id}` });
  return new AppError('forbidden', {
    log: `installation ${id} is not shown to this person`,
    screen: {
      happened: 'GitHub does not show you an installation of this number.',
      todo: 'Install the App on an account that you own, beginning in the portal.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ a new key

/** PKCS#1 as GitHub gives it, or PKCS#8. Whether it is a key at all, and whose, GitHub says. */
const PrivateKey = z
  .string()
  .trim()
  .max(20_000)
  .regex(/^-----BEGIN (RSA )?PRIVATE KEY-----[^]+-----END (RSA )?PRIVATE KEY-----$/, 'is not a private key in PEM form')
  .transform((pem) => `${pem.replaceAll('\r\n', '\n')}\n`);

export const PlatformKeyInput = z.strictObject({ connectionId: z.string().min(1).max(100), privateKey: PrivateKey });
export const OwnKeyInput = z.strictObject({ githubAppId: z.uuid(), privateKey: PrivateKey });

/** Puts a new key in the place of the connection's, once GitHub has answered to it; the old one works until then. */
export async function replacePlatformKey(by: PersonCtx, input: z.output<typeof PlatformKeyInput>): Promise<void> {
  const { connectionId: id, privateKey } = input;
  const connection = await githubConnection(id);
  if (!connection.app) throw notFound('The App of this forge');
  await assertKeyOf(connection, connection.app, privateKey);
  const sealedPrivateKey = await seal(privateKey, connectionPlace(id, 'private_key'));
  const { id: appId } = connection.app;
  await unsafeTransaction(async (tx) => {
    const kept = await tx.forgeConnection.updateMany({ where: { id, appId }, data: { sealedPrivateKey } });
    if (kept.count !== 1) throw changedMeanwhile();
    await wakeServedBy(tx, { connectionId: id, githubAppId: null });
    await appendAudit(tx, by, null, { action: 'forge:replace-key', target: `forge/${id}`, after: { appId } });
  });
}

/** The same for an organization's own App. */
export async function replaceOwnKey(ctx: Ctx, input: z.output<typeof OwnKeyInput>): Promise<void> {
  const { githubAppId: id, privateKey } = input;
  const own = await unsafeDb().githubApp.findFirst({ where: { id, tenantId: ctx.tenant.id } });
  if (!own) throw notFound('This App');
  const { appId, slug, connectionId } = own;
  await assertKeyOf(await githubConnection(connectionId), { id: appId, slug }, privateKey);
  const sealedPrivateKey = await seal(privateKey, githubAppPlace(own, 'private_key'));
  await unsafeTransaction(async (tx) => {
    const kept = await tx.githubApp.updateMany({
      where: { id, appId, tenantId: ctx.tenant.id },
      data: { sealedPrivateKey, keyReplacedAt: new Date() },
    });
    if (kept.count !== 1) throw changedMeanwhile();
    await wakeServedBy(tx, { connectionId, githubAppId: id });
    await ctx.audit(tx, { action: 'github-app:replace-key', target: `github-app/${slug}`, after: { appId } });
  });
}

function changedMeanwhile(): AppError {
  return new AppError('conflict', {
    log: 'the App was replaced meanwhile',
    screen: { happened: 'Somebody changed this App at the same time.', todo: 'Reload the page and try again.' },
  });
}

// ------------------------------------------------------------------------------------------------ what there is

export type OwnAppRow = {
  id: string;
  slug: string;
  account: string;
  /** The connection, and what it is called. */
  forge: string;
  forgeName: string;
  enrollments: number;
  createdAt: string;
  keyReplacedAt: string | null;
  webhook: WebhookSummary;
  /** GitHub knows neither the App nor its key: another may take its place. */
  isGone: boolean;
};

/** A tenant's own Apps, without anything secret. GitHub is asked about each webhook; where it is away, its row says so. */
export async function ownAppsOf(ctx: Ctx): Promise<OwnAppRow[]> {
  const rows = await ctx.db.githubApp.findMany({
    select: {
      id: true,
      slug: true,
      accountLogin: true,
      connectionId: true,
      createdAt: true,
      keyReplacedAt: true,
      connection: { select: { name: true } },
    },
    orderBy: { slug: 'asc' },
  });
  const used = await ctx.db.enrollment.groupBy({
    by: ['githubAppId'],
    where: { githubAppId: { not: null }, state: { not: 'withdrawn' } },
    _count: true,
  });
  const countOf = new Map(used.map(({ githubAppId, _count }) => [githubAppId, _count]));
  return Promise.all(
    rows.map(async ({ id, slug, accountLogin, connectionId, connection, createdAt, keyReplacedAt }) => {
      const webhook = await webhookOf({ connectionId, tenantId: ctx.tenant.id, githubAppId: id });
      return {
        id,
        slug,
        account: accountLogin,
        forge: connectionId,
        forgeName: connection.name,
        enrollments: countOf.get(id) ?? 0,
        createdAt: createdAt.toISOString(),
        keyReplacedAt: keyReplacedAt?.toISOString() ?? null,
        webhook,
        isGone: webhook === unknownApp,
      };
    }),
  );
}

export type ForgeRow = {
  id: string;
  name: string;
  kind: string;
  baseUrl: string;
  caBundle: string | null;
  runnerEgress: string | null;
  app: string | null;
  ownApps: number;
  enrollments: number;
  canSignIn: boolean;
  webhook: WebhookSummary;
};

export type WebhookSummary = { tone: 'good' | 'warn' | 'bad' | 'idle'; says: string };

/** The forges as an operator sees them. GitHub is asked about each webhook; one that is away says so in its row. */
export async function forgeRows(): Promise<ForgeRow[]> {
  const rows = await unsafeDb().forgeConnection.findMany({
    include: { _count: { select: { enrollments: true, githubApps: true } } },
    orderBy: { name: 'asc' },
  });
  return Promise.all(
    rows.map(async ({ appSlug, clientId, sealedWebhookSecret, _count, ...row }) => ({
      id: row.id,
      name: row.name,
      kind: row.kind,
      baseUrl: row.baseUrl,
      caBundle: row.caBundle,
      runnerEgress: row.runnerEgress,
      app: appSlug,
      ownApps: _count.githubApps,
      enrollments: _count.enrollments,
      canSignIn: clientId !== '',
      webhook:
        sealedWebhookSecret === null
          ? noSecret
          : row.kind === 'github'
            ? await webhookOf(sharedApp(row.id))
            : keptSecret,
    })),
  );
}

const noSecret: WebhookSummary = { tone: 'idle', says: 'None' };
const keptSecret: WebhookSummary = { tone: 'good', says: 'Signed' };
const unknownApp: WebhookSummary = { tone: 'bad', says: 'Not known at GitHub' };
const askMs = 5_000;

const sharedApp = (connectionId: string): ActsBy => ({ connectionId, tenantId: '', githubAppId: null });

async function webhookOf(acts: ActsBy): Promise<WebhookSummary> {
  const { connectionId, githubAppId } = acts;
  try {
    const connection = await openConnectionFor(acts);
    if (!connection.app) return noSecret;
    const apps = githubApps(connection);
    const signal = AbortSignal.timeout(askMs);
    // Of the shared App, whose place none takes, what GitHub refuses is told as it is.
    if (githubAppId !== null && (await apps.known({ signal })) === null) return unknownApp;
    return webhookSummary(await apps.webhookState({ signal }), hookUrl(connectionId, githubAppId));
  } catch (error) {
    return { tone: 'warn', says: error instanceof AppError ? error.screen.happened : 'GitHub does not answer.' };
  }
}

/** Pure: what a person reads of a webhook. */
export function webhookSummary({ url, last }: WebhookState, wanted: string): WebhookSummary {
  if (url !== wanted) return { tone: 'bad', says: url === null ? 'Switched off at GitHub' : `Goes to ${url}` };
  if (last === null) return { tone: 'idle', says: 'Nothing sent yet' };
  if (last.statusCode >= 200 && last.statusCode < 300) return { tone: 'good', says: 'Arrives' };
  return { tone: 'bad', says: `Last delivery was answered ${last.statusCode || 'by nobody'}` };
}

// ------------------------------------------------------------------------------------------------ who belongs there

type Standing = MembershipScope;

/** Accounts of which nothing could be told, and why: by what is broken, or by what is only so for now. */
export type OwnAppsTold = { standings: Standing[]; broken: Set<string>; limited: Set<string> };

/**
 * What a person is in organizations that only an App of their own reaches, to be added to what the person's own token
 * tells. Asked for those tenants alone that they are in already, so that a role which is lost at GitHub is lost here. Each App
 * is its organization's, and what ails one tells nothing of the others.
 */
export async function ownAppStandings(connectionId: string, told: readonly Standing[]): Promise<OwnAppsTold> {
  const found: OwnAppsTold = { standings: [...told], broken: new Set(), limited: new Set() };
  // The first is the account itself: `listMembershipScopes`.
  const [self] = told;
  if (!self) return found;
  const known = new Set(told.flatMap(({ of, ownerId }) => (of === 'account' ? ownerId : [])));
  const identity = await unsafeDb().identity.findUnique({
    where: { connectionId_subject: { connectionId, subject: self.ownerId } },
    select: { userId: true },
  });
  if (!identity) return found;
  const apps = await unsafeDb().githubApp.findMany({
    where: { connectionId, tenant: { members: { some: { userId: identity.userId } } } },
  });
  const person = { subject: self.ownerId, login: self.login };
  const asked = apps.filter(({ accountId }) => !known.has(accountId));
  const answers = await Promise.all(asked.map((own) => roleBy(own, person)));
  for (const [place, { accountId: ownerId }] of asked.entries()) {
    const answer = answers[place];
    if (answer === 'broken' || answer === 'limited') found[answer].add(ownerId);
    else if (answer) found.standings.push({ of: 'account', ownerId, ...answer });
  }
  return found;
}

/** Such an App can tell nobody anything until its owners mend it. */
const tellsNothing = ['unauthenticated', 'forbidden', 'not_found'];

/**
 * Null where they are nothing there. An App that is suspended, removed, deleted, or whose key or permission was taken away is
 * `broken`: what was known stands for hours, with a fresh sign-in for what changes something, so that an admin can mend the App or
 * withdraw, and somebody who lost their role and broke the App keeps it no longer than that. One that is `limited` answers soon.
 */
async function roleBy(
  own: OwnApp,
  person: { subject: string; login: string },
): Promise<Pick<Standing, 'login' | 'role'> | null | 'broken' | 'limited'> {
  try {
    const apps = githubApps(await openConnectionFor({ ...own, githubAppId: own.id }));
    const { role, path, installation } = await apps.ownScope({ accountId: own.accountId, person });
    if (installation === null || installation.suspended) return 'broken';
    return role === 'none' ? null : { login: path, role };
  } catch (error) {
    // A GitHub that is away is away for all of them.
    if (!(error instanceof AppError) || error.code === 'unavailable') throw error;
    return tellsNothing.includes(error.code) ? 'broken' : 'limited';
  }
}
