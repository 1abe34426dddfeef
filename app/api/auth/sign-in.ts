import { createHash, randomBytes } from 'node:crypto';
import NextAuth from 'next-auth';
import { cookies, headers } from 'next/headers';
import { NextRequest, NextResponse } from 'next/server';
import { openConnection, standingsBy } from '#lib/enrollment/index.ts';
import { forgeOf } from '#lib/forge/index.ts';
import {
  authOptions,
  authSecret,
  authSecretBehind,
  cookieName,
  currentPerson,
  endSession,
  isSecurePortal,
  type SignInForge,
  type SignInRequest,
} from '#lib/tenant/index.ts';
import { env } from '#lib/env.ts';

/** next-auth as a route handler of Next 15 and later; its own types stop at the older form. */
type AuthHandler = (
  request: NextRequest,
  context: { params: Promise<{ nextauth: string[] }> },
  options: ReturnType<typeof authOptions>,
) => Promise<Response>;
const handler = NextAuth as unknown as AuthHandler;

async function signInForge(connectionId: string): Promise<SignInForge> {
  const connection = await openConnection(connectionId);
  const { signIn } = forgeOf(connection);
  return {
    connectionId,
    name: connectionId,
    clientId: connection.clientId,
    authorizationUrl: signIn.authorizationUrl,
    tokenUrl: signIn.tokenUrl,
    scopes: signIn.scopes,
    keepsToken: signIn.keepsToken,
    confirm: signIn.confirm,
    exchange: (input) => signIn.exchange(input),
    fetchProfile: (accessToken) => signIn.fetchProfile(accessToken),
    listStandings: (userToken, userId) => standingsBy({ connectionId, userId, userToken }),
  };
}

/** What a browser was sent to its forge for, beside signing in; kept in a cookie until it is back. */
type Errand = 'link' | 'confirm';

async function optionsFor(
  connectionId: string | undefined,
  setOut?: { confirm: string },
): Promise<ReturnType<typeof authOptions>> {
  const asked = await headers();
  const jar = await cookies();
  const by = await currentPerson();
  const linking = jar.has(cookieName('link')) && by !== null;
  const next = setOut?.confirm ?? jar.get(cookieName('confirm'))?.value;
  const confirming = next !== undefined && by ? { userId: by.person.userId, next } : null;
  const request: SignInRequest = {
    forges: connectionId === undefined ? [] : [await signInForge(connectionId)],
    connectionId,
    linking,
    confirming,
    userAgent: asked.get('user-agent'),
    requestId: asked.get('x-request-id') ?? crypto.randomUUID(),
  };
  return authOptions(request);
}

/** Where the forge sends the person back to. Only the code and the state are read from the address. */
export async function finishSignIn(request: NextRequest, parts: string[]): Promise<Response> {
  const jar = await cookies();
  const before = jar.get(cookieName('session'))?.value;
  const asked = await optionsFor(parts[1]);
  const name = asked.cookies?.state?.name ?? '';
  const options = { ...asked, secret: await authSecretBehind({ name, value: jar.get(name)?.value }) };
  const response = await handler(request, { params: Promise.resolve({ nextauth: parts }) }, options);
  const after = new NextResponse(null, { headers: response.headers }).cookies.get(cookieName('session'))?.value;
  await setErrand(null);
  // A sign-in ends the session that this browser had before.
  if (before && after && before !== after) await endSession(before);
  return response;
}

function portalUrl(path: string): string {
  return `${env().PORTAL_URL}${path}`;
}

/** Begins a sign-in, and returns the forge's page to go to. What this browser had set out for before counts no longer. */
export async function beginSignIn(connectionId: string, next: string): Promise<string> {
  await setErrand(null);
  return begin(connectionId, next);
}

/**
 * next-auth wants its own token against forgery in a cookie and in
 * the body; the action that calls this has checked the Origin, so both are made here.
 */
async function begin(connectionId: string, next: string, setOut?: { confirm: string }): Promise<string> {
  const jar = await cookies();
  const options = await optionsFor(connectionId, setOut);
  const token = randomBytes(32).toString('hex');
  const hash = createHash('sha256').update(`${token}${authSecret()}`).digest('hex');
  const csrf = options.cookies?.csrfToken;
  if (csrf) jar.set(csrf.name, `${token}|${hash}`, csrf.options);
  const body = new URLSearchParams({ csrfToken: token, callbackUrl: next, json: 'false' });
  const request = new NextRequest(portalUrl(`/api/auth/signin/${connectionId}`), { method: 'POST', body });
  const parts = ['signin', connectionId];
  const response = await handler(request, { params: Promise.resolve({ nextauth: parts }) }, options);
  for (const cookie of new NextResponse(null, { headers: response.headers }).cookies.getAll()) jar.set(cookie);
  return response.headers.get('location') ?? '/sign-in?error=OAuthSignin';
}

const onTheWaySeconds = 10 * 60;

/** One at a time, so that a sign-in is never taken for what was begun before it. */
async function setErrand(errand: Errand | null, value = ''): Promise<void> {
  const jar = await cookies();
  for (const each of ['link', 'confirm'] as const) {
    const isMeant = each === errand;
    jar.set(cookieName(each), isMeant ? value : '', { ...ownCookie(), maxAge: isMeant ? onTheWaySeconds : 0 });
  }
}

function ownCookie() {
  return { httpOnly: true, sameSite: 'lax' as const, path: '/', secure: isSecurePortal() };
}

/**
 * The same, to add a second forge account to the person who is signed in. Only a browser that was told so here keeps its
 * session through the callback; any other sign-in begins a new one.
 */
export async function beginLinking(connectionId: string): Promise<string> {
  await setErrand('link', 'yes');
  return begin(connectionId, '/account');
}

/**
 * The same, for the person who is signed in to show again that it is they. It ends in a new session of theirs, whose sign-in is
 * fresh; another account ends nothing and begins nothing.
 */
export async function beginConfirming(connectionId: string, next: string): Promise<string> {
  await setErrand('confirm', next);
  return begin(connectionId, next, { confirm: next });
}
