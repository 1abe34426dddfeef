import type { Answer, Ask, Routes } from '#sandbox/stand-in/index.ts';
import {
  fail,
  identify,
  maySeeMembers,
  needApp,
  needOrg,
  needUser,
  notByIntegration,
  notFound,
  seenRepo,
  seesPrivate,
  type Who,
} from './access.ts';
import type { Org, Repo, User } from './model.ts';
import { listed, paged } from './paging.ts';
import * as render from './render.ts';
import { same, type World } from './world.ts';

/** People, organizations, repositories and who may do what in them. */
export function accountRoutes(api: Routes, world: World): void {
  const get = (path: string, handle: (who: Who, ask: Ask) => Answer): void => {
    api.on('GET', path, async (ask) => handle(await identify(world, ask), ask));
  };
  get('/user', (who) => ({ status: 200, body: privateUser(world, needUser(who)) }));
  get('/user/orgs', (who, ask) => {
    const user = needUser(who);
    const shown = orgsOf(world, user).filter((org) => isPublicMember(org, user) || maySee(world, who, org));
    return paged(world, ask, shown, (org) => render.orgSimple(world, org));
  });
  get('/user/memberships/orgs', (who, ask) => {
    const user = needUser(who);
    const shown =
      ask.query.get('state') === 'pending' ? [] : orgsOf(world, user).filter((org) => maySee(world, who, org));
    return paged(world, ask, shown, (org) => render.membership(world, org, user));
  });
  get('/user/memberships/orgs/:org', (who, ask) => {
    const user = needUser(who);
    const org = needOrgNamed(world, ask);
    if (!world.role(org, user.id)) return notFound();
    return maySeeMembers(world, who, org)
      ? { status: 200, body: render.membership(world, org, user) }
      : notByIntegration();
  });
  get('/orgs/:org/memberships/:username', (who, ask) => {
    const org = needOrgNamed(world, ask);
    needOrg(world, who, org, 'members', 'read', 'member');
    const member = world.user(ask.params['username'] as string);
    if (!member || !world.role(org, member.id)) return notFound();
    return { status: 200, body: render.membership(world, org, member) };
  });
  get('/orgs/:org/members', (who, ask) => {
    const org = needOrgNamed(world, ask);
    needOrg(world, who, org, 'members', 'read', 'member');
    const role = ask.query.get('role') ?? 'all';
    const members = org.members.filter((m) => role === 'all' || m.role === role).map((m) => world.account(m.userId));
    return paged(world, ask, members, (member) => render.simpleUser(world, member));
  });
  get('/orgs/:org/repos', (who, ask) => {
    const org = needOrgNamed(world, ask);
    const repos = Object.values(world.state.repos).filter(
      (r) => r.ownerId === org.id && (!r.private || seesPrivate(world, who, r)),
    );
    return paged(world, ask, repos, (repo) => render.repository(world, repo, userIdOf(who)));
  });
  get('/user/repos', (who, ask) => {
    const user = needUser(who);
    return paged(world, ask, userRepos(world, who, user, ask), (repo) => render.repository(world, repo, user.id));
  });
  get('/user/installations', (who, ask) => {
    const user = needUser(who);
    if (who.kind !== 'user' || !who.app) return notByIntegration();
    const { app } = who;
    const shown = Object.values(world.state.installations).filter(
      (i) => i.appId === app.id && reaches(world, user, i.accountId),
    );
    return listed(world, ask, 'installations', shown, (i) => render.installation(world, i));
  });
  get('/user/installations/:id/repositories', (who, ask) => {
    const user = needUser(who);
    const installation = world.state.installations[ask.params['id'] as string];
    if (
      who.kind !== 'user' ||
      !installation ||
      installation.appId !== who.app?.id ||
      !reaches(world, user, installation.accountId)
    )
      return notFound();
    const repos = world.installedRepos(installation).filter((r) => world.level(r, user.id) !== undefined);
    return listed(world, ask, 'repositories', repos, (r) => render.repository(world, r, user.id));
  });
  get('/orgs/:org', (_, ask) => ({ status: 200, body: render.orgFull(world, needOrgNamed(world, ask)) }));
  get('/organizations/:id', (_, ask) => {
    const org = world.state.orgs[ask.params['id'] as string];
    return org ? { status: 200, body: render.orgFull(world, org) } : notFound();
  });
  get('/users/:username', (_, ask) => {
    const account = world.user(ask.params['username'] as string) ?? world.org(ask.params['username'] as string);
    return account ? { status: 200, body: render.publicUser(world, account) } : notFound();
  });
  get('/user/:id', (_, ask) => {
    const account = world.state.users[ask.params['id'] as string];
    return account ? { status: 200, body: render.publicUser(world, account) } : notFound();
  });
  get('/repos/:owner/:repo', (who, ask) => ({
    status: 200,
    body: render.fullRepository(world, needRepo(world, who, ask), userIdOf(who)),
  }));
  get('/repositories/:id', (who, ask) => {
    const repo = seenRepo(world, who, world.state.repos[ask.params['id'] as string]);
    return { status: 200, body: render.fullRepository(world, repo, userIdOf(who)) };
  });
  get('/repos/:owner/:repo/collaborators/:username/permission', (who, ask) => permissionOf(world, who, ask));
  get('/orgs/:org/installation', (who, ask) => {
    const app = needApp(who);
    const installation = world.installationOn(app, needOrgNamed(world, ask).id);
    return installation ? { status: 200, body: render.installation(world, installation) } : notFound();
  });
  get('/users/:username/installation', (who, ask) => {
    const app = needApp(who);
    const account = world.user(ask.params['username'] as string) ?? world.org(ask.params['username'] as string);
    const installation = account && world.installationOn(app, account.id);
    return installation ? { status: 200, body: render.installation(world, installation) } : notFound();
  });
  get('/repos/:owner/:repo/installation', (who, ask) => {
    const app = needApp(who);
    const repo = world.repo(ask.params['owner'] as string, ask.params['repo'] as string);
    const installation = repo && world.installationOn(app, repo.ownerId);
    if (!repo || !installation || !world.installedRepos(installation).includes(repo)) return notFound();
    return { status: 200, body: render.installation(world, installation) };
  });
}

export function needOrgNamed(world: World, ask: Ask): Org {
  return world.org(ask.params['org'] as string) ?? notFound();
}

/** The repository of the path. A former name answers 301 with the address by id, to those who may see it. */
export function needRepo(world: World, who: Who, ask: Ask): Repo {
  const { owner, repo: name } = ask.params as { owner: string; repo: string };
  const found = world.repo(owner, name);
  if (found) return seenRepo(world, who, found);
  const moved = world.state.moved[`${owner}/${name}`.toLowerCase()];
  if (moved === undefined) return notFound();
  const repo = seenRepo(world, who, world.state.repos[moved]);
  return fail(301, 'Moved Permanently', { url: `${world.api}/repositories/${repo.id}` });
}

function userIdOf(who: Who): number | undefined {
  return who.kind === 'user' ? who.user.id : undefined;
}

function privateUser(world: World, user: User): render.Json {
  return {
    ...render.publicUser(world, user),
    user_view_type: 'private',
    private_gists: 0,
    total_private_repos: Object.values(world.state.repos).filter((r) => r.ownerId === user.id && r.private).length,
    owned_private_repos: Object.values(world.state.repos).filter((r) => r.ownerId === user.id && r.private).length,
    disk_usage: 0,
    collaborators: 0,
    two_factor_authentication: true,
  };
}

function orgsOf(world: World, user: User): Org[] {
  return Object.values(world.state.orgs).filter((org) => world.role(org, user.id));
}

function isPublicMember(org: Org, user: User): boolean {
  return org.members.some((m) => m.userId === user.id && m.public);
}

/** Through an App one sees one's private memberships only where the App is installed and may read members. */
function maySee(world: World, who: Who, org: Org): boolean {
  return maySeeMembers(world, who, org);
}

/** GitHub: explicit permission to at least one thing of the account. */
function reaches(world: World, user: User, accountId: number): boolean {
  const org = world.state.orgs[accountId];
  if (org ? world.role(org, user.id) : accountId === user.id) return true;
  return Object.values(world.state.repos).some((r) => r.ownerId === accountId && world.level(r, user.id) !== undefined);
}

function userRepos(world: World, who: Who, user: User, ask: Ask): Repo[] {
  const wanted = (ask.query.get('affiliation') ?? 'owner,collaborator,organization_member').split(',');
  const visibility = ask.query.get('visibility') ?? 'all';
  return Object.values(world.state.repos).filter((repo) => {
    if (world.level(repo, user.id) === undefined || (repo.private && !seesPrivate(world, who, repo))) return false;
    if (visibility !== 'all' && (visibility === 'private') !== repo.private) return false;
    return wanted.includes(affiliation(world, repo, user));
  });
}

function affiliation(world: World, repo: Repo, user: User): string {
  if (repo.ownerId === user.id) return 'owner';
  return repo.collaborators.some((c) => c.userId === user.id) ? 'collaborator' : 'organization_member';
}

function permissionOf(world: World, who: Who, ask: Ask): Answer {
  const repo = needRepo(world, who, ask);
  if (who.kind === 'anonymous') return fail(401, 'Requires authentication');
  const user = Object.values(world.state.users).find((u) => same(u.login, ask.params['username'] as string));
  if (!user) return notFound();
  const level = world.level(repo, user.id) ?? (repo.private ? undefined : 'read');
  const flags = render.repository(world, repo, user.id)['permissions'] as Record<string, boolean>;
  const permission = level ?? 'none';
  const roleName = permission;
  const body = {
    permission,
    role_name: roleName,
    user: { ...render.simpleUser(world, user), permissions: flags, role_name: roleName },
  };
  return { status: 200, body };
}
