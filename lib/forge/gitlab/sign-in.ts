import { z } from 'zod';
import { guardOf } from '../guard.ts';
import { hashOf, limitsOf } from '../limits.ts';
import type { ForgeConnectionValue, Profile, SignIn, UserTokens } from '../port.ts';
import type { Client } from './client.ts';
import { awayError, grantError, limitSaid, nonsenseError } from './errors.ts';
import { TokenAnswer, User } from './schema.ts';

/** Who somebody is, and what they may enrol: the token reads and changes nothing. */
const scopes = ['openid', 'read_user', 'read_api'];

const RefusedGrant = z.object({ error: z.string() });

export function gitlabSignIn(connection: ForgeConnectionValue, client: Client): SignIn {
  const { baseUrl, clientId, clientSecret } = connection;
  const tokenUrl = `${baseUrl}/oauth/token`;
  const fetch = guardOf(connection);
  const limits = limitsOf(connection, 'GitLab');

  async function askForTokens(form: Record<string, string>, signal: AbortSignal | undefined): Promise<UserTokens> {
    const who = `grant ${hashOf(JSON.stringify(form))}`;
    limits.assertOpen(who);
    const response = await fetch(tokenUrl, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ client_id: clientId, client_secret: clientSecret, ...form }).toString(),
      signal: signal ?? null,
    });
    const log = `${baseUrl}: the token end-point answered ${response.status}`;
    const said = limitSaid(response);
    if (said !== null) throw limits.limited(who, said, log);
    if (response.status >= 500) throw awayError(log, baseUrl);
    const answer: unknown = await response.json().catch(() => undefined);
    const refused = RefusedGrant.safeParse(answer);
    if (refused.success) throw grantError(baseUrl, refused.data.error);
    const parsed = TokenAnswer.safeParse(answer);
    if (!parsed.success) throw nonsenseError(baseUrl, 'the token end-point', String(response.status));
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: lifeS } = parsed.data;
    const expiresAt = lifeS ? new Date(Date.now() + lifeS * 1000) : null;
    return { accessToken, refreshToken: refreshToken ?? null, expiresAt };
  }

  return {
    authorizationUrl: `${baseUrl}/oauth/authorize`,
    tokenUrl,
    scopes,
    pkce: true,
    keepsToken: true,
    // config/initializers/doorkeeper_openid_connect.rb, `reauthenticate_resource_owner`
    confirm: { prompt: 'login' },
    exchange({ code, codeVerifier, redirectUri, signal }) {
      const grant = { grant_type: 'authorization_code', code, code_verifier: codeVerifier, redirect_uri: redirectUri };
      return askForTokens(grant, signal);
    },
    refresh(refreshToken, cancel) {
      return askForTokens({ grant_type: 'refresh_token', refresh_token: refreshToken }, cancel?.signal);
    },
    async fetchProfile(accessToken, cancel): Promise<Profile> {
      const as = { token: accessToken, whose: 'person' as const };
      const ask = { as, signal: cancel?.signal, about: 'your account' };
      const user = await client.call(User, ask, (api) => api.users.showCurrentUser());
      const { id: subject, username: login, name, avatar_url: imageUrl } = user;
      return { subject, login, name: name || login, imageUrl: imageUrl ?? null };
    },
  };
}
