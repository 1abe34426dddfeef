/** Tenants whose enrollment was just approved, as rows: what is measured begins where the approving person stops. */
import { randomUUID } from 'node:crypto';
import { unsafeDb } from '#lib/db/index.ts';
import { labelOf, type Planes } from '#lib/model/index.ts';
import { wake } from '#lib/work/index.ts';
import { connectionId } from '../prisma/seed.ts';
import { organization } from './organization.ts';

export type Enrolled = { enrollmentId: string; slug: string };

const clusterId = 'main';
const pools = [
  { pool: 'docker', minRunners: 0, maxRunners: 4 },
  { pool: 'nix', minRunners: 0, maxRunners: 2 },
];
/** What an enrollment with these two pools and no plane stands for: six of the tenant, a Secret, and four a pool. */
export const objectsEach = 15;
let organizationsUsed = 0;

/** `count` tenants named `<prefix>-0000` and so on, each of an organization of its own. */
export async function addTenants(prefix: string, count: number, planes: Planes = {}): Promise<Enrolled[]> {
  const made = Array.from({ length: count }, (_, index) => ({
    tenantId: randomUUID(),
    enrollmentId: randomUUID(),
    billingAccountId: randomUUID(),
    slug: `${prefix}-${String(index).padStart(4, '0')}`,
    org: organization(organizationsUsed + index),
  }));
  organizationsUsed += count;
  const db = unsafeDb();
  await db.billingAccount.createMany({ data: made.map(({ billingAccountId: id, slug }) => ({ id, name: slug })) });
  await db.tenant.createMany({ data: made.map(tenantRow) });
  await db.enrollment.createMany({ data: made.map((each) => enrollmentRow(each, planes)) });
  await db.enrollmentPool.createMany({ data: made.flatMap(poolRows) });
  return made.map(({ enrollmentId, slug }) => ({ enrollmentId, slug }));
}

type Made = {
  tenantId: string;
  enrollmentId: string;
  billingAccountId: string;
  slug: string;
  org: ReturnType<typeof organization>;
};

function tenantRow({ tenantId, billingAccountId, slug }: Made) {
  return {
    id: tenantId,
    slug,
    kind: 'organization' as const,
    displayName: slug,
    billingAccountId,
    clusterId,
    state: 'active' as const,
    quotaCpu: '16',
    quotaMemory: '32Gi',
    quotaRunners: 8,
  };
}

function enrollmentRow({ enrollmentId, tenantId, org }: Made, planes: Planes) {
  return {
    id: enrollmentId,
    tenantId,
    name: 'main',
    connectionId,
    level: 'organization' as const,
    path: org.login,
    scopeId: String(org.id),
    ownerId: String(org.id),
    installationId: String(org.installationId),
    state: 'active' as const,
    generation: 1,
    spec: { pools, planes },
    approvedAt: new Date(),
  };
}

function poolRows({ tenantId, enrollmentId, slug }: Made) {
  return pools.map(({ pool, minRunners, maxRunners }) => ({
    scaleSetName: labelOf({ slug, isDefault: false }, pool),
    tenantId,
    enrollmentId,
    poolName: pool,
    minRunners,
    maxRunners,
  }));
}

export async function wakeAll(enrolled: readonly Enrolled[]): Promise<void> {
  const ids = enrolled.map((each) => each.enrollmentId);
  await wake(unsafeDb(), 'enrollment', ids);
}

/** How many of them have this condition. */
export async function countWith(enrolled: readonly Enrolled[], condition: string): Promise<number> {
  const ids = enrolled.map((each) => each.enrollmentId);
  const wanted = JSON.stringify([{ type: condition, status: 'True' }]);
  const [row] = await unsafeDb().$queryRaw<{ count: bigint }[]>`
    select count(*) from enrollment where id = any(${ids}::uuid[]) and conditions @> ${wanted}::jsonb`;
  return Number(row?.count ?? 0);
}

/** No worker looks at them any more, so that what comes next is measured alone. */
export async function letRest(enrolled: readonly Enrolled[]): Promise<void> {
  const ids = enrolled.map((each) => each.enrollmentId);
  await unsafeDb().enrollment.updateMany({ where: { id: { in: ids } }, data: { state: 'withdrawn' } });
  await unsafeDb().task.deleteMany({ where: { key: { in: ids } } });
}
