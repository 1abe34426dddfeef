import { createHmac, randomUUID } from 'node:crypto';
import type { App, Delivery, Installation, Job, Org, Repo, User } from './model.ts';
import * as render from './render.ts';
import type { World } from './world.ts';

const timeoutMs = 10_000;
const kept = 500;

export interface Event {
  app: App;
  event: string;
  payload: render.Json;
  installationId: number | null;
  repositoryId: number | null;
}

/**
 * Sends and remembers deliveries. As at GitHub: one attempt each, ten seconds for an answer, never repeated by itself;
 * somebody may ask for a redelivery, which keeps the GUID. Deliveries overtake each other, as they do there.
 */
export class Webhooks {
  readonly #world: World;
  readonly #underway = new Set<Promise<void>>();

  constructor(world: World) {
    this.#world = world;
  }

  send(event: Event): void {
    if (!event.app.webhookUrl) return;
    this.#start(this.#deliver(event.app, { ...event, guid: randomUUID(), redelivery: false }));
  }

  redeliver(app: App, delivery: Delivery): void {
    this.#start(this.#deliver(app, { ...delivery, redelivery: true }));
  }

  /** Resolves once nothing is on its way; for tests and for stopping. */
  async settled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  #start(work: Promise<void>): void {
    this.#underway.add(work);
    void work.finally(() => this.#underway.delete(work));
  }

  async #deliver(
    app: App,
    what: Pick<Delivery, 'event' | 'payload' | 'installationId' | 'repositoryId' | 'guid' | 'redelivery'>,
  ): Promise<void> {
    const body = JSON.stringify(what.payload);
    const id = this.#world.id();
    const requestHeaders: Record<string, string> = {
      accept: '*/*',
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/sandbox',
      'x-github-delivery': what.guid,
      'x-github-event': what.event,
      'x-github-hook-id': String(app.id),
      'x-github-hook-installation-target-id': String(app.id),
      'x-github-hook-installation-target-type': 'integration',
      'x-github-enterprise-host': new URL(this.#world.url).host,
      'x-hub-signature': `sha1=${createHmac('sha1', app.webhookSecret).update(body).digest('hex')}`,
      'x-hub-signature-256': `sha256=${createHmac('sha256', app.webhookSecret).update(body).digest('hex')}`,
    };
    const started = performance.now();
    const outcome = await post(app.webhookUrl, requestHeaders, body);
    const { deliveries } = this.#world.state;
    deliveries.push({
      id,
      guid: what.guid,
      appId: app.id,
      event: what.event,
      action: typeof what.payload['action'] === 'string' ? what.payload['action'] : null,
      installationId: what.installationId,
      repositoryId: what.repositoryId,
      deliveredAt: this.#world.iso(),
      redelivery: what.redelivery,
      durationSeconds: Math.round(performance.now() - started) / 1000,
      url: app.webhookUrl,
      requestHeaders,
      payload: what.payload,
      ...outcome,
    });
    if (deliveries.length > kept) deliveries.splice(0, deliveries.length - kept);
    this.#world.save();
  }
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<Pick<Delivery, 'status' | 'statusCode' | 'responseHeaders' | 'responseBody'>> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    return {
      status: response.statusText || (response.ok ? 'OK' : 'Error'),
      statusCode: response.status,
      responseHeaders: Object.fromEntries(response.headers),
      responseBody: text.slice(0, 10_000),
    };
  } catch (error) {
    const late = error instanceof Error && error.name === 'TimeoutError';
    return {
      status: late ? 'timed out' : 'failed to connect to host',
      statusCode: late ? 504 : 502,
      responseHeaders: null,
      responseBody: null,
    };
  }
}

/** Every event about an installation goes to the App it is of, suspended or not: GitHub tells even of a suspension. */
export function installationEvent(world: World, installation: Installation, action: string, senderId: number): Event {
  const app = world.state.apps[installation.appId] as App;
  const withRepositories =
    action === 'created' ||
    action === 'deleted' ||
    action === 'suspend' ||
    action === 'unsuspend' ||
    action === 'new_permissions_accepted';
  return {
    app,
    event: 'installation',
    installationId: installation.id,
    repositoryId: null,
    payload: {
      action,
      installation: render.installation(world, installation),
      ...(withRepositories
        ? { repositories: world.installedRepos(installation).map((r) => render.shortRepository(world, r)) }
        : {}),
      ...(action === 'created' ? {} : { requester: null }),
      sender: render.simpleUser(world, world.account(senderId)),
    },
  };
}

export function repositoriesEvent(
  world: World,
  installation: Installation,
  added: Repo[],
  removed: Repo[],
  senderId: number,
): Event {
  const action = added.length > 0 ? 'added' : 'removed';
  return {
    app: world.state.apps[installation.appId] as App,
    event: 'installation_repositories',
    installationId: installation.id,
    repositoryId: null,
    payload: {
      action,
      installation: render.installation(world, installation),
      repository_selection: installation.selection,
      repositories_added: added.map((r) => render.shortRepository(world, r)),
      repositories_removed: removed.map((r) => render.shortRepository(world, r)),
      requester: null,
      sender: render.simpleUser(world, world.account(senderId)),
    },
  };
}

/** What is about the account and about no repository of it. */
function ofAccount(world: World, installation: Installation, event: string, payload: Event['payload']): Event {
  const app = world.state.apps[installation.appId] as App;
  return { app, event, installationId: installation.id, repositoryId: null, payload };
}

export function renamedEvent(
  world: World,
  installation: Installation,
  org: Org,
  from: string,
  senderId: number,
): Event {
  return ofAccount(world, installation, 'organization', {
    action: 'renamed',
    changes: { login: { from } },
    organization: render.orgSimple(world, org),
    installation: render.installationLite(installation),
    sender: render.simpleUser(world, world.account(senderId)),
  });
}

/** Its account stands at the top, and the installation is told by its id alone. */
export function targetEvent(world: World, installation: Installation, org: Org, from: string, senderId: number): Event {
  return ofAccount(world, installation, 'installation_target', {
    action: 'renamed',
    account: render.simpleUser(world, org),
    changes: { login: { from } },
    target_type: 'Organization',
    installation: render.installationLite(installation),
    sender: render.simpleUser(world, world.account(senderId)),
  });
}

/** GitHub tells the new owner alone, whose the repository is in the payload already. */
export function transferredEvents(world: World, repo: Repo, from: User | Org, senderId: number): Event[] {
  const org = world.state.orgs[repo.ownerId];
  const listening = Object.values(world.state.installations).filter(
    (i) => i.events.includes('repository') && !i.suspendedAt && world.installedRepos(i).includes(repo),
  );
  return listening.map((installation) => ({
    app: world.state.apps[installation.appId] as App,
    event: 'repository',
    installationId: installation.id,
    repositoryId: repo.id,
    payload: {
      action: 'transferred',
      changes: {
        owner: {
          from: world.isOrg(from)
            ? { organization: render.orgSimple(world, from) }
            : { user: render.simpleUser(world, from) },
        },
      },
      repository: { ...render.repository(world, repo), custom_properties: {} },
      ...(org ? { organization: render.orgSimple(world, org) } : {}),
      installation: render.installationLite(installation),
      sender: render.simpleUser(world, world.account(senderId)),
    },
  }));
}

/** A job's event reaches each App that may see its repository, watches jobs and is not suspended. */
export function jobEvents(world: World, job: Job, action: 'queued' | 'in_progress' | 'completed'): Event[] {
  const repo = world.state.repos[job.repositoryId] as Repo;
  const org = world.state.orgs[repo.ownerId];
  const enterprise = world.enterpriseOf(repo.ownerId);
  const listening = Object.values(world.state.installations).filter(
    (i) =>
      i.accountId === repo.ownerId &&
      !i.suspendedAt &&
      i.events.includes('workflow_job') &&
      i.permissions['actions'] &&
      world.installedRepos(i).includes(repo),
  );
  return listening.map((installation) => ({
    app: world.state.apps[installation.appId] as App,
    event: 'workflow_job',
    installationId: installation.id,
    repositoryId: repo.id,
    payload: {
      action,
      workflow_job: render.workflowJob(world, job),
      repository: { ...render.repository(world, repo), custom_properties: {} },
      ...(org ? { organization: render.orgSimple(world, org) } : {}),
      ...(enterprise ? { enterprise: render.enterprise(world, enterprise) } : {}),
      sender: render.simpleUser(world, world.account(job.senderId)),
      installation: render.installationLite(installation),
    },
  }));
}
