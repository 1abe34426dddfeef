import { ensureAtticView } from '#lib/cache/index.ts';
import { atticServerOf, isRunnerTokenGood, issueRunnerToken, type OpenServer } from '#lib/caching/index.ts';
import {
  bazelClaim,
  bazelObjects,
  cacheSecretNames,
  ensureObjects,
  holdsPlace,
  poolLabel,
  poolObjects,
  secretObjects,
  tenantObjects,
  type EnrollmentInput,
  type KubernetesObject,
  type Observed,
  type Registration,
} from '#lib/cluster/index.ts';
import { unsafeDb, unsafeTransaction, type CacheViewModel } from '#lib/db/index.ts';
import type { AtScope, Forge, ScopeObservation } from '#lib/forge/index.ts';
import {
  atticViewName,
  hasDaemon,
  labelOf,
  namespacesOf,
  runnerPodsUnheld,
  runnersNamespaceOf,
  untrustedViewName,
  type ViewTrust,
} from '#lib/model/index.ts';
import { webhookUrl } from './at-scope.ts';
import { otherThanAdopted, takesOver } from './adopt.ts';
import { atticAccess, viewScope, type AtticSecrets, type KnownView } from './cache-env.ts';
import { hasNoWebhook, heldBackReasons, withoutWebhook, type PhaseResult } from './conditions.ts';
import { bazelAccess, bazelKnownMs, keepCredential, keptCredential, noteAppUse, noteUse } from './credentials.ts';
import { diskGibOf, enrollmentInput, lastDecision, poolInputs, tenantInputOf } from './desired.ts';
import { lastingRunners, needsHold, placesUnheld, podsUnheld, withoutDaemons } from './held.ts';
import {
  clusterKnown,
  foundNewer,
  isFresh,
  knownIn,
  markSeen,
  notReached,
  ok,
  own,
  wait,
  wasReady,
  type PassScope,
  type Phase,
} from './pass.ts';
import { knownViews, leavePlanes } from './planes.ts';
import {
  dropRunners,
  holdRunners,
  keptRegistration,
  registrationOf,
  runnersOffline,
  wantedRunners,
} from './registration.ts';
import { newerWords, tellOfNewer } from './found.ts';
import { removeKept, removePools } from './removal.ts';
import { hasMoved, type EnrollmentRow } from './rows.ts';
import { classOf, runnerSetOf } from './runner-set.ts';
import { groupName } from './plan.ts';

/* The phases of enrolling: each makes one thing so, is idempotent, and says how far it is. */

async function forgeReady(scope: PassScope): Promise<PhaseResult> {
  const { row } = scope;
  const at = await scope.at();
  if (!at) return withoutPower(row);
  // What a webhook told of is looked at now and not in five minutes.
  if (isFresh(scope, 'forge', await toldAt(row))) return mayRegister(scope, at, hasNoWebhook(row));
  const forge = await scope.forge();
  // What is told while the forge is asked may be newer than its answer.
  const fromMs = scope.clock.now().getTime();
  const now = await forge.observeScope(at);
  await keepObserved(scope, now);
  const moved = movedTo(row, now);
  if (moved) return moved;
  if (now.problem) return wait(now.problem.reason, now.problem.message, 'admin');
  if (now.runnerGroups) await ensureGroup(scope, forge);
  const isDeaf = forge.runners !== null && !(await heardOf(scope, forge, at));
  markSeen(scope, 'forge', fromMs);
  return mayRegister(scope, at, isDeaf);
}

/** Whether the scope tells us of its jobs. A whole instance cannot, and nobody was told that it would. */
async function heardOf({ row, lease }: PassScope, forge: Forge, at: AtScope): Promise<boolean> {
  await lease.check();
  const ensured = await forge.ensureWebhook({ ...at, path: row.path, url: webhookUrl(row) });
  return row.level === 'instance' || !('unsupported' in ensured);
}

function mayRegister({ row }: PassScope, { credential }: AtScope, isDeaf: boolean): PhaseResult {
  const who = credential.kind === 'token' ? 'The access token' : 'The App';
  const found = ok(`${who} may register runners at ${row.path || row.connection.name}.`);
  if (!isDeaf) return found;
  const deaf = 'It may make no webhook there, so jobs are run as ever and are shown only when the portal looks.';
  return { ...found, reason: withoutWebhook, message: `${found.message} ${deaf}` };
}

/** Who administered it may not any more, and whoever does has not been asked: nothing is begun until one of them approves. */
function movedTo(row: EnrollmentRow, now: ScopeObservation): PhaseResult | null {
  if (!hasMoved(row, now)) return null;
  const message = `${now.path} belongs to another owner than when it was enrolled. Somebody who administers it there must approve it anew with a change, or it is withdrawn.`;
  return wait('ScopeMoved', message, 'admin');
}

function withoutPower({ connection, level }: EnrollmentRow): PhaseResult {
  if (connection.kind === 'github' && level !== 'enterprise')
    return wait('AppMissing', 'The App is not installed there.', 'admin');
  return wait('TokenMissing', 'The access token that registers its runners is missing.', 'admin');
}

/** By a delivery that was about it, or about the installation that serves it. */
async function toldAt({ connectionId, installationId, toldAt: told }: EnrollmentRow): Promise<Date | null> {
  if (installationId === null) return told;
  const installation = await unsafeDb().installation.findUnique({
    where: { connectionId_externalId: { connectionId, externalId: installationId } },
    select: { observedAt: true },
  });
  const observedAt = installation?.observedAt ?? null;
  return told && (observedAt === null || told > observedAt) ? told : observedAt;
}

/** Names move, ids stay: what the forge calls the scope now is what we call it. Of what is not there nothing is taken over. */
async function keepObserved(scope: PassScope, now: ScopeObservation): Promise<void> {
  const { row } = scope;
  const installationId = (now.exists ? now.installation?.id : null) ?? row.installationId;
  // A token that has ended was shown to the forge, and used for nothing.
  if (row.installationId === null && now.problem?.reason !== 'TokenEnded')
    await noteUse(row, 'forge-token', scope.clock.now(), now.tokenExpiresAt);
  if (row.githubAppId !== null) await noteAppUse(row.githubAppId, scope.clock.now());
  const path = now.exists ? now.path : row.path;
  if (path === row.path && installationId === row.installationId) return;
  await unsafeDb().enrollment.update({ where: { id: row.id }, data: { path, installationId } });
  row.path = path;
  row.installationId = installationId;
}

async function ensureGroup(scope: PassScope, forge: Forge): Promise<void> {
  const { row, lease } = scope;
  const at = await scope.at();
  if (!at) return;
  await lease.check();
  const ensured = await forge.ensureRunnerGroup({ ...at, name: groupName(row), allowsPublicRepositories: false });
  const runnerGroup = 'unsupported' in ensured ? null : ensured.name;
  if (runnerGroup === row.runnerGroup) return;
  await unsafeDb().enrollment.update({ where: { id: row.id }, data: { runnerGroup } });
  row.runnerGroup = runnerGroup;
}

async function namespaceReady(scope: PassScope): Promise<PhaseResult> {
  const away = await clusterKnown(scope);
  if (away) return away;
  const { slug } = scope.row.tenant;
  const unheld = podsUnheld(scope.view);
  const shared = await scope.shared();
  const objects = tenantObjects(tenantInputOf(slug, shared, unheld === null));
  const leaving = objects
    .map((object) => scope.view.get(object))
    .find((object) => object?.kind === 'Namespace' && object.metadata.deletionTimestamp !== undefined);
  if (leaving)
    return wait(
      'NamespaceTerminating',
      `The former namespace ${leaving.metadata.name} is still being removed.`,
      'cluster',
    );
  const { decidedAt } = shared;
  await ensureObjects(scope.view, objects, () => scope.lease.check(), { wereThere: wasReady(scope), decidedAt });
  const { runners, dind } = namespacesOf(slug);
  const names = shared.builds ? `Namespaces ${runners} and ${dind}` : `Namespace ${runners}`;
  const made = ok(`${names} with quota, limits and network policies.`);
  if (unheld !== null && needsHold(scope.spec.pools, scope.pools))
    return wait(runnerPodsUnheld, `${unheld} ${withoutDaemons}`, 'operator');
  return unheld === null ? made : { ...made, reason: runnerPodsUnheld, message: `${made.message} ${unheld}` };
}

async function cacheReady(scope: PassScope): Promise<PhaseResult> {
  const { row, spec } = scope;
  if (!spec.planes.attic) return ok('No Attic view was asked for.');
  const server = await atticServerOf(row.tenant);
  if (!server) return wait('NoCacheServer', 'The operator has entered no Attic server for this cluster.', 'operator');
  const { attic, hasUntrusted } = await scope.shared();
  const name = atticViewName(row.tenant.slug);
  // Another of the tenant's enrollments may want it private.
  const isPublic = attic?.isPublic ?? false;
  await ensureView(scope, server, { name, trust: 'trusted', isPublic });
  // What strangers wrote is nobody's to read but those who asked for it.
  if (hasUntrusted)
    await ensureView(scope, server, { name: untrustedViewName(row.tenant.slug), trust: 'untrusted', isPublic: false });
  scope.attic = await atticSecrets(scope, server);
  const why = spec.planes.attic.public && !isPublic ? ', as another enrollment of the tenant asks' : '';
  const apart = hasUntrusted ? ' What is not trusted pushes to a view of its own.' : '';
  return ok(`Attic view ${name}, ${isPublic ? 'public' : 'private'}${why}.${apart}`);
}

type ViewWish = { name: string; trust: ViewTrust; isPublic: boolean };

/** As enrollments want it, and set as people set it; looked at now and then, and when somebody set it anew. */
async function ensureView(scope: PassScope, server: OpenServer, wish: ViewWish): Promise<void> {
  const { row, lease } = scope;
  const { name, isPublic, trust } = wish;
  const where = { serverId_name: { serverId: server.id, name } };
  const kept = await unsafeDb().cacheView.findUnique({ where });
  if (kept && isAsWished(kept, wish) && isFresh(scope, `attic/${name}`)) return;
  await lease.check();
  const { priority, upstreamKeys, retentionSeconds } = kept ?? {};
  const set = kept
    ? { priority: priority ?? 0, upstreamKeys: upstreamKeys ?? [], retentionSeconds: retentionSeconds ?? null }
    : {};
  const made = await ensureAtticView({ server, name, isPublic, ...set, signal: lease.signal });
  const now = scope.clock.now();
  const observedAt = kept && kept.changedAt > now ? kept.changedAt : now;
  const { publicKey, substituterUrl } = made;
  const data = { publicKey, substituterUrl, isPublic, trust, observedAt, trouble: null };
  const create = {
    tenantId: row.tenantId,
    serverId: server.id,
    plane: 'attic' as const,
    name,
    ...data,
    changedAt: observedAt,
  };
  if (kept) {
    // Somebody who set it meanwhile woke another pass, which makes it so.
    const isStill = { id: kept.id, changedAt: kept.changedAt };
    if ((await unsafeDb().cacheView.updateMany({ where: isStill, data })).count === 0) return;
  } else await unsafeDb().cacheView.upsert({ where, create, update: data });
  markSeen(scope, `attic/${name}`);
}

function isAsWished(kept: CacheViewModel, { isPublic }: ViewWish): boolean {
  const isSet = kept.observedAt !== null && kept.changedAt <= kept.observedAt;
  return kept.publicKey !== null && kept.isPublic === isPublic && isSet;
}

/** What was last known of the views, while their server is away; null where that is not enough to be served by. */
async function keptAttic(scope: PassScope): Promise<AtticSecrets | null> {
  const server = await atticServerOf(scope.row.tenant);
  // Signed here: a server that is away will believe it as soon as it is back.
  return server && (await atticSecrets(scope, server).catch(unlessUnknown));
}

class ViewUnknown extends Error {
  override name = 'ViewUnknown';
}

function unlessUnknown(error: unknown): null {
  if (error instanceof ViewUnknown) return null;
  throw error;
}

async function atticSecrets(scope: PassScope, server: OpenServer): Promise<AtticSecrets> {
  const { row, spec } = scope;
  const views = await knownViews(row.tenantId, server.id);
  const access = async (trust: ViewTrust, first: string) => {
    if (!views.some(({ name }) => name === first)) throw new ViewUnknown(first);
    const token = await atticToken(scope, server, views, trust);
    return atticAccess(views, trust, { server: server.url, token, first });
  };
  const isMixed = (spec.planes.untrusted ?? []).length > 0;
  return {
    trusted: await access('trusted', atticViewName(row.tenant.slug)),
    untrusted: isMixed ? await access('untrusted', untrustedViewName(row.tenant.slug)) : undefined,
  };
}

/** Kept and renewed in time: a new one each pass would be a change each pass. */
async function atticToken(
  passScope: PassScope,
  server: OpenServer,
  views: readonly KnownView[],
  trust: ViewTrust,
): Promise<string> {
  const { row, clock } = passScope;
  const kind = trust === 'trusted' ? 'attic-token' : 'attic-token.untrusted';
  const kept = await keptCredential(row, kind);
  const now = clock.now();
  const scope = viewScope(views, trust);
  const isDue = kept === null || kept.expiresAt === null || kept.expiresAt <= now;
  if (!isDue && (await isRunnerTokenGood({ tokenId: kept.externalId, server, scope, now }))) return kept.value;
  const usedIn = `Secret ${namespacesOfPools(passScope).join(' and ')}/${cacheSecretNames(row.name)[trust].env}`;
  const wish = { tenantId: row.tenantId, enrollmentId: row.id, enrollment: row.name, usedIn, scope };
  return unsafeTransaction(async (tx) => {
    const { token, tokenId, expiresAt } = await issueRunnerToken(tx, server, wish, now);
    await keepCredential(row, kind, token, { externalId: tokenId, expiresAt, replaces: kept }, tx);
    return token;
  });
}

async function passInput(scope: PassScope, registration: Registration): Promise<EnrollmentInput> {
  const { row, spec } = scope;
  const secrets = {
    attic: scope.attic,
    bazel: spec.planes.bazel ? await bazelAccess(row, scope.clock.now()) : undefined,
  };
  // One login follows another in time, and nothing tells of it.
  if (secrets.bazel && secrets.bazel.also.length > 0) scope.lookAgain(bazelKnownMs);
  const diskGib = diskGibOf(scope.view.get(bazelClaim(row.tenant.slug)));
  return enrollmentInput(row, spec, {
    ...knownIn(scope),
    registration,
    secrets,
    shared: await scope.shared(),
    diskGib,
  });
}

async function poolsReady(scope: PassScope): Promise<PhaseResult> {
  const { row, spec, view, lease } = scope;
  if (poolInputs(row, spec, knownIn(scope)).length < spec.pools.length)
    return wait('PoolNotReady', 'A chosen pool has lost its resources in the catalog.', 'operator');
  const forge = scope.found.get('ForgeReady');
  const registration = forge?.status === 'True' ? await registrationOf(scope) : await keptRegistration(scope);
  if (!registration) return notReached(forge?.waitingFor ?? 'forge');
  if ('status' in registration) return registration;
  const lasting = lastingRunners(registration, needsHold(spec.pools, scope.pools));
  if (lasting) return lasting;
  if (spec.planes.attic) scope.attic ??= (await keptAttic(scope)) ?? undefined;
  if (spec.planes.attic && !scope.attic) return notReached('cache');
  const input = await passInput(scope, registration);
  const objects = [
    ...secretObjects(input),
    ...bazelObjects(input),
    ...input.pools.flatMap((choice) => poolObjects(input, choice)),
  ];
  const foreign = (await otherThanAdopted(scope, input)) ?? (await leaveFormerNamespaces(scope));
  if (foreign) return foreign;
  const present = objects.map((object) => (scope.isHeld?.(object) ? withoutProcess(object) : object));
  await ensureObjects(view, present, () => lease.check(), {
    takesOver: takesOver(input),
    wereThere: wasReady(scope),
    decidedAt: lastDecision([row]),
  });
  const leftovers = await removeUnwanted(scope, objects);
  if (leftovers) return leftovers;
  const made = ok(
    `${input.pools.length} ${input.pools.length === 1 ? 'pool' : 'pools'} defined: ${input.pools.map((pool) => pool.scaleSetName).join(', ')}.`,
  );
  const newer = foundNewer(scope);
  if (newer.length === 0) return made;
  await tellOfNewer(scope, newer);
  return { ...made, reason: 'FoundNewer', message: `${made.message} ${newerWords(newer)}` };
}

/** A Deployment that is there and runs nothing yet. */
function withoutProcess(object: KubernetesObject): KubernetesObject {
  return { ...object, spec: { ...(object['spec'] as object), replicas: 0 } };
}

/** The namespaces in which the pools of this enrollment run. */
function namespacesOfPools({ row, spec, pools }: PassScope): string[] {
  const classes = spec.pools.flatMap(({ pool }) => pools.get(pool)?.securityClass ?? []);
  return [...new Set(classes.map((each) => runnersNamespaceOf(row.tenant.slug, each)))];
}

/**
 * A pool whose class has changed lives elsewhere from now on. What registers it at the forge is one, so that the old goes, with
 * its jobs, before the new comes.
 */
async function leaveFormerNamespaces(scope: PassScope): Promise<PhaseResult | null> {
  const { slug } = scope.row.tenant;
  return removePools(scope, ({ metadata }) => {
    const pool = scope.pools.get(metadata.labels?.[poolLabel] ?? '');
    return pool !== undefined && metadata.namespace !== runnersNamespaceOf(slug, pool.securityClass);
  });
}

/** What the spec no longer asks for: processes first, then what they needed to go, their registrations, and the names. */
async function removeUnwanted(scope: PassScope, objects: readonly KubernetesObject[]): Promise<PhaseResult | null> {
  const { row, spec } = scope;
  const keyOf = ({ kind, metadata }: KubernetesObject) => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
  const wanted = new Set(objects.map(keyOf));
  const isLeftOver = (object: Observed) => !wanted.has(keyOf(object));
  const waiting = await removePools(scope, isLeftOver);
  if (waiting) return waiting;
  // Also what is of no pool: what reached a cache, and the authority of a forge that has none of its own any more.
  await removeKept(scope, isLeftOver);
  const shared = await leavePlanes(scope);
  if (shared) return shared;
  // While the forge is away nothing leaves it; of a generation that was ready once, all has left.
  if (scope.found.get('ForgeReady')?.status !== 'True') return null;
  if (row.connection.kind !== 'github')
    await dropRunners(scope, new Set(wantedRunners(row, spec, knownIn(scope)).map(({ name }) => name)));
  const names = spec.pools.map((choice) => choice.pool);
  const going = row.pools.filter((pool) => !names.includes(pool.poolName));
  if (going.length > 0)
    await unsafeDb().enrollmentPool.deleteMany({ where: { enrollmentId: row.id, poolName: { notIn: names } } });
  // What they had of the quota in another namespace is the others' now.
  if (going.some(({ poolName }) => hasDaemon(classOf(scope.pools, poolName)))) scope.lookAgain(0);
  return null;
}

async function runnersReady(scope: PassScope): Promise<PhaseResult> {
  const { isStopped, restraint } = await scope.shared();
  if (isStopped) {
    await holdRunners(scope);
    return wait(
      heldBackReasons.suspended,
      'The tenant is suspended: no runner is started. What is enrolled stays.',
      'operator',
    );
  }
  scope.seen.delete(`${scope.row.id}/held`);
  if (restraint >= 3)
    return wait(
      heldBackReasons.budget,
      'A budget is spent, and its limit lets no runner start. What is enrolled stays.',
      'admin',
    );
  return scope.row.connection.kind === 'github' ? setsListen(scope) : processesServe(scope);
}

function setsListen(scope: PassScope): PhaseResult {
  for (const choice of scope.spec.pools) {
    const name = labelOf(scope.row.tenant, choice.pool);
    const set = scope.view.get(runnerSetOf(scope.row.tenant, choice.pool, scope.pools));
    const phase = (set?.status as { phase?: string } | undefined)?.phase;
    if (phase === 'Outdated')
      return wait('RunnerOutdated', `${name}: the runner image is too old for the forge.`, 'operator');
    if (!set?.metadata.annotations?.['runner-scale-set-id'])
      return wait('Registering', `${name} is being registered at the forge by Actions Runner Controller.`, 'cluster');
    if (phase !== 'Running') return wait('ListenerStarting', `${name}: its listener is starting.`, 'cluster');
  }
  return ok('All pools are registered at the forge and listen for jobs.');
}

/** A process that is made anew, on another node or for its next registration, is no outage for so long. */
const renewMs = 60_000;

function isRenewed({ row, clock }: PassScope, object: Observed): boolean {
  const { conditions = [] } = (object.status ?? {}) as { conditions?: { type: string; lastTransitionTime: string }[] };
  const since = Date.parse(conditions.find(({ type }) => type === 'Available')?.lastTransitionTime ?? '');
  return row.observedGeneration === row.generation && clock.now().getTime() - since < renewMs;
}

/** The cluster says that the processes run, and the forge that they came. */
async function processesServe(scope: PassScope): Promise<PhaseResult> {
  for (const object of own(scope, 'Deployment', (each) => !holdsPlace(each))) {
    const { replicas } = object['spec'] as { replicas: number };
    const { availableReplicas = 0 } = (object.status ?? {}) as { availableReplicas?: number };
    if (availableReplicas < replicas && !isRenewed(scope, object))
      return wait('RunnerStarting', `${object.metadata.name} is starting.`, 'cluster');
  }
  const offline = await runnersOffline(scope);
  if (offline) return offline;
  const served = ok('All runners are registered at the forge and wait for jobs.');
  const unheld = placesUnheld(own(scope, 'Deployment', holdsPlace));
  return unheld === null ? served : { ...served, reason: 'NoPlaces', message: `${served.message} ${unheld}` };
}

/** What can be made ready of an enrollment in a cluster that it does not run in yet: by what is held, asking no forge. */
export const preparing = [namespaceReady, cacheReady, poolsReady] as const;

export const enrollPhases: readonly Phase[] = [
  { type: 'ForgeReady', label: 'Forge', needs: [], run: forgeReady },
  { type: 'NamespaceReady', label: 'Namespace and fences', needs: [], run: namespaceReady },
  { type: 'CacheReady', label: 'Caches', needs: [], run: cacheReady },
  {
    type: 'PoolsReady',
    label: 'Credentials and pools',
    needs: ['ForgeReady', 'NamespaceReady', 'CacheReady'],
    // So that what somebody deletes comes back, and a registration is renewed before it ends.
    keptWithout: ['ForgeReady', 'CacheReady'],
    run: poolsReady,
  },
  { type: 'RunnersReady', label: 'Registered and listening', needs: ['ForgeReady', 'PoolsReady'], run: runnersReady },
];
