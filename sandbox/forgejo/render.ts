import type { Hook, Job, Org, Repo, Runner, Team, User } from './model.ts';
import { atLeast, type World } from './world.ts';

/** The state in Forgejo's own words (its OpenAPI description, 15.0): what clients of it read, and the rest where it is cheap. */

export type Json = Record<string, unknown>;

const onlineMs = 60_000;

export function user(world: World, { id, login, name, admin, createdAt }: User): Json {
  return {
    id,
    login,
    login_name: '',
    source_id: 0,
    full_name: name,
    email: `${login.toLowerCase()}@noreply.example.org`,
    avatar_url: `${world.url}/avatars/${id}`,
    html_url: `${world.url}/${login}`,
    is_admin: admin,
    created: createdAt,
    active: true,
    prohibit_login: false,
    restricted: false,
    visibility: 'public',
    username: login,
  };
}

export function account(world: World, id: number): Json {
  const found = world.account(id);
  if ('login' in found) return user(world, found);
  const { name, fullName, createdAt } = found;
  return user(world, { id, login: name, name: fullName, admin: false, createdAt });
}

export function organization(world: World, { id, name, fullName }: Org): Json {
  return {
    id,
    name,
    full_name: fullName,
    email: '',
    avatar_url: `${world.url}/avatars/${id}`,
    description: '',
    website: '',
    location: '',
    visibility: 'public',
    repo_admin_change_team_access: false,
    username: name,
  };
}

export function team(world: World, org: Org, { id, name, permission }: Team): Json {
  return {
    id,
    name,
    description: '',
    organization: organization(world, org),
    includes_all_repositories: true,
    permission,
    units: ['repo.code', 'repo.actions'],
    units_map: { 'repo.code': permission, 'repo.actions': permission },
    can_create_org_repo: atLeast(permission, 'admin'),
  };
}

export function repository(world: World, repo: Repo, viewer: User | null): Json {
  const held = viewer ? world.permission(repo, viewer) : undefined;
  const fullName = world.fullName(repo);
  return {
    id: repo.id,
    owner: account(world, repo.ownerId),
    name: repo.name,
    full_name: fullName,
    description: '',
    empty: true,
    private: repo.private,
    fork: false,
    html_url: `${world.url}/${fullName}`,
    url: `${world.url}/api/v1/repos/${fullName}`,
    clone_url: `${world.url}/${fullName}.git`,
    default_branch: 'main',
    archived: false,
    has_actions: repo.actions,
    created_at: repo.createdAt,
    updated_at: repo.createdAt,
    permissions: {
      admin: atLeast(held, 'admin'),
      push: atLeast(held, 'write'),
      pull: !repo.private || held !== undefined,
    },
  };
}

export function runner(world: World, each: Runner): Json {
  const { id, uuid, name, scope, version, labels, description, ephemeral } = each;
  const owner = Number(scope.slice(1));
  const isRepo = scope.startsWith('r');
  const place = { owner_id: isRepo ? 0 : owner, repo_id: isRepo ? owner : 0 };
  return { id, uuid, ...place, name, status: runnerStatus(world, each), version, labels, description, ephemeral };
}

export function runnerStatus(world: World, { lastOnline, jobId }: Runner): 'offline' | 'idle' | 'active' {
  if (world.now().getTime() - lastOnline > onlineMs) return 'offline';
  return jobId === null ? 'idle' : 'active';
}

export function job(world: World, each: Job): Json {
  const repo = world.state.repos[each.repoId];
  return {
    id: each.id,
    run_id: each.runId,
    attempt: each.attempt,
    handle: each.handle,
    repo_id: each.repoId,
    owner_id: repo?.ownerId ?? 0,
    name: each.name,
    html_url: repo
      ? `${world.url}/${world.fullName(repo)}/actions/runs/${each.runId}/jobs/0/attempt/${each.attempt}`
      : '',
    needs: null,
    runs_on: each.runsOn,
    task_id: each.taskId,
    status: each.status,
  };
}

/** The secret is never shown. */
export function hook({ id, type, url, contentType, events, active, createdAt, updatedAt }: Hook): Json {
  return {
    id,
    type,
    branch_filter: '',
    config: { content_type: contentType, url },
    url,
    content_type: contentType,
    metadata: null,
    events,
    authorization_header: '',
    active,
    updated_at: updatedAt,
    created_at: createdAt,
  };
}

/** A run as a webhook tells of it; in the stand-in each run has one job. */
export function run(world: World, each: Job): Json {
  const repo = world.state.repos[each.repoId];
  const sender = world.state.users[each.senderId];
  return {
    id: each.runId,
    title: each.workflow,
    repository: repo && repository(world, repo, null),
    workflow_id: `${each.workflow}.yml`,
    index_in_repo: each.runId,
    trigger_user: sender && user(world, sender),
    prettyref: 'main',
    commit_sha: '0'.repeat(40),
    event: 'push',
    status: each.status,
    started: each.startedAt,
    stopped: each.stoppedAt,
    created: each.createdAt,
    updated: each.stoppedAt ?? each.createdAt,
    html_url: repo ? `${world.url}/${world.fullName(repo)}/actions/runs/${each.runId}` : '',
  };
}
