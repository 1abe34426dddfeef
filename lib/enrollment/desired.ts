import {
  managersOf,
  placementOf,
  type EnrollmentInput,
  type GithubCredentials,
  type KubernetesObject,
  type PoolInput,
  type Registration,
  type TenantInput,
} from '#lib/cluster/index.ts';
import { restrained, restraintOf } from '#lib/billing/index.ts';
import { unsafeDb, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import {
  amountsOf,
  EnrollmentSpec,
  isReady,
  labelOf,
  leftOf,
  memoryBytes,
  noAmounts,
  quotaOfAmounts,
  type Pool,
  type Quota,
} from '#lib/model/index.ts';
import { isStopped, presentAllocation } from './allocation.ts';
import { poolsByName } from './catalog.ts';
import { cacheInput, type Secrets } from './cache-env.ts';
import { bazelReadersOf } from './bazel-readers.ts';
import { openConnectionFor } from './connections.ts';
import { keptCredential } from './credentials.ts';
import { forgeEndpointOf } from './runner-egress.ts';
import { liveStates, type EnrollmentRow } from './rows.ts';

/** Chosen pools with what they are: a pool that lost its resources since is left out, and said by the caller. */
export function poolInputs(row: EnrollmentRow, spec: EnrollmentSpec, pools: ReadonlyMap<string, Pool>): PoolInput[] {
  return spec.pools.flatMap((choice) => {
    const pool = pools.get(choice.pool);
    if (!pool || !isReady(pool)) return [];
    return [
      {
        pool,
        scaleSetName: labelOf(row.tenant, pool.name),
        minRunners: choice.minRunners,
        maxRunners: choice.maxRunners,
      },
    ];
  });
}

export function enrollmentInput(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  known: {
    pools: ReadonlyMap<string, Pool>;
    registration: Registration;
    secrets: Secrets;
    shared: SharedByTenant;
    /** What the claim of the tenant's Bazel cache has already; a disk does not shrink. */
    diskGib: number;
  },
): EnrollmentInput {
  const { registration, secrets, shared } = known;
  return {
    tenant: tenantInputOf(row.tenant.slug, known.pools, shared),
    name: row.name,
    registration,
    pools: poolInputs(row, spec, known.pools).map((choice) =>
      shared.isStopped ? stopped(choice) : { ...choice, ...restrained(choice, shared.restraint) },
    ),
    forgeEndpoint: forgeEndpointOf(row.connection),
    caBundle: row.connection.caBundle ?? undefined,
    ...cacheInput(row.tenant.slug, spec, secrets),
    bazel: secrets.bazel
      ? { sizeGib: Math.max(shared.bazelGib, known.diskGib), ...secrets.bazel, readers: shared.bazelReaders }
      : undefined,
  };
}

/** What the objects of a tenant follow from, whoever renders them: a plan, a pass, or who looks for what is wanted no more. */
export function tenantInputOf(slug: string, pools: ReadonlyMap<string, Pool>, shared: SharedByTenant): TenantInput {
  const { quota, hasBazel, managers } = shared;
  return { slug, placement: placementOf(pools.values()), quota, hasBazel, managers };
}

export type SharedByTenant = {
  /** Of the runners' namespace: what the tenant was given, less what tenants below it and its Bazel cache have of it. */
  quota: Quota;
  hasBazel: boolean;
  /** The largest that any of them asks for: the cache is one. */
  bazelGib: number;
  /** The tenant's one view; private as long as any of them asks so. Null where none asks for one. */
  attic: { isPublic: boolean } | null;
  /** Whether any of them has a pool that is not trusted, and Attic: its pushes go to a view of their own. */
  hasUntrusted: boolean;
  /** Who may read the Bazel cache beside the tenant's runners, as the operator says. */
  bazelReaders: NonNullable<EnrollmentInput['bazel']>['readers'];
  managers: number;
  /** Whether no other enrollment of the tenant is active. */
  isLast: boolean;
  /** Whether the tenant, or one above it, is suspended. */
  isStopped: boolean;
  /** How far the limits of budgets hold its runners back, 0 to 3. */
  restraint: number;
};

/** A suspended tenant's pool: its registration stays, so that it goes on where it was, and nothing runs. */
function stopped(choice: PoolInput): PoolInput {
  return { ...choice, minRunners: 0, maxRunners: 0 };
}

/**
 * What the tenant's live enrollments want together: which planes, in whose namespaces and views they all are, and how many
 * managers stand beside the runners. With no spec, what the others of them want.
 */
export async function sharedByTenant(row: EnrollmentRow, spec: EnrollmentSpec | null): Promise<SharedByTenant> {
  const others = await unsafeDb().enrollment.findMany({
    where: { tenantId: row.tenantId, id: { not: row.id }, state: 'active' },
    select: { spec: true, connection: { select: { kind: true } } },
  });
  const all = [
    ...(spec ? [{ kind: row.connection.kind, spec }] : []),
    ...others.map((other) => ({ kind: other.connection.kind, spec: EnrollmentSpec.parse(other.spec) })),
  ];
  const { own } = await presentAllocation(row.tenantId, await poolsByName());
  const bazelGib = Math.max(0, ...all.map((each) => each.spec.planes.bazel?.sizeGib ?? 0));
  const views = all.flatMap((each) => each.spec.planes.attic ?? []);
  const disk = { ...noAmounts, storage: BigInt(bazelGib) * 1024n ** 3n };
  return {
    quota: quotaOfAmounts(leftOf(amountsOf(own), disk)),
    isLast: others.length === 0,
    isStopped: await isStopped(row.tenantId),
    restraint: await restraintOf(row.tenantId),
    hasBazel: bazelGib > 0,
    bazelGib,
    attic: views.length === 0 ? null : { isPublic: views.every((each) => each.public) },
    hasUntrusted: all.some(({ spec: { planes } }) => planes.attic && (planes.untrusted ?? []).length > 0),
    bazelReaders: await bazelReadersOf(row.tenant.clusterId),
    managers: all.reduce((sum, each) => sum + managersOf(each.kind, each.spec.pools), 0),
  };
}

/** How large the claim of the tenant's Bazel cache is, in GiB; 0 where there is none. */
export function diskGibOf(claim: KubernetesObject | undefined): number {
  const spec = claim?.['spec'] as { resources?: { requests?: { storage?: string } } } | undefined;
  const storage = spec?.resources?.requests?.storage;
  return storage === undefined ? 0 : Number(memoryBytes(storage) / 1024n ** 3n);
}

/** How many other enrollments still have something in the tenant's namespace. */
export async function otherLiveEnrollments(
  row: EnrollmentRow,
  db: Pick<UnsafeTx, 'enrollment'> = unsafeDb(),
): Promise<number> {
  return db.enrollment.count({
    where: { tenantId: row.tenantId, id: { not: row.id }, state: { in: [...liveStates] } },
  });
}

/**
 * The credentials that ARC wants beside the runner set: of the organization's own App where it has one, and for an enterprise,
 * where no App may act, the token that an operator entered.
 */
export async function githubCredentials(row: EnrollmentRow): Promise<GithubCredentials> {
  const token = row.level === 'enterprise' ? await keptCredential(row, 'forge-token') : null;
  if (token) return { token: token.value };
  const { app } = await openConnectionFor(row);
  if (!app || !row.installationId) {
    throw new AppError('forbidden', {
      log: `connection ${row.connectionId} has no App, or the enrollment no installation`,
      screen: { happened: 'The forge has no App that could register runners.', todo: 'The operator must enter one.' },
    });
  }
  return { appId: app.id, installationId: row.installationId, privateKey: app.privateKey };
}
