import { createHash, createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { exportJWK, SignJWT } from 'jose';
import { z } from 'zod';
import { type Answer, type Ask, html, type Html, page, type Routes } from '#sandbox/stand-in/index.ts';
import { authenticate, sameSecret } from './access.ts';
import type { Application, Grant, Token, User } from './model.ts';
import type { World } from './world.ts';

const codeMinutes = 10;
const accessSeconds = 7200;

/** Signing in as one of the demo people: a page to choose on, a code, a token. It remembers nobody. */
export function oauthRoutes(web: Routes, world: World): void {
  web.on('GET', '/oauth/authorize', (ask) => choose(world, ask));
  web.on('POST', '/oauth/authorize', (ask) => decide(world, ask));
  web.on('POST', '/oauth/token', (ask) => trade(world, ask));
  web.on('GET', '/oauth/userinfo', (ask) => ({
    status: 200,
    body: claimsOf(world, authenticate(world, ask, 'openid').user),
  }));
  web.on('GET', '/.well-known/openid-configuration', () => ({ status: 200, body: discovery(world) }));
  web.on('GET', '/oauth/discovery/keys', async () => ({ status: 200, body: { keys: [await publicKey(world)] } }));
}

function discovery(world: World): Record<string, unknown> {
  const { url } = world;
  return {
    issuer: url,
    authorization_endpoint: `${url}/oauth/authorize`,
    token_endpoint: `${url}/oauth/token`,
    userinfo_endpoint: `${url}/oauth/userinfo`,
    jwks_uri: `${url}/oauth/discovery/keys`,
    scopes_supported: world.state.application.scopes,
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'fragment', 'form_post'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['plain', 'S256'],
    claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'name', 'nickname', 'preferred_username'],
  };
}

interface Request {
  redirectUri: string;
  state: string | null;
  scopes: string[];
  challenge: string | null;
  method: string;
  nonce: string | null;
}

/** What the query asks for, or the answer to give instead. An address that is not registered is never redirected to. */
function parse(world: World, query: URLSearchParams): Request | Answer {
  const { application } = world.state;
  if (query.get('client_id') !== application.clientId)
    return refusalPage(401, 'Client authentication failed due to unknown client.');
  const redirectUri = query.get('redirect_uri') ?? '';
  if (!application.redirectUris.includes(redirectUri))
    return refusalPage(400, 'The redirect URI included is not valid.');
  const state = query.get('state');
  const refuse = (error: string, description: string) =>
    redirect(redirectUri, { error, error_description: description, state });
  if (query.get('response_type') !== 'code')
    return refuse('unsupported_response_type', 'The authorization server does not support this response type.');
  const scopes = (query.get('scope') ?? '').split(' ').filter(Boolean);
  if (scopes.length === 0 || scopes.some((scope) => !application.scopes.includes(scope)))
    return refuse('invalid_scope', 'The requested scope is invalid, unknown, or malformed.');
  const challenge = query.get('code_challenge');
  const method = query.get('code_challenge_method') ?? 'plain';
  if (challenge !== null && method !== 'S256' && method !== 'plain')
    return refuse('invalid_code_challenge_method', 'The code challenge method must be plain or S256.');
  return { redirectUri, state, scopes, challenge, method, nonce: query.get('nonce') };
}

function refusalPage(status: number, words: string): Answer {
  const content = html`<h1>An error has occurred</h1>
    <p>${words}</p>`;
  return { status, ...page('An error has occurred', content) };
}

function redirect(to: string, values: Record<string, string | null>): Answer {
  const url = new URL(to);
  for (const [name, value] of Object.entries(values)) if (value !== null) url.searchParams.set(name, value);
  return { status: 302, headers: { location: url.toString(), 'cache-control': 'no-store' } };
}

function choose(world: World, ask: Ask): Answer {
  const request = parse(world, ask.query);
  if ('status' in request) return request;
  const { name } = world.state.application;
  const content = html`<h1>Sign in to ${name}</h1>
    ${ask.query.get('prompt') === 'login' ? html`<p><strong>You were signed out: sign in again.</strong></p>` : ''}
    <p>Choose whom to be. It may then ${request.scopes.join(', ')} as you do.</p>
    <form method="post" action="/oauth/authorize?${ask.query.toString()}">
      ${accountPicker(world)}
      <p></p>
      <button name="cancel" value="1">Deny</button>
    </form>`;
  return { status: 200, ...page(`Sign in to ${name}`, content) };
}

export function accountPicker(world: World): Html {
  const people = Object.values(world.state.users).filter((user) => !user.bot);
  return html`<ul class="list">
    ${people.map(
      (user) =>
        html`<li>
          <button class="row" name="login" value="${user.login}">
            <span class="mark" aria-hidden="true">${user.login[0]?.toUpperCase()}</span>
            <span><strong>${user.login}</strong><small>${user.name}</small></span>
          </button>
        </li>`,
    )}
  </ul>`;
}

const Choice = z.object({ login: z.string().optional(), cancel: z.string().optional() });

function decide(world: World, ask: Ask): Answer {
  const request = parse(world, ask.query);
  if ('status' in request) return request;
  const { login, cancel } = Choice.parse(ask.body ?? {});
  const { redirectUri, state } = request;
  if (cancel) {
    const words = 'The resource owner or authorization server denied the request.';
    return redirect(redirectUri, { error: 'access_denied', error_description: words, state });
  }
  const user = login === undefined ? undefined : world.user(login);
  if (!user || user.bot) return choose(world, ask);
  const code = randomBytes(32).toString('hex');
  const { scopes, challenge, method, nonce } = request;
  const expiresAt = world.now().getTime() + codeMinutes * 60_000;
  world.state.grants[code] = { code, userId: user.id, scopes, redirectUri, challenge, method, nonce, expiresAt };
  world.save();
  return redirect(redirectUri, { code, state });
}

const Exchange = z.object({
  client_id: z.string().default(''),
  client_secret: z.string().default(''),
  grant_type: z.string().default(''),
  code: z.string().default(''),
  redirect_uri: z.string().default(''),
  code_verifier: z.string().default(''),
  refresh_token: z.string().default(''),
});

const refusals = {
  invalid_client: [
    401,
    'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.',
  ],
  invalid_grant: [
    400,
    'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
  ],
  unsupported_grant_type: [400, 'The authorization grant type is not supported by the authorization server.'],
} as const;

function refusal(error: keyof typeof refusals): Answer {
  const [status, description] = refusals[error];
  return { status, headers: { 'cache-control': 'no-store' }, body: { error, error_description: description } };
}

async function trade(world: World, ask: Ask): Promise<Answer> {
  const parsed = Exchange.safeParse(ask.body ?? {});
  if (!parsed.success) return refusal('invalid_grant');
  const wanted = parsed.data;
  if (!isClient(world.state.application, ask, wanted)) return refusal('invalid_client');
  if (wanted.grant_type === 'refresh_token') return refresh(world, wanted.refresh_token);
  if (wanted.grant_type !== 'authorization_code') return refusal('unsupported_grant_type');
  const grant = world.state.grants[wanted.code];
  if (!grant) return refusal('invalid_grant');
  // A code is spent by being shown, right or wrong: guessing a verifier gets one try.
  delete world.state.grants[wanted.code];
  world.save();
  const late = grant.expiresAt < world.now().getTime();
  if (late || grant.redirectUri !== wanted.redirect_uri || !isVerified(grant, wanted.code_verifier))
    return refusal('invalid_grant');
  return issue(world, world.state.users[grant.userId] as User, grant.scopes, grant.nonce);
}

function isClient(application: Application, ask: Ask, form: { client_id: string; client_secret: string }): boolean {
  const basic = /^basic (.+)$/i.exec(ask.headers.authorization ?? '')?.[1];
  const [id = '', secret = ''] = basic
    ? Buffer.from(basic, 'base64').toString().split(':').map(decodeURIComponent)
    : [];
  const given = basic ? { id, secret } : { id: form.client_id, secret: form.client_secret };
  return given.id === application.clientId && sameSecret(application.clientSecret, given.secret);
}

function isVerified({ challenge, method }: Grant, verifier: string): boolean {
  if (challenge === null) return true;
  return challenge === (method === 'plain' ? verifier : createHash('sha256').update(verifier).digest('base64url'));
}

/** A refresh token is good once, and takes the access token that came with it along. */
function refresh(world: World, refreshToken: string): Answer | Promise<Answer> {
  const old = Object.values(world.state.tokens).find(
    (token) => token.kind === 'oauth' && token.refreshToken === refreshToken && !token.revoked,
  );
  if (old?.kind !== 'oauth') return refusal('invalid_grant');
  old.revoked = true;
  return issue(world, world.state.users[old.userId] as User, old.scopes, null);
}

async function issue(world: World, user: User, scopes: string[], nonce: string | null): Promise<Answer> {
  const token = oauthToken(world, user, scopes);
  const body = {
    access_token: token.token,
    token_type: 'Bearer',
    expires_in: accessSeconds,
    refresh_token: token.refreshToken,
    scope: scopes.join(' '),
    created_at: Math.floor(world.now().getTime() / 1000),
    ...(scopes.includes('openid') ? { id_token: await idToken(world, user, nonce) } : {}),
  };
  return { status: 200, headers: { 'cache-control': 'no-store' }, body };
}

export function oauthToken(world: World, user: User, scopes: string[]): Extract<Token, { kind: 'oauth' }> {
  const token = {
    kind: 'oauth' as const,
    id: world.id(),
    token: randomBytes(32).toString('hex'),
    refreshToken: randomBytes(32).toString('hex'),
    userId: user.id,
    scopes,
    revoked: false,
    expiresAt: world.now().getTime() + accessSeconds * 1000,
    createdAt: world.iso(),
  };
  world.state.tokens[token.token] = token;
  world.save();
  return token;
}

function claimsOf(world: World, user: User): Record<string, unknown> {
  return {
    sub: String(user.id),
    name: user.name,
    nickname: user.login,
    preferred_username: user.login,
    profile: `${world.url}/${user.login}`,
  };
}

function idToken(world: World, user: User, nonce: string | null): Promise<string> {
  const nowSeconds = Math.floor(world.now().getTime() / 1000);
  return new SignJWT({ ...claimsOf(world, user), ...(nonce === null ? {} : { nonce }) })
    .setProtectedHeader({ alg: 'RS256', kid: 'sandbox' })
    .setIssuer(world.url)
    .setAudience(world.state.application.clientId)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + 120)
    .sign(createPrivateKey(world.state.privateKeyPem));
}

async function publicKey(world: World): Promise<Record<string, unknown>> {
  const jwk = await exportJWK(createPublicKey(world.state.privateKeyPem));
  return { ...jwk, kid: 'sandbox', use: 'sig', alg: 'RS256' };
}
