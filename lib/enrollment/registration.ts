import {
  enrollmentLabel,
  findController,
  runnerNamesOf,
  type ControllerInput,
  type Registration,
} from '#lib/cluster/index.ts';
import { restrained } from '#lib/billing/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import type { AtScope, Forge, ForgeRunner, RunnerSecret } from '#lib/forge/index.ts';
import { runnersNamespacesOf, scopeUrl, type EnrollmentSpec } from '#lib/model/index.ts';
import { parsedConditions, type PhaseResult } from './conditions.ts';
import {
  credentialKinds,
  dropCredential,
  keepCredential,
  keptCredential,
  noteUse,
  type KeptCredential,
} from './credentials.ts';
import { githubCredentials, poolInputs, type PoolsKnown } from './desired.ts';
import { isFresh, knownIn, markSeen, once, wait, type PassScope } from './pass.ts';
import {
  beginSuccession,
  goOnWithSuccession,
  parsedRunner,
  runnerKind,
  runnerOf,
  successorOf,
  type At,
  type HeldRunner,
  type KeptRunner,
} from './rotation.ts';
import { scopeOf, type EnrollmentRow } from './rows.ts';

/*
 * How an enrollment's runners come to be known at their forge: GitHub's by ARC, which wants the App's key or a token beside
 * the runner set; GitLab's and Forgejo's by us, one registration a runner, whose secret the forge shows once.
 */

/** What the pools' objects are rendered with, or what has to happen first. */
export async function registrationOf(scope: PassScope): Promise<Registration | PhaseResult> {
  const { row } = scope;
  if (row.connection.kind === 'github') return githubRegistration(scope);
  const at = await scope.at();
  if (!at) return wait('TokenMissing', 'An access token for the runners is missing.', 'admin');
  const runners = await registeredRunners(scope, await scope.forge(), at);
  return rendered(row, runners);
}

/** The same by what we hold alone, while the forge cannot be asked; null where a secret is not there yet. */
export async function keptRegistration(scope: PassScope): Promise<Registration | PhaseResult | null> {
  const { row, spec } = scope;
  if (row.connection.kind === 'github') return githubRegistration(scope);
  const runners: Registered = {};
  for (const { name } of wantedRunners(row, spec, knownIn(scope))) {
    const kept = await keptCredential(row, runnerKind(name));
    if (!kept) return null;
    const next = await successorOf(row, name);
    runners[name] = { ...parsedRunner(kept), ...(next ? { next: parsedRunner(next) } : {}) };
  }
  return rendered(row, runners);
}

function rendered({ connection }: EnrollmentRow, runners: Registered): Registration {
  const { kind, baseUrl: url } = connection;
  if (kind === 'gitlab') return { kind, url, runners };
  // Forgejo's process has one registration at a time, and serves by the one that is to stay.
  const present = Object.entries(runners).map(([name, { next, ...held }]) => [name, next ?? held] as const);
  const withUuid = present.map(([name, { token, uuid }]) => [name, { token, uuid: uuid ?? '' }]);
  const ephemeral = present.every(([, each]) => each.ephemeral);
  return { kind: 'forgejo', url, runners: Object.fromEntries(withUuid), ephemeral };
}

async function githubRegistration(scope: PassScope): Promise<Registration | PhaseResult> {
  const { row } = scope;
  const controller = await controllerOf(scope);
  if (!controller)
    return wait('NoController', 'Actions Runner Controller is not installed in the cluster.', 'operator');
  return {
    kind: 'github',
    configUrl: scopeUrl(scopeOf(row)),
    runnerGroup: row.runnerGroup ?? undefined,
    credentials: await githubCredentials(row),
    controller,
  };
}

const controllers = new Map<string, { found: ControllerInput | null; atMs: number }>();
const controllerMs = 60_000;

/** So that the next pass of this process asks anew which controller is installed. */
export function forgetControllers(): void {
  controllers.clear();
}

/** Found once a minute a cluster, and written down for plans that are made while the cluster is away. */
async function controllerOf({ view, row, clock }: PassScope): Promise<ControllerInput | null> {
  const known = controllers.get(view.client.id);
  if (known?.found && clock.monotonicMs() - known.atMs < controllerMs) return known.found;
  const found = await findController(view.client);
  controllers.set(view.client.id, { found, atMs: clock.monotonicMs() });
  if (found) {
    const data = {
      controllerVersion: found.version,
      controllerNamespace: found.namespace,
      controllerServiceAccount: found.serviceAccount,
      reachableAt: clock.now(),
    };
    await unsafeDb().cluster.updateMany({ where: { id: row.tenant.clusterId }, data });
  }
  return found;
}

// ------------------------------------------------------------------------------------------------ registered by us

/** `stands` unless a schedule lets it wait for its hour: registered, and without a process. */
export type WantedRunner = { name: string; label: string; stands: boolean };

/** The runners that the spec asks us to register, by name and label. What a budget holds back stays registered and does not stand. */
export function wantedRunners(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  { restraint = 0, ...known }: PoolsKnown & { restraint?: number },
): WantedRunner[] {
  return poolInputs(row, spec, known).flatMap((choice) => {
    const most = Math.min(choice.standing ?? choice.maxRunners, restrained(choice, restraint).maxRunners);
    return runnerNamesOf(row.connection.kind, choice).map((name, index) => ({
      name,
      label: choice.scaleSetName,
      stands: index < most,
    }));
  });
}

type Registered = Record<string, HeldRunner>;

async function registeredRunners(scope: PassScope, forge: Forge, at: AtScope): Promise<Registered> {
  const { row, spec } = scope;
  const gone = await goneRunners(scope, forge, at);
  const registered: Registered = {};
  const listed = once(() => forge.runners?.list(at) ?? Promise.resolve([]));
  for (const wanted of wantedRunners(row, spec, knownIn(scope))) {
    registered[wanted.name] = await registeredRunner(scope, forge, at, wanted, gone, listed);
  }
  markSeen(scope, 'runners');
  return registered;
}

/** Whether a runner that we hold, by its id at the forge, has to be looked after. */
type Gone = (id: string | null) => boolean;

/**
 * Every few minutes all are. In between, when the process of an ephemeral runner has ended, only those that the forge has
 * forgotten with their job, of which one list tells.
 */
async function goneRunners(scope: PassScope, forge: Forge, at: AtScope): Promise<Gone> {
  if (!isFresh(scope, 'runners')) return () => true;
  if (!forge.runners || isFresh(scope, 'runners', lastEnd(scope))) return () => false;
  const there = new Set((await forge.runners.list(at)).map(({ id }) => id));
  return (id) => id === null || !there.has(id);
}

type ContainerState = { terminated?: { finishedAt?: string } };
type PodStatus = { containerStatuses?: { state?: ContainerState; lastState?: ContainerState }[] };

/** When a process of this enrollment's pods last ended; said in whole seconds, so a second is added. */
function lastEnd({ row, view }: PassScope): Date | null {
  const ends = [...view.allIn(runnersNamespacesOf(row.tenant.slug), 'Pod')].flatMap((pod) => {
    if (pod.metadata.labels?.[enrollmentLabel] !== row.name) return [];
    const { containerStatuses = [] } = (pod.status ?? {}) as PodStatus;
    const states = containerStatuses.flatMap(({ state, lastState }) => [state, lastState]);
    return states.flatMap((state) => Date.parse(state?.terminated?.finishedAt ?? '') || []);
  });
  return ends.length === 0 ? null : new Date(Math.max(...ends) + 1000);
}

/** The secret that we hold, looked after: it is there, its labels are right, and it does not end soon. */
async function registeredRunner(
  scope: PassScope,
  forge: Forge,
  at: AtScope,
  { name, label }: WantedRunner,
  gone: Gone,
  listed: () => Promise<ForgeRunner[]>,
): Promise<HeldRunner> {
  const { runners } = forge;
  if (!runners) throw new Error(`${forge.kind} registers no runners by the portal`);
  const kept = await keptCredential(scope.row, runnerKind(name));
  const next = await successorOf(scope.row, name);
  const of = { scope, forge: runners, at, name, label };
  if (kept && next) return goOnWithSuccession(of, kept, next, await listed());
  const ends = kept !== null && endsSoon(kept, scope.clock.now());
  if (kept && !ends && !gone(kept.externalId)) return parsedRunner(kept);
  await scope.lease.check();
  const held = kept && parsedRunner(kept);
  const forgeName = held?.name ?? name;
  const ensured = await runners.ensure({ ...at, name: forgeName, labels: [label], known: kept?.externalId ?? null });
  const { secret, ephemeral, runner, change } = ensured;
  // What we held is gone there, and nothing was there under its name.
  if (kept && change === 'created') await retireUnheld(of, runner.id, await listed());
  if (secret) return keepRunner(scope.row, name, runner.id, { ...secret, ephemeral, name: held?.name }, kept);
  if (!held) throw new Error(`${forge.kind} gave no secret for ${name}`);
  return ends ? beginSuccession(of, held, runner) : held;
}

/** Of a runner that was made anew, one that serves under its other name and that we hold nothing of: a renewal after our backup. */
async function retireUnheld(
  { scope, forge, at, name }: At,
  heldId: string,
  there: readonly ForgeRunner[],
): Promise<void> {
  for (const { id } of there.filter((each) => runnerOf(each.name) === name && each.id !== heldId)) {
    await scope.lease.check();
    await forge.retire({ ...at, id });
  }
}

/** In the last quarter of its life, as the forge's own runners do it. */
function endsSoon({ expiresAt, since }: KeptCredential, now: Date): boolean {
  if (expiresAt === null) return false;
  return expiresAt.getTime() - now.getTime() < (expiresAt.getTime() - since.getTime()) / 4;
}

async function keepRunner(
  row: EnrollmentRow,
  name: string,
  id: string,
  { expiresAt, ...value }: RunnerSecret & KeptRunner,
  replaces: KeptCredential | null,
): Promise<KeptRunner> {
  await keepCredential(row, runnerKind(name), JSON.stringify(value), { externalId: id, expiresAt, replaces });
  return value;
}

/** For a plan: the secrets that there are, and `planned` for those that will be. Nothing is asked of the forge. */
export async function plannedRegistration(
  row: EnrollmentRow,
  wanted: readonly WantedRunner[],
  planned: string,
): Promise<Registration> {
  const runners: Registered = {};
  for (const { name } of wanted) {
    const kept = await keptCredential(row, runnerKind(name));
    const next = await successorOf(row, name);
    runners[name] = kept
      ? { ...parsedRunner(kept), next: next ? parsedRunner(next) : undefined }
      : { token: planned, uuid: planned, ephemeral: true };
  }
  return rendered(row, runners);
}

/** Whether every wanted runner has reached the forge; null where all have. When each was last there is noted. */
export async function runnersOffline(scope: PassScope): Promise<PhaseResult | null> {
  const { row, spec, clock } = scope;
  // Another worker may have held them meanwhile, so what this one saw before counts no longer.
  const before = parsedConditions(row.conditions).find(({ type }) => type === 'RunnersReady');
  if (isFresh(scope, 'online') && before?.status === 'True') return null;
  const { runners } = await scope.forge();
  const at = await scope.at();
  if (!runners || !at) return null;
  const there = new Map<string, ForgeRunner>();
  for (const each of await runners.list(at)) {
    const name = runnerOf(each.name);
    // While one succeeds another, both are there: it serves if either does.
    if (there.get(name)?.status !== 'online') there.set(name, each);
  }
  const { restraint } = await scope.shared();
  const wanted = wantedRunners(row, spec, { ...knownIn(scope), restraint })
    .filter(({ stands }) => stands)
    .map(({ name }) => ({ name, seen: there.get(name) }));
  for (const { name, seen } of wanted) {
    const usedAt = seen?.contactedAt ?? (seen?.status === 'online' ? clock.now() : null);
    if (usedAt) await noteUse(row, runnerKind(name), usedAt);
  }
  // Held while the tenant was suspended: the next look finds them back. One that was paused by hand keeps no other held.
  const released: string[] = [];
  const byHand: string[] = [];
  for (const { name, seen } of wanted)
    if (seen?.status === 'paused') ((await hold(scope, seen.id, false)) ? released : byHand).push(name);
  const [paused] = byHand;
  if (paused) return wait('RunnerPaused', `${paused} was paused at ${row.connection.name}. Resume it there.`, 'admin');
  if (released[0]) return offline(scope, released[0]);
  const missing = wanted.find(({ seen }) => seen?.status !== 'online');
  if (missing) return offline(scope, missing.name);
  markSeen(scope, 'online');
  return null;
}

function offline({ row }: PassScope, name: string): PhaseResult {
  return wait('RunnerOffline', `${name} has not yet reached ${row.connection.name}.`, 'cluster');
}

async function hold(scope: PassScope, id: string, isHeld: boolean): Promise<boolean> {
  const { runners } = await scope.forge();
  const at = await scope.at();
  if (!runners?.hold || !at) return false;
  await scope.lease.check();
  return (await runners.hold({ ...at, id, isHeld })).change !== null;
}

/** Says at the forge, where it has a place for that, that the tenant is suspended. It is said once a suspension. */
export async function holdRunners(scope: PassScope): Promise<void> {
  const { runners } = await scope.forge();
  if (!runners?.hold || isFresh(scope, 'held')) return;
  for (const kind of await credentialKinds(scope.row, runnerKind(''))) {
    const kept = await keptCredential(scope.row, kind);
    if (kept?.externalId) await hold(scope, kept.externalId, true);
  }
  markSeen(scope, 'held');
}

/**
 * Registrations that are no longer wanted, at the forge and here. Called when the processes that held them are gone. Where a
 * pool goes, those are found by its label whose secret was lost with an answer.
 */
export async function dropRunners(scope: PassScope, wanted: ReadonlySet<string>): Promise<void> {
  const names = new Set(scope.spec.pools.map(({ pool }) => pool));
  const going = scope.row.pools.filter(({ poolName }) => !names.has(poolName));
  await removeOfLabels(
    scope,
    going.map(({ scaleSetName }) => scaleSetName),
    wanted,
  );
  await dropKept(scope, wanted);
}

async function dropKept(scope: PassScope, wanted: ReadonlySet<string>): Promise<void> {
  const kinds = await credentialKinds(scope.row, runnerKind(''));
  for (const kind of kinds) {
    if (wanted.has(runnerOf(kind.slice(runnerKind('').length)))) continue;
    const kept = await keptCredential(scope.row, kind);
    await removeRunner(scope, kept?.externalId ?? null);
    await dropCredential(scope.row, kind);
  }
}

/** Those that can end themselves by their own secret do; answers the names of those that may still be there. */
export async function leaveRunners(scope: PassScope): Promise<string[]> {
  const { runners } = await scope.forge();
  const left: string[] = [];
  for (const kind of await credentialKinds(scope.row, runnerKind(''))) {
    const kept = await keptCredential(scope.row, kind);
    if (kept && runners?.leave) {
      await scope.lease.check();
      await runners.leave({ token: parsedRunner(kept).token, signal: scope.lease.signal });
      await dropCredential(scope.row, kind);
    } else left.push(kind.slice(runnerKind('').length));
  }
  return left;
}

async function removeRunner(scope: PassScope, id: string | null): Promise<void> {
  const { runners } = await scope.forge();
  const at = await scope.at();
  if (!runners || !at || id === null) return;
  await scope.lease.check();
  await runners.remove({ ...at, id });
}

/** All of them, those included whose secret was lost with an answer before we could write it down. */
export async function dropAllRunners(scope: PassScope): Promise<void> {
  await removeOfLabels(
    scope,
    scope.row.pools.map(({ scaleSetName }) => scaleSetName),
    new Set(),
  );
  await dropKept(scope, new Set());
}

async function removeOfLabels(scope: PassScope, labels: readonly string[], wanted: ReadonlySet<string>): Promise<void> {
  const { runners } = await scope.forge();
  const at = await scope.at();
  if (!runners || !at || labels.length === 0) return;
  const there = await runners.list(at);
  const ours = there.filter(({ name }) => !wanted.has(name) && labels.some((label) => isOfLabel(name, label)));
  for (const { id } of ours) await removeRunner(scope, id);
}

function isOfLabel(forgeName: string, label: string): boolean {
  const own = `flywheel-${label}`;
  const name = runnerOf(forgeName);
  return name === own || (name.startsWith(`${own}-`) && /^\d+$/.test(name.slice(own.length + 1)));
}
