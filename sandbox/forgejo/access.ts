import { createHash, timingSafeEqual } from 'node:crypto';
import { type Answer, type Ask, Reply } from '#sandbox/stand-in/index.ts';
import type { Org, Repo, User } from './model.ts';
import { atLeast, type World } from './world.ts';

/** Who a request speaks for. `scopes` is null where nothing holds the token back: an OAuth token's is. */
export interface Who {
  user: User | null;
  scopes: string[] | null;
}

export type Category = 'user' | 'organization' | 'repository' | 'admin';

export const allScopes = [
  'user',
  'organization',
  'repository',
  'issue',
  'package',
  'notification',
  'misc',
  'admin',
].flatMap((category) => [`read:${category}`, `write:${category}`]);

export function failure(status: number, message: string): Answer {
  return { status, body: { message, url: '/api/swagger' } };
}

export function fail(status: number, message: string): never {
  throw new Reply(failure(status, message));
}

export function notFound(): never {
  return fail(404, "The target couldn't be found.");
}

export function identify(world: World, ask: Ask): Who {
  const [scheme, bearer] = (ask.headers.authorization ?? '').split(' ', 2);
  if (!bearer) return { user: null, scopes: null };
  if (!/^(bearer|token)$/i.test(scheme ?? '')) return fail(401, 'invalid username, password or token');
  const token = world.state.tokens[bearer];
  const user = token && world.state.users[token.userId];
  const ended = token?.kind === 'oauth' && token.expiresAt <= world.now().getTime();
  if (!token || !user || ended) return fail(401, 'invalid username, password or token');
  return { user, scopes: token.kind === 'personal' ? token.scopes : null };
}

/** Forgejo asks for the scope before it looks whether the thing is there. Writing includes reading. */
export function needScopes(who: Who, method: string, categories: Category[]): void {
  const { scopes } = who;
  if (!who.user || scopes === null || scopes.includes('all')) return;
  const need = method === 'GET' || method === 'HEAD' ? 'read' : 'write';
  const holds = (category: Category) => scopes.includes(`write:${category}`) || scopes.includes(`${need}:${category}`);
  if (categories.every(holds)) return;
  const wanted = categories.map((category) => `${need}:${category}`).join(' ');
  fail(403, `token does not have at least one of required scope(s): [${wanted}]`);
}

export function needUser({ user }: Who): User {
  return user ?? fail(401, 'token is required');
}

/** The organization of the path. A former name redirects to the new one, whatever is asked of it. */
export function needOrg(world: World, ask: Ask): Org {
  const name = ask.params['org'] ?? '';
  return world.org(name) ?? redirectAccount(world, ask, name);
}

function redirectAccount(world: World, ask: Ask, name: string): never {
  const moved = world.state.movedAccounts[name.toLowerCase()];
  if (moved === undefined) return notFound();
  return redirect(307, ask, name, world.nameOf(moved));
}

function redirect(status: number, ask: Ask, from: string, to: string): never {
  const query = ask.query.toString();
  const location = ask.path.replace(from, to) + (query && `?${query}`);
  throw new Reply({ status, headers: { location }, body: '' });
}

export function needOrgOwner(world: World, who: Who, org: Org): User {
  const user = needUser(who);
  if (!user.admin && world.roleIn(org, user.id) !== 'owner') fail(403, 'Must be an organization owner');
  return user;
}

/** The repository of the path, for those who may see it; a former name redirects. */
export function needRepo(world: World, who: Who, ask: Ask): Repo {
  const { owner = '', repo: name = '' } = ask.params;
  if (!world.org(owner) && !world.user(owner)) return redirectAccount(world, ask, owner);
  const found = world.repo(owner, name);
  if (found) return seenRepo(world, who, found);
  const moved = world.state.repos[world.state.movedRepos[`${owner}/${name}`.toLowerCase()] ?? -1];
  if (!moved) return notFound();
  seenRepo(world, who, moved);
  return redirect(301, ask, `${owner}/${name}`, world.fullName(moved));
}

export function seenRepo(world: World, { user }: Who, repo: Repo | undefined): Repo {
  if (!repo || (repo.private && !(user && world.permission(repo, user)))) return notFound();
  return repo;
}

export function needRepoOwner(world: World, who: Who, repo: Repo): void {
  if (world.permission(repo, needUser(who)) !== 'owner') fail(403, 'user should be the owner of the repo');
}

export function needRepoAdmin(world: World, who: Who, repo: Repo): void {
  if (atLeast(world.permission(repo, needUser(who)), 'admin')) return;
  fail(403, 'user should be an owner or a collaborator with admin write of a repository');
}

/** Compares secrets without telling by time how much of them was right. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
