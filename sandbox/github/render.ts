import type {
  App,
  Delivery,
  Enterprise,
  Installation,
  Job,
  Org,
  Repo,
  Runner,
  RunnerGroup,
  Team,
  User,
} from './model.ts';
import type { World } from './world.ts';

/** GitHub's own shapes. Nothing here decides anything; the tests hold each against GitHub's description of it. */
export type Json = Record<string, unknown>;

function nodeId(kind: string, id: number): string {
  return Buffer.from(`${kind}:${id}`).toString('base64');
}

/** GitHub's dates have no fraction of a second. */
export function stamp(iso: string): string {
  return `${iso.slice(0, 19)}Z`;
}

export function simpleUser(world: World, account: User | Org): Json {
  const api = `${world.api}/users/${account.login}`;
  return {
    login: account.login,
    id: account.id,
    node_id: nodeId('User', account.id),
    avatar_url: `${world.url}/avatars/u/${account.id}`,
    gravatar_id: '',
    url: api,
    html_url: `${world.url}/${account.login}`,
    followers_url: `${api}/followers`,
    following_url: `${api}/following{/other_user}`,
    gists_url: `${api}/gists{/gist_id}`,
    starred_url: `${api}/starred{/owner}{/repo}`,
    subscriptions_url: `${api}/subscriptions`,
    organizations_url: `${api}/orgs`,
    repos_url: `${api}/repos`,
    events_url: `${api}/events{/privacy}`,
    received_events_url: `${api}/received_events`,
    type: world.isOrg(account) ? 'Organization' : 'User',
    site_admin: false,
  };
}

export function publicUser(world: World, account: User | Org): Json {
  return {
    ...simpleUser(world, account),
    name: account.name,
    company: null,
    blog: '',
    location: null,
    email: null,
    hireable: null,
    bio: null,
    public_repos: Object.values(world.state.repos).filter((r) => r.ownerId === account.id && !r.private).length,
    public_gists: 0,
    followers: 0,
    following: 0,
    created_at: stamp(account.createdAt),
    updated_at: stamp(account.createdAt),
    user_view_type: 'public',
  };
}

export function orgSimple(world: World, org: Org): Json {
  const api = `${world.api}/orgs/${org.login}`;
  return {
    login: org.login,
    id: org.id,
    node_id: nodeId('Organization', org.id),
    url: api,
    repos_url: `${api}/repos`,
    events_url: `${api}/events`,
    hooks_url: `${api}/hooks`,
    issues_url: `${api}/issues`,
    members_url: `${api}/members{/member}`,
    public_members_url: `${api}/public_members{/member}`,
    avatar_url: `${world.url}/avatars/u/${org.id}`,
    description: null,
  };
}

export function orgFull(world: World, org: Org): Json {
  return {
    ...orgSimple(world, org),
    name: org.name,
    html_url: `${world.url}/${org.login}`,
    has_organization_projects: true,
    has_repository_projects: true,
    public_repos: Object.values(world.state.repos).filter((r) => r.ownerId === org.id && !r.private).length,
    public_gists: 0,
    followers: 0,
    following: 0,
    type: 'Organization',
    created_at: stamp(org.createdAt),
    updated_at: stamp(org.createdAt),
    archived_at: null,
  };
}

export function membership(world: World, org: Org, user: User): Json {
  return {
    url: `${world.api}/orgs/${org.login}/memberships/${user.login}`,
    state: 'active',
    role: world.role(org, user.id) ?? 'member',
    organization_url: `${world.api}/orgs/${org.login}`,
    organization: orgSimple(world, org),
    user: simpleUser(world, user),
  };
}

/** As events carry it. */
export function plainTeam(world: World, org: Org, given: Team): Json {
  const api = `${world.api}/organizations/${org.id}/team/${given.id}`;
  return {
    id: given.id,
    node_id: nodeId('Team', given.id),
    name: given.name,
    slug: given.slug,
    description: null,
    privacy: 'closed',
    notification_setting: 'notifications_enabled',
    permission: 'pull',
    url: api,
    html_url: `${world.url}/orgs/${org.login}/teams/${given.slug}`,
    members_url: `${api}/members{/member}`,
    repositories_url: `${api}/repos`,
    parent: null,
  };
}

export function team(world: World, org: Org, given: Team): Json {
  return { ...plainTeam(world, org, given), type: 'organization', organization_id: org.id };
}

export function teamMembership(world: World, org: Org, given: Team, user: User, role: string): Json {
  return {
    url: `${world.api}/organizations/${org.id}/team/${given.id}/memberships/${user.login}`,
    role,
    state: 'active',
  };
}

/** A repository as its own page and every list gives it; `userId` adds what that person may do with it. */
export function repository(world: World, repo: Repo, userId?: number): Json {
  const owner = world.account(repo.ownerId);
  const full = world.fullName(repo);
  const web = `${world.url}/${full}`;
  return {
    id: repo.id,
    node_id: nodeId('Repository', repo.id),
    name: repo.name,
    full_name: full,
    private: repo.private,
    owner: simpleUser(world, owner),
    html_url: web,
    description: null,
    fork: false,
    ...repositoryLinks(`${world.api}/repos/${full}`),
    git_url: `git://${new URL(world.url).host}/${full}.git`,
    ssh_url: `git@${new URL(world.url).hostname}:${full}.git`,
    clone_url: `${web}.git`,
    svn_url: web,
    homepage: null,
    mirror_url: null,
    language: null,
    license: null,
    size: 0,
    stargazers_count: 0,
    watchers_count: 0,
    watchers: 0,
    forks_count: 0,
    forks: 0,
    open_issues_count: 0,
    open_issues: 0,
    default_branch: 'main',
    is_template: false,
    topics: [],
    has_issues: true,
    has_projects: true,
    has_wiki: true,
    has_pages: false,
    has_downloads: true,
    has_discussions: false,
    archived: repo.archived,
    disabled: false,
    visibility: repo.private ? 'private' : 'public',
    allow_forking: true,
    web_commit_signoff_required: false,
    created_at: stamp(repo.createdAt),
    updated_at: stamp(repo.createdAt),
    pushed_at: stamp(repo.createdAt),
    ...(userId === undefined ? {} : { permissions: permissionFlags(world, repo, userId) }),
  };
}

/** The page of one repository carries a little more than a list does. */
export function fullRepository(world: World, repo: Repo, userId?: number): Json {
  const org = world.state.orgs[repo.ownerId];
  return {
    ...repository(world, repo, userId),
    network_count: 0,
    subscribers_count: 0,
    custom_properties: {},
    ...(org ? { organization: simpleUser(world, org) } : {}),
  };
}

function repositoryLinks(api: string): Json {
  return {
    url: api,
    forks_url: `${api}/forks`,
    keys_url: `${api}/keys{/key_id}`,
    collaborators_url: `${api}/collaborators{/collaborator}`,
    teams_url: `${api}/teams`,
    hooks_url: `${api}/hooks`,
    issue_events_url: `${api}/issues/events{/number}`,
    events_url: `${api}/events`,
    assignees_url: `${api}/assignees{/user}`,
    branches_url: `${api}/branches{/branch}`,
    tags_url: `${api}/tags`,
    blobs_url: `${api}/git/blobs{/sha}`,
    git_tags_url: `${api}/git/tags{/sha}`,
    git_refs_url: `${api}/git/refs{/sha}`,
    trees_url: `${api}/git/trees{/sha}`,
    statuses_url: `${api}/statuses/{sha}`,
    languages_url: `${api}/languages`,
    stargazers_url: `${api}/stargazers`,
    contributors_url: `${api}/contributors`,
    subscribers_url: `${api}/subscribers`,
    subscription_url: `${api}/subscription`,
    commits_url: `${api}/commits{/sha}`,
    git_commits_url: `${api}/git/commits{/sha}`,
    comments_url: `${api}/comments{/number}`,
    issue_comment_url: `${api}/issues/comments{/number}`,
    contents_url: `${api}/contents/{+path}`,
    compare_url: `${api}/compare/{base}...{head}`,
    merges_url: `${api}/merges`,
    archive_url: `${api}/{archive_format}{/ref}`,
    downloads_url: `${api}/downloads`,
    issues_url: `${api}/issues{/number}`,
    pulls_url: `${api}/pulls{/number}`,
    milestones_url: `${api}/milestones{/number}`,
    notifications_url: `${api}/notifications{?since,all,participating}`,
    labels_url: `${api}/labels{/name}`,
    releases_url: `${api}/releases{/id}`,
    deployments_url: `${api}/deployments`,
  };
}

function permissionFlags(world: World, repo: Repo, userId: number): Json {
  const level = world.level(repo, userId);
  const write = level === 'admin' || level === 'write';
  return {
    admin: level === 'admin',
    maintain: level === 'admin',
    push: write,
    triage: write,
    pull: level !== undefined || !repo.private,
  };
}

/** The few fields that installation webhooks carry of a repository. */
export function shortRepository(world: World, repo: Repo): Json {
  return {
    id: repo.id,
    node_id: nodeId('Repository', repo.id),
    name: repo.name,
    full_name: world.fullName(repo),
    private: repo.private,
  };
}

export function app(world: World, given: App): Json {
  return {
    id: given.id,
    slug: given.slug,
    node_id: nodeId('Integration', given.id),
    client_id: given.clientId,
    owner: simpleUser(world, world.account(given.ownerId)),
    name: given.name,
    description: null,
    external_url: given.homepageUrl,
    html_url: `${world.url}/apps/${given.slug}`,
    created_at: stamp(given.createdAt),
    updated_at: stamp(given.createdAt),
    permissions: given.permissions,
    events: given.events,
    installations_count: Object.values(world.state.installations).filter((i) => i.appId === given.id).length,
  };
}

export function installation(world: World, given: Installation): Json {
  const account = world.account(given.accountId);
  const settings = world.isOrg(account) ? `organizations/${account.login}/settings` : 'settings';
  const suspender = given.suspendedBy === null ? undefined : world.state.users[given.suspendedBy];
  return {
    id: given.id,
    account: simpleUser(world, account),
    repository_selection: given.selection,
    access_tokens_url: `${world.api}/app/installations/${given.id}/access_tokens`,
    repositories_url: `${world.api}/installation/repositories`,
    html_url: `${world.url}/${settings}/installations/${given.id}`,
    app_id: given.appId,
    app_slug: world.state.apps[given.appId]?.slug,
    target_id: given.accountId,
    target_type: world.isOrg(account) ? 'Organization' : 'User',
    permissions: given.permissions,
    events: given.events,
    created_at: stamp(given.createdAt),
    updated_at: stamp(given.updatedAt),
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: suspender ? simpleUser(world, suspender) : null,
    suspended_at: given.suspendedAt === null ? null : stamp(given.suspendedAt),
  };
}

export function installationLite(given: Installation): Json {
  return { id: given.id, node_id: nodeId('IntegrationInstallation', given.id) };
}

export function runnerGroup(world: World, org: Org, group: RunnerGroup): Json {
  const api = `${world.api}/orgs/${org.login}/actions/runner-groups/${group.id}`;
  return {
    id: group.id,
    name: group.name,
    visibility: group.visibility,
    default: group.default,
    ...(group.visibility === 'selected' ? { selected_repositories_url: `${api}/repositories` } : {}),
    runners_url: `${api}/runners`,
    inherited: false,
    allows_public_repositories: group.allowsPublic,
    workflow_restrictions_read_only: false,
    restricted_to_workflows: group.restrictedToWorkflows,
    selected_workflows: group.selectedWorkflows,
  };
}

/** As an organization's, but that there is nothing above to inherit from. */
export function enterpriseRunnerGroup(world: World, enterprise: Enterprise, group: RunnerGroup): Json {
  const api = `${world.api}/enterprises/${enterprise.slug}/actions/runner-groups/${group.id}`;
  return {
    id: group.id,
    name: group.name,
    visibility: group.visibility,
    default: group.default,
    runners_url: `${api}/runners`,
    allows_public_repositories: group.allowsPublic,
    workflow_restrictions_read_only: false,
    restricted_to_workflows: group.restrictedToWorkflows,
    selected_workflows: group.selectedWorkflows,
  };
}

export function enterprise(world: World, given: Enterprise): Json {
  return {
    id: given.id,
    slug: given.slug,
    name: given.name,
    node_id: nodeId('Enterprise', given.id),
    avatar_url: `${world.url}/avatars/b/${given.id}`,
    description: null,
    website_url: null,
    html_url: `${world.url}/enterprises/${given.slug}`,
    created_at: stamp(given.createdAt),
    updated_at: stamp(given.createdAt),
  };
}

export function runner(world: World, given: Runner): Json {
  const set = world.state.scaleSets[given.scaleSetId];
  return {
    id: given.id,
    runner_group_id: given.runnerGroupId,
    name: given.name,
    os: 'Linux',
    status: given.online ? 'online' : 'offline',
    busy: given.jobId !== null,
    labels: (set?.labels ?? []).map((label, i) => ({ id: given.id * 10 + i, name: label.name, type: 'custom' })),
    ephemeral: true,
    version: given.online ? '2.334.0' : null,
  };
}

export function workflowJob(world: World, job: Job): Json {
  const repo = world.state.repos[job.repositoryId] as Repo;
  const api = `${world.api}/repos/${world.fullName(repo)}`;
  const group =
    job.runnerGroupId === null ? undefined : world.runnerGroups(repo.ownerId).find((g) => g.id === job.runnerGroupId);
  return {
    id: job.id,
    run_id: job.runId,
    run_url: `${api}/actions/runs/${job.runId}`,
    run_attempt: 1,
    node_id: nodeId('CheckRun', job.id),
    head_sha: job.headSha,
    head_branch: 'main',
    workflow_name: job.workflow,
    url: `${api}/actions/jobs/${job.id}`,
    html_url: `${world.url}/${world.fullName(repo)}/actions/runs/${job.runId}/job/${job.id}`,
    check_run_url: `${api}/check-runs/${job.id}`,
    status: job.phase === 'completed' ? 'completed' : job.phase === 'running' ? 'in_progress' : 'queued',
    conclusion: job.conclusion,
    created_at: stamp(job.createdAt),
    started_at: stamp(job.startedAt ?? job.createdAt),
    completed_at: job.completedAt === null ? null : stamp(job.completedAt),
    name: job.name,
    steps: [],
    labels: job.labels,
    runner_id: job.runnerId,
    runner_name: job.runnerName,
    runner_group_id: job.runnerGroupId,
    runner_group_name: job.runnerGroupId === null ? null : (group?.name ?? 'Default'),
  };
}

export function deliveryItem(given: Delivery): Json {
  return {
    id: given.id,
    guid: given.guid,
    delivered_at: given.deliveredAt,
    redelivery: given.redelivery,
    duration: given.durationSeconds,
    status: given.status,
    status_code: given.statusCode,
    event: given.event,
    action: given.action,
    installation_id: given.installationId,
    repository_id: given.repositoryId,
    throttled_at: null,
  };
}

export function delivery(given: Delivery): Json {
  return {
    ...deliveryItem(given),
    url: given.url,
    request: { headers: given.requestHeaders, payload: given.payload },
    response: { headers: given.responseHeaders, payload: given.responseBody },
  };
}
