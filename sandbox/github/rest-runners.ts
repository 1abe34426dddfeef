import { z } from 'zod';
import type { Answer, Ask, Routes } from '#sandbox/stand-in/index.ts';
import { fail, identify, needOrg, needRepoAdmin, notByIntegration, notFound, seesPrivate, type Who } from './access.ts';
import { type Jobs, mayUseGroup } from './jobs.ts';
import { needEnterprise } from './enterprises.ts';
import type { Enterprise, Org, Repo, Runner, RunnerGroup } from './model.ts';
import { listed } from './paging.ts';
import * as render from './render.ts';
import { needOrgNamed, needRepo } from './rest-accounts.ts';
import { same, type World } from './world.ts';

const hourMs = 3_600_000;

/** Runners, runner groups, registration tokens and jobs, for an organization and for a repository. */
export function runnerRoutes(api: Routes, world: World, jobs: Jobs): void {
  const inOrg = (
    method: string,
    path: string,
    need: 'read' | 'write',
    handle: (org: Org, ask: Ask, who: Who) => Answer,
  ): void => {
    api.on(method, `/orgs/:org/actions${path}`, async (ask) => {
      const who = await identify(world, ask);
      const org = needOrgNamed(world, ask);
      needOrg(world, who, org, 'organization_self_hosted_runners', need, 'admin');
      return handle(org, ask, who);
    });
  };
  const inRepo = (
    method: string,
    path: string,
    need: 'read' | 'write',
    handle: (repo: Repo, ask: Ask) => Answer,
  ): void => {
    api.on(method, `/repos/:owner/:repo/actions${path}`, async (ask) => {
      const who = await identify(world, ask);
      const repo = needRepo(world, who, ask);
      needRepoAdmin(world, who, repo, need);
      return handle(repo, ask);
    });
  };
  inOrg('POST', '/runners/registration-token', 'write', (org) => registrationToken(world, `o${org.id}`));
  inRepo('POST', '/runners/registration-token', 'write', (repo) => registrationToken(world, `r${repo.id}`));
  inOrg('GET', '/runners', 'read', (org, ask) => runnersIn(world, ask, `o${org.id}`));
  inRepo('GET', '/runners', 'read', (repo, ask) => runnersIn(world, ask, `r${repo.id}`));
  inOrg('GET', '/runners/:id', 'read', (org, ask) => ({
    status: 200,
    body: render.runner(world, oneRunner(world, `o${org.id}`, ask)),
  }));
  inRepo('GET', '/runners/:id', 'read', (repo, ask) => ({
    status: 200,
    body: render.runner(world, oneRunner(world, `r${repo.id}`, ask)),
  }));
  inOrg('DELETE', '/runners/:id', 'write', (org, ask) => removeRunner(jobs, oneRunner(world, `o${org.id}`, ask)));
  inRepo('DELETE', '/runners/:id', 'write', (repo, ask) => removeRunner(jobs, oneRunner(world, `r${repo.id}`, ask)));
  groupRoutes(inOrg, world, jobs);
  enterpriseRunnerRoutes(api, world, jobs);
  dispatchRoute(api, world, jobs);
  api.on('GET', '/repos/:owner/:repo/actions/jobs/:id', async (ask) => {
    const repo = needRepo(world, await identify(world, ask), ask);
    const job = world.state.jobs[ask.params['id'] as string];
    return job?.repositoryId === repo.id ? { status: 200, body: render.workflowJob(world, job) } : notFound();
  });
}

const Dispatch = z.object({ ref: z.string().min(1), inputs: z.record(z.string(), z.string()).default({}) });

/** Starts a workflow by hand. Of all that its file could say, it asks for the label that it was given as an input. */
function dispatchRoute(api: Routes, world: World, jobs: Jobs): void {
  api.on('POST', '/repos/:owner/:repo/actions/workflows/:file/dispatches', async (ask) => {
    const who = await identify(world, ask);
    const repo = needRepo(world, who, ask);
    if (who.kind !== 'installation' || who.permissions['actions'] !== 'write') return notByIntegration();
    const file = ask.params['file'] ?? '';
    if (!repo.workflows?.includes(file)) return notFound();
    const given = Dispatch.safeParse(ask.body);
    if (!given.success) return fail(422, 'Invalid request.');
    const workflow = file.replace(/\.ya?ml$/, '');
    jobs.queue({ repo, labels: [given.data.inputs['label'] ?? 'ubuntu-latest'], name: 'proof', workflow });
    return { status: 204 };
  });
}

/** The same for an enterprise, as far as anything here needs it: by classic personal access token alone. */
function enterpriseRunnerRoutes(api: Routes, world: World, jobs: Jobs): void {
  const on = (method: string, path: string, handle: (enterprise: Enterprise, ask: Ask) => Answer): void => {
    api.on(method, `/enterprises/:enterprise/actions${path}`, async (ask) =>
      handle(needEnterprise(world, await identify(world, ask), ask.params['enterprise']), ask),
    );
  };
  const scope = ({ id }: Enterprise): string => `e${id}`;
  on('POST', '/runners/registration-token', (e) => registrationToken(world, scope(e)));
  on('GET', '/runners', (e, ask) => runnersIn(world, ask, scope(e)));
  on('GET', '/runners/:id', (e, ask) => ({ status: 200, body: render.runner(world, oneRunner(world, scope(e), ask)) }));
  on('DELETE', '/runners/:id', (e, ask) => removeRunner(jobs, oneRunner(world, scope(e), ask)));
  const show = (e: Enterprise, group: RunnerGroup) => render.enterpriseRunnerGroup(world, e, group);
  const changed = (): void => {
    world.save();
    jobs.match();
  };
  on('GET', '/runner-groups', (e, ask) =>
    listed(world, ask, 'runner_groups', world.runnerGroups(e.id), (group) => show(e, group)),
  );
  on('POST', '/runner-groups', (e, ask) => {
    const group = createGroup(world, { id: e.id, login: e.slug, plan: 'team' }, ask);
    changed();
    return { status: 201, body: show(e, group) };
  });
  const path = '/runner-groups/:id';
  on('GET', path, (e, ask) => ({ status: 200, body: show(e, oneGroup(world, e, ask)) }));
  on('PATCH', path, (e, ask) => {
    const group = oneGroup(world, e, ask);
    changeGroup(world, { id: e.id, login: e.slug }, group, parseGroup(ask));
    changed();
    return { status: 200, body: show(e, group) };
  });
  on('DELETE', path, (e, ask) => {
    deleteGroup(world, oneGroup(world, e, ask));
    return { status: 204 };
  });
}

type InOrg = (
  method: string,
  path: string,
  need: 'read' | 'write',
  handle: (org: Org, ask: Ask, who: Who) => Answer,
) => void;

function groupRoutes(inOrg: InOrg, world: World, jobs: Jobs): void {
  const path = '/runner-groups/:id';
  const changed = (): void => {
    world.save();
    jobs.match();
  };
  inOrg('GET', '/runner-groups', 'read', (org, ask) => {
    const seen = ask.query.get('visible_to_repository');
    const groups = world.runnerGroups(org.id).filter((g) => seen === null || visibleTo(world, org, g, seen));
    return listed(world, ask, 'runner_groups', groups, (g) => render.runnerGroup(world, org, g));
  });
  inOrg('POST', '/runner-groups', 'write', (org, ask) => {
    const group = createGroup(world, org, ask);
    changed();
    return { status: 201, body: render.runnerGroup(world, org, group) };
  });
  inOrg('GET', path, 'read', (org, ask) => ({
    status: 200,
    body: render.runnerGroup(world, org, oneGroup(world, org, ask)),
  }));
  inOrg('PATCH', path, 'write', (org, ask) => {
    const group = oneGroup(world, org, ask);
    changeGroup(world, org, group, parseGroup(ask));
    changed();
    return { status: 200, body: render.runnerGroup(world, org, group) };
  });
  inOrg('DELETE', path, 'write', (org, ask) => {
    deleteGroup(world, oneGroup(world, org, ask));
    return { status: 204 };
  });
  inOrg('GET', `${path}/repositories`, 'read', (org, ask, who) => {
    const group = oneGroup(world, org, ask);
    const repos = group.repositoryIds.map((id) => world.state.repos[id]).filter((r): r is Repo => r !== undefined);
    const seen = repos.filter((r) => !r.private || seesPrivate(world, who, r));
    return listed(world, ask, 'repositories', seen, (r) => render.repository(world, r));
  });
  inOrg('PUT', `${path}/repositories`, 'write', (org, ask) => {
    const wanted = z.object({ selected_repository_ids: z.array(z.number().int()) }).safeParse(ask.body);
    if (!wanted.success) return fail(422, 'Invalid request.');
    changeGroup(world, org, oneGroup(world, org, ask), wanted.data);
    changed();
    return { status: 204 };
  });
  inOrg('PUT', `${path}/repositories/:repository`, 'write', (org, ask) => {
    const group = oneGroup(world, org, ask);
    const ids = new Set([...group.repositoryIds, Number(ask.params['repository'])]);
    changeGroup(world, org, group, { selected_repository_ids: [...ids] });
    changed();
    return { status: 204 };
  });
  inOrg('DELETE', `${path}/repositories/:repository`, 'write', (org, ask) => {
    const group = oneGroup(world, org, ask);
    group.repositoryIds = group.repositoryIds.filter((id) => id !== Number(ask.params['repository']));
    changed();
    return { status: 204 };
  });
  inOrg('GET', `${path}/runners`, 'read', (org, ask) => {
    const group = oneGroup(world, org, ask);
    const runners = scoped(world, `o${org.id}`).filter((r) => r.runnerGroupId === group.id);
    return listed(world, ask, 'runners', runners, (r) => render.runner(world, r));
  });
}

function registrationToken(world: World, scope: string): Answer {
  const expiresAt = world.now().getTime() + hourMs;
  const token = world.token('AREG').toUpperCase();
  world.state.tokens[token] = { kind: 'registration', token, scope, expiresAt };
  world.save();
  return { status: 201, body: { token, expires_at: new Date(expiresAt).toISOString() } };
}

function scoped(world: World, scope: string): Runner[] {
  return Object.values(world.state.runners).filter((r) => r.scope === scope);
}

function runnersIn(world: World, ask: Ask, scope: string): Answer {
  const name = ask.query.get('name');
  const runners = scoped(world, scope).filter((r) => name === null || r.name === name);
  return listed(world, ask, 'runners', runners, (r) => render.runner(world, r));
}

function oneRunner(world: World, scope: string, ask: Ask): Runner {
  return scoped(world, scope).find((r) => String(r.id) === ask.params['id']) ?? notFound();
}

function removeRunner(jobs: Jobs, runner: Runner): Answer {
  if (runner.jobId !== null) return fail(422, `Bad request - Runner "${runner.name}" is still running a job"`);
  jobs.removeRunner(runner);
  return { status: 204 };
}

const Group = z.object({
  name: z.string().min(1).optional(),
  visibility: z.enum(['all', 'selected', 'private']).optional(),
  selected_repository_ids: z.array(z.number().int()).optional(),
  allows_public_repositories: z.boolean().optional(),
  restricted_to_workflows: z.boolean().optional(),
  selected_workflows: z.array(z.string()).optional(),
});
type Group = z.infer<typeof Group>;

function parseGroup(ask: Ask): Group {
  const wanted = Group.safeParse(ask.body ?? {});
  return wanted.success
    ? wanted.data
    : fail(422, 'Invalid request.', { errors: wanted.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`) });
}

function oneGroup(world: World, org: { id: number }, ask: Ask): RunnerGroup {
  return world.runnerGroups(org.id).find((g) => String(g.id) === ask.params['id']) ?? notFound();
}

function createGroup(world: World, org: Pick<Org, 'id' | 'login' | 'plan'>, ask: Ask): RunnerGroup {
  if (org.login === 'org-apply-500') fail(500, 'Server Error');
  if (org.plan === 'free') fail(403, 'Your organization’s plan does not include additional runner groups.');
  const wanted = parseGroup(ask);
  if (!wanted.name) return fail(422, 'Invalid request.\n\n"name" wasn\'t supplied.');
  const group: RunnerGroup = {
    id: world.id(),
    orgId: org.id,
    name: '',
    default: false,
    visibility: 'all',
    repositoryIds: [],
    allowsPublic: false,
    restrictedToWorkflows: false,
    selectedWorkflows: [],
  };
  changeGroup(world, org, group, wanted);
  world.state.runnerGroups[`${org.id}:${group.id}`] = group;
  return group;
}

function changeGroup(world: World, org: Pick<Org, 'id' | 'login'>, group: RunnerGroup, wanted: Group): void {
  const { name } = wanted;
  const taken = name !== undefined && world.runnerGroups(org.id).some((g) => g.id !== group.id && same(g.name, name));
  if (taken) fail(409, `Runner group with name '${name}' already exists.`);
  for (const id of wanted.selected_repository_ids ?? []) {
    if (world.state.repos[id]?.ownerId !== org.id) fail(422, `Repository ${id} does not belong to ${org.login}.`);
  }
  group.name = name ?? group.name;
  group.visibility = wanted.visibility ?? group.visibility;
  group.repositoryIds = wanted.selected_repository_ids ?? group.repositoryIds;
  group.allowsPublic = wanted.allows_public_repositories ?? group.allowsPublic;
  group.restrictedToWorkflows = wanted.restricted_to_workflows ?? group.restrictedToWorkflows;
  group.selectedWorkflows = wanted.selected_workflows ?? group.selectedWorkflows;
}

/** The runners of a deleted group fall back to the default one. */
function deleteGroup(world: World, group: RunnerGroup): void {
  if (group.default) fail(422, 'The default runner group cannot be deleted.');
  delete world.state.runnerGroups[`${group.orgId}:${group.id}`];
  for (const held of [...Object.values(world.state.scaleSets), ...Object.values(world.state.runners)]) {
    if (/^[oe]/.test(held.scope) && held.scope.slice(1) === String(group.orgId) && held.runnerGroupId === group.id)
      held.runnerGroupId = 1;
  }
  world.save();
}

function visibleTo(world: World, org: Org, group: RunnerGroup, name: string): boolean {
  const repo = world.repo(org.login, name);
  return repo !== undefined && mayUseGroup(group, repo);
}
