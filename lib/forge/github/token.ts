import type { AppError } from '../../errors.ts';
import type { ScopeLevel } from '../../model/index.ts';
import { ForgeError } from '../forge-error.ts';
import type { AsUser, Cancel, ForgeConnectionValue, ScopeChoice, ScopeRole, TokenAdvice, TokenFacts } from '../port.ts';
import type { Client } from './client.ts';
import { levelError, notFoundError, type Refusal, tokenError } from './errors.ts';
import { EnterpriseAnswer, type Enterprise, RunnerGroupPage, User } from './schema.ts';

/**
 * Enterprises, which no App may register runners for: a classic personal access token of an owner does. It is the one thing
 * at GitHub that is reached by a token.
 *
 * Facts: docs.github.com, "Authenticating ARC to the GitHub API" (`manage_runners:enterprise`, and that no App can), "REST
 * API endpoints for self-hosted runner groups" (nor a fine-grained token), and the GraphQL object `Enterprise`
 * (`databaseId`, `viewerIsAdmin`; `read:enterprise`), which is where an enterprise's id is told.
 */
const neededScopes = ['manage_runners:enterprise', 'read:enterprise'];
/** Contains the two others. */
const wholeScope = 'admin:enterprise';

export function missingScopes(scopes: readonly string[] | null): string[] {
  if (scopes === null) return neededScopes;
  return scopes.includes(wholeScope) ? [] : neededScopes.filter((scope) => !scopes.includes(scope));
}

export function tokenAdvice(connection: ForgeConnectionValue, scopesFor: 'person' | ScopeLevel): TokenAdvice {
  if (scopesFor !== 'enterprise') throw tokenError();
  const query = new URLSearchParams({ description: 'Flywheel runners', scopes: neededScopes.join(',') });
  return {
    createUrl: `${connection.baseUrl}/settings/tokens/new?${query.toString()}`,
    scopes: neededScopes,
    role: 'an owner of the enterprise, with a classic token',
  };
}

/** What GitHub tells of a token beside its answers. `scopes` is null for a fine-grained one and for an App's. */
type TokenSaid = { user: User; scopes: string[] | null; expiresAt: Date | null };

export async function tokenSaid(client: Client, token: string, signal: AbortSignal | undefined): Promise<TokenSaid> {
  const ask = { as: { user: token }, signal, about: 'the account of this token' };
  const { data: user, headers } = await client.look('GET /user', User, ask);
  const told = headers['x-oauth-scopes'];
  const scopes =
    told
      ?.split(',')
      .map((scope) => scope.trim())
      .filter(Boolean) ?? null;
  return { user, scopes, expiresAt: instantOf(headers['github-authentication-token-expiration']) };
}

/** `2026-12-01 10:00:00 UTC`, or with an offset. */
function instantOf(text: string | undefined): Date | null {
  const at = new Date((text ?? '').replace(/ UTC$/, 'Z').replace(/^(\S+) (\S+?) ?([+-]\d{4}|Z)$/, '$1T$2$3'));
  return Number.isNaN(at.getTime()) ? null : at;
}

export async function checkToken(
  client: Client,
  { token, scopesFor, signal }: Cancel & { token: string; scopesFor: 'person' | ScopeLevel },
): Promise<TokenFacts> {
  if (scopesFor !== 'enterprise') throw tokenError();
  const { user, scopes, expiresAt } = await tokenSaid(client, token, signal);
  return { subject: user.id, login: user.login, scopes, missingScopes: missingScopes(scopes), expiresAt };
}

// ------------------------------------------------------------------------------------------------ the enterprise

const query = `query ($slug: String!) {
  enterprise(slug: $slug) { databaseId slug name viewerIsAdmin }
  viewer { enterprises(first: 100) { nodes { databaseId slug name viewerIsAdmin } } }
}`;

/** GitHub's words where a token is of a kind that no scope can help: an App's, or a fine-grained one. */
const ofTheWrongKind = /not accessible by (integration|personal access token)/i;

/**
 * The enterprise of this id, whatever it is called now, or of this slug where no id is known yet. Null where there is none
 * or the token's owner may not see it; `forbidden` where the token lacks a scope.
 */
export async function findEnterprise(
  client: Client,
  { token, slug, id, signal }: Cancel & { token: string; slug: string; id: string | null },
): Promise<Enterprise | null> {
  const ask = { as: { user: token }, signal, about: slug, params: { query, variables: { slug } } };
  const { data, errors } = await client.graphql(EnterpriseAnswer, ask);
  const refusal = errors.find(({ type }) => type !== 'NOT_FOUND');
  if (refusal && ofTheWrongKind.test(refusal.message)) throw levelError('enterprise');
  if (refusal) throw scopesError(slug, refusal.type);
  const named = data?.enterprise ?? null;
  if (id === null) return named;
  return [named, ...(data?.viewer?.enterprises.nodes ?? [])].find((each) => each?.id === id) ?? null;
}

function scopesError(slug: string, type: string): AppError {
  return new ForgeError('forbidden', {
    reason: 'TokenScopeMissing',
    log: `GitHub answered ${type.slice(0, 60)} about the enterprise ${slug}`,
    screen: {
      happened: `The token may not look at the enterprise ${slug}.`,
      todo: `Make one with ${neededScopes.join(' and ')}.`,
    },
  });
}

/** Whether the token may manage the enterprise's runners: it lists their groups with the very scope that writing needs. */
export async function mayManageRunners(
  client: Client,
  { token, slug, signal }: Cancel & { token: string; slug: string },
): Promise<boolean> {
  const absent = ({ status }: Refusal) => status === 403 || status === 404;
  const params = { enterprise: slug, per_page: 1 };
  const ask = { as: { user: token }, signal, about: slug, params, absent };
  return (await client.find('GET /enterprises/{enterprise}/actions/runner-groups', RunnerGroupPage, ask)) !== null;
}

/** The token itself is asked, and who may manage runners by it is who may enrol: an operator entered it for this. */
export async function findEnterpriseScope(
  client: Client,
  connection: ForgeConnectionValue,
  { userToken: token, path, signal }: AsUser & { path: string },
): Promise<ScopeChoice & { role: ScopeRole }> {
  const enterprise = await findEnterprise(client, { token, slug: path, id: null, signal });
  if (!enterprise) throw notFoundError(path);
  const { id, slug, name } = enterprise;
  return {
    level: 'enterprise',
    path: slug,
    scopeId: id,
    name,
    ownerId: id,
    private: true,
    installation: null,
    installUrl: tokenAdvice(connection, 'enterprise').createUrl,
    credential: 'token',
    role: (await mayManageRunners(client, { token, slug, signal })) ? 'admin' : 'none',
  };
}
