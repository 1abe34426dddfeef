import { z } from 'zod';
import { type Answer, type Ask, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import {
  authenticate,
  badRequest,
  forbidden,
  invalidParameter,
  mayManageGroup,
  mayManageProject,
  needAdmin,
  needGroup,
  needProject,
  notFound,
  type Who,
} from './access.ts';
import type { Group, Project, Runner, RunnerType } from './model.ts';
import { paged } from './paging.ts';
import * as render from './render.ts';
import type { World } from './world.ts';

/** The side of a runner that people and programs manage (lib/api/user_runners.rb, lib/api/ci/runners.rb). */
export function runnerRoutes(api: Routes, world: World): void {
  api.on('POST', '/user/runners', (ask) => create(world, ask));
  api.on('GET', '/runners', (ask) => {
    const { user } = authenticate(world, ask);
    return listed(world, ask, (runner) => mayUpdate(world, { user }, runner));
  });
  api.on('GET', '/runners/all', (ask) => {
    needAdmin(authenticate(world, ask));
    return listed(world, ask, () => true);
  });
  api.on('GET', '/projects/:id/runners', (ask) => {
    const who = authenticate(world, ask);
    const project = needProject(world, who, ask.params['id']);
    if (!mayManageProject(world, who.user, project)) return forbidden();
    return listed(world, ask, (runner) => world.serves(runner, project));
  });
  // Those of the groups above are among them.
  api.on('GET', '/groups/:id/runners', (ask) => {
    const who = authenticate(world, ask);
    const group = needGroup(world, who, ask.params['id']);
    if (!who.user.admin && world.groupLevel(group, who.user.id) < 40) return forbidden();
    const above = new Set(world.lineage(group.id).map((each) => each.id));
    return listed(
      world,
      ask,
      ({ type, groupId }) => type === 'instance_type' || (groupId !== null && above.has(groupId)),
    );
  });
  oneRunnerRoutes(api, world);
}

function oneRunnerRoutes(api: Routes, world: World): void {
  api.on('GET', '/runners/:id', (ask) => {
    const who = authenticate(world, ask, 'manage_runner');
    const runner = needRunner(world, ask);
    if (runner.type !== 'instance_type' && !mayUpdate(world, who, runner)) forbidden('No access granted');
    return { status: 200, body: render.runnerDetails(world, runner, who.user) };
  });
  api.on('GET', '/runners/:id/managers', (ask) => {
    const who = authenticate(world, ask, 'manage_runner');
    const runner = needRunner(world, ask);
    if (runner.type !== 'instance_type' && !mayUpdate(world, who, runner)) forbidden('No access granted');
    return { status: 200, body: runner.managers.map(render.runnerManager) };
  });
  api.on('PUT', '/runners/:id', (ask) => {
    const { runner, who } = ownRunner(world, ask);
    Object.assign(runner, changeOf(parse(Change, ask.body)));
    world.save();
    return { status: 200, body: render.runnerDetails(world, runner, who.user) };
  });
  api.on('DELETE', '/runners/:id', (ask) => {
    const { runner, who } = ownRunner(world, ask);
    if (!who.user.admin && runner.projectIds.length > 1) forbidden('Runner associated with more than one project');
    delete world.state.runners[runner.id];
    world.save();
    return { status: 204 };
  });
  api.on('POST', '/runners/:id/reset_authentication_token', (ask) => {
    const { runner } = ownRunner(world, ask);
    runner.token = world.token('glrt');
    runner.tokenExpiresAt = tokenEnd(world);
    world.save();
    return { status: 201, body: { token: runner.token, token_expires_at: runner.tokenExpiresAt } };
  });
  api.on('GET', '/runners/:id/jobs', (ask) => {
    const { runner } = ownRunner(world, ask);
    const status = ask.query.get('status');
    const jobs = Object.values(world.state.jobs).filter(
      (job) => job.runnerId === runner.id && (status === null || job.status === status),
    );
    return paged(world, ask, jobs, (job) => ({ id: job.id, status: job.status, name: job.name, stage: job.stage }));
  });
}

const Flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
const Tags = z.union([z.array(z.string()), z.string().transform((text) => text.split(','))]);

const Change = z.object({
  description: z.string().max(1024).optional(),
  maintenance_note: z.string().optional(),
  paused: Flag.optional(),
  locked: Flag.optional(),
  run_untagged: Flag.optional(),
  tag_list: Tags.transform((tags) => tags.map((tag) => tag.trim()).filter(Boolean)).optional(),
  access_level: z.enum(['not_protected', 'ref_protected']).optional(),
  maximum_timeout: z.coerce.number().int().nullish(),
});
const Wanted = Change.extend({
  runner_type: z.enum(['instance_type', 'group_type', 'project_type']),
  group_id: z.coerce.number().int().optional(),
  project_id: z.coerce.number().int().optional(),
});

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return invalidParameter(`${String(issue?.path[0])} is invalid`);
}

/** Only what was named changes. */
function changeOf(given: z.infer<typeof Change>): Partial<Runner> {
  const note = given.maintenance_note;
  if (note !== undefined && note.length > 1024)
    refuseValue('maintenance_note', 'is too long (maximum is 1024 characters)');
  const changes: Partial<Runner> = {};
  if (given.description !== undefined) changes.description = given.description;
  if (note !== undefined) changes.maintenanceNote = note;
  if (given.paused !== undefined) changes.paused = given.paused;
  if (given.locked !== undefined) changes.locked = given.locked;
  if (given.run_untagged !== undefined) changes.runUntagged = given.run_untagged;
  if (given.tag_list !== undefined) changes.tags = [...new Set(given.tag_list)];
  if (given.access_level !== undefined) changes.accessLevel = given.access_level;
  if (given.maximum_timeout !== undefined) changes.maximumTimeout = given.maximum_timeout;
  if (changes.runUntagged === false && changes.tags?.length === 0)
    refuseValue('tags_list', 'can not be empty when runner is not allowed to pick untagged jobs');
  return changes;
}

function refuseValue(field: string, words: string): never {
  throw new Reply({ status: 400, body: { message: { [field]: [words] } } });
}

/** The order of GitLab's own checks: the parameters, the scope, then who asks. */
function create(world: World, ask: Ask): Answer {
  const who = authenticate(world, ask, 'create_runner');
  const wanted = parse(Wanted, ask.body);
  const { runner_type: type, group_id: groupId, project_id: projectId } = wanted;
  if (type === 'group_type' && groupId === undefined) return invalidParameter('group_id is missing');
  if (type === 'project_type' && projectId === undefined) return invalidParameter('project_id is missing');
  const group = type === 'group_type' ? world.state.groups[groupId ?? 0] : undefined;
  const project = type === 'project_type' ? world.state.projects[projectId ?? 0] : undefined;
  if (type !== 'instance_type' && !group && !project) return badRequest('Missing/invalid scope');
  if (!mayCreate(world, who, group, project)) return forbidden('Insufficient permissions');
  const runner: Runner = {
    ...newRunner(world, type, who.user.id),
    groupId: group?.id ?? null,
    projectIds: project ? [project.id] : [],
    ...changeOf(wanted),
  };
  if (!runner.runUntagged && runner.tags.length === 0)
    return badRequest('Tags list can not be empty when runner is not allowed to pick untagged jobs');
  world.state.runners[runner.id] = runner;
  world.save();
  return { status: 201, body: { id: runner.id, token: runner.token, token_expires_at: runner.tokenExpiresAt } };
}

/** As the settings of the instance or group have it ("Runners expiration"); null where tokens last. */
function tokenEnd(world: World): string | null {
  const { runnerTokenSeconds } = world.state.settings;
  if (!runnerTokenSeconds) return null;
  return new Date(world.now().getTime() + runnerTokenSeconds * 1000).toISOString();
}

function newRunner(world: World, type: RunnerType, creatorId: number): Runner {
  return {
    id: world.id(),
    type,
    groupId: null,
    projectIds: [],
    description: '',
    maintenanceNote: '',
    tags: [],
    runUntagged: true,
    locked: false,
    paused: false,
    accessLevel: 'not_protected',
    maximumTimeout: null,
    token: world.token('glrt'),
    tokenExpiresAt: tokenEnd(world),
    contactedAt: null,
    managers: [],
    creatorId,
    createdAt: world.iso(),
  };
}

/** Owners of a group, maintainers of a project, administrators; and nobody but those where registration is switched off. */
function mayCreate(world: World, { user }: Who, group: Group | undefined, project: Project | undefined): boolean {
  if (user.admin) return true;
  const isOpen = (groupId: number | null) => world.lineage(groupId).every((each) => each.runnerRegistration);
  if (group) return mayManageGroup(world, user, group) && isOpen(group.id);
  if (!project) return false;
  return mayManageProject(world, user, project) && project.runnerRegistration && isOpen(project.namespaceId);
}

function needRunner(world: World, ask: Ask): Runner {
  const id = ask.params['id'] ?? '';
  if (!/^\d+$/.test(id)) return invalidParameter('id is invalid');
  return world.state.runners[id] ?? notFound();
}

function ownRunner(world: World, ask: Ask): { runner: Runner; who: Who } {
  const who = authenticate(world, ask, 'manage_runner');
  const runner = needRunner(world, ask);
  return mayUpdate(world, who, runner) ? { runner, who } : forbidden('No access granted');
}

function mayUpdate(world: World, { user }: Pick<Who, 'user'>, runner: Runner): boolean {
  if (user.admin) return true;
  if (runner.type === 'instance_type') return false;
  const group = runner.groupId === null ? undefined : world.state.groups[runner.groupId];
  if (group) return mayManageGroup(world, user, group);
  const projects = runner.projectIds.flatMap((id) => world.state.projects[id] ?? []);
  return projects.some((project) => mayManageProject(world, user, project));
}

function listed(world: World, ask: Ask, seen: (runner: Runner) => boolean): Answer {
  const type = ask.query.get('type');
  const status = ask.query.get('status');
  const paused = ask.query.get('paused');
  const tags = (ask.query.get('tag_list') ?? '').split(',').filter(Boolean);
  const runners = Object.values(world.state.runners).filter(
    (runner) =>
      seen(runner) &&
      (type === null || runner.type === type) &&
      (status === null || render.runnerStatus(world, runner) === status) &&
      (paused === null || runner.paused === (paused === 'true')) &&
      tags.every((tag) => runner.tags.includes(tag)),
  );
  const newestFirst = runners.toSorted((a, b) => b.id - a.id);
  return paged(world, ask, newestFirst, (runner) => render.runner(world, runner));
}
