import { setTimeout as sleep } from 'node:timers/promises';
import { ensureAtticView, removeAtticView, signAtticToken } from '#lib/cache/index.ts';
import {
  appliedHash,
  bazelObjects,
  deleteObject,
  enrollmentLabel,
  ensureObjects,
  findController,
  poolObjects,
  secretObjects,
  tenantObjects,
  type ClusterView,
  type ControllerInput,
  type EnrollmentInput,
  type Observed,
  type TenantInput,
} from '#lib/cluster/index.ts';
import type { Clock } from '#lib/clock.ts';
import { unsafeDb } from '#lib/db/index.ts';
import type { Forge } from '#lib/forge/index.ts';
import { atticViewName, labelOf, namespacesOf, type EnrollmentSpec, type Pool } from '#lib/model/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { bazelUser, type Secrets } from './cache-env.ts';
import { atScope } from './at-scope.ts';
import type { PhaseResult } from './conditions.ts';
import { bazelPassword, keepCredential, keptCredential } from './credentials.ts';
import { atticServerOf, enrollmentInput, githubCredentials, otherLiveEnrollments, poolInputs } from './desired.ts';
import { quotaOf, type EnrollmentRow } from './rows.ts';
import { groupName } from './plan.ts';

/** What the phases of one pass read and write. Nothing of it outlives the pass. */
export type PassScope = {
  row: EnrollmentRow;
  spec: EnrollmentSpec;
  pools: ReadonlyMap<string, Pool>;
  view: ClusterView;
  forge: () => Promise<Forge>;
  lease: Lease;
  clock: Clock;
  /** When the forge and the caches were last seen to be as they should; a restart looks again. */
  seen: Map<string, number>;
  attic: Secrets['attic'];
  /** Whether the tenant has the Bazel plane at all; asked once a pass. */
  hasBazel: () => Promise<boolean>;
};

export type Phase = {
  type: string;
  label: string;
  /** Phases that must be True first; else this one is not looked at. */
  needs: readonly string[];
  run: (scope: PassScope) => Promise<PhaseResult>;
};

const lookAgainMs = 5 * 60_000;
const tokenDays = 30;
const dayMs = 24 * 3600_000;
const viewWaitMs = 5_000;

const ok = (message: string): PhaseResult => ({ status: 'True', reason: 'AsWanted', message, waitingFor: 'nobody' });
const wait = (reason: string, message: string, waitingFor: PhaseResult['waitingFor']): PhaseResult => ({
  status: 'False',
  reason,
  message,
  waitingFor,
});

/** Whether an outside thing was looked at lately: a pass that changes nothing then sends nothing. */
function isFresh(scope: PassScope, what: string, since?: Date | null): boolean {
  const at = scope.seen.get(`${scope.row.id}/${what}`);
  if (at === undefined) return false;
  const nowMs = scope.clock.now().getTime();
  return nowMs - at < lookAgainMs && (since === null || since === undefined || since.getTime() <= at);
}

function markSeen(scope: PassScope, what: string): void {
  scope.seen.set(`${scope.row.id}/${what}`, scope.clock.now().getTime());
}

async function clusterKnown({ view, lease }: PassScope): Promise<PhaseResult | null> {
  if (await view.whenSynced(viewWaitMs, lease.signal)) return null;
  return wait('ClusterAway', 'The cluster does not answer yet; this goes on by itself when it does.', 'cluster');
}

// ------------------------------------------------------------------------------------------------ making it so

async function forgeReady(scope: PassScope): Promise<PhaseResult> {
  const { row } = scope;
  const at = atScope(row, scope.lease.signal);
  if (!at || row.installationId === null) return wait('AppMissing', 'The App is not installed there.', 'admin');
  const installation = await unsafeDb().installation.findUnique({
    where: { connectionId_externalId: { connectionId: row.connectionId, externalId: row.installationId } },
  });
  // A webhook moves `observedAt`, so what it told of is looked at now and not in five minutes.
  if (isFresh(scope, 'forge', installation?.observedAt)) return ok(`The App may register runners at ${row.path}.`);
  const forge = await scope.forge();
  const now = await forge.observeScope(at);
  if (now.installation) await keepObserved(scope, now.installation, now.path);
  if (now.problem) return wait(now.problem.reason, now.problem.message, 'admin');
  if (now.runnerGroups) await ensureGroup(scope, forge);
  markSeen(scope, 'forge');
  return ok(`The App may register runners at ${row.path}.`);
}

/** Names move, ids stay: what the forge calls the scope now is what we call it. */
async function keepObserved(
  scope: PassScope,
  installation: { id: string; suspendedAt: Date | null },
  path: string,
): Promise<void> {
  const { row } = scope;
  if (path === row.path && installation.id === row.installationId) return;
  await unsafeDb().enrollment.update({ where: { id: row.id }, data: { path, installationId: installation.id } });
  row.path = path;
  row.installationId = installation.id;
}

async function ensureGroup(scope: PassScope, forge: Forge): Promise<void> {
  const { row, lease } = scope;
  const at = atScope(row, lease.signal);
  if (!at) return;
  await lease.check();
  const ensured = await forge.ensureRunnerGroup({ ...at, name: groupName(row), allowsPublicRepositories: false });
  const runnerGroup = 'unsupported' in ensured ? null : ensured.name;
  if (runnerGroup === row.runnerGroup) return;
  await unsafeDb().enrollment.update({ where: { id: row.id }, data: { runnerGroup } });
  row.runnerGroup = runnerGroup;
}

function tenantInput(scope: PassScope, hasBazel: boolean): TenantInput {
  return { slug: scope.row.tenant.slug, quota: quotaOf(scope.row.tenant), hasBazel };
}

async function namespaceReady(scope: PassScope): Promise<PhaseResult> {
  const away = await clusterKnown(scope);
  if (away) return away;
  const objects = tenantObjects(tenantInput(scope, await scope.hasBazel()));
  const leaving = objects
    .map((object) => scope.view.get(object))
    .find((object) => object?.kind === 'Namespace' && object.metadata.deletionTimestamp !== undefined);
  if (leaving)
    return wait(
      'NamespaceTerminating',
      `The former namespace ${leaving.metadata.name} is still being removed.`,
      'cluster',
    );
  await ensureObjects(scope.view, objects, () => scope.lease.check());
  return ok(`Namespace ${namespacesOf(scope.row.tenant.slug).runners} with quota, limits and network policies.`);
}

async function cacheReady(scope: PassScope): Promise<PhaseResult> {
  const { row, spec, lease } = scope;
  if (!spec.planes.attic) return ok('No Attic view was asked for.');
  const server = await atticServerOf(row);
  if (!server) return wait('NoCacheServer', 'The operator has entered no Attic server for this cluster.', 'operator');
  const name = atticViewName(row.tenant.slug);
  const isPublic = spec.planes.attic.public;
  const where = { serverId_name: { serverId: server.id, name } };
  let kept = await unsafeDb().cacheView.findUnique({ where });
  if (!kept?.publicKey || kept.isPublic !== isPublic || !isFresh(scope, 'attic')) {
    await lease.check();
    const { publicKey, substituterUrl } = await ensureAtticView({ server, name, isPublic, signal: lease.signal });
    const data = { publicKey, substituterUrl, isPublic, observedAt: scope.clock.now() };
    kept = await unsafeDb().cacheView.upsert({
      where,
      create: { tenantId: row.tenantId, serverId: server.id, plane: 'attic', name, ...data },
      update: data,
    });
    markSeen(scope, 'attic');
  }
  const token = await atticToken(scope, server.signingSecret, name);
  scope.attic = {
    server: server.url,
    view: name,
    token,
    substituterUrl: kept.substituterUrl ?? '',
    publicKey: kept.publicKey ?? '',
  };
  return ok(`Attic view ${name}, ${isPublic ? 'public' : 'private'}.`);
}

/** Kept and renewed in the last third of its life: a new one each pass would be a change each pass. */
async function atticToken(scope: PassScope, signingSecret: string, name: string): Promise<string> {
  const kept = await keptCredential(scope.row, 'attic-token');
  const nowMs = scope.clock.now().getTime();
  if (kept?.expiresAt && kept.expiresAt.getTime() - nowMs > (tokenDays / 3) * dayMs) return kept.value;
  const expiresAt = new Date(nowMs + tokenDays * dayMs);
  const { token } = await signAtticToken({
    secretBase64: signingSecret,
    subject: `${scope.row.tenantId}/${scope.row.id}`,
    expiresAt,
    caches: { [name]: { r: true, w: true } },
  });
  await keepCredential(scope.row, 'attic-token', token, { expiresAt });
  return token;
}

async function passInput(scope: PassScope, controller: ControllerInput): Promise<EnrollmentInput> {
  const { row, spec } = scope;
  const secrets: Secrets = {
    credentials: await githubCredentials(row),
    attic: scope.attic,
    bazel: spec.planes.bazel ? { user: bazelUser, password: await bazelPassword(row) } : undefined,
  };
  return enrollmentInput(row, spec, {
    pools: scope.pools,
    controller,
    secrets,
    tenantHasBazel: await scope.hasBazel(),
  });
}

async function poolsReady(scope: PassScope): Promise<PhaseResult> {
  const { row, spec, view, lease } = scope;
  const controller = await controllerOf(scope);
  if (!controller)
    return wait('NoController', 'Actions Runner Controller is not installed in the cluster.', 'operator');
  if (poolInputs(row, spec, scope.pools).length < spec.pools.length)
    return wait('PoolNotReady', 'A chosen pool has lost its resources in the catalog.', 'operator');
  const input = await passInput(scope, controller);
  const objects = [
    ...secretObjects(input),
    ...bazelObjects(input),
    ...input.pools.flatMap((choice) => poolObjects(input, choice)),
  ];
  await ensureObjects(view, objects, () => lease.check());
  const leftovers = await removeUnwanted(scope, new Set(input.pools.map((pool) => pool.scaleSetName)));
  if (leftovers) return leftovers;
  return ok(
    `${input.pools.length} ${input.pools.length === 1 ? 'pool' : 'pools'} defined: ${input.pools.map((pool) => pool.scaleSetName).join(', ')}.`,
  );
}

const controllers = new Map<string, { found: ControllerInput | null; atMs: number }>();
const controllerMs = 60_000;

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

/** Pools that the spec no longer names: the set first, then what it needed to go, then the reservation of the name. */
async function removeUnwanted(scope: PassScope, wanted: ReadonlySet<string>): Promise<PhaseResult | null> {
  for (const pool of scope.row.pools) {
    if (wanted.has(pool.scaleSetName)) continue;
    const waiting = await removePools(
      scope,
      (object) => object.metadata.labels?.['actions.github.com/scale-set-name'] === pool.scaleSetName,
    );
    if (waiting) return waiting;
    await unsafeDb().enrollmentPool.deleteMany({
      where: { scaleSetName: pool.scaleSetName, enrollmentId: scope.row.id },
    });
  }
  return null;
}

async function runnersReady(scope: PassScope): Promise<PhaseResult> {
  for (const choice of scope.spec.pools) {
    const name = labelOf(scope.row.tenant, choice.pool);
    const set = observedSet(scope, name);
    const phase = (set?.status as { phase?: string } | undefined)?.phase;
    if (phase === 'Outdated')
      return wait('RunnerOutdated', `${name}: the runner image is too old for the forge.`, 'operator');
    if (!set?.metadata.annotations?.['runner-scale-set-id'])
      return wait('Registering', `${name} is being registered at the forge by Actions Runner Controller.`, 'cluster');
    if (phase !== 'Running') return wait('ListenerStarting', `${name}: its listener is starting.`, 'cluster');
  }
  return ok('All pools are registered at the forge and listen for jobs.');
}

function observedSet(scope: PassScope, name: string): Observed | undefined {
  return scope.view.get({
    apiVersion: 'actions.github.com/v1alpha1',
    kind: 'AutoscalingRunnerSet',
    metadata: { name, namespace: namespacesOf(scope.row.tenant.slug).runners },
  });
}

export const enrollPhases: readonly Phase[] = [
  { type: 'ForgeReady', label: 'Forge', needs: [], run: forgeReady },
  { type: 'NamespaceReady', label: 'Namespace and fences', needs: [], run: namespaceReady },
  { type: 'CacheReady', label: 'Caches', needs: [], run: cacheReady },
  {
    type: 'PoolsReady',
    label: 'Credentials and pools',
    needs: ['ForgeReady', 'NamespaceReady', 'CacheReady'],
    run: poolsReady,
  },
  { type: 'RunnersReady', label: 'Registered and listening', needs: ['PoolsReady'], run: runnersReady },
];

// ------------------------------------------------------------------------------------------------ taking it away

const cleanupProtection = 'actions.github.com/cleanup-protection';

function own(
  scope: PassScope,
  kind: 'AutoscalingRunnerSet' | 'Secret' | 'Role' | 'RoleBinding' | 'ServiceAccount',
  matches: (object: Observed) => boolean,
): Observed[] {
  const { runners } = namespacesOf(scope.row.tenant.slug);
  // ARC hands labels on to what it makes; the annotation says what we applied ourselves.
  return [...scope.view.all(kind)].filter(
    (object) =>
      object.metadata.namespace === runners &&
      appliedHash(object) !== undefined &&
      object.metadata.labels?.[enrollmentLabel] === scope.row.name &&
      matches(object),
  );
}

async function remove(scope: PassScope, object: Observed): Promise<void> {
  if (
    object.metadata.deletionTimestamp !== undefined &&
    !(object.metadata.finalizers ?? []).includes(cleanupProtection)
  )
    return;
  await scope.lease.check();
  await deleteObject(scope.view.client, object, scope.row.tenant.slug);
}

function stuck(what: string, object: Observed): PhaseResult {
  const finalizers = object.metadata.finalizers ?? [];
  const held = finalizers.length > 0 ? ` It is held by ${finalizers.join(', ')}.` : '';
  return wait('Removing', `${what} ${object.metadata.name} is being removed.${held}`, 'cluster');
}

/** ARC needs the Secret and its manager Role to deregister a set, so those stay until the set is gone. */
async function removePools(scope: PassScope, matches: (object: Observed) => boolean): Promise<PhaseResult | null> {
  const sets = own(scope, 'AutoscalingRunnerSet', matches);
  for (const set of sets) await remove(scope, set);
  if (sets[0]) return stuck('Runner set', sets[0]);
  for (const kind of ['RoleBinding', 'Role', 'ServiceAccount'] as const) {
    for (const object of own(scope, kind, matches)) await removeProtected(scope, object);
  }
  const left = (['RoleBinding', 'Role', 'ServiceAccount'] as const).flatMap((kind) => own(scope, kind, matches));
  return left[0] ? stuck(left[0].kind, left[0]) : null;
}

/** ARC takes its finalizer off what a set names; where ARC never saw the set, the finalizer is ours alone and we do. */
async function removeProtected(scope: PassScope, object: Observed): Promise<void> {
  if ((object.metadata.finalizers ?? []).includes(cleanupProtection)) {
    await scope.lease.check();
    await dropFinalizer(scope, object);
  }
  await remove(scope, object);
}

async function dropFinalizer(scope: PassScope, object: Observed): Promise<void> {
  const { uid, resourceVersion } = object.metadata;
  const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== cleanupProtection);
  await scope.view.client.mergePatch(object, { metadata: { uid, resourceVersion, finalizers } });
}

async function setsGone(scope: PassScope): Promise<PhaseResult> {
  const away = await clusterKnown(scope);
  if (away) return away;
  return (await removePools(scope, () => true)) ?? ok('All runner sets are deregistered and gone.');
}

async function secretsGone(scope: PassScope): Promise<PhaseResult> {
  const secrets = own(scope, 'Secret', () => true);
  for (const secret of secrets) await remove(scope, secret);
  return secrets[0] ? stuck('Secret', secrets[0]) : ok('The credentials are gone from the cluster.');
}

async function forgeGone(scope: PassScope): Promise<PhaseResult> {
  const { row, lease } = scope;
  const enrolled = atScope(row, lease.signal);
  if (row.runnerGroup === null || !enrolled) return ok('Nothing of ours is left at the forge.');
  const forge = await scope.forge();
  const now = await forge.observeScope(enrolled);
  // Without the App we may neither look nor remove; the group is empty and serves nobody.
  if (!now.installation || now.installation.suspendedAt || !now.exists)
    return ok(`The App is gone from ${row.path}, and our way to its runner group with it.`);
  const credential = { kind: 'installation' as const, installationId: now.installation.id };
  const at = { ...enrolled, credential, path: now.path };
  const group = await forge.observeRunnerGroup({ ...at, name: row.runnerGroup });
  if (group) {
    await lease.check();
    await forge.removeRunnerGroup({ ...at, id: group.id });
  }
  return ok('Nothing of ours is left at the forge.');
}

async function cacheGone(scope: PassScope): Promise<PhaseResult> {
  const { row, lease } = scope;
  if ((await otherLiveEnrollments(row)) > 0) return ok('The tenant’s view stays for its other enrollments.');
  const server = await atticServerOf(row);
  const name = atticViewName(row.tenant.slug);
  const kept =
    server && (await unsafeDb().cacheView.findUnique({ where: { serverId_name: { serverId: server.id, name } } }));
  if (!server || !kept) return ok('No view is left.');
  await lease.check();
  await removeAtticView({ server, name, signal: lease.signal });
  await unsafeDb().cacheView.delete({ where: { id: kept.id } });
  return ok(`The view ${name} is gone.`);
}

async function namespaceGone(scope: PassScope): Promise<PhaseResult> {
  const { row, view } = scope;
  if ((await otherLiveEnrollments(row)) > 0) return ok('The namespace stays for the tenant’s other enrollments.');
  const { runners, bazel } = namespacesOf(row.tenant.slug);
  const present = () =>
    [runners, bazel].flatMap((name) => view.get({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }) ?? []);
  for (const namespace of present()) await remove(scope, namespace);
  // Most namespaces are gone within a second or two; asking once more saves a round.
  for (let round = 0; round < 10 && present().length > 0; round += 1)
    await sleep(100, undefined, { signal: scope.lease.signal });
  const left = present()[0];
  return left ? stuck('Namespace', left) : ok('The namespaces are gone.');
}

/** The only order that does not wedge: each step needs what the next ones take away. */
export const withdrawPhases: readonly Phase[] = [
  { type: 'SetsGone', label: 'Runner sets deregistered', needs: [], run: setsGone },
  { type: 'SecretsGone', label: 'Credentials removed', needs: ['SetsGone'], run: secretsGone },
  { type: 'ForgeGone', label: 'Runner group removed', needs: ['SetsGone'], run: forgeGone },
  { type: 'CacheGone', label: 'Cache view removed', needs: ['SetsGone'], run: cacheGone },
  { type: 'NamespaceGone', label: 'Namespaces removed', needs: ['SecretsGone'], run: namespaceGone },
];

export const phaseLabels: ReadonlyMap<string, string> = new Map(
  [...enrollPhases, ...withdrawPhases].map((phase) => [phase.type, phase.label]),
);
