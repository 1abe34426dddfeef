import type { Answer, Ask, Routes } from '#sandbox/stand-in/index.ts';
import {
  type Category,
  fail,
  identify,
  needOrg,
  needRepo,
  needScopes,
  needUser,
  notFound,
  seenRepo,
  type Who,
} from './access.ts';
import type { Org, Repo, User } from './model.ts';
import { paged } from './paging.ts';
import * as render from './render.ts';
import { atLeast, type World } from './world.ts';

/** People, organizations, teams, repositories and who may do what in them. */
export function accountRoutes(api: Routes, world: World): void {
  const get = (path: string, scopes: Category[], handle: (who: Who, ask: Ask) => Answer): void => {
    api.on('GET', path, (ask) => {
      const who = identify(world, ask);
      needScopes(who, 'GET', scopes);
      return handle(who, ask);
    });
  };
  get('/user', ['user'], (who) => ok(render.user(world, needUser(who))));
  get('/user/orgs', ['user', 'organization'], (who, ask) => orgsPage(world, ask, needUser(who)));
  get('/user/teams', ['user'], (who, ask) => {
    const { id } = needUser(who);
    const teams = Object.values(world.state.orgs).flatMap((org) =>
      org.teams.filter((team) => team.members.includes(id)).map((team) => ({ org, team })),
    );
    return paged(world, ask, teams, ({ org, team }) => render.team(world, org, team));
  });
  get('/user/repos', ['user', 'repository'], (who, ask) => {
    const user = needUser(who);
    const repos = Object.values(world.state.repos).filter((repo) => belongs(world, repo, user));
    return paged(world, ask, repos, (repo) => render.repository(world, repo, user));
  });
  get('/users/search', ['user'], (_, ask) => {
    const uid = Number(ask.query.get('uid') ?? '0');
    const found = Object.values(world.state.users).filter(({ id }) => uid === 0 || id === uid);
    const answer = paged(world, ask, found, (user) => render.user(world, user));
    return { ...answer, body: { ok: true, data: answer.body } };
  });
  get('/orgs/:org/teams', ['organization'], (who, ask) => {
    const { id } = needUser(who);
    const org = needOrg(world, ask);
    if (!world.roleIn(org, id)) return fail(403, 'Must be an organization member');
    return paged(world, ask, org.teams, (team) => render.team(world, org, team));
  });
  get('/users/:username', ['user'], (_, ask) => ok(render.account(world, needAccount(world, ask).id)));
  get('/users/:username/orgs', ['user', 'organization'], (who, ask) => {
    needUser(who);
    return orgsPage(world, ask, world.user(ask.params['username'] ?? '') ?? notFound());
  });
  get('/users/:username/orgs/:org/permissions', ['user', 'organization'], (who, ask) => {
    needUser(who);
    const user = world.user(ask.params['username'] ?? '') ?? notFound();
    return ok(permissionsIn(world, needOrg(world, ask), user));
  });
  get('/orgs/:org', ['organization'], (_, ask) => ok(render.organization(world, needOrg(world, ask))));
  get('/orgs/:org/members/:username', ['organization'], (who, ask) => {
    needUser(who);
    const org = needOrg(world, ask);
    const member = world.user(ask.params['username'] ?? '');
    return member && world.roleIn(org, member.id) ? { status: 204 } : notFound();
  });
  get('/orgs/:org/repos', ['organization'], (who, ask) => {
    const org = needOrg(world, ask);
    const repos = Object.values(world.state.repos).filter(
      (repo) => repo.ownerId === org.id && isSeen(world, who, repo),
    );
    return paged(world, ask, repos, (repo) => render.repository(world, repo, who.user));
  });
  get('/repos/search', ['repository'], (who, ask) => {
    const wanted = (ask.query.get('q') ?? '').toLowerCase();
    const repos = Object.values(world.state.repos).filter(
      (repo) => repo.name.toLowerCase().includes(wanted) && isSeen(world, who, repo),
    );
    const found = paged(world, ask, repos, (repo) => render.repository(world, repo, who.user));
    return { ...found, body: { ok: true, data: found.body } };
  });
  get('/repos/:owner/:repo', ['repository'], (who, ask) =>
    ok(render.repository(world, needRepo(world, who, ask), who.user)),
  );
  get('/repositories/:id', ['repository'], (who, ask) => {
    needUser(who);
    const repo = seenRepo(world, who, world.state.repos[ask.params['id'] ?? '']);
    return ok(render.repository(world, repo, who.user));
  });
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function needAccount(world: World, ask: Ask): User | Org {
  const name = ask.params['username'] ?? '';
  return world.user(name) ?? world.org(name) ?? fail(404, 'user redirect does not exist');
}

function orgsPage(world: World, ask: Ask, user: User): Answer {
  const orgs = Object.values(world.state.orgs).filter((org) => world.roleIn(org, user.id));
  return paged(world, ask, orgs, (org) => render.organization(world, org));
}

function permissionsIn(world: World, org: Org, user: User): render.Json {
  const held = world.roleIn(org, user.id);
  return {
    is_owner: held === 'owner',
    is_admin: atLeast(held, 'admin'),
    can_write: atLeast(held, 'write'),
    can_read: held !== undefined,
    can_create_repository: held === 'owner',
  };
}

function isSeen(world: World, { user }: Who, repo: Repo): boolean {
  return !repo.private || (user !== null && world.permission(repo, user) !== undefined);
}

/** Owned, in an organization of theirs, or shared with them; a site administrator's rights make none of these. */
function belongs(world: World, repo: Repo, user: User): boolean {
  return world.permission(repo, { ...user, admin: false }) !== undefined;
}
