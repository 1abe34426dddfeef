import { timingSafeEqual, createHash } from 'node:crypto';
import { type Answer, type Ask, Reply } from '#sandbox/stand-in/index.ts';
import type { Group, Project, Token, User } from './model.ts';
import type { World } from './world.ts';

export type Who = { user: User; token: Token };

export function failure(status: number, message: unknown, headers: Record<string, string> = {}): Answer {
  return { status, headers, body: { message } };
}

export function fail(status: number, message: unknown): never {
  throw new Reply(failure(status, message));
}

/** GitLab writes the status before its words: `404 Project Not Found`. */
export function notFound(what = ''): never {
  return fail(404, what === '' ? '404 Not found' : `404 ${what} Not Found`);
}

export function forbidden(reason = ''): never {
  return fail(403, reason === '' ? '403 Forbidden' : `403 Forbidden - ${reason}`);
}

export function badRequest(reason: string): never {
  return fail(400, `400 Bad request - ${reason}`);
}

/** Grape's words for a parameter that is missing or wrong. */
export function invalidParameter(message: string): never {
  throw new Reply({ status: 400, body: { error: message } });
}

/** RFC 6750's shapes, which the API uses for a token that is none and for scopes that do not suffice. */
function tokenRefusal(status: 401 | 403, error: string, description: string, more: object = {}): never {
  throw new Reply({ status, body: { error, error_description: description, ...more } });
}

/**
 * Who asks, by a token that has one of these scopes. As at GitLab, `api` opens every door and `read_api` every question;
 * a route names what opens it besides.
 */
export function authenticate(world: World, ask: Ask, ...scopes: string[]): Who {
  const who = identify(world, ask);
  const suffices = ['api', ...(ask.method === 'GET' ? ['read_api'] : []), ...scopes];
  if (who.token.scopes.some((scope) => suffices.includes(scope))) return who;
  const description = 'The request requires higher privileges than provided by the access token.';
  return tokenRefusal(403, 'insufficient_scope', description, { scope: suffices.join(' ') });
}

export function identify(world: World, ask: Ask): Who {
  const [scheme, bearer] = (ask.headers.authorization ?? '').split(' ', 2);
  const header = ask.headers['private-token'];
  const given = typeof header === 'string' ? header : /^bearer$/i.test(scheme ?? '') ? (bearer ?? '') : '';
  if (given === '') return fail(401, '401 Unauthorized');
  const token = world.state.tokens[given];
  if (!token)
    return typeof header === 'string' ? fail(401, '401 Unauthorized') : tokenRefusal(401, 'invalid_token', '');
  if (token.revoked)
    return tokenRefusal(401, 'invalid_token', 'Token was revoked. You have to re-authorize from the user.');
  if (endsAt(token) <= world.now().getTime())
    return tokenRefusal(401, 'invalid_token', 'Token is expired. You can either do re-authorization or token refresh.');
  const user = world.state.users[token.userId];
  return user ? { user, token } : fail(401, '401 Unauthorized');
}

export function endsAt(token: Token): number {
  return token.kind === 'oauth' ? token.expiresAt : Date.parse(`${token.expiresOn}T00:00:00Z`);
}

export function needAdmin({ user }: Who): void {
  if (!user.admin) forbidden();
}

/** What may not be seen reads as absent. */
export function needGroup(world: World, { user }: Who, id: string | undefined): Group {
  const group = world.group(id ?? '');
  return group && world.sees(group, user) ? group : notFound('Group');
}

export function needProject(world: World, { user }: Who, id: string | undefined): Project {
  const project = world.project(id ?? '');
  return project && world.sees(project, user) ? project : notFound('Project');
}

export function mayManageGroup(world: World, user: User, group: Group): boolean {
  return user.admin || world.groupLevel(group, user.id) >= 50;
}

export function mayManageProject(world: World, user: User, project: Project): boolean {
  return user.admin || world.projectLevel(project, user.id) >= 40;
}

export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
