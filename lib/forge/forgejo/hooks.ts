import { z } from 'zod';
import { AppError } from '../../errors.ts';
import { secretMark } from '../hook-secret.ts';
import type { AtScope, Forge, Unsupported } from '../port.ts';
import type { Ask, Client, Server } from './client.ts';
import type { Refusal } from './errors.ts';
import { type Located, located } from './locate.ts';
import { Hook, listOf } from './schema.ts';

type Place = Located & { ask: Ask };

/**
 * The hook of a scope that tells of its jobs, found by its URL. Neither forge shows a hook's secret, lets it be changed
 * (routers/api/v1/utils/hook.go, editHook) or keeps a text of ours with it: so the URL carries the mark of the secret
 * (`?key=`), and a hook that was made with a former one is replaced, the new one first.
 */
export function forgejoHooks(client: Client, secret: string): Pick<Forge, 'ensureWebhook' | 'removeWebhook'> {
  return {
    async ensureWebhook({ url, ...input }) {
      const place = await located(client, input);
      const server = await client.server({ ...place.ask, params: {} });
      const events = jobEvents(server);
      const hooks = await hooksAt(client, place);
      if (secret === '' || events.length === 0 || !hooks) return { unsupported: true };
      const config = { url: markedUrl(url, secret), content_type: 'json', secret };
      const ours = hooks.filter((hook) => isAt(hook, url));
      const there = ours.find((hook) => hook.config?.url === config.url);
      const former = ours.filter((hook) => hook !== there);
      if (there && isRight(there, events) && former.length === 0) return { change: null };
      const body = { active: true, events, config };
      const done = there
        ? await tried(client, `PATCH ${place.base}/hooks/{id}`, { ...idAsk(place, there.id), body })
        : await tried(client, `POST ${place.base}/hooks`, { ...place.ask, body: { ...body, type: server.software } });
      if (!done) return { unsupported: true };
      await removeAll(client, place, former);
      return { change: ours.length > 0 ? 'updated' : 'created' };
    },
    async removeWebhook({
      url,
      ...input
    }: AtScope & { url: string }): Promise<{ change: 'removed' | null } | Unsupported> {
      const place = await located(client, input);
      const hooks = await hooksAt(client, place);
      if (!hooks) return { unsupported: true };
      const ours = hooks.filter((hook) => isAt(hook, url));
      await removeAll(client, place, ours);
      return { change: ours.length > 0 ? 'removed' : null };
    },
  };
}

/**
 * Gitea tells of every job (1.24 and later). Forgejo 15 tells only of runs that have ended, which says that there is
 * something to look at; its `workflow_job_…` events came later and are of another shape.
 */
function jobEvents({ software, major, minor }: Server): string[] {
  if (software === 'gitea') return major > 1 || minor >= 24 ? ['workflow_job'] : [];
  return major >= 15 ? ['action_run_failure', 'action_run_success'] : [];
}

async function removeAll(client: Client, place: Place, hooks: readonly Hook[]): Promise<void> {
  for (const { id } of hooks) await client.find(`DELETE ${place.base}/hooks/{id}`, z.unknown(), idAsk(place, id));
}

function markedUrl(url: string, secret: string): string {
  const marked = new URL(url);
  marked.searchParams.set('key', secretMark(secret));
  return marked.href;
}

/** Whatever secret it was made with, and also one of before there were marks. */
function isAt({ config }: Hook, url: string): boolean {
  const there = URL.parse(config?.url ?? '');
  there?.searchParams.delete('key');
  return there?.href === new URL(url).href;
}

function isRight({ active, events, config }: Hook, wanted: string[]): boolean {
  return active && config?.content_type === 'json' && wanted.every((event) => events?.includes(event));
}

/** Null where hooks are switched off, or this token may not see them. */
async function hooksAt(client: Client, { base, ask }: Place): Promise<Hook[] | null> {
  try {
    return await client.all(`GET ${base}/hooks`, listOf(Hook), { ...ask, absent: isRefused });
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null;
    throw error;
  }
}

async function tried(client: Client, route: string, ask: Ask): Promise<boolean> {
  return (await client.find(route, Hook, { ...ask, absent: isRefused })) !== null;
}

/** 422 is what a server says whose operator does not let hooks go to this address. */
function isRefused({ status }: Refusal): boolean {
  return status === 403 || status === 404 || status === 422;
}

function idAsk({ ask }: Place, id: string): Ask {
  return { ...ask, params: { ...ask.params, id } };
}
