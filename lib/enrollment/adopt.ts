import { z } from 'zod';
import {
  appliedHash,
  ClusterClient,
  ClusterRefused,
  isOwned,
  poolLabel,
  readObject,
  type EnrollmentInput,
  type KubernetesObject,
  type Observed,
} from '#lib/cluster/index.ts';
import { tenantDb } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { clusterAt } from '#lib/fleet/index.ts';
import {
  EnrollmentSpec,
  labelOf,
  runnersNamespaceOf,
  runnersNamespacesOf,
  scopeUrl,
  type Pool,
  type PoolChoice,
} from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { poolsByName } from './catalog.ts';
import type { PhaseResult } from './conditions.ts';
import { adoptedOf, type Adopted } from './desired.ts';
import { wait, type PassScope } from './pass.ts';
import { scopeOf, withPosition, type EnrollmentRow } from './rows.ts';
import { runnerSetKind, runnerSetOf } from './runner-set.ts';

/*
 * Runner sets that somebody made by hand or with Helm in a tenant's namespace, and how they become the portal's: by a plan, with
 * their pod template, Secret and group as they are, since another value of these would make their runners anew (ARC 0.14.2,
 * autoscalingrunnerset_controller.go). How many there may be is the portal's from then on.
 */

type SetSpec = {
  githubConfigUrl?: string;
  githubConfigSecret?: string;
  runnerGroup?: string;
  runnerScaleSetName?: string;
  minRunners?: number;
  maxRunners?: number;
  template?: Record<string, unknown>;
};

type ManagedFields = { manager?: string; operation?: string }[];

function specOfSet(set: Observed): SetSpec {
  return set['spec'] ?? {};
}

function clientOf(clusterId: string): ClusterClient {
  return new ClusterClient(clusterAt(clusterId));
}

/** Another name of the same scope is written in other case or with a stroke at its end. */
function sameUrl(a: string, b: string): boolean {
  const plain = (url: string) => url.replace(/\/+$/, '').toLowerCase();
  return plain(a) === plain(b);
}

/** Who made it, as the object itself tells: Helm by its annotations, others by the first that wrote its fields. */
export function makerOf({ metadata }: Observed): string {
  const { annotations = {}, managedFields = [] } = metadata as Observed['metadata'] & { managedFields?: ManagedFields };
  const release = annotations['meta.helm.sh/release-name'];
  if (release !== undefined) return `Helm, release ${release}`;
  const writer = managedFields.find(({ manager }) => manager !== undefined && manager !== 'manager');
  return writer?.manager ? `by hand, with ${writer.manager}` : 'by hand';
}

export type FoundSet = {
  uid: string;
  name: string;
  maker: string;
  configUrl: string;
  minRunners: number;
  /** Null where it has no limit of its own. */
  maxRunners: number | null;
  image: string;
  /** What it would become; or why it cannot be taken over. */
  becomes: { enrollmentId: string; enrollment: string; pool: string } | { refusal: string };
};

export type FoundSets = { isAway: boolean; sets: FoundSet[] };

/** Runner sets in the tenant's namespace that are not the portal's. A cluster that is away has none to show. */
export async function foundSets({ tenant }: Ctx): Promise<FoundSets> {
  const rows = await tenantDb(tenant.id).enrollment.findMany({ where: { state: 'active' }, include: withPosition });
  try {
    const client = clientOf(tenant.clusterId);
    const found = runnersNamespacesOf(tenant.slug).map((name) => foreignSets(client, tenant.slug, name));
    const sets = (await Promise.all(found)).flat();
    const names = new Map([...(await poolsByName()).values()].map((pool) => [labelOf(tenant, pool.name), pool]));
    return { isAway: false, sets: sets.map((set) => foundSet(set, rows, names)) };
  } catch (error) {
    if (error instanceof AppError && ['unavailable', 'rate_limited'].includes(error.code))
      return { isAway: true, sets: [] };
    throw error;
  }
}

async function foreignSets(client: ClusterClient, slug: string, name: string): Promise<Observed[]> {
  const namespace = await readObject(client, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  // A namespace that is not ours is none of this tenant's, whatever it is called.
  if (!namespace || !isOwned(namespace, slug)) return [];
  const path = `/apis/${runnerSetKind.apiVersion}/namespaces/${encodeURIComponent(name)}/autoscalingrunnersets`;
  try {
    const { items } = await client.call<{ items: Observed[] }>({ method: 'GET', path }, 'the list of runner sets');
    return items
      .map((item) => ({ ...item, ...runnerSetKind }))
      .filter((item) => appliedHash(item) === undefined && item.metadata.deletionTimestamp === undefined);
  } catch (error) {
    if (error instanceof ClusterRefused && error.refusal.status === 404) return [];
    throw error;
  }
}

function foundSet(set: Observed, rows: readonly EnrollmentRow[], pools: ReadonlyMap<string, Pool>): FoundSet {
  const spec = specOfSet(set);
  const pod = spec.template?.['spec'] as { containers?: { name: string; image?: string }[] } | undefined;
  const image = pod?.containers?.find(({ name }) => name === 'runner')?.image;
  return {
    uid: set.metadata.uid,
    name: set.metadata.name,
    maker: makerOf(set),
    configUrl: spec.githubConfigUrl ?? '',
    minRunners: spec.minRunners ?? 0,
    maxRunners: spec.maxRunners ?? null,
    image: image ?? '',
    becomes: becomesOf(set, rows, pools),
  };
}

function becomesOf(
  set: Observed,
  rows: readonly EnrollmentRow[],
  pools: ReadonlyMap<string, Pool>,
): FoundSet['becomes'] {
  const spec = specOfSet(set);
  const { name, namespace } = set.metadata;
  const known = pools.get(name);
  if (!known)
    return { refusal: `Its name is the label of no pool of this tenant: those are ${[...pools.keys()].join(', ')}.` };
  if ((spec.runnerScaleSetName ?? name) !== name)
    return { refusal: `At GitHub it is called ${spec.runnerScaleSetName}, which is another label.` };
  const row = rows.find(
    (each) => each.connection.kind === 'github' && sameUrl(scopeUrl(scopeOf(each)), spec.githubConfigUrl ?? ''),
  );
  if (!row) return { refusal: `No enrollment of this tenant is of ${spec.githubConfigUrl ?? 'its scope'}.` };
  const { name: pool, securityClass } = known;
  const wanted = runnersNamespaceOf(row.tenant.slug, securityClass);
  if (namespace !== wanted) return { refusal: `Pools of its class run in ${wanted}, and it is in ${namespace}.` };
  if (row.pools.some(({ poolName }) => poolName === pool))
    return { refusal: `The enrollment ${row.name} has a pool ${pool} already.` };
  return { enrollmentId: row.id, enrollment: row.name, pool };
}

export const AdoptInput = z.strictObject({ uid: z.uuid(), maxRunners: z.int().min(1).max(1000).optional() });

/** Puts the found set into its enrollment's draft, beside what is approved; a plan of that says what would change. */
export async function draftAdoption(ctx: Ctx, { uid, maxRunners }: z.infer<typeof AdoptInput>): Promise<string> {
  const { sets } = await foundSets(ctx);
  const found = sets.find((set) => set.uid === uid);
  if (!found) throw notFound('This runner set');
  if ('refusal' in found.becomes)
    throw new AppError('conflict', { log: `adoption of ${found.name}`, screen: { happened: found.becomes.refusal } });
  const { enrollmentId, pool } = found.becomes;
  const db = tenantDb(ctx.tenant.id);
  const row = await db.enrollment.findFirstOrThrow({ where: { id: enrollmentId } });
  const spec = EnrollmentSpec.parse(row.spec);
  const most = maxRunners ?? found.maxRunners ?? Math.max(1, found.minRunners);
  const choice: PoolChoice = { pool, minRunners: Math.min(found.minRunners, most), maxRunners: most, adopted: { uid } };
  const draft = { ...spec, pools: [...spec.pools, choice] };
  await db.enrollment.update({ where: { id: enrollmentId }, data: { draft } });
  return enrollmentId;
}

/** For a plan: what is found of the sets that the spec would take over and that are not written down yet, by pool. */
export async function setsToAdopt(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  pools: ReadonlyMap<string, Pool>,
  client: ClusterClient,
): Promise<ReadonlyMap<string, Adopted>> {
  const found = new Map<string, Adopted>();
  for (const choice of spec.pools) {
    if (!choice.adopted || adoptedOf(row, choice)) continue;
    const set = await readObject(client, runnerSetOf(row.tenant, choice.pool, pools));
    if (set?.metadata.uid !== choice.adopted.uid) throw setIsGone(labelOf(row.tenant, choice.pool));
    found.set(choice.pool, adoptedFrom(set));
  }
  return found;
}

function adoptedFrom(set: Observed): Adopted {
  const { githubConfigSecret, runnerGroup, template } = specOfSet(set);
  return {
    uid: set.metadata.uid,
    secretName: githubConfigSecret ?? '',
    ...(runnerGroup === undefined ? {} : { runnerGroup }),
    template: template ?? {},
  };
}

function setIsGone(name: string): AppError {
  return new AppError('conflict', {
    log: `runner set ${name} is another than was found`,
    screen: {
      happened: `The runner set ${name} that was to be taken over is gone, or was made anew.`,
      todo: 'Look again at what is found in the cluster, on the page Pools.',
    },
  });
}

/** Of an adopted pool all that bears its names is made the portal's, since its maker made that too. */
export function takesOver({ pools }: EnrollmentInput): (object: KubernetesObject) => boolean {
  const names = new Set(pools.filter(({ adopted }) => adopted).map(({ pool }) => pool.name));
  return ({ metadata }) => names.has(metadata.labels?.[poolLabel] ?? '');
}

/** What was approved is one set, by its UID: a namesake that somebody made since is not taken over. Null where all is well. */
export async function otherThanAdopted(
  { row, spec, view, pools: known }: PassScope,
  { pools }: EnrollmentInput,
): Promise<PhaseResult | null> {
  for (const { pool, adopted, scaleSetName } of pools) {
    const choice = spec.pools.find((each) => each.pool === pool.name);
    if (!adopted || !choice?.adopted || view.get(runnerSetOf(row.tenant, pool.name, known))) continue;
    const set = await readObject(view.client, runnerSetOf(row.tenant, pool.name, known));
    if (set && set.metadata.uid !== choice.adopted.uid && !isOwned(set, row.tenant.slug))
      return wait('Conflict', setIsGone(scaleSetName).screen.happened, 'admin');
  }
  return null;
}
