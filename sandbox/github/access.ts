import { createHash, createPublicKey, timingSafeEqual } from 'node:crypto';
import { decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import { type Answer, type Ask, Reply } from '#sandbox/stand-in/index.ts';
import type { App, Installation, Level, Org, Permissions, Repo, User } from './model.ts';
import type { World } from './world.ts';

/** Who a request speaks for. A person with a classic token has no App between them and what they may do. */
export type Who =
  | { kind: 'anonymous' }
  /** `scopes` of a classic token; null for every other. */
  | { kind: 'user'; user: User; app: App | null; scopes: string[] | null }
  | { kind: 'app'; app: App }
  | {
      kind: 'installation';
      app: App;
      installation: Installation;
      permissions: Permissions;
      repositoryIds: number[] | null;
    };

const docs = 'https://docs.github.com/rest';

export function failure(status: number, message: string, more: Record<string, unknown> = {}): Answer {
  return { status, body: { message, documentation_url: docs, status: String(status), ...more } };
}

export function fail(status: number, message: string, more: Record<string, unknown> = {}): never {
  throw new Reply(failure(status, message, more));
}

export function notFound(): never {
  return fail(404, 'Not Found');
}

export function notByIntegration(): never {
  return fail(403, 'Resource not accessible by integration');
}

export function invalid(resource: string, field: string, code: string, message?: string): never {
  return fail(422, 'Validation Failed', { errors: [{ resource, field, code, ...(message ? { message } : {}) }] });
}

export async function identify(world: World, ask: Ask): Promise<Who> {
  const [scheme, bearer] = (ask.headers.authorization ?? '').split(' ', 2);
  if (!bearer || !/^(bearer|token)$/i.test(scheme ?? '')) return { kind: 'anonymous' };
  return bearer.split('.').length === 3
    ? { kind: 'app', app: await appOfJwt(world, bearer) }
    : tokenHolder(world, bearer);
}

function tokenHolder(world: World, bearer: string): Who {
  const token = world.state.tokens[bearer];
  if (!token || token.kind === 'registration' || token.expiresAt <= world.now().getTime())
    return fail(401, 'Bad credentials');
  if (token.kind === 'installation') {
    const installation = world.state.installations[token.installationId];
    const app = installation && world.state.apps[installation.appId];
    if (!installation || !app) return fail(401, 'Bad credentials');
    if (installation.suspendedAt) return fail(403, 'This installation has been suspended');
    return {
      kind: 'installation',
      app,
      installation,
      permissions: token.permissions,
      repositoryIds: token.repositoryIds,
    };
  }
  const user = world.state.users[token.userId];
  if (!user) return fail(401, 'Bad credentials');
  if (token.kind === 'user') return { kind: 'user', user, app: world.state.apps[token.appId] ?? null, scopes: null };
  return { kind: 'user', user, app: null, scopes: token.fineGrained ? null : token.scopes };
}

/** GitHub's rules for an App's JWT: RS256, iss is the App's id or client id, iat not ahead, exp at most ten minutes ahead. */
async function appOfJwt(world: World, jwt: string): Promise<App> {
  const undecodable = 'A JSON web token could not be decoded';
  const { iss } = claims(jwt, undecodable);
  // Libraries differ in whether the App's id is written as a number or as a string.
  const issuer = typeof iss === 'number' ? String(iss) : iss;
  const app = Object.values(world.state.apps).find((a) => String(a.id) === issuer || a.clientId === issuer);
  if (!app) return fail(404, 'Integration not found');
  const payload = await verified(world, app, jwt);
  if (!payload) return fail(401, undecodable);
  const nowSeconds = world.now().getTime() / 1000;
  if (typeof payload.iat !== 'number' || payload.iat > nowSeconds + 60) {
    return fail(
      401,
      "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
    );
  }
  if (typeof payload.exp !== 'number' || payload.exp <= nowSeconds) {
    return fail(
      401,
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  }
  if (payload.exp > nowSeconds + 610) {
    return fail(401, "'Expiration time' claim ('exp') is too far in the future");
  }
  return app;
}

/** By any of the App's keys. */
async function verified(world: World, app: App, jwt: string): Promise<JWTPayload | undefined> {
  for (const pem of [app.publicKeyPem, ...(app.morePublicKeyPems ?? [])]) {
    const found = await jwtVerify(jwt, createPublicKey(pem), {
      algorithms: ['RS256'],
      currentDate: world.now(),
      // exp and iat are judged by the caller, where GitHub's own words for them are.
      clockTolerance: Number.MAX_SAFE_INTEGER / 1e6,
    }).catch(() => undefined);
    if (found) return found.payload;
  }
  return undefined;
}

function claims(jwt: string, undecodable: string): { iss?: unknown } {
  try {
    return decodeJwt(jwt);
  } catch {
    return fail(401, undecodable);
  }
}

export function needApp(who: Who): App {
  if (who.kind === 'app') return who.app;
  if (who.kind === 'anonymous') return fail(401, 'A JSON web token could not be decoded');
  return fail(401, 'A JSON web token could not be decoded');
}

export function needUser(who: Who): User {
  if (who.kind === 'user') return who.user;
  if (who.kind === 'anonymous') return fail(401, 'Requires authentication');
  return notByIntegration();
}

/** What the App may do for this caller on this account; undefined where the App has nothing to say (a classic token). */
function appPermissions(world: World, who: Who, accountId: number): Permissions | undefined {
  if (who.kind === 'installation') return who.installation.accountId === accountId ? who.permissions : {};
  if (who.kind !== 'user' || who.app === null) return who.kind === 'user' ? undefined : {};
  const installation = world.installationOn(who.app, accountId);
  return installation && !installation.suspendedAt ? installation.permissions : {};
}

function grants(permissions: Permissions | undefined, name: string, need: 'read' | 'write'): boolean {
  return permissions === undefined || permissions[name] === 'write' || permissions[name] === need;
}

/** A repository the caller may at least see; anything else is absent for them. */
export function seenRepo(world: World, who: Who, repo: Repo | undefined): Repo {
  if (!repo) return notFound();
  if (!repo.private || seesPrivate(world, who, repo)) return repo;
  return notFound();
}

export function seesPrivate(world: World, who: Who, repo: Repo): boolean {
  if (who.kind === 'installation') {
    const within = who.repositoryIds === null || who.repositoryIds.includes(repo.id);
    return within && world.installedRepos(who.installation).includes(repo);
  }
  if (who.kind !== 'user' || world.level(repo, who.user.id) === undefined) return false;
  if (who.app === null) return true;
  const installation = world.installationOn(who.app, repo.ownerId);
  return installation !== undefined && !installation.suspendedAt && world.installedRepos(installation).includes(repo);
}

/** The right to a repository's own runners and settings: its administration. */
export function needRepoAdmin(world: World, who: Who, repo: Repo, need: 'read' | 'write'): void {
  if (who.kind === 'anonymous') fail(401, 'Requires authentication');
  if (who.kind === 'app') notByIntegration();
  if (who.kind === 'user' && world.level(repo, who.user.id) !== 'admin')
    fail(403, 'Must have admin rights to Repository.');
  if (!seesPrivate(world, who, repo) || !grants(appPermissions(world, who, repo.ownerId), 'administration', need))
    notByIntegration();
}

/** A right on an organization: for a person their role too, for the App its permission. */
export function needOrg(
  world: World,
  who: Who,
  org: Org,
  permission: string,
  need: 'read' | 'write',
  role: 'admin' | 'member',
): void {
  if (who.kind === 'anonymous') fail(401, 'Requires authentication');
  if (who.kind === 'app') notByIntegration();
  if (who.kind === 'user') {
    const held = world.role(org, who.user.id);
    if (!held) notFound();
    if (role === 'admin' && held !== 'admin') fail(403, 'You must be an organization owner to perform this action.');
  }
  if (!grants(appPermissions(world, who, org.id), permission, need)) notByIntegration();
}

/** Whether this caller may read the membership list of an organization. */
export function maySeeMembers(world: World, who: Who, org: Org): boolean {
  return grants(appPermissions(world, who, org.id), 'members', 'read');
}

export function levelRank(level: Level | undefined): number {
  return level === undefined ? 0 : { read: 1, write: 2, admin: 3 }[level];
}

/** Compares secrets without telling by time how much of them was right. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
