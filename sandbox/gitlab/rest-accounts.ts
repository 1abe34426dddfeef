import type { Ask, Answer, Routes } from '#sandbox/stand-in/index.ts';
import { authenticate, needGroup, needProject, notFound } from './access.ts';
import type { Group, Project } from './model.ts';
import { paged } from './paging.ts';
import * as render from './render.ts';
import { same, type World } from './world.ts';

/** People, groups, projects and who belongs to them, as far as the person who asks may see. */
export function accountRoutes(api: Routes, world: World): void {
  api.on('GET', '/user', (ask) => ({
    status: 200,
    body: render.userSelf(world, authenticate(world, ask, 'read_user').user),
  }));
  const version = () => ({ version: world.state.settings.version, revision: 'sandbox' });
  api.on('GET', '/version', (ask) => {
    authenticate(world, ask, 'read_user');
    return { status: 200, body: version() };
  });
  api.on('GET', '/metadata', (ask) => {
    authenticate(world, ask, 'read_user');
    const enterprise = world.state.settings.plan !== 'free';
    const kas = { enabled: false, externalUrl: null, version: null };
    return { status: 200, body: { ...version(), kas, enterprise } };
  });
  api.on('GET', '/groups', (ask) => listGroups(world, ask));
  api.on('GET', '/users', (ask) => {
    authenticate(world, ask, 'read_user');
    const wanted = ask.query.get('username') ?? '';
    const users = Object.values(world.state.users).filter(({ login }) => wanted === '' || same(login, wanted));
    return paged(world, ask, users, (user) => render.userBasic(world, user));
  });
  api.on('GET', '/groups/:id/descendant_groups', (ask) => {
    const who = authenticate(world, ask);
    const above = needGroup(world, who, ask.params['id']);
    const below = Object.values(world.state.groups).filter(
      (group) => group.id !== above.id && world.lineage(group.id).includes(above) && world.sees(group, who.user),
    );
    return paged(world, ask, ordered(ask, below), (group) => render.group(world, group));
  });
  api.on('GET', '/groups/:id', (ask) => {
    const group = needGroup(world, authenticate(world, ask), ask.params['id']);
    return { status: 200, body: render.group(world, group) };
  });
  api.on('GET', '/projects', (ask) => listProjects(world, ask));
  api.on('GET', '/projects/:id', (ask) => {
    const who = authenticate(world, ask);
    const project = needProject(world, who, ask.params['id']);
    return { status: 200, body: render.project(world, project, who.user.id) };
  });
  memberRoutes(api, world);
}

function minimum(ask: Ask): number {
  return Number(ask.query.get('min_access_level') ?? 0);
}

function matches(ask: Ask, ...names: string[]): boolean {
  const wanted = ask.query.get('search')?.toLowerCase() ?? '';
  return names.some((name) => name.toLowerCase().includes(wanted));
}

/** With `min_access_level`, the groups where this person has at least that role, from above included. */
function listGroups(world: World, ask: Ask): Answer {
  const { user } = authenticate(world, ask);
  const least = minimum(ask);
  const seen = (group: Group) => (least > 0 ? world.groupLevel(group, user.id) >= least : world.sees(group, user));
  const groups = Object.values(world.state.groups).filter(
    (group) => seen(group) && matches(ask, group.name, world.fullPath(group)),
  );
  return paged(world, ask, ordered(ask, groups), (group) => render.group(world, group));
}

function listProjects(world: World, ask: Ask): Answer {
  const { user } = authenticate(world, ask);
  const least = Math.max(minimum(ask), ask.query.get('membership') === 'true' ? 1 : 0);
  const seen = (project: Project) =>
    least > 0 ? world.projectLevel(project, user.id) >= least : world.sees(project, user);
  const projects = Object.values(world.state.projects).filter(
    (project) => seen(project) && matches(ask, project.name, project.path),
  );
  return paged(world, ask, ordered(ask, projects), (project) => render.project(world, project, user.id));
}

/** `order_by` is by id here whatever it says; the direction is what was asked for. */
function ordered<T extends { id: number }>(ask: Ask, items: T[]): T[] {
  const descending = ask.query.get('sort') !== 'asc';
  return items.toSorted((a, b) => (descending ? b.id - a.id : a.id - b.id));
}

function memberRoutes(api: Routes, world: World): void {
  const show = (level: number, ask: Ask, createdAt: string): Answer => {
    const user = world.state.users[ask.params['user_id'] ?? ''];
    if (!user || level === 0) return notFound();
    return { status: 200, body: render.member(world, user, level, createdAt) };
  };
  api.on('GET', '/groups/:id/members/all/:user_id', (ask) => {
    const who = authenticate(world, ask);
    const group = needGroup(world, who, ask.params['id']);
    return show(world.groupLevel(group, Number(ask.params['user_id'])), ask, group.createdAt);
  });
  api.on('GET', '/projects/:id/members/all/:user_id', (ask) => {
    const who = authenticate(world, ask);
    const project = needProject(world, who, ask.params['id']);
    return show(world.projectLevel(project, Number(ask.params['user_id'])), ask, project.createdAt);
  });
}

/** Moves a group: everything below it gets another path, and its projects are still found by the old one. */
export function renameGroup(world: World, group: Group, path: string): void {
  const inside = Object.values(world.state.projects).filter((project) =>
    world.lineage(project.namespaceId).includes(group),
  );
  for (const project of inside) world.state.moved[world.projectPath(project).toLowerCase()] = project.id;
  group.path = path;
  world.save();
}

export function renameProject(world: World, project: Project, path: string): void {
  if (same(project.path, path)) return;
  world.state.moved[world.projectPath(project).toLowerCase()] = project.id;
  project.path = path;
  world.save();
}
