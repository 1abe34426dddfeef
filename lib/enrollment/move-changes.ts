import {
  appliedHash,
  bazelClaim,
  ClusterClient,
  dryRunObjects,
  enrollmentObjects,
  findController,
  readObject,
  uncheckedChanges,
  type ControllerInput,
  type KubernetesObject,
  type Observed,
} from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { clusterAt } from '#lib/fleet/index.ts';
import { atticServerOf } from '#lib/caching/index.ts';
import { labelOf, scopeUrl } from '#lib/model/index.ts';
import { approvedPools, poolsByName } from './catalog.ts';
import { diskGibOf, heldGrants } from './desired.ts';
import { asPlanChange, plannedInput, presentObjects, removal, still, unlessAway, type PlanChange } from './plan.ts';
import { scopeOf, specOf, withPosition, type EnrollmentRow } from './rows.ts';

/* What a move of a tenant would make on the new cluster and take away on the old one: for a plan. Nothing is written. */

export type MovedEnrollment = {
  id: string;
  name: string;
  scope: string;
  generation: number;
  forge: string;
  labels: string[];
};

export type TenantChanges = {
  enrollments: MovedEnrollment[];
  /** On the new cluster, by its own dry run. */
  arriving: PlanChange[];
  arrivingChecked: boolean;
  /** On the old one, as it is there now; empty where it does not answer. */
  leaving: PlanChange[];
  leavingChecked: boolean;
  /** Pools that the tenant's enrollments have, and whether any uses Attic, or a Bazel cache. */
  pools: string[];
  hasAttic: boolean;
  hasBazel: boolean;
  /** Labels of runner sets that were taken over as somebody else made them. */
  adopted: string[];
  /** Whether anything is being withdrawn. */
  isWithdrawing: boolean;
};

type Tenant = { id: string; slug: string; clusterId: string };

export async function tenantChanges(tenant: Tenant, toClusterId: string): Promise<TenantChanges> {
  const rows = await unsafeDb().enrollment.findMany({
    where: { tenantId: tenant.id, state: { in: ['active', 'withdrawing'] } },
    include: withPosition,
    orderBy: { name: 'asc' },
  });
  const active = rows.filter(({ state }) => state === 'active');
  const specs = active.flatMap((row) => specOf(row) ?? []);
  const there = await arrivingOf(active, toClusterId);
  const here = await leavingOf(tenant);
  const adopted = active.flatMap((row) =>
    (specOf(row)?.pools ?? []).filter((choice) => choice.adopted).map(({ pool }) => labelOf(row.tenant, pool)),
  );
  return {
    enrollments: active.map(movedOf),
    arriving: there.changes,
    arrivingChecked: there.checked,
    leaving: here.changes,
    leavingChecked: here.checked,
    pools: [...new Set(specs.flatMap(({ pools }) => pools.map(({ pool }) => pool)))],
    hasAttic: specs.some(({ planes }) => planes.attic !== undefined),
    hasBazel: specs.some(({ planes }) => planes.bazel !== undefined),
    adopted,
    isWithdrawing: rows.length > active.length,
  };
}

function movedOf(row: EnrollmentRow): MovedEnrollment {
  const { id, name, generation, connection } = row;
  const labels = (specOf(row)?.pools ?? []).map(({ pool }) => labelOf(row.tenant, pool));
  return { id, name, scope: scopeUrl(scopeOf(row)), generation, forge: connection.kind, labels };
}

type Changes = { changes: PlanChange[]; checked: boolean };

async function arrivingOf(rows: readonly EnrollmentRow[], clusterId: string): Promise<Changes> {
  const client = new ClusterClient(clusterAt(clusterId));
  const objectsOf = async (controller: ControllerInput | null, claimGib: (slug: string) => Promise<number>) => {
    const byPath = new Map<string, KubernetesObject>();
    for (const row of rows)
      for (const object of await objectsThere(row, clusterId, controller, await claimGib(row.tenant.slug)))
        byPath.set([object.kind, object.metadata.namespace ?? '', object.metadata.name].join('/'), object);
    return [...byPath.values()];
  };
  const { changes, checked } = await unlessAway(
    async () => {
      const claimGib = async (slug: string) => diskGibOf(await readObject(client, bazelClaim(slug)));
      return dryRunObjects(client, await objectsOf(await findController(client), claimGib));
    },
    async () => uncheckedChanges(await objectsOf(null, async () => 0)),
  );
  return { changes: shown(changes.map(asPlanChange)), checked };
}

async function objectsThere(
  row: EnrollmentRow,
  clusterId: string,
  controller: ControllerInput | null,
  diskGib: number,
): Promise<KubernetesObject[]> {
  const spec = specOf(row);
  if (!spec) return [];
  const there = { ...row, tenant: { ...row.tenant, clusterId } };
  const known = { pools: approvedPools(row, await poolsByName()), now: new Date(), grants: heldGrants(row) };
  return enrollmentObjects(await plannedInput(there, spec, controller, known, diskGib));
}

async function leavingOf(tenant: Tenant): Promise<Changes> {
  const client = new ClusterClient(clusterAt(tenant.clusterId));
  const { changes, checked } = await unlessAway(
    async () => (await presentObjects({ tenant }, client)).filter(isApplied).map(still).map(removal),
    async () => [],
  );
  return { changes: shown(changes.map(asPlanChange)), checked };
}

/** What controllers made of it goes with it. */
function isApplied(object: Observed): boolean {
  return appliedHash(object) !== undefined;
}

/** What is read of a move is which objects and fields: their whole text would be many times as long. */
function shown(changes: readonly PlanChange[]): PlanChange[] {
  return changes.filter(({ op }) => op !== '=').map(({ yaml: _, ...change }) => change);
}

/** Whether both clusters have the same Attic server, or neither has one. */
export async function sharesAttic(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([atticServerOf({ clusterId: one }), atticServerOf({ clusterId: other })]);
  return a?.id === b?.id;
}
