import { z } from 'zod';
import {
  managersOf,
  placementOf,
  type EnrollmentInput,
  type GithubCredentials,
  type KubernetesObject,
  type PlacementInput,
  type PoolInput,
  type Registration,
  type RunnersInput,
  type TenantInput,
} from '#lib/cluster/index.ts';
import { restrained, restraintOf } from '#lib/billing/index.ts';
import { unsafeDb, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import {
  amountsOf,
  EnrollmentSpec,
  hasDaemon,
  isReady,
  labelOf,
  leftOf,
  memoryBytes,
  noAmounts,
  quotaOfAmounts,
  standingAt,
  type ForgeKind,
  type Pool,
  type PoolChoice,
  type Quota,
} from '#lib/model/index.ts';
import { isStopped, presentAllocation } from './allocation.ts';
import { devicesOf, divided, isApart, type Held } from './apart.ts';
import { approvedPools, poolsByName } from './catalog.ts';
import { cacheInput, type Secrets } from './cache-env.ts';
import { bazelReadersOf } from './bazel-readers.ts';
import { openConnectionFor } from './connections.ts';
import { keptCredential } from './credentials.ts';
import { forgeEndpointOf } from './runner-egress.ts';
import { liveStates, type EnrollmentRow } from './rows.ts';

/** Chosen pools with what they are: a pool that lost its resources since is left out, and said by the caller. */
export function poolInputs(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  { pools, now, grants, adopted }: PoolsKnown,
): PoolInput[] {
  const { kind } = row.connection;
  return spec.pools.flatMap((choice) => {
    const pool = pools.get(choice.pool);
    if (!pool || !isReady(pool)) return [];
    const maxRunners = Math.min(choice.maxRunners, grants?.get(choice.pool) ?? choice.maxRunners);
    const stand = standingAt(kind, { ...choice, maxRunners }, now.getTime());
    return [
      {
        pool,
        scaleSetName: labelOf(row.tenant, pool.name),
        minRunners: kind === 'forgejo' ? Math.min(choice.minRunners, maxRunners) : stand,
        maxRunners,
        standing: kind === 'forgejo' ? stand : undefined,
        holdsPlaces: kind === 'gitlab' && choice.schedule !== undefined ? true : undefined,
        adopted: adoptedOf(row, choice, adopted?.get(choice.pool)),
      },
    ];
  });
}

/** What sizes and pods follow from, beside the spec. */
export type PoolsKnown = {
  pools: ReadonlyMap<string, Pool>;
  /** A schedule keeps more warm at one time than at another. */
  now: Date;
  /** How many runners of each pool there may be where the tenant's capacity is shared; all that was asked for without it. */
  grants?: ReadonlyMap<string, number> | undefined;
  /** Runner sets of others that a plan would take over, by pool; what was taken over is written down with the pool. */
  adopted?: ReadonlyMap<string, Adopted> | undefined;
};

/** The shares that were written down, which in a dedicated tenant are what was approved. */
export function heldGrants(row: EnrollmentRow): Map<string, number> {
  return new Map(row.pools.map(({ poolName, maxRunners }) => [poolName, maxRunners]));
}

const Adopted = z.object({
  uid: z.string(),
  secretName: z.string(),
  runnerGroup: z.string().optional(),
  template: z.record(z.string(), z.unknown()),
});
export type Adopted = z.infer<typeof Adopted>;

/** What was found of a runner set that is taken over; nothing where the spec names none, or another one. */
export function adoptedOf(
  row: Pick<EnrollmentRow, 'pools'>,
  { pool, adopted }: PoolChoice,
  seen?: Adopted,
): Adopted | undefined {
  if (!adopted) return undefined;
  const held = row.pools.find(({ poolName }) => poolName === pool)?.adopted ?? null;
  const known = held === null ? [] : [Adopted.parse(held)];
  return [...known, ...(seen ? [seen] : [])].find(({ uid }) => uid === adopted.uid);
}

/** How many are kept warm now and how many there may be at most, as the pool's row says it to pages. */
export function sizesNow(
  kind: ForgeKind,
  choice: PoolChoice,
  maxRunners: number,
  now: Date,
): { minRunners: number; maxRunners: number } {
  const { minRunners, schedule } = choice;
  const kept = schedule ? standingAt(kind, { ...choice, maxRunners }, now.getTime()) : minRunners;
  return { minRunners: Math.min(kept, maxRunners), maxRunners };
}

export function enrollmentInput(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  known: PoolsKnown & {
    registration: Registration;
    secrets: Secrets;
    shared: SharedByTenant;
    /** What the claim of the tenant's Bazel cache has already; a disk does not shrink. */
    diskGib: number;
  },
): EnrollmentInput {
  const { registration, secrets, shared } = known;
  return {
    tenant: tenantInputOf(row.tenant.slug, shared),
    name: row.name,
    registration,
    pools: poolInputs(row, spec, known).map((choice) =>
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

/**
 * What the objects of a tenant follow from, whoever renders them: a plan, a pass, or who looks for what is wanted no more.
 * `isHeld` says whether the cluster holds pods to the runners' profile.
 */
export function tenantInputOf(slug: string, shared: SharedByTenant, isHeld = true): TenantInput {
  const { quota, hasBazel, managers, placement, devices, builds } = shared;
  const apart = builds ? { builds: { ...builds, isHeld } } : {};
  return { slug, placement, quota, hasBazel, managers, devices, ...apart };
}

export type SharedByTenant = {
  /**
   * Of the runners' namespace: what the tenant was given, less what tenants below it, its Bazel cache and its pools with a daemon
   * have of it.
   */
  quota: Quota;
  /** Of the namespace of pools with a daemon: what they take at their maximum. Null where no live enrollment has one. */
  builds: (RunnersInput & { quota: Quota }) | null;
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
  /** Where restricted pools of the catalog run, and where those of the tenant were approved to. */
  placement: PlacementInput;
  /** How many of each device the tenant's restricted pools may take, all of them together. */
  devices: Record<string, number>;
  /** Whether no other enrollment of the tenant is active. */
  isLast: boolean;
  /** Whether the tenant, or one above it, is suspended. */
  isStopped: boolean;
  /** The last decision about any enrollment of the tenant that the database knows. */
  decidedAt: Date;
  /** How far the limits of budgets hold its runners back, 0 to 3. */
  restraint: number;
};

/** A suspended tenant's pool: its registration stays, so that it goes on where it was, and nothing runs. */
function stopped(choice: PoolInput): PoolInput {
  return { ...choice, minRunners: 0, maxRunners: 0 };
}

/**
 * What the tenant's live enrollments want together: which planes, in whose namespaces and views they all are, and how many
 * managers stand beside the runners. With no spec, what the others of them want. `planned` stands in the place of what was
 * approved of this one.
 */
export async function sharedByTenant(
  row: EnrollmentRow,
  spec: EnrollmentSpec | null,
  planned?: Pick<PoolsKnown, 'pools' | 'grants'>,
): Promise<SharedByTenant> {
  const catalog = await poolsByName();
  // All at once: somebody's policy is waiting to be restored.
  const [rows, decided, { own }, isSuspended, restraint, bazelReaders] = await Promise.all([
    unsafeDb().enrollment.findMany({
      where: { tenantId: row.tenantId, id: { not: row.id }, state: { in: [...liveStates] } },
      select: { state: true, spec: true, pools: true, connection: { select: { kind: true } } },
    }),
    // Those that were withdrawn were decided about as well; they are kept for ever, so they are not read.
    unsafeDb().$queryRaw<Decided[]>`
      /* prepared: decided_of */
      select decided_at as "decidedAt", approved_at as "approvedAt" from enrollment
      where tenant_id = ${row.tenantId}::uuid and id <> ${row.id}::uuid
      order by coalesce(decided_at, approved_at) desc nulls last limit 1`,
    presentAllocation(row.tenantId, catalog),
    isStopped(row.tenantId),
    restraintOf(row.tenantId),
    bazelReadersOf(row.tenant.clusterId),
  ]);
  const live = rows.map((other) => ({ ...other, approved: approvedPools(other, catalog) }));
  const others = live.filter(({ state }) => state === 'active');
  const mine = { pools: planned?.pools ?? approvedPools(row, catalog), grants: planned?.grants ?? heldGrants(row) };
  const asked = [
    ...(spec ? [{ kind: row.connection.kind, spec, pools: mine.pools }] : []),
    ...others.map((other) => ({
      kind: other.connection.kind,
      spec: EnrollmentSpec.parse(other.spec),
      pools: other.approved,
    })),
  ];
  const wanted = spec ? spec.pools.flatMap((choice) => takenBy(choice, mine)) : [];
  // Until its last runner has gone, what is withdrawn or dropped has its part of the quota; a plan tells of when it has.
  const going = planned ? [] : row.pools.filter(({ poolName }) => !spec?.pools.some(({ pool }) => pool === poolName));
  const all = [...wanted, ...live.flatMap((other) => heldBy(other, other.approved))];
  const apart = all.filter(isApart);
  const fenced = [...wanted, ...others.flatMap((other) => heldBy(other, other.approved))].filter(
    (each) => !isApart(each),
  );
  const bazelGib = Math.max(0, ...asked.map((each) => each.spec.planes.bazel?.sizeGib ?? 0));
  const views = asked.flatMap((each) => each.spec.planes.attic ?? []);
  const disk = { ...noAmounts, storage: BigInt(bazelGib) * 1024n ** 3n };
  const given = quotaOfAmounts(leftOf(amountsOf(own), disk));
  const { quota, builds } = divided(given, all, heldBy({ pools: going }, approvedPools(row, catalog)));
  const managers = (isWanted: (pool: Pool) => boolean) =>
    asked.reduce((sum, each) => {
      const ofClass = each.spec.pools.filter(({ pool: name }) => {
        const pool = each.pools.get(name);
        return pool !== undefined && isWanted(pool);
      });
      return sum + managersOf(each.kind, ofClass);
    }, 0);
  return {
    quota,
    builds: builds && {
      ...builds,
      devices: devicesOf(catalog.values(), apart),
      managers: managers(({ securityClass }) => hasDaemon(securityClass)),
    },
    isLast: others.length === 0,
    decidedAt: lastDecision([row, ...decided]),
    isStopped: isSuspended,
    restraint,
    placement: placementOf(
      [...catalog.values(), ...fenced.map(({ pool }) => pool)].filter(({ securityClass }) => !hasDaemon(securityClass)),
    ),
    devices: devicesOf(catalog.values(), fenced),
    hasBazel: bazelGib > 0,
    bazelGib,
    attic: views.length === 0 ? null : { isPublic: views.every((each) => each.public) },
    hasUntrusted: asked.some(({ spec: { planes } }) => planes.attic && (planes.untrusted ?? []).length > 0),
    bazelReaders,
    managers: managers(({ securityClass }) => !hasDaemon(securityClass)),
  };
}

type Decided = Pick<EnrollmentRow, 'decidedAt' | 'approvedAt'>;

/** The last of these enrollments' decisions that the database knows: the beginning of time where there was none. */
export function lastDecision(rows: readonly Decided[]): Date {
  return new Date(Math.max(0, ...rows.map(({ decidedAt, approvedAt }) => (decidedAt ?? approvedAt)?.getTime() ?? 0)));
}

function heldBy(other: Pick<EnrollmentRow, 'pools'>, pools: ReadonlyMap<string, Pool>): Held[] {
  return other.pools.flatMap(({ poolName, maxRunners }) => {
    const pool = pools.get(poolName);
    return pool ? [{ pool, runners: maxRunners }] : [];
  });
}

function takenBy(
  { pool: name, maxRunners }: PoolChoice,
  { pools, grants }: Pick<PoolsKnown, 'pools' | 'grants'>,
): Held[] {
  const pool = pools.get(name);
  return pool ? [{ pool, runners: Math.min(maxRunners, grants?.get(name) ?? maxRunners) }] : [];
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
