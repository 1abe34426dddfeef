import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Answer, type Ask, html, type Html, page, type Routes } from '#sandbox/stand-in/index.ts';
import { fail, identify, needUser, sameSecret } from './access.ts';
import type { Grant, OAuthApp, Token, User } from './model.ts';
import type { World } from './world.ts';

const codeMinutes = 10;
const accessSeconds = 3600;

/** Signing in as one of the demo people: a page to choose on, a code, a token. The choice is remembered for other pages. */
export function oauthRoutes(web: Routes, world: World): void {
  web.on('GET', '/login/oauth/authorize', (ask) => choose(world, ask));
  web.on('POST', '/login/oauth/authorize', (ask) => decide(world, ask));
  web.on('POST', '/login/oauth/access_token', (ask) => exchange(world, ask));
  web.on('GET', '/login/oauth/userinfo', (ask) => {
    const { id, login, name } = needUser(identify(world, ask));
    const body = {
      sub: String(id),
      name,
      preferred_username: login,
      picture: `${world.url}/avatars/${id}`,
      groups: null,
    };
    return { status: 200, body };
  });
  web.on('GET', '/.well-known/openid-configuration', () => ({
    status: 200,
    body: {
      issuer: world.url,
      authorization_endpoint: `${world.url}/login/oauth/authorize`,
      token_endpoint: `${world.url}/login/oauth/access_token`,
      userinfo_endpoint: `${world.url}/login/oauth/userinfo`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['plain', 'S256'],
    },
  }));
}

interface Request {
  app: OAuthApp;
  redirectUri: string;
  state: string | null;
  challenge: string | null;
}

/** What the query asks for, or the answer to give instead. */
function parse(world: World, query: URLSearchParams): Request | Answer {
  const app = Object.values(world.state.apps).find((each) => each.clientId === query.get('client_id'));
  if (!app) return errorPage('Client ID not registered');
  const redirectUri = query.get('redirect_uri') ?? app.redirectUris[0];
  if (redirectUri === undefined || !app.redirectUris.includes(redirectUri))
    return errorPage('Unregistered Redirect URI');
  const state = query.get('state');
  if (query.get('response_type') !== 'code')
    return redirect(redirectUri, { error: 'unsupported_response_type', state });
  const challenge = query.get('code_challenge');
  if (challenge !== null && query.get('code_challenge_method') !== 'S256') {
    const why = 'unsupported code challenge method';
    return redirect(redirectUri, { error: 'invalid_request', error_description: why, state });
  }
  return { app, redirectUri, state, challenge };
}

function errorPage(why: string): Answer {
  const content = html`<h1>Authorization failed</h1>
    <p>${why}</p>`;
  return { status: 400, ...page('Authorization failed', content) };
}

function redirect(to: string, values: Record<string, string | null>): Answer {
  const url = new URL(to);
  for (const [name, value] of Object.entries(values)) if (value !== null) url.searchParams.set(name, value);
  return { status: 303, headers: { location: url.toString(), 'cache-control': 'no-store' } };
}

function choose(world: World, ask: Ask): Answer {
  const request = parse(world, ask.query);
  if ('status' in request) return request;
  const content = html`<h1>Authorize ${request.app.name}</h1>
    <p>Choose whom to be. The application may then do whatever you may: Forgejo does not hold it to less.</p>
    <form method="post" action="/login/oauth/authorize?${ask.query.toString()}">
      ${accountPicker(world)}
      <p></p>
      <button name="cancel" value="1">Cancel</button>
    </form>`;
  return { status: 200, ...page(`Authorize ${request.app.name}`, content) };
}

export function accountPicker(world: World): Html {
  const people = Object.values(world.state.users).map(
    ({ login, name }) =>
      html`<li>
        <button class="row" name="login" value="${login}">
          <span class="mark" aria-hidden="true">${login[0]?.toUpperCase()}</span>
          <span><strong>${login}</strong><small>${name}</small></span>
        </button>
      </li>`,
  );
  return html`<ul class="list">
    ${people}
  </ul>`;
}

const Choice = z.object({ login: z.string().optional(), cancel: z.string().optional() });

function decide(world: World, ask: Ask): Answer {
  const request = parse(world, ask.query);
  if ('status' in request) return request;
  const { app, redirectUri, state, challenge } = request;
  const { login, cancel } = Choice.parse(ask.body ?? {});
  if (cancel) {
    return redirect(redirectUri, { error: 'access_denied', error_description: 'the request is denied', state });
  }
  const user = login === undefined ? undefined : world.user(login);
  if (!user) return choose(world, ask);
  const code = `gta_${randomBytes(26).toString('hex')}`;
  const expiresAt = world.now().getTime() + codeMinutes * 60_000;
  world.state.grants[code] = { code, appId: app.id, userId: user.id, redirectUri, challenge, expiresAt };
  world.save();
  const answer = redirect(redirectUri, { code, state });
  return { ...answer, headers: { ...answer.headers, 'set-cookie': cookieOf(user) } };
}

export function cookieOf({ login }: User): string {
  return `sandbox_forgejo=${encodeURIComponent(login)}; Path=/; HttpOnly; SameSite=Lax`;
}

export function userOfCookie(world: World, ask: Ask): User | undefined {
  const login = /(?:^|;\s*)sandbox_forgejo=([^;]+)/.exec(ask.headers.cookie ?? '')?.[1];
  return login === undefined ? undefined : world.user(decodeURIComponent(login));
}

const Exchange = z.object({
  client_id: z.string().default(''),
  client_secret: z.string().default(''),
  grant_type: z.string().default(''),
  code: z.string().default(''),
  redirect_uri: z.string().optional(),
  code_verifier: z.string().default(''),
  refresh_token: z.string().default(''),
});
type Exchange = z.infer<typeof Exchange>;

/** The words are those of Gitea 1.26, routers/web/auth/oauth2_provider.go. */
function exchange(world: World, ask: Ask): Answer {
  const wanted = Exchange.safeParse(ask.body ?? {}).data;
  if (!wanted) return refusal('invalid_request', 'cannot read the request');
  const app = Object.values(world.state.apps).find((each) => each.clientId === wanted.client_id);
  if (!app) return refusal('invalid_client', `cannot load client with client id: "${wanted.client_id}"`);
  if (!sameSecret(app.clientSecret, wanted.client_secret))
    return refusal('unauthorized_client', 'invalid client secret');
  if (wanted.grant_type === 'refresh_token') return refresh(world, app, wanted.refresh_token);
  if (wanted.grant_type === 'authorization_code') return redeem(world, app, wanted);
  return refusal('unsupported_grant_type', 'Only refresh_token or authorization_code grant type is supported');
}

function refusal(error: string, description: string): Answer {
  return { status: 400, body: { error, error_description: description } };
}

function redeem(world: World, app: OAuthApp, wanted: Exchange): Answer {
  const grant = world.state.grants[wanted.code];
  if (!grant || grant.appId !== app.id) return refusal('unauthorized_client', 'client is not authorized');
  if (wanted.redirect_uri !== grant.redirectUri) return refusal('unauthorized_client', 'unexpected redirect URI');
  // A code is spent by being shown, right or wrong: guessing a verifier gets one try.
  delete world.state.grants[wanted.code];
  world.save();
  if (grant.expiresAt < world.now().getTime()) return refusal('invalid_grant', 'authorization code expired');
  if (!isVerified(grant, wanted.code_verifier)) return refusal('unauthorized_client', 'failed PKCE code challenge');
  return issue(world, app, world.state.users[grant.userId] ?? fail(500, 'no such user'));
}

function isVerified({ challenge }: Grant, verifier: string): boolean {
  return challenge === null || createHash('sha256').update(verifier).digest('base64url') === challenge;
}

function refresh(world: World, app: OAuthApp, refreshToken: string): Answer {
  const old = Object.values(world.state.tokens).find(
    (each) => each.kind === 'oauth' && each.refreshToken === refreshToken,
  );
  if (old?.kind !== 'oauth' || old.appId !== app.id)
    return refusal('unauthorized_client', 'unable to parse refresh token');
  delete world.state.tokens[old.token];
  return issue(world, app, world.state.users[old.userId] ?? fail(500, 'no such user'));
}

function issue(world: World, app: OAuthApp, user: User): Answer {
  const token = oauthToken(world, app, user);
  const body = {
    access_token: token.token,
    token_type: 'bearer',
    expires_in: accessSeconds,
    refresh_token: token.refreshToken,
  };
  return { status: 200, headers: { 'cache-control': 'no-store' }, body };
}

export function oauthToken(world: World, app: OAuthApp, user: User): Extract<Token, { kind: 'oauth' }> {
  const expiresAt = world.now().getTime() + accessSeconds * 1000;
  const token = {
    kind: 'oauth' as const,
    token: `oauth-${world.token()}`,
    refreshToken: `refresh-${world.token()}`,
    appId: app.id,
    userId: user.id,
    expiresAt,
  };
  world.state.tokens[token.token] = token;
  world.save();
  return token;
}

export function personalToken(
  world: World,
  user: User,
  name: string,
  scopes: string[],
): Extract<Token, { kind: 'personal' }> {
  const token = { kind: 'personal' as const, id: world.id(), name, token: world.token(), userId: user.id, scopes };
  world.state.tokens[token.token] = token;
  world.save();
  return token;
}
