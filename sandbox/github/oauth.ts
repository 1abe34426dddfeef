import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Answer, type Ask, html, type Html, page, type Routes } from '#sandbox/stand-in/index.ts';
import { sameSecret } from './access.ts';
import type { App, Grant, Token, User } from './model.ts';
import type { World } from './world.ts';

const codeMinutes = 10;
const accessSeconds = 28_800;
const refreshSeconds = 15_897_600;

/** Signing in to an App as one of the demo people: a page to choose on, a code, a token. It remembers nobody. */
export function oauthRoutes(web: Routes, world: World): void {
  web.on('GET', '/login/oauth/authorize', (ask) => choose(world, ask));
  web.on('POST', '/login/oauth/authorize', (ask) => decide(world, ask));
  web.on('POST', '/login/oauth/access_token', (ask) => exchange(world, ask));
}

interface Request {
  app: App;
  redirectUri: string;
  state: string | null;
  challenge: string | null;
}

/** What the query asks for, or the answer to give instead. */
function parse(world: World, query: URLSearchParams): Request | Answer {
  const app = Object.values(world.state.apps).find((a) => a.clientId === query.get('client_id'));
  if (!app)
    return {
      status: 404,
      ...page(
        'Not found',
        html`<h1>There is no such application</h1>
          <p>No App has this client id.</p>`,
      ),
    };
  const state = query.get('state');
  const wanted = query.get('redirect_uri');
  const fallback = app.callbackUrls[0];
  const redirectUri = wanted ?? fallback;
  if (redirectUri === undefined || (wanted !== null && !registered(app, wanted))) {
    if (fallback === undefined)
      return { status: 404, ...page('Not found', html`<h1>This App has no callback address</h1>`) };
    return redirect(fallback, {
      error: 'redirect_uri_mismatch',
      error_description: 'The redirect_uri MUST match the registered callback URL for this application.',
      state,
    });
  }
  const challenge = query.get('code_challenge');
  if (challenge !== null && query.get('code_challenge_method') !== 'S256') {
    return redirect(redirectUri, {
      error: 'invalid_request',
      error_description: 'Only S256 is supported for code_challenge_method.',
      state,
    });
  }
  return { app, redirectUri, state, challenge };
}

/** GitHub's rule: same host and port, and a path at or below a registered one. */
function registered(app: App, wanted: string): boolean {
  if (!URL.canParse(wanted)) return false;
  const to = new URL(wanted);
  if (to.username || to.password || to.hash) return false;
  return app.callbackUrls
    .filter((known) => URL.canParse(known))
    .some((known) => {
      const base = new URL(known);
      const path = base.pathname.replace(/\/$/, '');
      return to.origin === base.origin && (to.pathname === path || to.pathname.startsWith(`${path}/`) || path === '');
    });
}

function redirect(to: string, values: Record<string, string | null>): Answer {
  const url = new URL(to);
  for (const [name, value] of Object.entries(values)) if (value !== null) url.searchParams.set(name, value);
  return { status: 302, headers: { location: url.toString(), 'cache-control': 'no-store' } };
}

function choose(world: World, ask: Ask): Answer {
  const request = parse(world, ask.query);
  if ('status' in request) return request;
  const action = `/login/oauth/authorize?${ask.query.toString()}`;
  const content = html`<h1>Sign in to ${request.app.name}</h1>
    ${ask.query.get('prompt') === 'select_account' ? html`<p><strong>Choose your account again.</strong></p>` : ''}
    <p>Choose whom to be. The App learns the account's name and number, and acts for it where it is installed.</p>
    <form method="post" action="${action}">
      ${accountPicker(world)}
      <p></p>
      <button name="cancel" value="1">Cancel</button>
    </form>`;
  return { status: 200, ...page(`Sign in to ${request.app.name}`, content) };
}

export function accountPicker(world: World): Html {
  const people = Object.values(world.state.users).map(
    (u) =>
      html`<li>
        <button class="row" name="login" value="${u.login}">
          <span class="mark" aria-hidden="true">${u.login[0]?.toUpperCase()}</span>
          <span><strong>${u.login}</strong><small>${u.name}</small></span>
        </button>
      </li>`,
  );
  return html`<ul class="list">
    ${people}
  </ul>`;
}

function decide(world: World, ask: Ask): Answer {
  const request = parse(world, ask.query);
  if ('status' in request) return request;
  const { login, cancel } = z
    .object({ login: z.string().optional(), cancel: z.string().optional() })
    .parse(ask.body ?? {});
  if (cancel)
    return redirect(request.redirectUri, {
      error: 'access_denied',
      error_description: 'The user has denied your application access.',
      state: request.state,
    });
  const user = login === undefined ? undefined : world.user(login);
  if (!user) return choose(world, ask);
  const code = randomBytes(10).toString('hex');
  world.state.grants[code] = {
    code,
    appId: request.app.id,
    userId: user.id,
    redirectUri: request.redirectUri,
    challenge: request.challenge,
    expiresAt: world.now().getTime() + codeMinutes * 60_000,
  };
  world.save();
  return redirect(request.redirectUri, { code, state: request.state });
}

const Exchange = z.object({
  client_id: z.string().default(''),
  client_secret: z.string().default(''),
  grant_type: z.string().optional(),
  code: z.string().default(''),
  redirect_uri: z.string().optional(),
  code_verifier: z.string().optional(),
  refresh_token: z.string().optional(),
});
type Exchange = z.infer<typeof Exchange>;

/** GitHub answers every refusal here with status 200 and says so in the body. */
function exchange(world: World, ask: Ask): Answer {
  const wanted = Exchange.safeParse(ask.body ?? Object.fromEntries(ask.query));
  const answer = wanted.success ? trade(world, wanted.data) : refusal('bad_verification_code');
  if ((ask.headers.accept ?? '').includes('json'))
    return { status: 200, headers: { 'cache-control': 'no-store' }, body: answer };
  const form = new URLSearchParams(Object.entries(answer).map(([k, v]) => [k, String(v)]));
  return {
    status: 200,
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    body: form.toString(),
  };
}

const refusals = {
  incorrect_client_credentials: 'The client_id and/or client_secret passed are incorrect.',
  redirect_uri_mismatch: 'The redirect_uri MUST match the registered callback URL for this application.',
  bad_verification_code: 'The code passed is incorrect or expired.',
  bad_refresh_token: 'The refresh token passed is incorrect or expired.',
  unsupported_grant_type: 'The grant type is not supported.',
};

function refusal(error: keyof typeof refusals): Record<string, string | number> {
  return { error, error_description: refusals[error], error_uri: 'https://docs.github.com/apps/oauth' };
}

function trade(world: World, wanted: Exchange): Record<string, string | number> {
  const app = Object.values(world.state.apps).find((a) => a.clientId === wanted.client_id);
  if (!app || !sameSecret(app.clientSecret, wanted.client_secret)) return refusal('incorrect_client_credentials');
  if (wanted.grant_type === 'refresh_token') return refresh(world, app, wanted.refresh_token ?? '');
  if (wanted.grant_type !== undefined && wanted.grant_type !== 'authorization_code')
    return refusal('unsupported_grant_type');
  const grant = world.state.grants[wanted.code];
  if (!grant || grant.appId !== app.id) return refusal('bad_verification_code');
  // A code is spent by being shown, right or wrong: guessing a verifier gets one try.
  delete world.state.grants[wanted.code];
  world.save();
  if (grant.expiresAt < world.now().getTime() || !verified(grant, wanted.code_verifier))
    return refusal('bad_verification_code');
  if (wanted.redirect_uri !== undefined && wanted.redirect_uri !== grant.redirectUri)
    return refusal('redirect_uri_mismatch');
  return issue(world, app, world.state.users[grant.userId] as User);
}

function verified(grant: Grant, verifier: string | undefined): boolean {
  if (grant.challenge === null) return true;
  return verifier !== undefined && createHash('sha256').update(verifier).digest('base64url') === grant.challenge;
}

function refresh(world: World, app: App, refreshToken: string): Record<string, string | number> {
  const old = Object.values(world.state.tokens).find((t) => t.kind === 'user' && t.refreshToken === refreshToken);
  if (old?.kind !== 'user' || old.appId !== app.id || old.refreshExpiresAt < world.now().getTime())
    return refusal('bad_refresh_token');
  delete world.state.tokens[old.token];
  return issue(world, app, world.state.users[old.userId] as User);
}

function issue(world: World, app: App, user: User): Record<string, string | number> {
  const token = userToken(world, app, user);
  return {
    access_token: token.token,
    expires_in: accessSeconds,
    refresh_token: token.refreshToken,
    refresh_token_expires_in: refreshSeconds,
    token_type: 'bearer',
    scope: '',
  };
}

export function userToken(world: World, app: App, user: User): Extract<Token, { kind: 'user' }> {
  const now = world.now().getTime();
  const token = {
    kind: 'user' as const,
    token: world.token('ghu'),
    refreshToken: world.token('ghr'),
    appId: app.id,
    userId: user.id,
    expiresAt: now + accessSeconds * 1000,
    refreshExpiresAt: now + refreshSeconds * 1000,
  };
  world.state.tokens[token.token] = token;
  world.save();
  return token;
}
