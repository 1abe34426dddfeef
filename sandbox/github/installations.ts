import type { App, Installation, Org, Permissions, Repo, User } from './model.ts';
import {
  type Event,
  installationEvent,
  renamedEvent,
  repositoriesEvent,
  targetEvent,
  transferredEvents,
  type Webhooks,
} from './webhooks.ts';
import { same, type World } from './world.ts';

/** What happens to installations and accounts, whoever asks for it: a person on a page, the App, or a test. Each tells the App. */

export function install(
  world: World,
  hooks: Webhooks,
  app: App,
  given: { accountId: number; selection: 'all' | 'selected'; repositoryIds: number[]; senderId: number },
): Installation {
  const before = world.installationOn(app, given.accountId);
  if (before) return changeSelection(world, hooks, before, given);
  const now = world.iso();
  const installation: Installation = {
    id: world.id(),
    appId: app.id,
    accountId: given.accountId,
    selection: given.selection,
    repositoryIds: given.selection === 'all' ? [] : given.repositoryIds,
    permissions: { ...app.permissions },
    events: [...app.events],
    createdAt: now,
    updatedAt: now,
    suspendedAt: null,
    suspendedBy: null,
  };
  world.state.installations[installation.id] = installation;
  world.save();
  hooks.send(installationEvent(world, installation, 'created', given.senderId));
  return installation;
}

export function changeSelection(
  world: World,
  hooks: Webhooks,
  installation: Installation,
  given: { selection: 'all' | 'selected'; repositoryIds: number[]; senderId: number },
): Installation {
  const before = world.installedRepos(installation);
  installation.selection = given.selection;
  installation.repositoryIds = given.selection === 'all' ? [] : given.repositoryIds;
  installation.updatedAt = world.iso();
  world.save();
  const after = world.installedRepos(installation);
  const added = missing(after, before);
  const removed = missing(before, after);
  // GitHub sends one event for what came and one for what went.
  if (added.length > 0) hooks.send(repositoriesEvent(world, installation, added, [], given.senderId));
  if (removed.length > 0) hooks.send(repositoriesEvent(world, installation, [], removed, given.senderId));
  return installation;
}

function missing(of: Repo[], from: Repo[]): Repo[] {
  return of.filter((r) => !from.includes(r));
}

export function setSuspended(
  world: World,
  hooks: Webhooks,
  installation: Installation,
  senderId: number,
  suspended: boolean,
): void {
  if ((installation.suspendedAt !== null) === suspended) return;
  installation.suspendedAt = suspended ? world.iso() : null;
  installation.suspendedBy = suspended ? senderId : null;
  installation.updatedAt = world.iso();
  world.save();
  hooks.send(installationEvent(world, installation, suspended ? 'suspend' : 'unsuspend', senderId));
}

export function removeInstallation(world: World, hooks: Webhooks, installation: Installation, senderId: number): void {
  const event: Event = installationEvent(world, installation, 'deleted', senderId);
  delete world.state.installations[installation.id];
  for (const [key, token] of Object.entries(world.state.tokens)) {
    if (token.kind === 'installation' && token.installationId === installation.id) delete world.state.tokens[key];
  }
  world.save();
  hooks.send(event);
}

export function changePermissions(
  world: World,
  hooks: Webhooks,
  installation: Installation,
  permissions: Permissions,
  senderId: number,
): void {
  installation.permissions = permissions;
  installation.updatedAt = world.iso();
  world.save();
  hooks.send(installationEvent(world, installation, 'new_permissions_accepted', senderId));
}

/** Ids stay, names change: whoever stored a name finds out here. */
export function renameOrg(world: World, hooks: Webhooks, login: string, to: string, senderId: number): void {
  const org = world.org(login);
  if (!org) throw new Error(`no organization ${login}`);
  const from = org.login;
  for (const repo of Object.values(world.state.repos)) {
    if (repo.ownerId === org.id) world.state.moved[`${from}/${repo.name}`.toLowerCase()] = repo.id;
  }
  org.login = to;
  world.save();
  for (const installation of Object.values(world.state.installations)) {
    if (installation.accountId !== org.id || installation.suspendedAt) continue;
    if (installation.events.includes('organization'))
      hooks.send(renamedEvent(world, installation, org, from, senderId));
    // An App subscribes to it for itself: no installation lists it.
    if (world.state.apps[installation.appId]?.events.includes('installation_target'))
      hooks.send(targetEvent(world, installation, org, from, senderId));
  }
}

export function transferRepo(world: World, hooks: Webhooks, repo: Repo, to: User | Org, senderId: number): void {
  const from = world.account(repo.ownerId);
  world.state.moved[world.fullName(repo).toLowerCase()] = repo.id;
  repo.ownerId = to.id;
  world.save();
  for (const event of transferredEvents(world, repo, from, senderId)) hooks.send(event);
}

export function renameRepo(world: World, fullName: string, to: string): void {
  const repo = Object.values(world.state.repos).find((r) => same(world.fullName(r), fullName));
  if (!repo) throw new Error(`no repository ${fullName}`);
  world.state.moved[fullName.toLowerCase()] = repo.id;
  repo.name = to;
  world.save();
}
