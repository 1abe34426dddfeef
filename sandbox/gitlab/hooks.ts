import { createHmac, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Answer, type Ask, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import {
  authenticate,
  fail,
  forbidden,
  invalidParameter,
  mayManageGroup,
  mayManageProject,
  needGroup,
  needProject,
  notFound,
} from './access.ts';
import { type Delivery, type Hook, type HookEvent, hookEvents, type Job } from './model.ts';
import { paged } from './paging.ts';
import * as render from './render.ts';
import type { World } from './world.ts';

const timeoutMs = 10_000;
const kept = 500;

/**
 * Sends what hooks asked for and remembers it. As at GitLab: one attempt each, ten seconds for an answer; somebody may
 * have one sent again, which keeps its idempotency key. Deliveries overtake each other, as they do there.
 */
export class Hooks {
  readonly #world: World;
  readonly #underway = new Set<Promise<void>>();

  constructor(world: World) {
    this.#world = world;
  }

  /** To the project's own hooks and to those of every group that it lies in. */
  tellOfJob(job: Job): void {
    const project = this.#world.state.projects[job.projectId];
    if (!project) return;
    const above = this.#world.lineage(project.namespaceId).map((group) => group.id);
    const payload = render.buildEvent(this.#world, job);
    for (const hook of Object.values(this.#world.state.hooks)) {
      const hears =
        hook.kind === 'project' ? hook.ownerId === project.id : this.#paid() && above.includes(hook.ownerId);
      if (hears && hook.events.job_events) this.#start(this.#deliver(hook, 'job_hooks', payload, randomUUID()));
    }
  }

  test(hook: Hook, trigger: HookEvent): void {
    const payload = { object_kind: trigger.replace('_events', ''), project_id: hook.ownerId };
    this.#start(this.#deliver(hook, trigger.replace('_events', '_hooks'), payload, randomUUID()));
  }

  resend(hook: Hook, { trigger, payload, idempotencyKey }: Delivery): void {
    this.#start(this.#deliver(hook, trigger, payload, idempotencyKey));
  }

  /** Resolves once nothing is on its way; for tests and for stopping. */
  async settled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  #paid(): boolean {
    return this.#world.state.settings.plan !== 'free';
  }

  #start(work: Promise<void>): void {
    this.#underway.add(work);
    void work.finally(() => this.#underway.delete(work));
  }

  async #deliver(hook: Hook, trigger: string, payload: render.Json, idempotencyKey: string): Promise<void> {
    const body = JSON.stringify(payload);
    const requestHeaders = headersOf(this.#world, hook, trigger, idempotencyKey, body);
    const responseStatus = await post(hook.url, requestHeaders, body);
    const { deliveries } = this.#world.state;
    deliveries.push({
      id: this.#world.id(),
      hookId: hook.id,
      url: hook.url,
      trigger,
      idempotencyKey,
      requestHeaders,
      payload,
      responseStatus,
      deliveredAt: this.#world.iso(),
    });
    if (deliveries.length > kept) deliveries.splice(0, deliveries.length - kept);
    this.#world.save();
  }
}

/** `job_hooks` is written `Job Hook` on its way. */
function eventName(trigger: string): string {
  const words = trigger.replace(/_hooks$/, '_hook').split('_');
  return words.map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`).join(' ');
}

/** GitLab's headers; since 19.0 a signing token signs `<id>.<seconds>.<body>` as Standard Webhooks has it. */
function headersOf(world: World, hook: Hook, trigger: string, id: string, body: string): Record<string, string> {
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'User-Agent': `GitLab/${world.state.settings.version}`,
    'Idempotency-Key': id,
    'X-Gitlab-Event': eventName(trigger),
    'X-Gitlab-Webhook-UUID': hook.uuid,
    'X-Gitlab-Instance': world.url,
    'X-Gitlab-Event-UUID': randomUUID(),
  };
  if (hook.token !== '') headers['X-Gitlab-Token'] = hook.token;
  if (hook.signingToken === '') return headers;
  const seconds = String(Math.floor(world.now().getTime() / 1000));
  const key = Buffer.from(hook.signingToken.slice('whsec_'.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
  return { ...headers, 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': `v1,${signature}` };
}

async function post(url: string, headers: Record<string, string>, body: string): Promise<string> {
  try {
    const options = { method: 'POST', headers, body, redirect: 'manual' } as const;
    const response = await fetch(url, { ...options, signal: AbortSignal.timeout(timeoutMs) });
    await response.text();
    return String(response.status);
  } catch {
    return 'internal error';
  }
}

// ------------------------------------------------------------------------------------------------ managing hooks

const Flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
const Given = z.object({
  url: z.url(),
  name: z.string().max(255).optional(),
  description: z.string().max(2048).optional(),
  token: z.string().optional(),
  signing_token: z.string().optional(),
  enable_ssl_verification: Flag.optional(),
  ...(Object.fromEntries(hookEvents.map((event) => [event, Flag.optional()])) as Record<
    HookEvent,
    z.ZodOptional<typeof Flag>
  >),
});

/** Project hooks, and group hooks where the plan has them: a group's Owner, a project's Maintainer, and scope `api`. */
export function hookRoutes(api: Routes, world: World, hooks: Hooks): void {
  for (const kind of ['project', 'group'] as const) {
    const path = `/${kind}s/:id/hooks`;
    api.on('GET', path, (ask) => {
      const ownerId = ownerOf(world, ask, kind);
      return paged(world, ask, hooksOf(world, kind, ownerId), (hook) => render.hook(world, hook));
    });
    api.on('POST', path, (ask) => {
      const ownerId = ownerOf(world, ask, kind);
      const hook = freshHook(world, kind, ownerId);
      apply(world, hook, ask.body);
      world.state.hooks[hook.id] = hook;
      return { status: 201, body: render.hook(world, hook) };
    });
    api.on('GET', `${path}/:hook`, (ask) => ({ status: 200, body: render.hook(world, oneHook(world, ask, kind)) }));
    api.on('PUT', `${path}/:hook`, (ask) => {
      const hook = oneHook(world, ask, kind);
      apply(world, hook, ask.body);
      return { status: 200, body: render.hook(world, hook) };
    });
    api.on('DELETE', `${path}/:hook`, (ask) => {
      delete world.state.hooks[oneHook(world, ask, kind).id];
      world.save();
      return { status: 204 };
    });
    eventRoutes(api, world, hooks, kind);
  }
}

function eventRoutes(api: Routes, world: World, hooks: Hooks, kind: Hook['kind']): void {
  const path = `/${kind}s/:id/hooks/:hook`;
  api.on('POST', `${path}/test/:trigger`, (ask) => {
    const hook = oneHook(world, ask, kind);
    const trigger =
      hookEvents.find((event) => event === ask.params['trigger']) ?? invalidParameter('trigger is invalid');
    hooks.test(hook, trigger);
    return { status: 201, body: { message: '201 Created' } };
  });
  api.on('GET', `${path}/events`, (ask) => {
    const hook = oneHook(world, ask, kind);
    const sent = world.state.deliveries.filter((delivery) => delivery.hookId === hook.id).toReversed();
    return paged(world, ask, sent, render.hookEvent);
  });
  api.on('POST', `${path}/events/:event/resend`, (ask) => {
    const hook = oneHook(world, ask, kind);
    const sent = world.state.deliveries.find(
      (delivery) => delivery.hookId === hook.id && String(delivery.id) === ask.params['event'],
    );
    hooks.resend(hook, sent ?? notFound());
    return { status: 201, body: { response_status: 200 } } satisfies Answer;
  });
}

/** The id of the project or group, for whoever may manage hooks there. */
function ownerOf(world: World, ask: Ask, kind: Hook['kind']): number {
  const who = authenticate(world, ask);
  if (kind === 'project') {
    const project = needProject(world, who, ask.params['id']);
    return mayManageProject(world, who.user, project) ? project.id : forbidden();
  }
  // The free edition has no such route; a server of the other without the licence refuses it.
  if (world.state.settings.plan === 'free') throw new Reply({ status: 404, body: { error: '404 Not Found' } });
  const group = needGroup(world, who, ask.params['id']);
  return mayManageGroup(world, who.user, group) ? group.id : forbidden();
}

function hooksOf(world: World, kind: Hook['kind'], ownerId: number): Hook[] {
  return Object.values(world.state.hooks).filter((hook) => hook.kind === kind && hook.ownerId === ownerId);
}

function oneHook(world: World, ask: Ask, kind: Hook['kind']): Hook {
  const all = hooksOf(world, kind, ownerOf(world, ask, kind));
  return all.find((hook) => String(hook.id) === ask.params['hook']) ?? notFound();
}

function freshHook(world: World, kind: Hook['kind'], ownerId: number): Hook {
  return {
    id: world.id(),
    kind,
    ownerId,
    url: '',
    name: null,
    description: null,
    token: '',
    signingToken: '',
    // GitLab's own default: pushes, and nothing else.
    events: {
      push_events: true,
      job_events: false,
      pipeline_events: false,
      member_events: false,
      resource_access_token_events: false,
    },
    sslVerification: true,
    uuid: randomUUID(),
    createdAt: world.iso(),
  };
}

function apply(world: World, hook: Hook, body: unknown): void {
  const parsed = Given.safeParse(body ?? {});
  if (!parsed.success) return invalidParameter(`${String(parsed.error.issues[0]?.path[0])} is invalid`);
  const given = parsed.data;
  // The secret goes with the address: whoever redirects a hook does not take it along.
  if (hook.url !== '' && hook.url !== given.url) Object.assign(hook, { token: '', signingToken: '' });
  if (new URL(given.url).protocol !== 'https:' && new URL(given.url).hostname !== '127.0.0.1')
    fail(422, 'Invalid url given');
  hook.url = given.url;
  hook.name = given.name ?? hook.name;
  hook.description = given.description ?? hook.description;
  hook.token = given.token ?? hook.token;
  hook.sslVerification = given.enable_ssl_verification ?? hook.sslVerification;
  for (const event of hookEvents) hook.events[event] = given[event] ?? hook.events[event];
  if (given.signing_token !== undefined && signs(world)) {
    if (!isSigningToken(given.signing_token))
      throw new Reply({ status: 422, body: { message: { signing_token: ['must be in whsec_<base64> format'] } } });
    hook.signingToken = given.signing_token;
  }
  world.save();
}

/** Servers before 19.0 do not know the parameter and say nothing of it. */
function signs(world: World): boolean {
  return Number(world.state.settings.version.split('.')[0]) >= 19;
}

function isSigningToken(text: string): boolean {
  return text.startsWith('whsec_') && Buffer.from(text.slice('whsec_'.length), 'base64').length === 32;
}
