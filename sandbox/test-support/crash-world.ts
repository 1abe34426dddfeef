// One tenant with all that an enrollment can have, and what is there of it on all sides: for tests that cut work off.
import { randomBytes } from 'node:crypto';
import {
  appliedHash,
  ClusterClient,
  clusterConnection,
  listObjects,
  viewKinds,
  type Observed,
} from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { approvePlan, makePlan, savePlanes, savePools, startEnrollment } from '#lib/enrollment/index.ts';
import { namespacesOf } from '#lib/model/index.ts';
import type { TestPortal } from './portal.ts';

export type Enrolled = { id: string; slug: string };

/** An organization of its own with the App on it, a tenant, and the draft of an enrollment with two pools and both planes. */
export async function drafted(portal: TestPortal): Promise<Enrolled> {
  const slug = `crash-${randomBytes(4).toString('hex')}`;
  await portal.organization(slug);
  const { enrollmentId } = await startEnrollment(await portal.person('ada-tinyland'), {
    connectionId: 'github',
    level: 'organization',
    path: slug,
    tenant: { new: { slug, displayName: slug, kind: 'organization' } },
  });
  const ctx = await portal.member('ada-tinyland', slug);
  const pools = [
    { pool: 'docker', minRunners: 0, maxRunners: 2 },
    { pool: 'nix', minRunners: 0, maxRunners: 1 },
  ];
  await savePools(ctx, { enrollmentId, pools });
  await savePlanes(ctx, { enrollmentId, planes: { attic: { public: false }, bazel: { sizeGib: 1 } } });
  return { id: enrollmentId, slug };
}

export async function approve(portal: TestPortal, { id, slug }: Enrolled, kind: 'enroll' | 'withdraw'): Promise<void> {
  const ctx = await portal.member('ada-tinyland', slug);
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind }));
}

/** What is there of a tenant on all three sides and in the database, with what differs from run to run taken out. */
export async function worldOf(
  portal: TestPortal,
  { id, slug }: Enrolled,
  forgeUrl: string,
  client = new ClusterClient(clusterConnection('main')),
): Promise<World> {
  const { github, attic } = portal;
  const org = Object.values(github.state.orgs).find((each) => each.login === slug);
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id }, include: { pools: true } });
  const credentials = await unsafeDb().credential.findMany({ where: { enrollmentId: id }, select: { kind: true } });
  const world: World = {
    ...(await clusterOf(slug, client)),
    groups: Object.values(github.state.runnerGroups)
      .filter((group) => group.orgId === org?.id)
      .map((group) => group.name),
    scaleSets: Object.values(github.state.scaleSets).filter((set) => JSON.stringify(set).includes(slug)).length,
    views: Object.keys(attic.state.caches).filter((name) => name.startsWith(`${slug}+`)),
    row: {
      state: row.state,
      generation: row.generation,
      observedGeneration: row.observedGeneration,
      group: row.runnerGroup,
      pools: row.pools.map((pool) => `${pool.scaleSetName} ${pool.maxRunners}`).toSorted(),
      conditions: (row.conditions as { type: string; status: string }[]).map(({ type, status }) => `${type} ${status}`),
    },
    credentials: credentials.map(({ kind }) => kind).toSorted(),
    keptViews: await unsafeDb().cacheView.count({ where: { tenantId: row.tenantId } }),
  };
  return JSON.parse(JSON.stringify(world).replaceAll(slug, 'TENANT').replaceAll(forgeUrl, 'FORGE')) as World;
}

export type World = {
  namespaces: string[];
  /** What the portal applied, by kind, namespace and name. */
  objects: Record<string, unknown>;
  groups: string[];
  scaleSets: number;
  views: string[];
  row: Record<string, unknown>;
  credentials: string[];
  keptViews: number;
};

export async function clusterOf(slug: string, client: ClusterClient): Promise<Pick<World, 'namespaces' | 'objects'>> {
  const { runners, bazel } = namespacesOf(slug);
  const ours = 'app.kubernetes.io/managed-by=flywheel';
  const found: [string, unknown][] = [];
  for (const { kind, apiVersion } of viewKinds) {
    if (kind === 'Namespace') continue;
    for (const namespace of [runners, bazel])
      for (const item of await listObjects(client, kind, apiVersion, namespace, ours))
        // ARC hands our labels on to what it makes itself.
        if (appliedHash(item) !== undefined) found.push([`${kind} ${namespace}/${item.metadata.name}`, kept(item)]);
  }
  const namespaces = await client.call<{ items: Observed[] }>(
    { method: 'GET', path: '/api/v1/namespaces', query: { labelSelector: `flywheel.dev/tenant=${slug}` } },
    'namespaces',
  );
  return {
    namespaces: namespaces.items.map((item) => item.metadata.name).toSorted(),
    objects: Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** Of an object what was asked for: the server gives each Service an address of its own, and secrets are random. */
function kept({ kind, metadata, spec, rules, roleRef, subjects, data }: Observed): unknown {
  const { clusterIP: _, clusterIPs: __, ...asked } = (spec ?? {}) as Record<string, unknown>;
  const { finalizers, labels } = metadata;
  const keys = kind === 'Secret' ? Object.keys(data ?? {}) : data;
  return { labels, finalizers, spec: asked, rules, roleRef, subjects, data: keys };
}
