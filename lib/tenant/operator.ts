import { unsafeDb } from '#lib/db/index.ts';

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
    capacityCpu: string | null;
    capacityMemory: string | null;
    tenants: number;
  }[];
  forges: { id: string; name: string; kind: string; baseUrl: string; hasApp: boolean; enrollments: number }[];
  /** Requests that wait for an operator. */
  waiting: number;
  failing: { kind: string; key: string; attempts: number; lastError: string | null; dueAt: string }[];
};

const shownMost = 200;

/** What needs an operator, over all tenants. The door in front of it is operatorPage or operatorView. */
export async function operatorOverview(): Promise<OperatorOverview> {
  const db = unsafeDb();
  const [tenants, clusters, forges, failing, waiting] = await Promise.all([
    db.tenant.findMany({
      include: { _count: { select: { enrollments: true, members: true } } },
      orderBy: { slug: 'asc' },
      take: shownMost,
    }),
    db.cluster.findMany({ include: { _count: { select: { tenants: true } } }, orderBy: { id: 'asc' } }),
    db.forgeConnection.findMany({ include: { _count: { select: { enrollments: true } } }, orderBy: { id: 'asc' } }),
    db.task.findMany({ where: { attempts: { gt: 0 } }, orderBy: { attempts: 'desc' }, take: shownMost }),
    db.approvalRequest.count({ where: { state: 'open' } }),
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
    clusters: clusters.map(({ id, name, controllerVersion, reachableAt, capacityCpu, capacityMemory, _count }) => ({
      id,
      name,
      controllerVersion,
      capacityCpu,
      capacityMemory,
      reachableAt: reachableAt?.toISOString() ?? null,
      tenants: _count.tenants,
    })),
    forges: forges.map(({ id, name, kind, baseUrl, appId, _count }) => ({
      id,
      name,
      kind,
      baseUrl,
      hasApp: appId !== null,
      enrollments: _count.enrollments,
    })),
    waiting,
    failing: failing.map(({ kind, key, attempts, lastError, dueAt }) => ({
      kind,
      key,
      attempts,
      lastError,
      dueAt: dueAt.toISOString(),
    })),
  };
}
