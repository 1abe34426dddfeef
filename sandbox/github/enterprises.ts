import { z } from 'zod';
import { type Answer, type Ask, html, page, type Routes } from '#sandbox/stand-in/index.ts';
import { fail, failure, identify, notByIntegration, notFound, type Who } from './access.ts';
import type { Enterprise, Token, User } from './model.ts';
import type { World } from './world.ts';

const dayMs = 86_400_000;

/** What a classic personal access token needs for an enterprise's runners; the wider scope contains the narrower ones. */
export const runnerScope = 'manage_runners:enterprise';
const readScope = 'read:enterprise';
const allScope = 'admin:enterprise';

function holds(scopes: readonly string[], needed: string): boolean {
  return scopes.includes(needed) || scopes.includes(allScope);
}

/**
 * The right to an enterprise's runners. "This endpoint does not work with GitHub App user access tokens, GitHub App
 * installation access tokens, or fine-grained personal access tokens" (docs.github.com, self-hosted runner groups).
 */
export function needEnterprise(world: World, who: Who, slug: string | undefined): Enterprise {
  if (who.kind === 'anonymous') return fail(401, 'Requires authentication');
  if (who.kind !== 'user' || who.app !== null) return notByIntegration();
  if (who.scopes === null) return fail(403, 'Resource not accessible by personal access token');
  const found = world.enterprise(slug ?? '');
  if (!found?.ownerIds.includes(who.user.id) || !holds(who.scopes, runnerScope)) return notFound();
  return found;
}

/** The one question that the stand-in's GraphQL understands: an enterprise by its slug, and those of whoever asks. */
const Asked = z.object({
  query: z.string().includes('enterprise(slug: $slug)').includes('viewer'),
  variables: z.object({ slug: z.string() }),
});

export function enterpriseRoutes(web: Routes, world: World): void {
  web.on('POST', '/api/graphql', async (ask) => {
    const who = await identify(world, ask);
    if (who.kind === 'anonymous') return failure(401, 'This endpoint requires you to be authenticated.');
    const asked = Asked.safeParse(ask.body);
    if (!asked.success) return graphqlError('undefinedField', 'The stand-in does not understand this query.');
    return answerTo(world, who, asked.data.variables.slug);
  });
  web.on('GET', '/settings/tokens/new', (ask) => tokenPage(world, ask));
  web.on('POST', '/settings/tokens/new', (ask) => makeTokenByPage(world, ask));
}

function graphqlError(type: string, message: string): Answer {
  return { status: 200, body: { data: null, errors: [{ type, message, path: ['enterprise'] }] } };
}

function answerTo(world: World, who: Who, slug: string): Answer {
  if (who.kind !== 'user' || who.app !== null)
    return graphqlError('FORBIDDEN', 'Resource not accessible by integration');
  if (who.scopes === null) return graphqlError('FORBIDDEN', 'Resource not accessible by personal access token');
  if (!holds(who.scopes, readScope)) {
    const message = `Your token has not been granted the required scopes to execute this query. The 'enterprise' field requires one of the following scopes: ['${readScope}'].`;
    return graphqlError('INSUFFICIENT_SCOPES', message);
  }
  const { user } = who;
  const mine = Object.values(world.state.enterprises).filter((each) => isMember(world, each, user));
  const found = world.enterprise(slug);
  const seen = found && mine.includes(found) ? found : undefined;
  const data = {
    enterprise: seen ? shown(seen, user) : null,
    viewer: { enterprises: { nodes: mine.map((each) => shown(each, user)) } },
  };
  if (seen) return { status: 200, body: { data } };
  const message = `Could not resolve to a Business with the URL slug of '${slug}'.`;
  return { status: 200, body: { data, errors: [{ type: 'NOT_FOUND', message, path: ['enterprise'] }] } };
}

function isMember(world: World, enterprise: Enterprise, user: User): boolean {
  const inOrg = enterprise.orgIds.some((id) => {
    const org = world.state.orgs[id];
    return org !== undefined && world.role(org, user.id) !== undefined;
  });
  return inOrg || enterprise.ownerIds.includes(user.id);
}

function shown({ id, slug, name, ownerIds }: Enterprise, user: User): Record<string, unknown> {
  return { databaseId: id, slug, name, viewerIsAdmin: ownerIds.includes(user.id) };
}

// ------------------------------------------------------------------------------------------------ personal access tokens

export type NewToken = { scopes: string[]; fineGrained: boolean; days: number };

export function personalToken(world: World, user: User, given: Partial<NewToken> = {}): Token {
  const { scopes = ['repo', 'admin:org'], fineGrained = false, days = 365 } = given;
  const token: Token = {
    kind: 'pat',
    token: world.token(fineGrained ? 'github_pat' : 'ghp'),
    userId: user.id,
    scopes: fineGrained ? [] : scopes,
    fineGrained,
    expiresAt: world.now().getTime() + days * dayMs,
  };
  world.state.tokens[token.token] = token;
  world.save();
  return token;
}

/** What GitHub says of a personal access token with each answer; a fine-grained one has no scopes to tell. */
export function tokenHeaders(world: World, authorization: string | undefined): Record<string, string> {
  const token = world.state.tokens[(authorization ?? '').split(' ')[1] ?? ''];
  if (token?.kind !== 'pat' || token.expiresAt <= world.now().getTime()) return {};
  const ends = new Date(token.expiresAt).toISOString().replace('T', ' ').slice(0, 19);
  return {
    'github-authentication-token-expiration': `${ends} UTC`,
    ...(token.fineGrained ? {} : { 'x-oauth-scopes': token.scopes.join(', '), 'x-accepted-oauth-scopes': '' }),
  };
}

function tokenPage(world: World, ask: Ask): Answer {
  const wanted = (ask.query.get('scopes') ?? '').split(',').filter(Boolean);
  const scopes = [...new Set([...wanted, 'repo', 'admin:org', readScope, runnerScope, allScope])];
  const content = html`<h1>New personal access token (classic)</h1>
    <form method="post" action="/settings/tokens/new">
      <label class="field" for="login">As</label
      ><select id="login" name="as">
        ${Object.values(world.state.users).map((user) => html`<option>${user.login}</option>`)}
      </select>
      <fieldset>
        <legend>Scopes</legend>
        ${scopes.map((scope) => html`<label><input type="checkbox" name="scope" value="${scope}" ${wanted.includes(scope) ? html` checked` : ''} /> ${scope}</label>`)}
      </fieldset>
      <label class="field" for="days">Days until it ends</label
      ><input id="days" name="days" type="number" min="1" max="365" value="90" />
      <p></p>
      <button class="primary">Generate token</button>
    </form>`;
  return { status: 200, ...page('New personal access token', content) };
}

const Chosen = z.object({
  as: z.string(),
  scope: z.union([z.string().transform((one) => [one]), z.array(z.string())]).default([]),
  days: z.coerce.number().int().min(1).max(365).default(90),
});

function makeTokenByPage(world: World, ask: Ask): Answer {
  const chosen = Chosen.safeParse(ask.body);
  const user = chosen.success ? world.user(chosen.data.as) : undefined;
  if (!chosen.success || !user) return failure(422, 'Invalid request.');
  const { token } = personalToken(world, user, { scopes: chosen.data.scope, days: chosen.data.days });
  const content = html`<h1>Your new token</h1>
    <p>Copy it now: it is not shown again.</p>
    <p><code>${token}</code></p>`;
  return { status: 200, ...page('Your new token', content) };
}
