import { unsafeDb } from '#lib/db/index.ts';
import { runnerPodsUnheld, type Condition } from '#lib/model/index.ts';

export type OperatorOverview = {
  tenants: {
    slug: string;
    displayName: string;
    kind: string;
    state: string;
    cluster: string;
    enrollments: number;
    members: number;
  }[];
  clusters: {
    id: string;
    name: string;
    controllerVersion: string | null;
    reachableAt: string | null;
    tenants: number;
    /** Whether runners' pods are held to their profile, as the enrollments there last found; null where there is none. */
    holdsPods: boolean | null;
  }[];
  forges: { id: string; name: string; kind: string; baseUrl: string; hasApp: boolean; enrollments: number }[];
  failing: { kind: string; key: string; attempts: number; lastError: string | null; dueAt: string }[];
};

const shownMost = 200;

/** What needs an operator, over all tenants. The door in front of it is operatorPage or operatorView. */
export async function operatorOverview(): Promise<OperatorOverview> {
  const db = unsafeDb();
  const [tenants, clusters, forges, failing, active, unheld] = await Promise.all([
    db.tenant.findMany({
      include: { _count: { select: { enrollments: true, members: true } } },
      orderBy: { slug: 'asc' },
      take: shownMost,
    }),
    db.cluster.findMany({ include: { _count: { select: { tenants: true } } }, orderBy: { id: 'asc' } }),
    db.forgeConnection.findMany({ include: { _count: { select: { enrollments: true } } }, orderBy: { id: 'asc' } }),
    db.task.findMany({ where: { attempts: { gt: 0 } }, orderBy: { attempts: 'desc' }, take: shownMost }),
    clustersWhere({ type: 'NamespaceReady', status: 'True' }),
    clustersWhere({ reason: runnerPodsUnheld }),
  ]);
  return {
    tenants: tenants.map(({ slug, displayName, kind, state, clusterId, _count }) => ({
      slug,
      displayName,
      kind,
      state,
      cluster: clusterId,
      ..._count,
    })),
    clusters: clusters.map(({ id, name, controllerVersion, reachableAt, _count }) => ({
      id,
      name,
      controllerVersion,
      reachableAt: reachableAt?.toISOString() ?? null,
      tenants: _count.tenants,
      holdsPods: active.has(id) ? !unheld.has(id) : null,
    })),
    forges: forges.map(({ id, name, kind, baseUrl, appId, _count }) => ({
      id,
      name,
      kind,
      baseUrl,
      hasApp: appId !== null,
      enrollments: _count.enrollments,
    })),
    failing: failing.map(({ kind, key, attempts, lastError, dueAt }) => ({
      kind,
      key,
      attempts,
      lastError,
      dueAt: dueAt.toISOString(),
    })),
  };
}

/** The clusters in which an active enrollment has such a condition. */
async function clustersWhere(condition: Partial<Condition>): Promise<ReadonlySet<string>> {
  const tenants = await unsafeDb().tenant.findMany({
    where: { enrollments: { some: { state: 'active', conditions: { array_contains: [condition] } } } },
    select: { clusterId: true },
    distinct: ['clusterId'],
  });
  return new Set(tenants.map(({ clusterId }) => clusterId));
}
