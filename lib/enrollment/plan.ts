import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { stringify } from 'yaml';
import {
  bazelClaim,
  ClusterClient,
  ClusterRefused,
  dryRunObjects,
  enrollmentLabel,
  enrollmentObjects,
  fieldChanges,
  findController,
  hashAnnotations,
  isOwned,
  listObjects,
  readObject,
  redacted,
  tenantLabel,
  tenantObjects,
  uncheckedChanges,
  type ControllerInput,
  type EnrollmentInput,
  type KubernetesObject,
  type ObjectChange,
  type Observed,
  type Registration,
} from '#lib/cluster/index.ts';
import { atticServerOf } from '#lib/caching/index.ts';
import { Prisma, unsafeDb, unsafeTransaction, type PlanKind, type PlanState, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { clusterAt } from '#lib/fleet/index.ts';
import { runnerGroupPrefix, type ScopeChoice, type ScopeObservation } from '#lib/forge/index.ts';
import {
  atticViewName,
  definitionOf,
  EnrollmentSpec,
  isOperatorManaged,
  labelOf,
  namespacesOf,
  planNeedsOperator,
  scopeUrl,
  untrustedViewName,
  type SecurityClass,
  type ViewTrust,
  windowWords,
  type PoolChoice,
  type WarmSchedule,
} from '#lib/model/index.ts';
import { appendAudit, type Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { lockLine, refuseOversold } from './allocation.ts';
import { atScope, webhookUrl } from './at-scope.ts';
import { approvedPools, poolsByName } from './catalog.ts';
import { hasNoWebhook } from './conditions.ts';
import { keptBazelAccess, keptCredential } from './credentials.ts';
import { atticAccess, firstBazelUser, type AtticSecrets, type KnownView, type Secrets } from './cache-env.ts';
import { openForgeFor } from './connections.ts';
import { needsHold, refuseUnheld } from './held.ts';
import { setsToAdopt, takesOver } from './adopt.ts';
import {
  adoptedOf,
  diskGibOf,
  enrollmentInput,
  githubCredentials,
  heldGrants,
  sharedByTenant,
  sizesNow,
  tenantInputOf,
  type SharedByTenant,
  type PoolsKnown,
} from './desired.ts';
import { checkedSpec, checkPools, provenScope, refuseEnrolled, refusePath, tooMany } from './draft.ts';
import { knownViews, unwanted, unwantedViews } from './planes.ts';
import { plannedRegistration, wantedRunners } from './registration.ts';
import { accountOf, grantsWith, refuseAnotherAccount, regrant } from './sharing.ts';
import { scheduleTask } from './warm.ts';
import { enrollmentRow, hasMoved, scopeOf, specOf, withPosition, type EnrollmentRow } from './rows.ts';

/** One thing that would change, and where. `=` is kept for the stamp and not shown. */
export const PlanChange = z.object({
  where: z.enum(['forge', 'cluster', 'cache']),
  op: z.enum(['+', '~', '-', '=']),
  kind: z.string(),
  name: z.string(),
  namespace: z.string().optional(),
  fields: z.array(z.object({ path: z.string(), before: z.string().optional(), after: z.string().optional() })),
  yaml: z.string().optional(),
});
export type PlanChange = z.infer<typeof PlanChange>;

/** What would change, as it is shown: counted, and by where. */
export type ChangesView = {
  counts: { added: number; changed: number; removed: number; unchanged: number };
  groups: { where: PlanChange['where']; changes: PlanChange[] }[];
};

export function changesView(changes: readonly PlanChange[]): ChangesView {
  const count = (op: PlanChange['op']) => changes.filter((change) => change.op === op).length;
  const groups = (['forge', 'cluster', 'cache'] as const).map((where) => ({
    where,
    changes: changes.filter((change) => change.where === where && change.op !== '='),
  }));
  return {
    counts: { added: count('+'), changed: count('~'), removed: count('-'), unchanged: count('=') },
    groups: groups.filter((group) => group.changes.length > 0),
  };
}

/** A plan as a value: what it was based on, and what it would do. */
type PlanValue = {
  baseGeneration: number;
  spec: EnrollmentSpec;
  changes: PlanChange[];
  clusterChecked: boolean;
  observedHash: string;
  /** What of pools, shares and runner sets it was made with: what is approved is this, whatever the catalog says by then. */
  known: PoolsKnown;
};

export const PlanInput = z.strictObject({ enrollmentId: z.uuid(), kind: z.enum(['enroll', 'change', 'withdraw']) });

function stamp(generation: number, spec: EnrollmentSpec, changes: PlanChange[]): string {
  const judged = changes.flatMap((change) => judgedPart(change) ?? []);
  return createHash('sha256')
    .update(JSON.stringify([generation, spec, judged]))
    .digest('hex');
}

/**
 * What makes a plan another plan. Secrets have a life of their own: tokens are renewed and runners registered anew between a
 * look and an approval, and nobody is shown a value. So neither their change nor the hash that moves with it counts.
 */
function judgedPart({ yaml: _, ...change }: PlanChange): PlanChange | null {
  const fields = change.fields.filter(({ path }) => !hashAnnotations.some((hash) => path.includes(hash)));
  const isJudged = change.op !== '~' || (change.kind !== 'Secret' && fields.length > 0);
  return isJudged ? { ...change, fields } : null;
}

async function ownRow(ctx: Ctx, id: string): Promise<EnrollmentRow> {
  const row = await ctx.db.enrollment.findFirst({ where: { id }, include: withPosition });
  if (!row) throw notFound('This enrollment');
  return row;
}

function specToPlan(row: EnrollmentRow, kind: PlanKind): EnrollmentSpec {
  const spec = EnrollmentSpec.safeParse(kind === 'withdraw' ? row.spec : (row.draft ?? row.spec));
  if (spec.success) return spec.data;
  throw new AppError('invalid', {
    log: 'nothing to plan',
    screen: {
      happened: kind === 'withdraw' ? 'This enrollment was never applied.' : 'No pool is chosen yet.',
      todo: 'Choose at least one pool.',
    },
  });
}

function assertKind(row: EnrollmentRow, kind: PlanKind): void {
  const right = { enroll: row.state === 'draft', change: row.state === 'active', withdraw: row.state === 'active' }[
    kind
  ];
  if (right) return;
  throw new AppError('conflict', {
    log: `${kind} of a ${row.state} enrollment`,
    screen: { happened: `This enrollment is ${row.state}, so this cannot be planned.` },
  });
}

/** Works out what would change and keeps it. Nothing is written outside. */
export async function makePlan(ctx: Ctx, input: z.infer<typeof PlanInput>): Promise<string> {
  const row = await ownRow(ctx, input.enrollmentId);
  assertKind(row, input.kind);
  const spec = specToPlan(row, input.kind);
  if (input.kind !== 'withdraw') await checkPools(ctx, row, spec.pools);
  return keepPlan(ctx, row, input.kind, spec);
}

/** A plan for a spec that is given whole, beside whatever somebody edits in the draft. */
export async function planSpec(ctx: Ctx, enrollmentId: string, asked: EnrollmentSpec): Promise<string> {
  const row = await ownRow(ctx, enrollmentId);
  const kind = row.state === 'draft' ? 'enroll' : 'change';
  assertKind(row, kind);
  return keepPlan(ctx, row, kind, await checkedSpec(ctx, row, asked));
}

export type Preview = ChangesView & { kind: PlanKind; clusterChecked: boolean; differs: boolean };

/** What such a plan would say, of which nothing is kept. */
export async function previewSpec(ctx: Ctx, enrollmentId: string, asked: EnrollmentSpec): Promise<Preview> {
  const row = await ownRow(ctx, enrollmentId);
  const kind = row.state === 'draft' ? 'enroll' : 'change';
  assertKind(row, kind);
  const spec = await checkedSpec(ctx, row, asked);
  const { changes, clusterChecked } = await planValue(row, kind, spec);
  const isMoved = changes.some((change) => change.op !== '=' && judgedPart(change) !== null);
  return { kind, clusterChecked, differs: isMoved || !isDeepStrictEqual(spec, specOf(row)), ...changesView(changes) };
}

/** The same spec with its pools as the catalog has them now: how an operator's change of a pool reaches an enrollment. */
export async function planRollout(ctx: Ctx, enrollmentId: string): Promise<string> {
  const row = await ownRow(ctx, enrollmentId);
  assertKind(row, 'change');
  const spec = specOf(row);
  if (!spec) throw notFound('This enrollment');
  return keepPlan(ctx, row, 'change', spec);
}

async function keepPlan(ctx: Ctx, row: EnrollmentRow, kind: PlanKind, spec: EnrollmentSpec): Promise<string> {
  const value = await planValue(row, kind, spec);
  const plan = await ctx.db.plan.create({
    data: {
      tenantId: ctx.tenant.id,
      enrollmentId: row.id,
      kind,
      baseGeneration: value.baseGeneration,
      spec: value.spec,
      observedHash: value.observedHash,
      changes: value.changes,
      clusterChecked: value.clusterChecked,
      createdById: ctx.person.userId,
    },
  });
  return plan.id;
}

async function planValue(row: EnrollmentRow, kind: PlanKind, spec: EnrollmentSpec): Promise<PlanValue> {
  const client = new ClusterClient(clusterAt(row.tenant.clusterId));
  const known = await plannedKnown(row, spec, client);
  const { changes: cluster, checked } =
    kind === 'withdraw'
      ? await removedObjects(row, spec, client, known)
      : await changedObjects(row, spec, client, known);
  const changes = [
    ...(await forgeChanges(row, kind, spec, known)),
    ...(kind === 'withdraw' ? [] : scheduleChanges(row, spec)),
    ...(await shareChanges(row, kind === 'withdraw' ? null : spec, known)),
    ...cluster.map(asPlanChange),
    ...(await cacheChanges(row, kind, spec)),
  ];
  return {
    known,
    baseGeneration: row.generation,
    spec,
    changes,
    clusterChecked: checked,
    observedHash: stamp(row.generation, spec, changes),
  };
}

/** Pools as the catalog has them now, what of them there may be, and runner sets that would be taken over as they are. */
async function plannedKnown(row: EnrollmentRow, spec: EnrollmentSpec, client: ClusterClient): Promise<PoolsKnown> {
  const pools = await poolsByName();
  const isShared = row.tenant.sharing === 'shared';
  const grants = isShared ? (await grantsWith(unsafeDb(), row.tenantId, { row, spec, pools })).get(row.id) : undefined;
  return { pools, now: new Date(), grants, adopted: await setsToAdopt(row, spec, pools, client) };
}

/** A schedule changes no object until its hour, and is read before it is approved all the same. */
function scheduleChanges(row: EnrollmentRow, spec: EnrollmentSpec): PlanChange[] {
  const former = new Map((specOf(row)?.pools ?? []).map(({ pool, schedule }) => [pool, schedule]));
  return spec.pools.flatMap(({ pool, schedule }): PlanChange[] => {
    const before = scheduleLines(former.get(pool));
    const after = scheduleLines(schedule);
    const fields = [...new Set([...before.keys(), ...after.keys()])].flatMap((path) => {
      const [was, is] = [before.get(path), after.get(path)];
      if (was === is) return [];
      return [{ path, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) }];
    });
    if (fields.length === 0) return [];
    const op = before.size === 0 ? '+' : after.size === 0 ? '-' : '~';
    return [{ where: 'cluster', op, kind: 'WarmSchedule', name: labelOf(row.tenant, pool), fields }];
  });
}

function scheduleLines(schedule: WarmSchedule | undefined): Map<string, string> {
  if (!schedule) return new Map();
  const { timeZone, windows, holidays } = schedule;
  return new Map([
    ['timeZone', timeZone],
    ...windows.map((window, index) => [`windows[${index}]`, windowWords(window)] as [string, string]),
    ...(holidays.length > 0 ? [['holidays', holidays.join(', ')] as [string, string]] : []),
  ]);
}

/** In a tenant that is shared: what this one gets of what it asks for, and what it takes from the others or leaves them. */
async function shareChanges(row: EnrollmentRow, spec: EnrollmentSpec | null, known: PoolsKnown): Promise<PlanChange[]> {
  if (row.tenant.sharing === 'dedicated') return [];
  const grants = await grantsWith(unsafeDb(), row.tenantId, { row, spec, pools: known.pools });
  const own = (spec?.pools ?? []).flatMap(({ pool, maxRunners }): PlanChange[] => {
    const granted = grants.get(row.id)?.get(pool) ?? 0;
    if (granted === maxRunners) return [];
    return [shareChange(labelOf(row.tenant, pool), maxRunners, granted)];
  });
  const others = await unsafeDb().enrollmentPool.findMany({
    where: { tenantId: row.tenantId, enrollmentId: { not: row.id }, enrollment: { state: 'active' } },
    orderBy: { scaleSetName: 'asc' },
  });
  const theirs = others.flatMap(({ enrollmentId, poolName, scaleSetName, maxRunners }): PlanChange[] => {
    const granted = grants.get(enrollmentId)?.get(poolName) ?? maxRunners;
    return granted === maxRunners ? [] : [shareChange(scaleSetName, maxRunners, granted)];
  });
  return [...own, ...theirs];
}

function shareChange(name: string, before: number, after: number): PlanChange {
  const fields = [{ path: 'maxRunners', before: String(before), after: String(after) }];
  return { where: 'cluster', op: '~', kind: 'FairShare', name, fields };
}

export function asPlanChange(change: ObjectChange): PlanChange {
  const { object, ...rest } = change;
  return { where: 'cluster', ...rest, ...(change.op === '=' ? {} : { yaml: stringify(object) }) };
}

type ClusterChanges = { changes: ObjectChange[]; checked: boolean };

/** Away, being built, or not there at all: the plan then says what it would write, unchecked. */
export async function unlessAway(
  ask: () => Promise<ObjectChange[]>,
  otherwise: () => Promise<ObjectChange[]>,
): Promise<ClusterChanges> {
  try {
    return { changes: await ask(), checked: true };
  } catch (error) {
    if (!(error instanceof AppError) || (error.code !== 'unavailable' && error.code !== 'rate_limited')) throw error;
    return { changes: await otherwise(), checked: false };
  }
}

async function changedObjects(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  client: ClusterClient,
  known: PoolsKnown,
): Promise<ClusterChanges> {
  return unlessAway(
    async () => {
      if (needsHold(spec.pools, known.pools)) await refuseUnheld(client);
      const controller = await findController(client);
      const claim = await readObject(client, bazelClaim(row.tenant.slug));
      const input = await plannedInput(row, spec, controller, known, diskGibOf(claim));
      const wanted = await dryRunObjects(client, enrollmentObjects(input), takesOver(input)).catch(diskRefused);
      const removed = await noLongerWanted(row, input, client);
      return [...wanted, ...removed];
    },
    async () => uncheckedChanges(enrollmentObjects(await plannedInput(row, spec, null, known))),
  );
}

/** Only some storage classes let a claim grow, and the API server says so at length. */
function diskRefused(error: unknown): never {
  const isDisk = error instanceof ClusterRefused && error.what.startsWith('PersistentVolumeClaim');
  if (!isDisk || !['invalid', 'forbidden'].includes(error.code)) throw error;
  const field =
    'cannot be more than the cache has: its disk does not grow in this cluster. Turn the cache off, apply that, and turn it on again to begin anew with another size';
  throw invalidFields({ bazelSizeGib: field }, 'The Bazel cache cannot be made larger.');
}

/** The input with secrets that may not exist yet: their values are never shown, only that there will be some. */
export async function plannedInput(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  controller: ControllerInput | null,
  known: PoolsKnown,
  diskGib = 0,
): Promise<EnrollmentInput> {
  const cluster = await unsafeDb().cluster.findUniqueOrThrow({ where: { id: row.tenant.clusterId } });
  const fallback = {
    version: cluster.controllerVersion ?? '0.14.2',
    namespace: cluster.controllerNamespace,
    serviceAccount: cluster.controllerServiceAccount,
  };
  const secrets: Secrets = {
    ...(spec.planes.attic ? { attic: await plannedAttic(row, spec) } : {}),
    ...(spec.planes.bazel
      ? { bazel: (await keptBazelAccess(row)) ?? { user: firstBazelUser, password: planned, also: [] } }
      : {}),
  };
  const shared = await sharedByTenant(row, spec, known);
  const registration =
    row.connection.kind === 'github'
      ? await plannedGithub(row, controller ?? fallback)
      : await plannedRegistration(row, wantedRunners(row, spec, known), planned);
  return enrollmentInput(row, spec, { ...known, registration, secrets, shared, diskGib });
}

const planned = 'made when applied';

async function plannedGithub(row: EnrollmentRow, controller: ControllerInput): Promise<Registration> {
  const runnerGroup = row.runnerGroup ?? (mayHaveGroups(row) ? groupName(row) : undefined);
  const credentials = await githubCredentials(row);
  return { kind: 'github', configUrl: scopeUrl(scopeOf(row)), runnerGroup, credentials, controller };
}

function mayHaveGroups({ connection, level }: EnrollmentRow): boolean {
  return connection.kind === 'github' && (level === 'organization' || level === 'enterprise');
}

/** As it is kept, and what is not yet there as what will be. */
async function plannedAttic(row: EnrollmentRow, spec: EnrollmentSpec): Promise<AtticSecrets> {
  const server = await atticServerOf(row.tenant);
  const there = server ? await knownViews(row.tenantId, server.id) : [];
  const { slug } = row.tenant;
  const access = async (trust: ViewTrust, first: string) => {
    const token = await keptCredential(row, trust === 'trusted' ? 'attic-token' : 'attic-token.untrusted');
    const own: KnownView[] = there.some(({ name }) => name === first)
      ? []
      : [{ name: first, trust, url: planned, publicKey: planned }];
    return atticAccess([...there, ...own], trust, {
      server: server?.url ?? planned,
      token: token?.value ?? planned,
      first,
    });
  };
  const isMixed = (spec.planes.untrusted ?? []).length > 0;
  return {
    trusted: await access('trusted', atticViewName(slug)),
    untrusted: isMixed ? await access('untrusted', untrustedViewName(slug)) : undefined,
  };
}

export function groupName(row: EnrollmentRow): string {
  return `${runnerGroupPrefix}${row.tenant.slug}`;
}

/** What enrollments apply, in the order in which it is taken away. */
const removable = [
  { kind: 'AutoscalingRunnerSet', apiVersion: 'actions.github.com/v1alpha1' },
  { kind: 'Deployment', apiVersion: 'apps/v1' },
  { kind: 'Service', apiVersion: 'v1' },
  { kind: 'NetworkPolicy', apiVersion: 'networking.k8s.io/v1' },
  { kind: 'RoleBinding', apiVersion: 'rbac.authorization.k8s.io/v1' },
  { kind: 'Role', apiVersion: 'rbac.authorization.k8s.io/v1' },
  { kind: 'ServiceAccount', apiVersion: 'v1' },
  { kind: 'Secret', apiVersion: 'v1' },
  { kind: 'ConfigMap', apiVersion: 'v1' },
  { kind: 'PersistentVolumeClaim', apiVersion: 'v1' },
  { kind: 'LimitRange', apiVersion: 'v1' },
  { kind: 'ResourceQuota', apiVersion: 'v1' },
] as const;

/** All that is labelled as the tenant's in those of its namespaces that are ours; the namespaces come last. */
export async function presentObjects(
  { tenant: { slug } }: { tenant: { slug: string } },
  client: ClusterClient,
): Promise<Observed[]> {
  const asked = Object.values(namespacesOf(slug)).map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name },
  }));
  const found = await Promise.all(asked.map((namespace) => readObject(client, namespace)));
  const ours = found.flatMap((namespace) => (namespace && isOwned(namespace, slug) ? [namespace] : []));
  const lists = ours.flatMap(({ metadata }) =>
    removable.map(({ kind, apiVersion }) =>
      listObjects(client, kind, apiVersion, metadata.name, `${tenantLabel}=${slug}`),
    ),
  );
  return [...(await Promise.all(lists)).flat(), ...ours];
}

export function removal(object: Parameters<typeof redacted>[0]): ObjectChange {
  const { name, namespace } = object.metadata;
  return {
    op: '-',
    kind: object.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    fields: fieldChanges(object, undefined),
    object: redacted(object),
  };
}

/** Objects of pools and planes that the new spec leaves out, and of planes that then no enrollment of the tenant has. */
async function noLongerWanted(
  row: EnrollmentRow,
  input: EnrollmentInput,
  client: ClusterClient,
): Promise<ObjectChange[]> {
  if (row.state === 'draft') return [];
  return unwanted(row, await presentObjects(row, client), enrollmentObjects(input), input.tenant)
    .map(still)
    .map(removal);
}

/** What lives by itself (status, counts, versions) would make every plan stale by the time it is read. */
export function still(object: Observed): KubernetesObject {
  const { status: _, metadata, ...rest } = object;
  const { name, namespace, labels, finalizers } = metadata;
  const kept = {
    name,
    ...(namespace ? { namespace } : {}),
    ...(labels ? { labels } : {}),
    ...(finalizers ? { finalizers } : {}),
  };
  return { ...rest, metadata: kept };
}

/** The last that is active takes all of the tenant's with it; else what the others want stays, and is fitted to them. */
async function removedObjects(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  client: ClusterClient,
  known: PoolsKnown,
): Promise<ClusterChanges> {
  const shared = await sharedByTenant(row, null, known);
  const { isLast } = shared;
  const staying = isLast ? [] : tenantObjects(tenantInputOf(row.tenant.slug, shared));
  return unlessAway(
    async () => {
      const present = await presentObjects(row, client);
      const removed = unwanted(row, present, staying, shared).map(still).map(removal);
      const isThere = present.some(({ kind }) => kind === 'Namespace');
      return [...removed, ...(isThere ? await dryRunObjects(client, staying) : [])];
    },
    async () =>
      enrollmentObjects(await plannedInput(row, spec, null, known))
        .filter((object) => isLast || object.metadata.labels?.[enrollmentLabel] === row.name)
        .map(removal),
  );
}

async function forgeChanges(
  row: EnrollmentRow,
  kind: PlanKind,
  spec: EnrollmentSpec,
  known: PoolsKnown,
): Promise<PlanChange[]> {
  const before = new Set((specOf(row)?.pools ?? []).map((choice) => labelOf(row.tenant, choice.pool)));
  const after = new Set(kind === 'withdraw' ? [] : spec.pools.map((choice) => labelOf(row.tenant, choice.pool)));
  const changes: PlanChange[] = [];
  const add = (op: PlanChange['op'], what: string, name: string, fields: PlanChange['fields']) =>
    changes.push({ where: 'forge', op, kind: what, name, namespace: row.path, fields });
  const seen = kind === 'withdraw' ? null : await seenNow(row);
  if (seen && hasMoved(row, seen))
    add('~', 'Scope', seen.path, [{ path: 'owner', before: row.ownerId ?? '', after: seen.ownerId ?? '' }]);
  if (mayHaveGroups(row)) {
    const fields = [
      { path: 'visibility', after: 'all repositories' },
      { path: 'allowsPublicRepositories', after: 'false' },
    ];
    if (kind === 'withdraw' && row.runnerGroup !== null) add('-', 'RunnerGroup', row.runnerGroup, []);
    if (kind !== 'withdraw' && seen && (await groupIsMissing(row, seen)))
      add('+', 'RunnerGroup', groupName(row), fields);
  }
  if (row.connection.kind !== 'github') {
    runnerChanges(row, kind, spec, { add, known, mayHook: seen?.webhooks ?? false });
    return changes;
  }
  for (const label of after)
    if (!before.has(label)) add('+', 'RunnerScaleSet', label, [{ path: 'runs-on', after: label }]);
  for (const label of before)
    if (!after.has(label)) add('-', 'RunnerScaleSet', label, [{ path: 'runs-on', before: label }]);
  return changes;
}

type Add = (op: PlanChange['op'], what: string, name: string, fields: PlanChange['fields']) => void;

/** The registrations that we make ourselves, and the hook by which the scope tells of its jobs. */
function runnerChanges(
  row: EnrollmentRow,
  kind: PlanKind,
  spec: EnrollmentSpec,
  { add, known, mayHook }: { add: Add; known: PoolsKnown; mayHook: boolean },
): void {
  const key = row.connection.kind === 'gitlab' ? 'tags' : 'labels';
  const former = specOf(row);
  const before = new Map(
    former
      ? wantedRunners(row, former, { ...known, grants: heldGrants(row) }).map(({ name, label }) => [name, label])
      : [],
  );
  const now = kind === 'withdraw' ? [] : wantedRunners(row, spec, known);
  const after = new Map(now.map(({ name, label }) => [name, label]));
  for (const [name, label] of after) if (!before.has(name)) add('+', 'Runner', name, [{ path: key, after: label }]);
  for (const [name, label] of before) if (!after.has(name)) add('-', 'Runner', name, [{ path: key, before: label }]);
  const hook = [{ path: 'events', after: 'jobs' }];
  if (kind === 'enroll' && mayHook) add('+', 'Webhook', webhookUrl(row), hook);
  if (kind === 'withdraw' && row.level !== 'instance' && !hasNoWebhook(row)) add('-', 'Webhook', webhookUrl(row), []);
}

/** The enrolled scope as the forge shows it to what the enrollment acts by; null without that. */
async function seenNow(row: EnrollmentRow): Promise<ScopeObservation | null> {
  const at = await atScope(row);
  return at && (await openForgeFor(row)).observeScope(at);
}

/** False also where the organization has no groups of its own: its Default group then serves. */
async function groupIsMissing(row: EnrollmentRow, seen: ScopeObservation): Promise<boolean> {
  const at = await atScope(row);
  if (!at || !seen.runnerGroups) return false;
  const forge = await openForgeFor(row);
  return (await forge.observeRunnerGroup({ ...at, path: seen.path, name: groupName(row) })) === null;
}

async function cacheChanges(row: EnrollmentRow, kind: PlanKind, spec: EnrollmentSpec): Promise<PlanChange[]> {
  const shared = await sharedByTenant(row, kind === 'withdraw' ? null : spec);
  const views = await unsafeDb().cacheView.findMany({ where: { tenantId: row.tenantId, plane: 'attic' } });
  const change = (op: PlanChange['op'], name: string, fields: PlanChange['fields']): PlanChange => ({
    where: 'cache',
    op,
    kind: 'AtticView',
    name,
    fields,
  });
  const removed = (await unwantedViews(row, shared)).map(({ name, isPublic }) =>
    change('-', name, [{ path: 'public', before: String(isPublic) }]),
  );
  const wanted = wantedViews(row.tenant.slug, shared).flatMap(({ name, isPublic: after }): PlanChange[] => {
    const before = views.find((view) => view.name === name);
    if (!before) return kind === 'withdraw' ? [] : [change('+', name, [{ path: 'public', after: String(after) }])];
    if (before.isPublic === after) return [];
    return [change('~', name, [{ path: 'public', before: String(before.isPublic), after: String(after) }])];
  });
  return [...removed, ...wanted];
}

/** What the tenant's enrollments make, beside what people asked for on the page of the caches. */
function wantedViews(slug: string, { attic, hasUntrusted }: SharedByTenant): { name: string; isPublic: boolean }[] {
  if (!attic) return [];
  const main = { name: atticViewName(slug), isPublic: attic.isPublic };
  return hasUntrusted ? [main, { name: untrustedViewName(slug), isPublic: false }] : [main];
}

// ------------------------------------------------------------------------------------------------ approval

const stale = (log: string): AppError =>
  new AppError('stale', {
    log,
    screen: {
      happened: 'What this plan was based on has changed since it was made.',
      todo: 'Look at a new plan, then apply that.',
    },
  });

/** An enterprise is proven by its token, and by that of nobody else. */
async function enterpriseToken(row: EnrollmentRow): Promise<string | undefined> {
  return row.level === 'enterprise' ? (await keptCredential(row, 'forge-token'))?.value : undefined;
}

type PlanRow = { id: string; kind: PlanKind; state: PlanState; baseGeneration: number; observedHash: string };
type OpenPlan = {
  plan: PlanRow;
  row: EnrollmentRow;
  spec: EnrollmentSpec;
  /** What the plan was found to be made with when it was last held against the world. */
  known?: PoolsKnown;
  /** The scope as it was proven to whoever approves; absent where nobody had to prove it. */
  proven?: ScopeChoice | null;
};

/** What an operator granted. `settle` writes down, in the same transaction, that the request is decided. */
export type Grant = { settle: (tx: UnsafeTx) => Promise<void> };

async function planOf(ctx: Ctx, planId: string): Promise<OpenPlan> {
  const plan = z.uuid().safeParse(planId).success ? await ctx.db.plan.findFirst({ where: { id: planId } }) : null;
  const row = plan && (await enrollmentRow(plan.enrollmentId));
  if (!plan || !row || row.tenantId !== ctx.tenant.id) throw notFound('This plan');
  return { plan, row, spec: EnrollmentSpec.parse(plan.spec) };
}

/** Why this plan waits for an operator; empty where an admin of the tenant may apply it at once. */
export async function operatorReasons(ctx: Ctx, planId: string): Promise<string[]> {
  return reasonsOf(ctx, await planOf(ctx, planId));
}

async function reasonsOf(ctx: Ctx, { plan, spec, known }: OpenPlan): Promise<string[]> {
  if (plan.kind === 'withdraw' || ctx.role === 'operator') return [];
  // What the plan was held against is what would be approved.
  const pools = known?.pools ?? (await poolsByName());
  const wanted = spec.pools.flatMap(({ pool }) => pools.get(pool) ?? []);
  return planNeedsOperator(ctx.tenant.kind, wanted, await allowedClasses(ctx.tenant.id));
}

/** Classes of pools that the tenant runs: the first of each was an operator's to allow. */
async function allowedClasses(tenantId: string): Promise<Set<SecurityClass>> {
  const catalog = await poolsByName();
  const live = await unsafeDb().enrollment.findMany({
    where: { tenantId, state: 'active' },
    select: { pools: true },
  });
  return new Set(
    live.flatMap(({ pools }) => {
      const approved = approvedPools({ pools }, catalog);
      return pools.flatMap(({ poolName }) => approved.get(poolName)?.securityClass ?? []);
    }),
  );
}

/**
 * Throws unless this plan may be applied now, or asked for: it is open, the tenant may run something, the person still has the
 * scope (an open page outlives a role), and the world is as the plan saw it.
 */
export async function checkPlan(ctx: Ctx, planId: string, isGranted = false): Promise<OpenPlan> {
  const open = await planOf(ctx, planId);
  const { plan, row, spec } = open;
  if (plan.state !== 'open' && !(isGranted && plan.state === 'waiting')) throw stale(`plan is ${plan.state}`);
  if (plan.kind !== 'withdraw') refuseIdleTenant(row.tenant);
  refuseMoving(row.tenant, plan.kind);
  if (ctx.role !== 'operator' && !isGranted && plan.kind !== 'withdraw') open.proven = await provenNow(ctx, row);
  if (plan.kind === 'enroll') await refuseEnrolled(row.connectionId, open.proven ?? row, row.id);
  const now = plan.baseGeneration === row.generation ? await planValue(row, plan.kind, spec) : null;
  if (now?.observedHash === plan.observedHash) return { ...open, known: now.known };
  await unsafeDb().plan.update({ where: { id: plan.id }, data: { state: 'stale' } });
  throw stale(`plan ${plan.id} of generation ${plan.baseGeneration} at generation ${row.generation}`);
}

/** By the path that it has now, and by the id that was enrolled: a name may be another scope's since. */
async function provenNow(ctx: Ctx, row: EnrollmentRow): Promise<ScopeChoice> {
  const path = (await seenNow(row))?.path ?? row.path;
  const proven = await provenScope(ctx, { ...row, path, token: await enterpriseToken(row) });
  if (proven.scopeId === row.scopeId) return proven;
  throw refusePath(`${path} is another scope than the one that was enrolled.`, 'Withdraw this, and enrol that.');
}

/** What is suspended or leaving starts nothing new; what an operator must begin has not begun. */
function refuseIdleTenant({ state, kind }: EnrollmentRow['tenant']): void {
  const happened = {
    draft: isOperatorManaged(kind) ? 'This tenant waits for an operator to approve it.' : null,
    active: null,
    suspended: 'This tenant is suspended, so nothing new starts in it.',
    leaving: 'This tenant is leaving, so nothing new starts in it.',
    left: 'This tenant has left.',
  }[state];
  if (happened !== null)
    throw new AppError('conflict', { log: `tenant is ${state}`, screen: { happened, todo: 'Ask an operator.' } });
}

/** While it is made ready on another cluster nothing of a tenant goes, and while it changes over nothing is begun. */
function refuseMoving({ moving }: Pick<EnrollmentRow['tenant'], 'moving'>, kind: PlanKind): void {
  const isOnItsWay = moving === 'closing' || (moving === 'preparing' && kind === 'withdraw');
  if (!isOnItsWay) return;
  throw new AppError('conflict', {
    log: `${kind} while the tenant is ${moving}`,
    screen: {
      happened: 'This tenant is being moved to another cluster.',
      todo: 'Wait until it runs there, or ask an operator to call the move off.',
    },
  });
}

/**
 * Refuses a plan that the world has overtaken, or that an operator has yet to grant; else makes its spec the one that the
 * reconciler follows. Returns the enrollment's id.
 */
export async function approvePlan(ctx: Ctx, planId: string, grant?: Grant): Promise<string> {
  const open = await checkPlan(ctx, planId, grant !== undefined);
  const { plan, row, spec, proven } = open;
  if (!grant) await refuseUngranted(ctx, open);
  await unsafeTransaction(async (tx) => {
    await takeGeneration(tx, open);
    // What was free when it was looked at may be another's, or inside another's, under the lock.
    if (plan.kind === 'enroll') await refuseEnrolled(row.connectionId, proven ?? row, row.id, tx);
    if (proven) await takeOwner(tx, ctx, row, proven);
    await tx.plan.update({
      where: { id: plan.id },
      data: { state: 'approved', decidedById: ctx.person.userId, decidedAt: new Date() },
    });
    // Before what it overtakes is dropped: the request of a plan that was granted with changes is not taken back by it.
    await grant?.settle(tx);
    await discardPlans(tx, row.id);
    await appendAudit(tx, ctx, row.tenantId, {
      action: `enrollment:${plan.kind}`,
      target: `enrollment/${row.name}`,
      before: row.spec,
      after: plan.kind === 'withdraw' ? null : spec,
    });
    await wake(tx, 'enrollment', row.id);
  }).catch(asConflict);
  return row.id;
}

async function refuseUngranted(ctx: Ctx, open: OpenPlan): Promise<void> {
  const [reason] = await reasonsOf(ctx, open);
  if (reason === undefined) return;
  throw new AppError('forbidden', {
    log: `plan ${open.plan.id} waits for an operator: ${reason}`,
    screen: { happened: reason, todo: 'Ask an operator for it.' },
  });
}

/** Plans that another has overtaken, and what was asked of an operator for them. */
async function discardPlans(tx: UnsafeTx, enrollmentId: string): Promise<void> {
  const left = { enrollmentId, state: { in: ['open', 'waiting'] } } satisfies Prisma.PlanWhereInput;
  const ids = (await tx.plan.findMany({ where: left, select: { id: true } })).map(({ id }) => id);
  await tx.plan.updateMany({ where: { id: { in: ids } }, data: { state: 'discarded' } });
  await dropRequests(tx, ids);
}

/** What was asked for plans that are no more. */
async function dropRequests(tx: UnsafeTx, planIds: string[]): Promise<void> {
  await tx.approvalRequest.updateMany({
    where: { planId: { in: planIds }, state: { in: ['open', 'asked_back'] } },
    data: { state: 'withdrawn', decidedBy: 'portal', decidedAt: new Date() },
  });
}

/** Generation + 1, under the row's lock; the names are reserved in the same transaction. */
async function takeGeneration(tx: UnsafeTx, { row, plan: { kind }, spec, known }: OpenPlan): Promise<void> {
  // What somebody is typing meanwhile is theirs, where all that changes is what an operator changed of a pool.
  const isRollout = kind === 'change' && isDeepStrictEqual(spec, specOf(row));
  await lockLine(tx, row.tenantId);
  const taken = await tx.enrollment.updateMany({
    where: { id: row.id, generation: row.generation, state: row.state },
    data: {
      generation: { increment: 1 },
      decidedAt: new Date(),
      ...(isRollout ? {} : { draft: Prisma.DbNull }),
      ...(kind === 'withdraw' ? { state: 'withdrawing' } : { state: 'active', spec }),
      ...(kind === 'enroll' ? { approvedAt: new Date() } : {}),
    },
  });
  if (taken.count !== 1) throw stale('another approval came first');
  // What it was when it was looked at is not what it is under the lock.
  const tenant = await tx.tenant.findUniqueOrThrow({ where: { id: row.tenantId } });
  refuseMoving(tenant, kind);
  if (kind === 'withdraw') return;
  refuseIdleTenant(tenant);
  if (kind === 'enroll') await refuseAnotherAccount(tx, tenant, accountOf(row), row.id);
  await tx.tenant.updateMany({ where: { id: row.tenantId, state: 'draft' }, data: { state: 'active' } });
  for (const choice of spec.pools) {
    const sizes = {
      ...sizesNow(row.connection.kind, choice, choice.maxRunners, new Date()),
      ...approvedOf(row, choice, known),
    };
    // A row of a pool that is no longer wanted stays until its runner set is gone: the name is in use until then.
    await tx.enrollmentPool.upsert({
      where: { enrollmentId_poolName: { enrollmentId: row.id, poolName: choice.pool } },
      create: {
        scaleSetName: labelOf(row.tenant, choice.pool),
        tenantId: row.tenantId,
        enrollmentId: row.id,
        poolName: choice.pool,
        ...sizes,
      },
      update: sizes,
    });
  }
  await regrant(tx, row.tenantId);
  // Another enrollment of the tenant may have taken what was left meanwhile. A rollout takes no more than there was.
  const over = isRollout ? [] : await tooMany(tx, row, spec.pools, await poolsByName());
  if (over.length > 0)
    throw invalidFields(Object.fromEntries(over.map(([pool, said]) => [`pools.${pool}.maxRunners`, said])));
  await refuseOversold(tx, row.tenantId, await poolsByName());
  if (spec.pools.some(({ schedule }) => schedule)) await wake(tx, scheduleTask, row.id);
}

/** What the runners of a pool are made from from now on: the catalog's word as the plan saw it, or a set that stays as it is. */
function approvedOf(
  row: EnrollmentRow,
  choice: PoolChoice,
  known: PoolsKnown | undefined,
): Pick<Prisma.EnrollmentPoolUncheckedUpdateInput, 'definition' | 'adopted'> {
  const pool = known?.pools.get(choice.pool);
  const adopted = adoptedOf(row, choice, known?.adopted?.get(choice.pool));
  return {
    ...(pool ? { definition: definitionOf(pool) } : {}),
    adopted: (adopted as Prisma.InputJsonObject | undefined) ?? Prisma.DbNull,
  };
}

/** Whoever approves administers it, so that what they administer it by is who has a say from now on. */
async function takeOwner(tx: UnsafeTx, ctx: Ctx, row: EnrollmentRow, proven: ScopeChoice): Promise<void> {
  const { ownerId, path, installation } = proven;
  if (row.ownerId === null || ownerId === row.ownerId) return;
  const installationId = installation?.id ?? row.installationId;
  await tx.enrollment.update({ where: { id: row.id }, data: { ownerId, path, installationId } });
  await appendAudit(tx, ctx, row.tenantId, {
    action: 'enrollment:owner',
    target: `enrollment/${row.name}`,
    before: { ownerId: row.ownerId, path: row.path },
    after: { ownerId, path },
  });
}

/** Two that are each allowed alone: the database lets one of them through. */
function asConflict(error: unknown): never {
  if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002') {
    throw new AppError('conflict', {
      log: `unique violation: ${error.message}`,
      screen: {
        happened: 'Somebody enrolled this scope, or took one of these labels, a moment ago.',
        todo: 'Look at the scope’s present enrollment, or choose other pools.',
      },
    });
  }
  throw error;
}

/** Forgets a draft that was never applied, and its tenant where that was only made for it. */
export async function discardDraft(ctx: Ctx, enrollmentId: string): Promise<void> {
  const row = await ownRow(ctx, enrollmentId);
  if (row.state !== 'draft')
    throw new AppError('conflict', {
      log: `discard of ${row.state}`,
      screen: { happened: 'Only a draft can be discarded; this one must be withdrawn.' },
    });
  await unsafeTransaction(async (tx) => {
    await lockLine(tx, row.tenantId);
    await discardPlans(tx, row.id);
    // Its access token goes with it, by the foreign key.
    await tx.enrollment.deleteMany({ where: { id: row.id, state: 'draft' } });
    await appendAudit(tx, ctx, row.tenantId, { action: 'enrollment:discard', target: `enrollment/${row.name}` });
    await forgetTenant(tx, ctx, row.tenantId);
  });
}

/** A tenant that never had anything applied and that nothing is left of goes too, and its slug is free again. */
async function forgetTenant(tx: UnsafeTx, ctx: Ctx, tenantId: string): Promise<void> {
  const none = { none: {} };
  const unheld = {
    enrollments: none,
    plans: none,
    views: none,
    children: none,
    githubApps: none,
    requests: none,
    invitations: none,
  } satisfies Prisma.TenantWhereInput;
  const tenant = await tx.tenant.findFirst({ where: { id: tenantId, state: 'draft', parentId: null, ...unheld } });
  if (!tenant || (await tx.webhookEndpoint.count({ where: { tenantId } })) > 0) return;
  await tx.tenant.delete({ where: { id: tenantId } });
  await tx.billingAccount.deleteMany({ where: { id: tenant.billingAccountId, tenants: none } });
  await appendAudit(tx, ctx, tenantId, { action: 'tenant:discard', target: `tenant/${tenant.slug}` });
}

/** All that a leaving tenant runs, withdrawn at once: drafts are forgotten, the rest goes in the order that does not wedge. */
export async function withdrawAll(tx: UnsafeTx, ctx: Ctx): Promise<void> {
  const tenantId = ctx.tenant.id;
  const rows = await tx.enrollment.findMany({ where: { tenantId, state: { in: ['draft', 'active'] } } });
  for (const row of rows) await discardPlans(tx, row.id);
  await tx.enrollment.deleteMany({ where: { tenantId, state: 'draft' } });
  const active = rows.filter(({ state }) => state === 'active');
  for (const { id, name, spec } of active) {
    const data = { generation: { increment: 1 }, draft: Prisma.DbNull, state: 'withdrawing' as const };
    await tx.enrollment.updateMany({ where: { id, state: 'active' }, data });
    await appendAudit(tx, ctx, tenantId, { action: 'enrollment:withdraw', target: `enrollment/${name}`, before: spec });
  }
  await wake(
    tx,
    'enrollment',
    active.map(({ id }) => id),
  );
}
