import { z } from 'zod';
import { AppError } from '../../errors.ts';
import { runnerGroupPrefix as runnerPrefix } from '../runner-group.ts';
import type { Forge, ForgeRunner } from '../port.ts';
import type { Ask, Client, Server } from './client.ts';
import { notOursError, runnerConflictError, tooOldError } from './errors.ts';
import { type Located, located } from './locate.ts';
import { RegisterAnswer, RegisteredRunner, RegistrationToken, Runner, RunnerList } from './schema.ts';

type Place = Located & { ask: Ask };
type Runners = NonNullable<Forge['runners']>;

/**
 * A scope's runners. A name may be given twice here, so that "exactly one" is made so: after registering, the list is read
 * again, and of several of one name the first stays. Labels are not the portal's to keep: a runner process declares its own
 * each time it starts (runner.v1 Declare), and the forge takes those.
 */
export function forgejoRunners(client: Client): Runners {
  return {
    async list(input) {
      const place = await located(client, input);
      return (await listOurs(client, place)).map(portRunner);
    },
    async ensure(input) {
      const { name, labels, known } = input;
      assertOurs(name);
      const place = await located(client, input);
      const there = (await listOurs(client, place)).filter((each) => each.name === name);
      const kept = there.find(({ id }) => id === known);
      for (const { id } of there) if (id !== kept?.id) await remove(client, place, id);
      if (kept)
        return {
          change: there.length > 1 ? 'updated' : null,
          runner: portRunner(kept),
          secret: null,
          ephemeral: false,
        };
      const made = await registerAlone(client, place, name, labels);
      return { change: there.length > 0 ? 'replaced' : 'created', ...made };
    },
    /** Neither forge can be asked to give a runner no more jobs; of one whose process has gone there are none. */
    async retire(input) {
      const place = await located(client, input);
      const runner = await client.find(`GET ${place.base}/actions/runners/{id}`, Runner, idAsk(place, input.id));
      if (!runner) return { change: null };
      assertOurs(runner.name);
      if (isBusy(runner)) return { busy: true };
      await remove(client, place, runner.id);
      return { change: 'removed' };
    },
    async remove(input) {
      const place = await located(client, input);
      const runner = await client.find(`GET ${place.base}/actions/runners/{id}`, Runner, idAsk(place, input.id));
      if (!runner) return { change: null };
      assertOurs(runner.name);
      await remove(client, place, runner.id);
      return { change: 'removed' };
    },
    // runner.v1 knows how to register and not how to leave.
    leave: null,
    // A runner of Forgejo can be neither paused nor given a note.
    hold: null,
  };
}

/** Which servers list runners and delete them, so that one can be found again whose registration's answer was lost. */
export function hasRunnerApi({ software, major, minor }: Server): boolean {
  return software === 'forgejo' ? major >= 15 : major > 1 || minor >= 24;
}

async function listOurs(client: Client, { base, ask }: Place): Promise<Runner[]> {
  const all = await client.all(`GET ${base}/actions/runners`, RunnerList, ask).catch(async (error: unknown) => {
    // Away or limited, it is not asked anything more.
    if (error instanceof AppError && (error.code === 'rate_limited' || error.code === 'unavailable')) throw error;
    if (!hasRunnerApi(await client.server({ ...ask, params: {} }))) throw tooOldError(client.baseUrl);
    throw error;
  });
  return all.filter(({ name }) => isOurs(name));
}

async function remove(client: Client, place: Place, id: string): Promise<void> {
  await client.find(`DELETE ${place.base}/actions/runners/{id}`, z.unknown(), idAsk(place, id));
}

function idAsk({ ask }: Place, id: string): Ask {
  return { ...ask, params: { ...ask.params, id } };
}

/** Of several that were registered at once under one name the first stays, and the others' makers are told so. */
async function registerAlone(client: Client, place: Place, name: string, labels: string[]) {
  const { ephemeral, id, uuid, token } = await register(client, place, name, labels);
  const there = (await listOurs(client, place)).filter((each) => each.name === name);
  const first = there.toSorted((a, b) => Number(a.id) - Number(b.id))[0];
  if (first?.id === id) return { runner: portRunner(first), secret: { token, uuid, expiresAt: null }, ephemeral };
  await remove(client, place, id);
  throw runnerConflictError(name);
}

/**
 * Forgejo gives a runner and its secret at once, and forgets it with its first job: a job can read what its runner proves itself
 * with, and that is then worth nothing. Gitea has only a token to register with, and the portal registers as the runner would
 * (runner.v1 RunnerService, Register), so that what comes of it is the same. A Forgejo before 15 has no list of runners either
 * and was refused when it was asked for one.
 */
async function register(
  client: Client,
  place: Place,
  name: string,
  labels: string[],
): Promise<RegisteredRunner & { ephemeral: boolean }> {
  const { base, ask } = place;
  const server = await client.server({ ...ask, params: {} });
  if (server.software === 'forgejo') {
    const body = { name, ephemeral: true };
    return {
      ephemeral: true,
      ...(await client.call(`POST ${base}/actions/runners`, RegisteredRunner, { ...ask, body })),
    };
  }
  const { token } = await client.call(`POST ${base}/actions/runners/registration-token`, RegistrationToken, ask);
  const { signal, about } = ask;
  const { runner } = await client.rpc('Register', RegisterAnswer, { signal, about, body: { token, name, labels } });
  return { ephemeral: false, ...runner };
}

function portRunner(runner: Runner): ForgeRunner {
  const { id, name, status, disabled, version } = runner;
  return { id, name, status: portStatus(status, disabled, version), contactedAt: null, busy: isBusy(runner) };
}

function isBusy({ status }: Runner): boolean {
  return status === 'active';
}

/** A runner that was never there has never said its version, which Forgejo shows and Gitea does not. */
function portStatus(status: string, disabled: boolean, version: string | null | undefined): ForgeRunner['status'] {
  if (disabled) return 'paused';
  if (status !== 'offline') return 'online';
  return version === '' ? 'never_contacted' : 'offline';
}

function isOurs(name: string): boolean {
  return name.startsWith(runnerPrefix) && name.length > runnerPrefix.length;
}

function assertOurs(name: string): void {
  if (!isOurs(name)) throw notOursError(name);
}
