import { createHmac, randomUUID } from 'node:crypto';
import type { Hook, Job, Repo } from './model.ts';
import * as render from './render.ts';
import type { World } from './world.ts';

const timeoutMs = 5000;
const kept = 500;

/** What Forgejo 15 can be asked to tell: of Actions only runs that have ended, and of no job by itself. */
export const hookEvents =
  'create delete fork push issues pull_request wiki repository release package action_run_failure action_run_recover action_run_success'.split(
    ' ',
  );

/** Sends and remembers deliveries: one attempt each, never repeated. */
export class Webhooks {
  readonly #world: World;
  readonly #underway = new Set<Promise<void>>();

  constructor(world: World) {
    this.#world = world;
  }

  /** To every hook that serves the repository and asked for the event. */
  send(repo: Repo, event: string, payload: render.Json): void {
    const scopes = this.#world.scopesOver(repo);
    for (const hook of Object.values(this.#world.state.hooks)) {
      if (!hook.active || !scopes.includes(hook.scope) || !hook.events.includes(event)) continue;
      const work = this.#deliver(hook, event, payload);
      this.#underway.add(work);
      void work.finally(() => this.#underway.delete(work));
    }
  }

  runEnded(job: Job): void {
    const repo = this.#world.state.repos[job.repoId];
    if (!repo) return;
    const action = job.status === 'success' ? 'success' : 'failure';
    const payload = { action, run: render.run(this.#world, job), prior_status: 'running', last_run: null };
    this.send(repo, `action_run_${action}`, payload);
  }

  async settled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  async #deliver(hook: Hook, event: string, payload: render.Json): Promise<void> {
    const body = JSON.stringify(payload, null, 2);
    const uuid = randomUUID();
    const headers = headersOf(hook, event, uuid, body);
    const statusCode = await post(hook.url, headers, body);
    const { deliveries } = this.#world.state;
    const deliveredAt = this.#world.iso();
    deliveries.push({
      id: this.#world.id(),
      uuid,
      hookId: hook.id,
      event,
      url: hook.url,
      payload,
      statusCode,
      deliveredAt,
    });
    if (deliveries.length > kept) deliveries.splice(0, deliveries.length - kept);
    this.#world.save();
  }
}

/** Under each name that the family has had (services/webhook/shared/payloader.go): the digest is bare but for GitHub's. */
function headersOf({ secret }: Hook, event: string, uuid: string, body: string): Record<string, string> {
  const digest = (algorithm: string) => (secret === '' ? '' : createHmac(algorithm, secret).update(body).digest('hex'));
  const sha256 = digest('sha256');
  const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'Forgejo-sandbox' };
  for (const family of ['forgejo', 'gitea', 'gogs']) {
    headers[`x-${family}-delivery`] = uuid;
    headers[`x-${family}-event`] = event;
    headers[`x-${family}-event-type`] = event;
    headers[`x-${family}-signature`] = sha256;
  }
  headers['x-hub-signature'] = `sha1=${digest('sha1')}`;
  headers['x-hub-signature-256'] = `sha256=${sha256}`;
  headers['x-github-delivery'] = uuid;
  headers['x-github-event'] = event;
  headers['x-github-event-type'] = event;
  return headers;
}

async function post(url: string, headers: Record<string, string>, body: string): Promise<number> {
  const sent = { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) } as const;
  return fetch(url, sent).then(
    async (response) => {
      await response.text();
      return response.status;
    },
    () => 0,
  );
}
