import { randomBytes } from 'node:crypto';
import type { AuthOptions, TokenSet } from 'next-auth';
import type { Adapter, AdapterAccount, AdapterUser } from 'next-auth/adapters';
import type { OAuthConfig } from 'next-auth/providers/oauth';
import { keysFor, seal, unsafeDb, type SecretKey } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { appendAudit } from './audit.ts';
import { log } from '#lib/log.ts';
import type { Told } from './follow.ts';
import { syncMemberships } from './standings.ts';
import { cookieName, isSecurePortal, sessionAbsoluteMs, tokenHash } from './session.ts';
import { sealedTokenPlace, type UserTokens } from './token.ts';

/*
 * Sign-in by next-auth, with a forge as the only way in. A forge comes as a value: this room knows none of them.
 */

export type SignInProfile = { subject: string; login: string; name: string; imageUrl: string | null };

/** What sign-in needs of one forge connection. */
export type SignInForge = {
  connectionId: string;
  name: string;
  clientId: string;
  authorizationUrl: string;
  tokenUrl: string;
  scopes: string[];
  keepsToken: boolean;
  /** Added to the authorization's address where the person confirms that it is they. */
  confirm: Record<string, string>;
  exchange: (input: { code: string; codeVerifier: string; redirectUri: string }) => Promise<UserTokens>;
  fetchProfile: (accessToken: string) => Promise<SignInProfile>;
  listStandings: (accessToken: string, userId: string) => Promise<Told>;
};

export type SignInRequest = {
  /** The forges that may be meant; one for a request that names it. */
  forges: SignInForge[];
  connectionId: string | undefined;
  /** True where a signed-in person asked to add a second account to their own. */
  linking: boolean;
  /** Where a signed-in person confirms that it is they: who that is, and where they came from. */
  confirming: { userId: string; next: string } | null;
  userAgent: string | null;
  requestId: string;
};

/** next-auth's own secret, from the portal's one key, so that there is nothing more to configure or to rotate. */
export function authSecret(): string {
  return secretOf(keysFor(authPurpose)[0]);
}

const authPurpose = 'flywheel next-auth';

function secretOf({ bytes }: SecretKey): string {
  return Buffer.from(bytes).toString('base64url');
}

/**
 * The secret by which a sign-in's state went into its cookie: one that was under way when the portal's key was rotated ends
 * as it began. Sessions are rows and know of no key.
 */
export async function authSecretBehind(cookie: { name: string; value: string | undefined }): Promise<string> {
  const { name: salt, value: token } = cookie;
  // Loaded where somebody signs in, never by the worker.
  const { decode } = await import('next-auth/jwt');
  for (const secret of keysFor(authPurpose).map(secretOf)) {
    const isIts = token !== undefined && (await decode({ token, secret, salt }).catch(() => null)) !== null;
    if (isIts) return secret;
  }
  return authSecret();
}

/** A cookie's options. Lax, because the forge sends the person back by a cross-site GET. */
function cookieOptions(maxAgeSeconds?: number) {
  const base = { httpOnly: true, sameSite: 'lax' as const, path: '/', secure: isSecurePortal() };
  return maxAgeSeconds === undefined ? base : { ...base, maxAge: maxAgeSeconds };
}

const checkSeconds = 15 * 60;

/** Cookies of one sign-in carry its provider's name, so that a callback finds the state of its own provider or none. */
function cookiesFor(connectionId: string | undefined): NonNullable<AuthOptions['cookies']> {
  const suffix = connectionId ?? 'none';
  const check = (name: string) => ({
    name: cookieName(`${name}.${suffix}`),
    options: cookieOptions(checkSeconds),
  });
  return {
    sessionToken: { name: cookieName('session'), options: cookieOptions() },
    callbackUrl: { name: cookieName('callback-url'), options: cookieOptions() },
    csrfToken: { name: cookieName('csrf'), options: cookieOptions() },
    state: check('state'),
    pkceCodeVerifier: check('pkce'),
    nonce: check('nonce'),
  };
}

type ForgeProvider = OAuthConfig<SignInProfile>;

/** Throws where the callback does not belong to the sign-in that this browser began. */
function requireOwnState(given: unknown, kept: unknown): void {
  if (typeof given !== 'string' || given === '' || given !== kept) throw new Error('state mismatch');
}

function providerOf(forge: SignInForge, isConfirming: boolean): ForgeProvider {
  return {
    id: forge.connectionId,
    name: forge.name,
    type: 'oauth',
    checks: ['pkce', 'state'],
    clientId: forge.clientId,
    idToken: false,
    authorization: {
      url: forge.authorizationUrl,
      params: { scope: forge.scopes.join(' '), ...(isConfirming ? forge.confirm : {}) },
    },
    token: {
      url: forge.tokenUrl,
      // With a token request of one's own, next-auth reads the state cookie but compares it with nothing.
      async request({ params, checks, provider }) {
        requireOwnState(params.state, checks.state);
        if (!params.code || !checks.code_verifier) throw new Error('code or PKCE verifier is missing');
        const tokens = await forge.exchange({
          code: params.code,
          codeVerifier: checks.code_verifier,
          redirectUri: provider.callbackUrl,
        });
        return { tokens: asTokenSet(tokens) };
      },
    },
    userinfo: {
      // next-auth types this as OpenID's profile; it hands it on to `profile` below as it is.
      request: ({ tokens }) => forge.fetchProfile(tokens.access_token ?? ''),
    },
    profile: ({ subject, login, name, imageUrl }) => ({ id: subject, name, image: imageUrl, login }),
  };
}

function asTokenSet(tokens: UserTokens): TokenSet {
  return {
    access_token: tokens.accessToken,
    ...(tokens.refreshToken === null ? {} : { refresh_token: tokens.refreshToken }),
    ...(tokens.expiresAt === null ? {} : { expires_at: Math.floor(tokens.expiresAt.getTime() / 1000) }),
  };
}

type StoredUser = { id: string; name: string; imageUrl: string | null };

/** next-auth wants an e-mail address in every user; we keep none. */
function adapterUser({ id, name, imageUrl }: StoredUser): AdapterUser {
  return { id, name, image: imageUrl, email: '', emailVerified: null };
}

/**
 * next-auth's storage. Identity is (connection, subject): nothing is ever found by e-mail, and an account that belongs to
 * somebody is never moved to somebody else. Without `linking` a sign-in ignores the session that the browser had, so that it
 * always ends in a new one.
 */
export function adapter({ linking, userAgent }: Pick<SignInRequest, 'linking' | 'userAgent'>): Adapter {
  const db = unsafeDb();
  return {
    async createUser(user: Omit<AdapterUser, 'id'>) {
      return adapterUser(await db.user.create({ data: { name: user.name ?? '', imageUrl: user.image ?? null } }));
    },
    async getUser(id) {
      const user = await db.user.findFirst({ where: { id, disabledAt: null } });
      return user && adapterUser(user);
    },
    getUserByEmail: () => Promise.resolve(null),
    async getUserByAccount({ provider, providerAccountId }) {
      const identity = await db.identity.findUnique({
        where: { connectionId_subject: { connectionId: provider, subject: providerAccountId } },
        include: { user: true },
      });
      return identity && adapterUser(identity.user);
    },
    async updateUser({ id, name, image }) {
      const data = { ...(name ? { name } : {}), ...(image === undefined ? {} : { imageUrl: image }) };
      return adapterUser(await db.user.update({ where: { id }, data }));
    },
    async linkAccount({ userId, provider, providerAccountId }: AdapterAccount) {
      // The login comes with the sign-in event; the unique index refuses an account that somebody has.
      await db.identity.create({
        data: { userId, connectionId: provider, subject: providerAccountId, login: providerAccountId },
      });
    },
    async createSession({ sessionToken, userId, expires }) {
      await db.session.deleteMany({ where: { userId, expiresAt: { lt: new Date() } } });
      await db.session.create({
        data: {
          tokenHash: tokenHash(sessionToken),
          userId,
          expiresAt: expires,
          userAgent: userAgent?.slice(0, 300) ?? null,
        },
      });
      return { sessionToken, userId, expires };
    },
    async getSessionAndUser(sessionToken) {
      if (!linking) return null;
      const session = await db.session.findUnique({
        where: { tokenHash: tokenHash(sessionToken) },
        include: { user: true },
      });
      if (!session || session.user.disabledAt || session.expiresAt < new Date()) return null;
      const { userId, expiresAt } = session;
      return { session: { sessionToken, userId, expires: expiresAt }, user: adapterUser(session.user) };
    },
    // Sessions are read and prolonged by session.ts.
    updateSession: () => Promise.resolve(null),
    async deleteSession(sessionToken) {
      await db.session.deleteMany({ where: { tokenHash: tokenHash(sessionToken) } });
    },
  };
}

type SignInEvent = Parameters<NonNullable<NonNullable<AuthOptions['events']>['signIn']>>[0];

/** After each sign-in: the login and token as they are now, and memberships as the forge says they are. */
async function recordSignIn(request: SignInRequest, event: SignInEvent): Promise<void> {
  const { account } = event;
  const forge = request.forges.find(({ connectionId }) => connectionId === account?.provider);
  if (!account || !forge) return;
  const { connectionId } = forge;
  const login = (event.profile as { login?: string } | undefined)?.login ?? account.providerAccountId;
  const identity = await unsafeDb().identity.update({
    where: { connectionId_subject: { connectionId, subject: account.providerAccountId } },
    data: { login, signedInAt: new Date() },
    include: { user: true },
  });
  await keepToken(identity.id, forge, account);
  await unsafeDb().user.update({
    where: { id: identity.userId },
    data: { name: event.user.name ?? login, imageUrl: event.user.image ?? null },
  });
  const person = {
    userId: identity.userId,
    name: identity.user.name,
    imageUrl: null,
    identities: [{ id: identity.id, connectionId, forge: 'github' as const, subject: identity.subject, login }],
    isOperator: false,
  };
  await appendAudit(unsafeDb(), { person, requestId: request.requestId }, null, {
    action: 'session:sign-in',
    target: `identity/${connectionId}:${identity.subject}`,
  });
  await followForge(identity.userId, forge, account.access_token ?? '');
}

/** A forge that is away must not keep a person out; their roles then stay as they were until the next look. */
async function followForge(userId: string, forge: SignInForge, accessToken: string): Promise<void> {
  try {
    const told = await forge.listStandings(accessToken, userId);
    await syncMemberships({ userId, connectionId: forge.connectionId, ...told, now: new Date() });
  } catch (error) {
    log().warn({ userId, connectionId: forge.connectionId, reason: String(error) }, 'memberships not refreshed');
  }
}

type TokenAccount = { access_token?: string; refresh_token?: string; expires_at?: number };

async function keepToken(identityId: string, forge: SignInForge, account: TokenAccount): Promise<void> {
  // The sign-in's token is dropped; what the person entered instead of it stays.
  if (!forge.keepsToken) return;
  if (!account.access_token) {
    await unsafeDb().identity.update({ where: { id: identityId }, data: { sealedToken: null, tokenExpiresAt: null } });
    return;
  }
  const expiresAt = account.expires_at === undefined ? null : new Date(account.expires_at * 1000);
  const tokens = {
    accessToken: account.access_token,
    refreshToken: account.refresh_token ?? null,
    expiresAt: expiresAt?.toISOString() ?? null,
  };
  await unsafeDb().identity.update({
    where: { id: identityId },
    data: {
      sealedToken: await seal(JSON.stringify(tokens), sealedTokenPlace(identityId)),
      tokenExpiresAt: expiresAt,
    },
  });
}

async function isDisabled(userId: string): Promise<boolean> {
  // Before a first sign-in next-auth passes the forge's own id here, which is no id of ours.
  const user = await unsafeDb().user.findFirst({
    where: { id: userId, disabledAt: { not: null } },
    select: { id: true },
  });
  return user !== null;
}

/** Whoever confirms must be who is signed in: another account is no sign-in here, and makes nobody. */
async function isAnother(
  { confirming }: SignInRequest,
  account: { provider: string; providerAccountId: string } | null,
): Promise<boolean> {
  if (!confirming) return false;
  const { provider: connectionId = '', providerAccountId: subject = '' } = account ?? {};
  const identity = await unsafeDb().identity.findUnique({
    where: { connectionId_subject: { connectionId, subject } },
    select: { userId: true },
  });
  return identity?.userId !== confirming.userId;
}

function confirmAgain({ confirming }: SignInRequest): string {
  return `/confirm?${new URLSearchParams({ error: 'another', next: confirming?.next ?? '/home' }).toString()}`;
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** next-auth's options for one request, since forges are entered in the database and may change while we run. */
export function authOptions(request: SignInRequest): AuthOptions {
  // next-auth 4 learns its own address from this variable alone (utils/detect-origin.js); a Host header must not decide it.
  process.env['NEXTAUTH_URL'] = `${env().PORTAL_URL}/api/auth`;
  return {
    providers: request.forges.map((forge) => providerOf(forge, request.confirming !== null)),
    adapter: adapter(request),
    secret: authSecret(),
    useSecureCookies: isSecurePortal(),
    cookies: cookiesFor(request.connectionId),
    session: {
      strategy: 'database',
      maxAge: sessionAbsoluteMs / 1000,
      generateSessionToken: () => randomBytes(32).toString('base64url'),
    },
    pages: { signIn: '/sign-in', error: '/sign-in', signOut: '/sign-out' },
    callbacks: {
      signIn: async ({ user, account }) => {
        if (uuid.test(user.id) && (await isDisabled(user.id))) return '/sign-in?error=AccessDenied';
        return (await isAnother(request, account)) ? confirmAgain(request) : true;
      },
    },
    events: { signIn: (event) => recordSignIn(request, event) },
    logger: {
      // Metadata may carry a forge's answer, so only its reason is kept.
      error: (code, metadata) => log().warn({ code, reason: reasonOf(metadata) }, 'sign-in failed'),
      warn: (code) => log().debug({ code }, 'sign-in warning'),
      debug: () => {},
    },
  };
}

function reasonOf(metadata: unknown): string {
  if (metadata instanceof Error) return metadata.message;
  const { error } = (metadata ?? {}) as { error?: unknown };
  return error instanceof Error ? error.message : 'unknown';
}
