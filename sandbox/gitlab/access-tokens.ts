import { z } from 'zod';
import { type Answer, type Ask, html, page, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { authenticate, fail, mayManageGroup, mayManageProject, needAdmin } from './access.ts';
import type { AccessLevel, AccessToken, Group, Project, User } from './model.ts';
import { accountPicker } from './oauth.ts';
import * as render from './render.ts';
import type { World } from './world.ts';

/** What an access token can be given; there are more, and none of them concerns runners. */
export const tokenScopes = [
  'api',
  'read_api',
  'read_user',
  'create_runner',
  'manage_runner',
  'self_rotate',
  'admin_mode',
] as const;
const everyScope = [...tokenScopes, 'openid'];

const defaultDays = 30;
const longestDays = 400;

/** `/personal_access_tokens`, by which every access token learns of itself: a person's, a group's and a project's. */
export function accessTokenRoutes(api: Routes, world: World): void {
  api.on('GET', '/personal_access_tokens/self', (ask) => ({
    status: 200,
    body: render.accessToken(world, ownToken(world, ask, everyScope)),
  }));
  api.on('DELETE', '/personal_access_tokens/self', (ask) => {
    ownToken(world, ask, everyScope).revoked = true;
    world.save();
    return { status: 204 };
  });
  api.on('POST', '/personal_access_tokens/self/rotate', (ask) => {
    const old = ownToken(world, ask, ['self_rotate']);
    const { expires_at: wanted } = parse(z.object({ expires_at: z.iso.date().optional() }), ask.body);
    const user = world.state.users[old.userId] as User;
    const fresh = newToken(world, user, { name: old.name, scopes: old.scopes, expiresOn: wanted ?? inDays(world, 7) });
    old.revoked = true;
    return { status: 200, body: { ...render.accessToken(world, fresh), token: fresh.token } };
  });
  api.on('POST', '/users/:id/personal_access_tokens', (ask) => {
    needAdmin(authenticate(world, ask));
    const user = world.state.users[ask.params['id'] ?? ''] ?? fail(404, '404 User Not Found');
    const given = parse(NewToken, ask.body);
    const fresh = newToken(world, user, { ...given, expiresOn: given.expires_at ?? inDays(world, 7) });
    return { status: 201, body: { ...render.accessToken(world, fresh), token: fresh.token } };
  });
}

const NewToken = z.object({
  name: z.string().min(1),
  scopes: z.array(z.enum(tokenScopes)).min(1),
  expires_at: z.iso.date().optional(),
});

function ownToken(world: World, ask: Ask, scopes: readonly string[]): AccessToken {
  const { token } = authenticate(world, ask, ...scopes);
  if (token.kind === 'access') return token;
  return fail(400, '400 Bad request - This endpoint requires token type to be a personal access token');
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  throw new Reply({ status: 400, body: { error: z.prettifyError(parsed.error) } });
}

export function inDays(world: World, days: number): string {
  return new Date(world.now().getTime() + days * 86_400_000).toISOString().slice(0, 10);
}

export function newToken(
  world: World,
  user: User,
  given: { name: string; scopes: readonly string[]; expiresOn: string },
): AccessToken {
  const token: AccessToken = {
    kind: 'access',
    id: world.id(),
    token: world.token('glpat'),
    userId: user.id,
    name: given.name,
    scopes: [...given.scopes],
    revoked: false,
    expiresOn: given.expiresOn,
    createdAt: world.iso(),
  };
  world.state.tokens[token.token] = token;
  world.save();
  return token;
}

/** A group's or project's own token: a new account that is a member there and nowhere else. */
export function newBotToken(
  world: World,
  scope: Group | Project,
  given: { name: string; scopes: readonly string[]; expiresOn: string; level: AccessLevel },
): AccessToken {
  const kind = 'namespaceId' in scope ? 'project' : 'group';
  const id = world.id();
  const login = `${kind}_${scope.id}_bot_${id.toString(16)}`;
  const bot: User = {
    id,
    login,
    name: given.name,
    admin: false,
    bot: true,
    namespaceId: world.id(),
    createdAt: world.iso(),
  };
  world.state.users[bot.id] = bot;
  scope.members.push({ userId: bot.id, level: given.level });
  return newToken(world, bot, given);
}

// ------------------------------------------------------------------------------------------------ pages

/** Where a person makes a token in a browser: their own, a group's and a project's. */
export function accessTokenPages(web: Routes, world: World): void {
  const paths = ['/-/user_settings/personal_access_tokens', '/groups/*path/-/settings/access_tokens'];
  for (const path of [...paths, '/*path/-/settings/access_tokens']) {
    web.on('GET', path, (ask) => form(world, ask, path));
    web.on('POST', path, (ask) => make(world, ask, path));
  }
}

/** What the page is about: a group, a project, or (null) whoever signs in. */
function scopeOf(world: World, ask: Ask, route: string): Group | Project | null {
  const path = ask.params['path'];
  if (path === undefined) return null;
  const found = route.startsWith('/groups/') ? world.group(path) : world.project(path);
  if (found) return found;
  const content = html`<h1>404: Page not found</h1>
    <p>There is no ${path}.</p>`;
  throw new Reply({ status: 404, ...page('Not found', content) });
}

function titleOf(scope: Group | Project | null): string {
  if (!scope) return 'Personal access token';
  return 'namespaceId' in scope ? 'Project access token' : 'Group access token';
}

function form(world: World, ask: Ask, route: string): Answer {
  const scope = scopeOf(world, ask, route);
  const wanted = (ask.query.get('scopes') ?? '').split(',');
  const content = html`<h1>${titleOf(scope)}</h1>
    <p>${scope ? `For ${ask.params['path']}.` : 'For whom you choose to be.'}</p>
    <form method="post">
      <label class="field" for="name">Token name</label>
      <input id="name" name="name" required value="${ask.query.get('name') ?? ''}" />
      <label class="field" for="expires">Expiration date</label>
      <input id="expires" name="expires_at" type="date" value="${inDays(world, defaultDays)}" />
      ${
        scope !== null &&
        html`<label class="field" for="level">Select a role</label>
          <select id="level" name="level">
            <option value="30">Developer</option>
            <option value="40">Maintainer</option>
            <option value="50" selected>Owner</option>
          </select>`
      }
      <fieldset>
        <legend>Select scopes</legend>
        ${tokenScopes.map(
          (name) =>
            html`<label
              ><input type="checkbox" name="scopes" value="${name}" ${wanted.includes(name) && 'checked'} />
              ${name}</label
            >`,
        )}
      </fieldset>
      <p>Generate the token as</p>
      ${accountPicker(world)}
    </form>`;
  return { status: 200, ...page(titleOf(scope), content) };
}

const Filled = z.object({
  login: z.string(),
  name: z.string().min(1),
  expires_at: z.string(),
  level: z.enum(['30', '40', '50']).default('50'),
  scopes: z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(z.enum(tokenScopes)).min(1)),
});

function make(world: World, ask: Ask, route: string): Answer {
  const scope = scopeOf(world, ask, route);
  const filled = Filled.safeParse(ask.body ?? {});
  if (!filled.success) return said(422, 'The form contains errors', 'Name the token and choose at least one scope.');
  const { login, name, scopes, level, expires_at: day } = filled.data;
  const user = world.user(login);
  if (!user || !mayMake(world, user, scope))
    return said(403, '404: Page not found', `${login} may make no access token here.`);
  const latest = inDays(world, longestDays);
  const expiresOn = z.iso.date().safeParse(day).success && day <= latest ? day : latest;
  const wanted = { name, scopes, expiresOn };
  const token = scope
    ? newBotToken(world, scope, { ...wanted, level: Number(level) as AccessLevel })
    : newToken(world, user, wanted);
  const content = html`<h1>Your new ${titleOf(scope).toLowerCase()}</h1>
    <p>Copy it now: it is not shown again.</p>
    <label class="field" for="created">Token</label>
    <input id="created" readonly value="${token.token}" />`;
  return { status: 201, ...page(titleOf(scope), content) };
}

/** Owners of a group and maintainers of a project; whoever signs in, for their own. */
function mayMake(world: World, user: User, scope: Group | Project | null): boolean {
  if (user.bot) return false;
  if (!scope) return true;
  return 'namespaceId' in scope ? mayManageProject(world, user, scope) : mayManageGroup(world, user, scope);
}

function said(status: number, title: string, words: string): Answer {
  const content = html`<h1>${title}</h1>
    <p>${words}</p>`;
  return { status, ...page(title, content) };
}
