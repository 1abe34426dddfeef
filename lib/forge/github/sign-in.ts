import { AppError } from '../../errors.ts';
import { guardOf } from '../guard.ts';
import { hashOf, limitsOf } from '../limits.ts';
import type { ForgeConnectionValue, Profile, SignIn, UserTokens } from '../port.ts';
import type { Client } from './client.ts';
import { grantLimitSaid, nonsenseError, undecidedError } from './errors.ts';
import { TokenAnswer, User } from './schema.ts';

/** GitHub gives nothing to read in an App's scopes: what the App was permitted, it may. A bare OAuth app names them. */
function scopesOf(connection: ForgeConnectionValue): string[] {
  return connection.app ? [] : ['read:user', 'read:org'];
}

export function githubSignIn(connection: ForgeConnectionValue, client: Client): SignIn {
  const tokenUrl = `${connection.baseUrl}/login/oauth/access_token`;
  const fetch = guardOf(connection);
  const limits = limitsOf(connection, 'GitHub');

  async function askForTokens(form: Record<string, string>, signal: AbortSignal | undefined): Promise<UserTokens> {
    const who = `grant ${hashOf(JSON.stringify(form))}`;
    limits.assertOpen(who);
    const response = await fetch(tokenUrl, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        client_id: connection.clientId,
        client_secret: connection.clientSecret,
        ...form,
      }).toString(),
      signal: signal ?? null,
    });
    const answer: unknown = await response.json().catch(() => undefined);
    const said = grantLimitSaid(response, answer);
    if (said !== null) throw limits.limited(who, said, `${connection.baseUrl}: the token end-point limits`);
    const undecided = undecidedError(connection.baseUrl, response);
    if (undecided) throw undecided;
    const parsed = TokenAnswer.safeParse(answer);
    if (!parsed.success) throw nonsenseError(connection.baseUrl, 'the token end-point', String(response.status));
    if ('error' in parsed.data) throw refusedGrant(connection.baseUrl, parsed.data.error);
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: lifeS } = parsed.data;
    const expiresAt = lifeS ? new Date(Date.now() + lifeS * 1000) : null;
    return { accessToken, refreshToken: refreshToken ?? null, expiresAt };
  }

  return {
    authorizationUrl: `${connection.baseUrl}/login/oauth/authorize`,
    tokenUrl,
    scopes: scopesOf(connection),
    pkce: true,
    keepsToken: true,
    // https://github.blog/changelog/2024-06-07-account-picker-updates-for-oauth-and-github-app-sign-in/
    confirm: { prompt: 'select_account' },
    exchange({ code, codeVerifier, redirectUri, signal }) {
      return askForTokens({ code, code_verifier: codeVerifier, redirect_uri: redirectUri }, signal);
    },
    refresh(refreshToken, cancel) {
      return askForTokens({ grant_type: 'refresh_token', refresh_token: refreshToken }, cancel?.signal);
    },
    async fetchProfile(accessToken, cancel): Promise<Profile> {
      const ask = { as: { user: accessToken }, signal: cancel?.signal, about: 'your account' };
      const user = await client.call('GET /user', User, ask);
      return { subject: user.id, login: user.login, name: user.name ?? user.login, imageUrl: user.avatar_url ?? null };
    },
  };
}

/** `error` is one of OAuth's own words, such as bad_verification_code; it is cut in case it is anything else. */
function refusedGrant(forge: string, error: string): AppError {
  const mistaken = error === 'incorrect_client_credentials' || error === 'redirect_uri_mismatch';
  return new AppError(mistaken ? 'forbidden' : 'unauthenticated', {
    log: `${forge} refused a grant: ${error.replace(/[^\w ]/g, '').slice(0, 60)}`,
    screen: mistaken
      ? {
          happened: 'GitHub refuses the portal itself.',
          todo: 'The operator must check the App’s client id, secret and callback URL.',
        }
      : { happened: 'Your sign-in at GitHub has ended.', todo: 'Sign in again.' },
  });
}
