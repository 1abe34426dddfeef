import type { ScopeLevel } from '../../model/index.ts';
import type { Cancel, TokenAdvice, TokenFacts } from '../port.ts';
import type { Ask, Client } from './client.ts';
import { levelError, scopesLacking } from './errors.ts';
import { User } from './schema.ts';

/**
 * Which scopes a token has is told by neither forge; only a refusal names one that it lacks. So each that is needed is asked
 * for by a request that can have no effect: what it is about does not exist, and the scopes are looked at before that is
 * noticed. `-` is no name that an account may have, and no hook has the number 0.
 */
const probes: Record<string, string> = {
  'read:organization': 'GET /orgs/-',
  'read:repository': 'GET /repos/-/-',
  'write:organization': 'DELETE /orgs/-/hooks/0',
  'write:repository': 'DELETE /repos/-/-/hooks/0',
  'write:user': 'DELETE /user/hooks/0',
};

type ScopesFor = 'person' | ScopeLevel;

/** Writing includes reading. `read:user` is for who the token is, and for the teams that a renamed organization is found by. */
const needed: Partial<Record<ScopesFor, string[]>> & { person: string[] } = {
  person: ['read:user', 'read:organization', 'read:repository'],
  repository: ['read:user', 'write:repository'],
  organization: ['read:user', 'write:organization'],
  account: ['write:user'],
};

const roles: Partial<Record<ScopesFor, string>> = {
  person: 'yourself',
  repository: 'an owner of the repository or of its organization',
  organization: 'an owner of the organization',
  account: 'the account itself',
};

export function tokenAdvice(createUrl: string, scopesFor: ScopesFor): TokenAdvice {
  return { createUrl, scopes: scopesNeeded(scopesFor), role: roles[scopesFor] ?? '' };
}

function scopesNeeded(scopesFor: ScopesFor): string[] {
  const scopes = needed[scopesFor];
  if (scopes) return scopes;
  throw levelError(scopesFor);
}

/** Without `read:user` nobody can say whose token it is, which is an error and not a fact about it. */
export async function checkToken(
  client: Client,
  { token, scopesFor, signal }: Cancel & { token: string; scopesFor: ScopesFor },
): Promise<TokenFacts> {
  const ask: Ask = { as: { user: token }, signal, about: 'the access token' };
  const { id: subject, login } = await client.call('GET /user', User, ask);
  // A token of Forgejo's lives until somebody deletes it.
  return { subject, login, scopes: null, missingScopes: await missingScopes(client, scopesFor, ask), expiresAt: null };
}

/** Of the scopes that are needed, those that the token of this request lacks. */
export async function missingScopes(client: Client, scopesFor: ScopesFor, ask: Ask): Promise<string[]> {
  const missing: string[] = [];
  for (const scope of scopesNeeded(scopesFor)) {
    const probe = probes[scope];
    if (probe !== undefined && (await isLacking(client, probe, ask))) missing.push(scope);
  }
  return missing;
}

async function isLacking(client: Client, probe: string, ask: Ask): Promise<boolean> {
  const refusal = await client.refusalTo(probe, ask);
  return refusal?.status === 403 && scopesLacking(refusal.message) !== null;
}
