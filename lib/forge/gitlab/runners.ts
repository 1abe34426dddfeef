import { z } from 'zod';
import type { GuardedFetch } from '../guard.ts';
import type { AtScope, Cancel, EnsuredRunner, ForgeRunner, RunnerSecret } from '../port.ts';
import { hashOf, limitsOf } from '../limits.ts';
import { runnerGroupPrefix as prefix } from '../runner-group.ts';
import { type GitlabLevel, gitlabLevel } from './choice.ts';
import { type Api, type Client, numberOf, type PageOptions } from './client.ts';
import {
  awayError,
  foreignRunnerError,
  lacksScope,
  limitSaid,
  nonsenseError,
  type Refusal,
  registrationError,
  runnerConflictError,
} from './errors.ts';
import { askAt } from './observe.ts';
import { NewRunner, ResetToken, Runner, RunnerItem } from './schema.ts';

const note = 'Made and kept by the Flywheel portal: what is changed here is changed back, and the portal removes it.';
const heldNote =
  'Suspended by the operator of the Flywheel portal: it takes no job until the operator lets it go on, which the portal then does here too.';

const runnerTypes = { project: 'project_type', group: 'group_type', instance: 'instance_type' } as const;

type Wanted = AtScope & { name: string; labels: string[]; known: string | null };

/** Runners of a scope, by its access token (lib/api/user_runners.rb, lib/api/ci/runners.rb). A name is GitLab's description. */
export function gitlabRunners(client: Client, fetch: GuardedFetch) {
  async function find(input: AtScope, id: string): Promise<Runner | null> {
    return client.find(Runner, askAt(input), (api) => api.runners.show(numberOf(id)));
  }

  /** GitLab lists a group's runners with those of the groups above, and only the runner itself tells whose it is. */
  async function own(input: AtScope, isWanted: (name: string) => boolean): Promise<Runner[]> {
    const items = await client.all(RunnerItem, askAt(input), (api, options) => listed(api, input, options));
    const found: Runner[] = [];
    for (const { id, description } of items) {
      if (!isWanted(description ?? '')) continue;
      const runner = await find(input, id);
      if (runner && belongsTo(runner, input)) found.push(runner);
    }
    return found.toSorted((a, b) => Number(a.id) - Number(b.id));
  }

  async function reset(input: AtScope, id: string): Promise<RunnerSecret> {
    // GitBeaker has no name for this one (it knows the registration tokens of old).
    const path = `runners/${numberOf(id)}/reset_authentication_token`;
    const answer = await client.call(ResetToken, askAt(input), async ({ runners }) => {
      return (await runners.requester.post(path)).body;
    });
    return secretOf(answer);
  }

  async function create(input: Wanted): Promise<EnsuredRunner> {
    const absent = (refusal: Refusal) => refusal.status === 403 && !lacksScope(refusal);
    const ask = { ...askAt(input), absent };
    const made = await client.find(NewRunner, ask, (api) =>
      api.users.createCIRunner(runnerTypes[gitlabLevel(input.level)], {
        ...idOf(input),
        description: input.name,
        tagList: input.labels,
        ...settingsOf(input),
        accessLevel: 'not_protected',
        maintenanceNote: note,
      }),
    );
    if (!made) throw registrationError(ask.about);
    await assertAlone(input, made.id);
    const runner: ForgeRunner = {
      id: made.id,
      name: input.name,
      status: 'never_contacted',
      contactedAt: null,
      busy: null,
    };
    return { change: 'created', runner, secret: secretOf(made), ephemeral: false };
  }

  /** Descriptions may be given twice: of several that were made at once the first stays, and the others' makers are told. */
  async function assertAlone(input: Wanted, id: string): Promise<void> {
    const [first] = await own(input, (name) => name === input.name);
    if (first?.id === id) return;
    await removeOne(input, id);
    throw runnerConflictError(input.name);
  }

  /** Whether anything had to be mended. A paused runner stays so: somebody meant it. */
  async function mend(input: Wanted, runner: Runner): Promise<boolean> {
    if (isAsWanted(runner, input)) return false;
    const changes = { tagList: input.labels, ...settingsOf(input) };
    await client.call(Runner, askAt(input), (api) => api.runners.edit(numberOf(runner.id), changes));
    return true;
  }

  return {
    async list(input: AtScope): Promise<ForgeRunner[]> {
      return (await own(input, isOurs)).map(portRunner);
    },

    async ensure(input: Wanted): Promise<EnsuredRunner> {
      assertOurs(input.name);
      const known = input.known === null ? null : await find(input, input.known);
      if (known && known.description === input.name && belongsTo(known, input)) {
        const change = (await mend(input, known)) ? 'updated' : null;
        return { change, runner: portRunner(known), secret: null, ephemeral: false };
      }
      // F15: one that was made while the answer was lost is taken up with a new secret, and never made a second time.
      const [first, ...others] = await own(input, (name) => name === input.name);
      if (!first) return create(input);
      for (const other of others) await removeOne(input, other.id);
      await mend(input, first);
      return { change: 'replaced', runner: portRunner(first), secret: await reset(input, first.id), ephemeral: false };
    },

    /** Paused first: a job that it was given before shows in the list, and no other comes after. */
    async retire(input: AtScope & { id: string }): Promise<{ change: 'removed' | null } | { busy: true }> {
      const runner = await find(input, input.id);
      if (!runner) return { change: null };
      assertOwn(runner, input);
      const pause = (api: Api) => api.runners.edit(numberOf(runner.id), { paused: true });
      if (!runner.paused) await client.call(Runner, askAt(input), pause);
      if (await isBusy(input, runner.id)) return { busy: true };
      await removeOne(input, runner.id);
      return { change: 'removed' };
    },

    /** The note says why it is paused, and is how the portal knows its own pause again. */
    async hold({ isHeld, ...input }: AtScope & { id: string; isHeld: boolean }) {
      const runner = await find(input, input.id);
      if (!runner) return { change: null };
      assertOwn(runner, input);
      const isOurs = runner.paused && runner.maintenance_note === heldNote;
      if (isHeld ? runner.paused : !isOurs) return { change: null };
      const changes = { paused: isHeld, maintenanceNote: isHeld ? heldNote : note };
      await client.call(Runner, askAt(input), (api) => api.runners.edit(numberOf(runner.id), changes));
      return { change: isHeld ? ('held' as const) : ('released' as const) };
    },

    async remove(input: AtScope & { id: string }): Promise<{ change: 'removed' | null }> {
      const runner = await find(input, input.id);
      if (!runner) return { change: null };
      assertOwn(runner, input);
      await removeOne(input, runner.id);
      return { change: 'removed' };
    },

    leave: (input: Cancel & { token: string }) => leave(client.baseUrl, fetch, input),
  };

  async function isBusy(input: AtScope, id: string): Promise<boolean> {
    const running = { status: 'running', perPage: 1 } as const;
    const jobs = await client.call(z.array(z.unknown()), askAt(input), async ({ runners }) => {
      return (await runners.requester.get(`runners/${numberOf(id)}/jobs`, { searchParams: running })).body;
    });
    return jobs.length > 0;
  }

  async function removeOne(input: AtScope, id: string): Promise<void> {
    await client.find(z.unknown(), askAt(input), (api) => api.runners.remove({ runnerId: numberOf(id) }));
  }
}

/** As `gitlab-runner unregister` does it: the secret is in the body, and 403 says that nobody has it (lib/api/ci/runner.rb). */
async function leave(
  baseUrl: string,
  fetch: GuardedFetch,
  { token, signal }: Cancel & { token: string },
): Promise<{ change: 'removed' | null }> {
  // Each registration asks as itself.
  const [limits, who] = [limitsOf({ id: 'registration', baseUrl }, 'GitLab'), hashOf(token)];
  limits.assertOpen(who);
  const response = await fetch(`${baseUrl}/api/v4/runners`, {
    method: 'DELETE',
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
    signal: signal ?? null,
  });
  if (response.status === 204) return { change: 'removed' };
  if (response.status === 403) return { change: null };
  const log = `${baseUrl}: a registration that left was answered ${response.status}`;
  const said = limitSaid(response);
  if (said !== null) throw limits.limited(who, said, log);
  if (response.status >= 500) throw awayError(log, baseUrl);
  throw nonsenseError(baseUrl, 'a registration that left', String(response.status));
}

function listed(api: Api, { level, scopeId }: AtScope, options: PageOptions): Promise<unknown> {
  const type = runnerTypes[gitlabLevel(level)];
  if (level === 'project') return api.runners.all({ projectId: scopeId, type, ...options });
  return level === 'group'
    ? api.runners.all({ groupId: scopeId, type, ...options })
    : api.runners.all({ type, ...options });
}

function idOf({ level, scopeId }: AtScope) {
  if (level === 'project') return { projectId: numberOf(scopeId) };
  return level === 'group' ? { groupId: numberOf(scopeId) } : {};
}

/** Jobs without tags are nobody's in particular, and a project's runner is not lent to other projects. */
function settingsOf({ level }: { level: AtScope['level'] }) {
  return { runUntagged: false, ...(level === 'project' ? { locked: true } : {}) };
}

function isAsWanted(runner: Runner, { labels, level }: Wanted): boolean {
  const held = new Set(runner.tag_list);
  const same = held.size === new Set(labels).size && labels.every((label) => held.has(label));
  return same && !runner.run_untagged && (level !== 'project' || runner.locked);
}

function belongsTo(runner: Runner, { level, scopeId }: AtScope): boolean {
  if (runner.runner_type !== runnerTypes[gitlabLevel(level)]) return false;
  const owners: Record<GitlabLevel, { id: string }[]> = {
    project: runner.projects ?? [],
    group: runner.groups ?? [],
    instance: [{ id: scopeId }],
  };
  return owners[gitlabLevel(level)].some((owner) => owner.id === scopeId);
}

function isOurs(name: string): boolean {
  return name.startsWith(prefix) && name.length > prefix.length;
}

function assertOurs(name: string): void {
  if (!isOurs(name)) throw foreignRunnerError(name);
}

function assertOwn(runner: Runner, input: AtScope): void {
  const name = runner.description ?? '';
  if (!isOurs(name) || !belongsTo(runner, input)) throw foreignRunnerError(name);
}

const statuses: Record<string, ForgeRunner['status']> = { online: 'online', never_contacted: 'never_contacted' };

function portRunner(runner: Runner): ForgeRunner {
  return {
    id: runner.id,
    name: runner.description ?? '',
    // `stale` is offline for a week.
    status: runner.paused ? 'paused' : (statuses[runner.status] ?? 'offline'),
    contactedAt: runner.contacted_at ?? null,
    busy: null,
  };
}

function secretOf(answer: z.output<typeof ResetToken>): RunnerSecret {
  return { token: answer.token, uuid: null, expiresAt: answer.token_expires_at ?? null };
}
