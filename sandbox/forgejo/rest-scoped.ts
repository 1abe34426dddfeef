import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Answer, Ask, Routes } from '#sandbox/stand-in/index.ts';
import {
  type Category,
  fail,
  identify,
  needOrg,
  needOrgOwner,
  needRepo,
  needRepoAdmin,
  needRepoOwner,
  needScopes,
  needUser,
  notFound,
  type Who,
} from './access.ts';
import type { Jobs } from './jobs.ts';
import type { Hook, Runner } from './model.ts';
import { paged } from './paging.ts';
import * as render from './render.ts';
import { hookEvents } from './webhooks.ts';
import type { World } from './world.ts';

interface Place {
  base: string;
  category: Category;
  /** The scope that the path names, for those who may manage its runners or hooks. */
  scopeFor(what: 'runners' | 'hooks', who: Who, ask: Ask): string;
}

/** What an organization, a repository and an account have alike: runners, their queue, and hooks. */
export function scopedRoutes(api: Routes, world: World, jobs: Jobs, hasRunnerApi: boolean): void {
  for (const place of placesOf(world)) {
    const on = (method: string, path: string, what: 'runners' | 'hooks', handle: (scope: string, ask: Ask) => Answer) =>
      api.on(method, `${place.base}${path}`, (ask) => {
        const who = identify(world, ask);
        needScopes(who, method, [place.category]);
        return handle(place.scopeFor(what, who, ask), ask);
      });
    runnerRoutes(on, world, jobs, hasRunnerApi);
    hookRoutes(on, world);
  }
}

type On = (
  method: string,
  path: string,
  what: 'runners' | 'hooks',
  handle: (scope: string, ask: Ask) => Answer,
) => unknown;

function placesOf(world: World): Place[] {
  const org: Place = {
    base: '/orgs/:org',
    category: 'organization',
    scopeFor(_, who, ask) {
      const { id } = needOrg(world, ask);
      needOrgOwner(world, who, needOrg(world, ask));
      return `a${id}`;
    },
  };
  const repo: Place = {
    base: '/repos/:owner/:repo',
    category: 'repository',
    scopeFor(what, who, ask) {
      const found = needRepo(world, who, ask);
      if (what === 'hooks') needRepoAdmin(world, who, found);
      else needRepoOwner(world, who, found);
      return what === 'hooks' || found.actions ? `r${found.id}` : notFound();
    },
  };
  const account: Place = { base: '/user', category: 'user', scopeFor: (_, who) => `a${needUser(who).id}` };
  return [org, repo, account];
}

// ------------------------------------------------------------------------------------------------ runners

const NewRunner = z.object({
  name: z.string().min(1),
  description: z.string().default(''),
  ephemeral: z.boolean().default(false),
});

function runnerRoutes(on: On, world: World, jobs: Jobs, hasRunnerApi: boolean): void {
  const path = '/actions/runners';
  on('GET', `${path}/registration-token`, 'runners', (scope) => {
    world.state.registrationTokens[scope] ??= world.token();
    world.save();
    return { status: 200, body: { token: world.state.registrationTokens[scope] } };
  });
  on('GET', `${path}/jobs`, 'runners', (scope, ask) => {
    const labels = ask.query.get('labels')?.split(',');
    const waiting = world.jobsIn(scope).filter(({ status }) => status === 'waiting' || status === 'running');
    const fitting = waiting.filter((job) => !labels || job.runsOn.every((label) => labels.includes(label)));
    return { status: 200, body: fitting.length > 0 ? fitting.map((job) => render.job(world, job)) : null };
  });
  if (!hasRunnerApi) return;
  on('GET', path, 'runners', (scope, ask) => {
    const runners = Object.values(world.state.runners).filter((runner) => runner.scope === scope);
    return paged(world, ask, runners, (runner) => render.runner(world, runner));
  });
  on('GET', `${path}/:id`, 'runners', (scope, ask) => ({
    status: 200,
    body: render.runner(world, needRunner(world, scope, ask)),
  }));
  on('DELETE', `${path}/:id`, 'runners', (scope, ask) => {
    jobs.removeRunner(needRunner(world, scope, ask));
    return { status: 204 };
  });
  on('POST', path, 'runners', (scope, ask) => {
    const given = NewRunner.safeParse(ask.body ?? {});
    if (!given.success) return fail(422, '[Name]: Required');
    const { id, uuid, token } = addRunner(world, { ...given.data, scope });
    return { status: 201, body: { id, uuid, token } };
  });
}

/** Names are not unique: two of one name are two runners. */
export function addRunner(world: World, given: Pick<Runner, 'name' | 'scope'> & Partial<Runner>): Runner {
  const fresh = { description: '', ephemeral: false, version: '', labels: [], lastOnline: 0, jobId: null };
  const runner: Runner = { ...fresh, id: world.id(), uuid: randomUUID(), token: world.token(), ...given };
  world.state.runners[runner.id] = runner;
  world.save();
  return runner;
}

function needRunner(world: World, scope: string, ask: Ask): Runner {
  const runner = world.state.runners[ask.params['id'] ?? ''];
  return runner?.scope === scope ? runner : fail(404, 'runner with id does not exist');
}

// ------------------------------------------------------------------------------------------------ hooks

const HookConfig = z.object({ url: z.url(), content_type: z.enum(['json', 'form']), secret: z.string().default('') });
const NewHook = z.object({
  type: z.enum(['forgejo', 'gitea']),
  config: HookConfig,
  events: z.array(z.string()).default(['push']),
  active: z.boolean().default(false),
});
const HookChange = z.object({
  config: HookConfig.partial().default({}),
  events: z.array(z.string()).optional(),
  active: z.boolean().optional(),
});

function hookRoutes(on: On, world: World): void {
  on('GET', '/hooks', 'hooks', (scope, ask) => {
    const hooks = Object.values(world.state.hooks).filter((hook) => hook.scope === scope);
    return paged(world, ask, hooks, render.hook);
  });
  on('POST', '/hooks', 'hooks', (scope, ask) => {
    const given = NewHook.safeParse(ask.body ?? {});
    if (!given.success) return fail(422, z.prettifyError(given.error));
    const { type, config, events, active } = given.data;
    const { url, content_type: contentType, secret } = config;
    const at = { createdAt: world.iso(), updatedAt: world.iso() };
    const hook: Hook = { id: world.id(), scope, type, url, contentType, secret, events: known(events), active, ...at };
    world.state.hooks[hook.id] = hook;
    world.save();
    return { status: 201, body: render.hook(hook) };
  });
  on('GET', '/hooks/:id', 'hooks', (scope, ask) => ({ status: 200, body: render.hook(needHook(world, scope, ask)) }));
  on('PATCH', '/hooks/:id', 'hooks', (scope, ask) => {
    const hook = needHook(world, scope, ask);
    const given = HookChange.safeParse(ask.body ?? {});
    if (!given.success) return fail(422, z.prettifyError(given.error));
    const { config, events = hook.events, active = hook.active } = given.data;
    // A secret that is given is passed over: what a hook signs with stays what it was made with.
    const { url = hook.url, content_type: contentType = hook.contentType } = config;
    Object.assign(hook, { url, contentType, events: known(events), active, updatedAt: world.iso() });
    world.save();
    return { status: 200, body: render.hook(hook) };
  });
  on('DELETE', '/hooks/:id', 'hooks', (scope, ask) => {
    delete world.state.hooks[needHook(world, scope, ask).id];
    world.save();
    return { status: 204 };
  });
}

/** An event that the server does not have is left out without a word. */
function known(events: string[]): string[] {
  return hookEvents.filter((event) => events.includes(event));
}

function needHook(world: World, scope: string, ask: Ask): Hook {
  const hook = world.state.hooks[ask.params['id'] ?? ''];
  return hook?.scope === scope ? hook : notFound();
}
