import { AppError } from '../../errors.ts';
import { guardOf } from '../guard.ts';
import { hashOf, limitsOf } from '../limits.ts';
import type { ForgeConnectionValue, Profile, SignIn, UserTokens } from '../port.ts';
import type { Client } from './client.ts';
import { hostOf, limitSaid, nonsenseError, undecidedError } from './errors.ts';
import { GrantRefusal, TokenAnswer, User } from './schema.ts';

/**
 * Forgejo does not hold an OAuth token to its scopes: it may do whatever the person may (docs/user/oauth2-provider.md). So it
 * is used for the sign-in and dropped; the person then gives an access token, whose scopes are held to. Gitea from 1.23 on
 * does hold to those that are asked for, and would refuse the profile without `read:user`.
 */
export function forgejoSignIn(connection: ForgeConnectionValue, client: Client): SignIn {
  const { baseUrl, clientId, clientSecret } = connection;
  const tokenUrl = `${baseUrl}/login/oauth/access_token`;
  const fetch = guardOf(connection);
  const limits = limitsOf(connection, hostOf(baseUrl));

  async function askForTokens(form: Record<string, string>, signal: AbortSignal | undefined): Promise<UserTokens> {
    const who = `grant ${hashOf(JSON.stringify(form))}`;
    limits.assertOpen(who);
    const response = await fetch(tokenUrl, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ client_id: clientId, client_secret: clientSecret, ...form }).toString(),
      signal: signal ?? null,
    });
    const said = limitSaid(response);
    if (said !== null) throw limits.limited(who, said, `${baseUrl}: the token end-point limits`);
    const undecided = undecidedError(baseUrl, response);
    if (undecided) throw undecided;
    const answer: unknown = await response.json().catch(() => undefined);
    const refusal = GrantRefusal.safeParse(answer);
    if (refusal.success) throw refusedGrant(baseUrl, refusal.data.error, refusal.data.error_description);
    const parsed = TokenAnswer.safeParse(answer);
    if (!parsed.success) throw nonsenseError(baseUrl, 'the token end-point', String(response.status));
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: lifeS } = parsed.data;
    const expiresAt = lifeS ? new Date(Date.now() + lifeS * 1000) : null;
    return { accessToken, refreshToken: refreshToken ?? null, expiresAt };
  }

  return {
    authorizationUrl: `${baseUrl}/login/oauth/authorize`,
    tokenUrl,
    scopes: ['read:user', 'read:organization'],
    pkce: true,
    keepsToken: false,
    confirm: {},
    exchange({ code, codeVerifier, redirectUri, signal }) {
      const grant = { grant_type: 'authorization_code', code, code_verifier: codeVerifier, redirect_uri: redirectUri };
      return askForTokens(grant, signal);
    },
    refresh(refreshToken, cancel) {
      return askForTokens({ grant_type: 'refresh_token', refresh_token: refreshToken }, cancel?.signal);
    },
    async fetchProfile(accessToken, cancel): Promise<Profile> {
      const ask = { as: { user: accessToken }, signal: cancel?.signal, about: 'your account' };
      const user = await client.call('GET /user', User, ask);
      return {
        subject: user.id,
        login: user.login,
        name: user.full_name || user.login,
        imageUrl: user.avatar_url ?? null,
      };
    },
  };
}

/**
 * One of OAuth's own words, cut in case it is anything else. `unauthorized_client` stands for a code that is spent as well as
 * for a wrong secret; only its description tells them apart (Gitea 1.26, routers/web/auth/oauth2_provider.go).
 */
function refusedGrant(forge: string, error: string, description: string): AppError {
  const mistaken = error === 'invalid_client' || /client secret|redirect uri/i.test(description);
  const host = hostOf(forge);
  return new AppError(mistaken ? 'forbidden' : 'unauthenticated', {
    log: `${forge} refused a grant: ${error.replace(/[^\w ]/g, '').slice(0, 60)}`,
    screen: mistaken
      ? {
          happened: `${host} refuses the portal itself.`,
          todo: 'The operator must check the OAuth application’s client id, secret and redirect URI.',
        }
      : { happened: `Your sign-in at ${host} has ended.`, todo: 'Sign in again.' },
  });
}
