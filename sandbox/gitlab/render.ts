import type { AccessToken, Delivery, Group, Hook, Job, Project, Runner, User } from './model.ts';
import { hookEvents } from './model.ts';
import { endsAt } from './access.ts';
import type { World } from './world.ts';

/** GitLab's own shapes, as its entities expose them. Nothing here decides anything. */
export type Json = Record<string, unknown>;

export function userBasic(world: World, user: User): Json {
  return {
    id: user.id,
    username: user.login,
    public_email: null,
    name: user.name,
    state: 'active',
    locked: false,
    avatar_url: null,
    web_url: `${world.url}/${user.login}`,
  };
}

/** A person's own account. Only an administrator is told who is one. */
export function userSelf(world: World, user: User): Json {
  return {
    ...userBasic(world, user),
    created_at: user.createdAt,
    bio: '',
    bot: user.bot,
    namespace_id: user.namespaceId,
    two_factor_enabled: false,
    external: false,
    private_profile: false,
    can_create_group: true,
    can_create_project: true,
    ...(user.admin ? { is_admin: true, note: null } : {}),
  };
}

export function group(world: World, given: Group): Json {
  return {
    id: given.id,
    web_url: `${world.url}/groups/${world.fullPath(given)}`,
    name: given.name,
    path: given.path,
    description: '',
    visibility: given.visibility,
    share_with_group_lock: false,
    require_two_factor_authentication: false,
    subgroup_creation_level: 'maintainer',
    project_creation_level: 'developer',
    lfs_enabled: true,
    archived: false,
    avatar_url: null,
    request_access_enabled: true,
    full_name: world.fullName(given),
    full_path: world.fullPath(given),
    created_at: given.createdAt,
    parent_id: given.parentId,
    organization_id: 1,
    shared_runners_setting: 'enabled',
    marked_for_deletion_on: null,
  };
}

export function groupBasic(world: World, given: Group): Json {
  return { id: given.id, web_url: `${world.url}/groups/${world.fullPath(given)}`, name: given.name };
}

export function project(world: World, given: Project, userId: number): Json {
  const path = world.projectPath(given);
  const web = `${world.url}/${path}`;
  const direct = given.members.find((member) => member.userId === userId)?.level;
  const parent = world.state.groups[given.namespaceId];
  const inherited = parent ? world.groupLevel(parent, userId) : 0;
  return {
    ...projectBasic(world, given),
    default_branch: 'main',
    tag_list: [],
    topics: [],
    ssh_url_to_repo: `git@${new URL(world.url).hostname}:${path}.git`,
    http_url_to_repo: `${web}.git`,
    web_url: web,
    readme_url: null,
    forks_count: 0,
    avatar_url: null,
    star_count: 0,
    last_activity_at: given.createdAt,
    visibility: given.visibility,
    namespace: namespace(world, given.namespaceId),
    archived: false,
    empty_repo: false,
    jobs_enabled: given.ciEnabled,
    builds_access_level: given.ciEnabled ? 'enabled' : 'disabled',
    shared_runners_enabled: true,
    group_runners_enabled: true,
    runner_token_expiration_interval: null,
    marked_for_deletion_on: null,
    permissions: {
      project_access: direct === undefined ? null : { access_level: direct, notification_level: 3 },
      group_access: inherited === 0 ? null : { access_level: inherited, notification_level: 3 },
    },
  };
}

function projectBasic(world: World, given: Project): Json {
  const path = world.projectPath(given);
  const group = world.state.groups[given.namespaceId];
  const spaceName = group ? world.fullName(group) : (world.ownerOf(given.namespaceId)?.name ?? '');
  return {
    id: given.id,
    description: null,
    name: given.name,
    name_with_namespace: `${spaceName} / ${given.name}`,
    path: given.path,
    path_with_namespace: path,
    created_at: given.createdAt,
  };
}

function namespace(world: World, id: number): Json {
  const group = world.state.groups[id];
  const path = world.namespacePath(id);
  return {
    id,
    name: group?.name ?? world.ownerOf(id)?.name,
    path: group?.path ?? path,
    kind: group ? 'group' : 'user',
    full_path: path,
    parent_id: group?.parentId ?? null,
    avatar_url: null,
    web_url: `${world.url}/${group ? 'groups/' : ''}${path}`,
  };
}

export function member(world: World, user: User, level: number, createdAt: string): Json {
  return {
    ...userBasic(world, user),
    access_level: level,
    created_at: createdAt,
    expires_at: null,
    membership_state: 'active',
  };
}

export function accessToken(world: World, given: AccessToken): Json {
  return {
    id: given.id,
    name: given.name,
    revoked: given.revoked,
    created_at: given.createdAt,
    description: null,
    scopes: given.scopes,
    user_id: given.userId,
    last_used_at: world.iso(),
    active: !given.revoked && endsAt(given) > world.now().getTime(),
    expires_at: given.expiresOn,
    last_used_ips: [],
  };
}

const onlineMs = 2 * 3_600_000;
const staleMs = 7 * 86_400_000;

/** https://docs.gitlab.com/ci/runners/runners_scope/#runner-statuses */
export function runnerStatus(world: World, { contactedAt, createdAt }: Runner): string {
  const ageMs = (at: string) => world.now().getTime() - Date.parse(at);
  if (contactedAt === null) return ageMs(createdAt) > staleMs ? 'stale' : 'never_contacted';
  if (ageMs(contactedAt) < onlineMs) return 'online';
  return ageMs(contactedAt) > staleMs ? 'stale' : 'offline';
}

export function runner(world: World, given: Runner): Json {
  const creator = world.state.users[given.creatorId];
  const busy = Object.values(world.state.jobs).some((job) => job.runnerId === given.id && job.status === 'running');
  return {
    id: given.id,
    description: given.description,
    ip_address: null,
    active: !given.paused,
    paused: given.paused,
    is_shared: given.type === 'instance_type',
    runner_type: given.type,
    name: given.contactedAt === null ? null : 'gitlab-runner',
    online: runnerStatus(world, given) === 'online',
    created_by: creator ? userBasic(world, creator) : null,
    created_at: given.createdAt,
    status: runnerStatus(world, given),
    job_execution_status: busy ? 'active' : 'idle',
  };
}

export function runnerDetails(world: World, given: Runner, viewer: User): Json {
  const manager = given.managers.at(-1);
  const projects = given.projectIds.flatMap((id) => world.state.projects[id] ?? []);
  const groups = given.groupId === null ? [] : [world.state.groups[given.groupId]].filter((each) => each !== undefined);
  return {
    ...runner(world, given),
    tag_list: given.tags,
    run_untagged: given.runUntagged,
    locked: given.locked,
    maximum_timeout: given.maximumTimeout,
    access_level: given.accessLevel,
    version: manager?.version ?? null,
    revision: null,
    platform: null,
    architecture: null,
    contacted_at: given.contactedAt,
    maintenance_note: given.maintenanceNote,
    projects: projects.filter((each) => world.sees(each, viewer)).map((each) => projectBasic(world, each)),
    groups: groups.filter((each) => world.sees(each, viewer)).map((each) => groupBasic(world, each)),
  };
}

export function runnerManager(given: Runner['managers'][number]): Json {
  return {
    id: given.id,
    system_id: given.systemId,
    version: given.version,
    revision: null,
    platform: 'linux',
    architecture: 'amd64',
    created_at: given.createdAt,
    contacted_at: given.contactedAt,
    ip_address: '127.0.0.1',
    status: 'online',
    job_execution_status: 'idle',
  };
}

/** Neither of its two secrets comes back, only whether it has them (since 19.0). */
export function hook(world: World, given: Hook): Json {
  const signs = Number(world.state.settings.version.split('.')[0]) >= 19;
  const shared = {
    id: given.id,
    url: given.url,
    name: given.name,
    description: given.description,
    created_at: given.createdAt,
    ...Object.fromEntries(hookEvents.map((event) => [event, given.events[event]])),
    enable_ssl_verification: given.sslVerification,
    alert_status: 'executable',
    disabled_until: null,
    url_variables: [],
    custom_headers: [],
    ...(signs ? { token_present: given.token !== '', signing_token_present: given.signingToken !== '' } : {}),
  };
  return given.kind === 'project'
    ? { ...shared, project_id: given.ownerId }
    : { ...shared, group_id: given.ownerId, subgroup_events: false, project_events: false };
}

export function hookEvent(given: Delivery): Json {
  return {
    id: given.id,
    url: given.url,
    trigger: given.trigger,
    request_headers: { ...given.requestHeaders, 'X-Gitlab-Token': '[REDACTED]' },
    request_data: given.payload,
    response_headers: {},
    response_body: '',
    execution_duration: 0.1,
    response_status: given.responseStatus,
  };
}

/**
 * A job's event (lib/gitlab/data_builder/build.rb). It names the runner that has taken the job, with that runner's tags;
 * what tags the job itself asks for it does not say, and before a runner has it there is none to read them from.
 */
export function buildEvent(world: World, job: Job): Json {
  const given = world.state.projects[job.projectId] as Project;
  const user = world.state.users[job.userId];
  const taken = job.runnerId === null ? undefined : world.state.runners[job.runnerId];
  const path = world.projectPath(given);
  const web = `${world.url}/${path}`;
  return {
    object_kind: 'build',
    ref: 'main',
    tag: false,
    before_sha: '0'.repeat(40),
    sha: job.sha,
    retries_count: 0,
    build_id: job.id,
    build_name: job.name,
    build_stage: job.stage,
    build_status: job.status,
    build_created_at: railsTime(job.createdAt),
    build_started_at: railsTime(job.startedAt),
    build_finished_at: railsTime(job.finishedAt),
    build_created_at_iso: job.createdAt,
    build_started_at_iso: job.startedAt,
    build_finished_at_iso: job.finishedAt,
    build_duration: secondsBetween(job.startedAt, job.finishedAt),
    build_queued_duration: secondsBetween(job.createdAt, job.startedAt),
    build_allow_failure: false,
    build_failure_reason: job.status === 'failed' ? 'script_failure' : 'unknown_failure',
    pipeline_id: job.pipelineId,
    runner: taken
      ? {
          id: taken.id,
          description: taken.description,
          runner_type: taken.type,
          active: !taken.paused,
          is_shared: taken.type === 'instance_type',
          tags: taken.tags,
        }
      : null,
    project_id: given.id,
    project_name: String(projectBasic(world, given)['name_with_namespace']),
    user: user ? { id: user.id, name: user.name, username: user.login, avatar_url: null, email: '[REDACTED]' } : null,
    commit: { id: job.pipelineId, name: null, sha: job.sha, message: 'sandbox', status: job.status, duration: null },
    repository: {
      name: given.name,
      url: `git@${new URL(world.url).hostname}:${path}.git`,
      description: '',
      homepage: web,
      git_http_url: `${web}.git`,
      git_ssh_url: `git@${new URL(world.url).hostname}:${path}.git`,
      visibility_level: { private: 0, internal: 10, public: 20 }[given.visibility],
    },
    project: {
      id: given.id,
      name: given.name,
      description: '',
      web_url: web,
      avatar_url: null,
      namespace: namespace(world, given.namespaceId)['name'],
      visibility_level: { private: 0, internal: 10, public: 20 }[given.visibility],
      path_with_namespace: path,
      default_branch: 'main',
      ci_config_path: '',
    },
    environment: null,
    source_pipeline: null,
  };
}

/** `2021-02-23 02:41:37 UTC`, as hooks have always written times; the `_iso` fields came later. */
function railsTime(iso: string | null): string | null {
  return iso === null ? null : `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

function secondsBetween(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : (Date.parse(to) - Date.parse(from)) / 1000;
}
