import { z } from 'zod';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields } from '#lib/errors.ts';
import {
  amountsOf,
  fairGrants,
  leftOf,
  noAmounts,
  sharings,
  type Amounts,
  type EnrollmentSpec,
  type Pool,
  type Sharing,
} from '#lib/model/index.ts';
import { appendAudit, appendSystemAudit, type Ctx } from '#lib/tenant/index.ts';
import { wake, type Lease } from '#lib/work/index.ts';
import { allocationOf, lockLine, refuseOversold } from './allocation.ts';
import { approvedPools, poolsByName } from './catalog.ts';
import { sizesNow } from './desired.ts';
import { liveStates, specOf, withPosition, type EnrollmentRow } from './rows.ts';

/* Whose a tenant's capacity is: one account's of a forge, or several accounts' that have fair shares of it. */

/** The account of a forge that an enrollment is of: what a dedicated tenant serves one of. */
export function accountOf(row: { connectionId: string; ownerId: string | null; scopeId: string }): string {
  return `${row.connectionId}/${row.ownerId ?? row.scopeId}`;
}

type Reads = Pick<UnsafeTx, 'enrollment'>;

/** The accounts whose enrollments are live in a tenant, each with a path that people know it by. */
async function accountsIn(db: Reads, tenantId: string, exceptId?: string): Promise<Map<string, string>> {
  const rows = await db.enrollment.findMany({
    where: { tenantId, state: { in: [...liveStates] }, ...(exceptId === undefined ? {} : { id: { not: exceptId } }) },
    select: { connectionId: true, ownerId: true, scopeId: true, path: true },
    orderBy: { createdAt: 'asc' },
  });
  return new Map(rows.map((row) => [accountOf(row), row.path]).toReversed() as [string, string][]);
}

/** Throws where the tenant is dedicated to another account than this one. */
export async function refuseAnotherAccount(
  db: Reads,
  tenant: { id: string; sharing: Sharing },
  account: string,
  exceptId?: string,
): Promise<void> {
  if (tenant.sharing === 'shared') return;
  const held = await accountsIn(db, tenant.id, exceptId);
  held.delete(account);
  const [path] = held.values();
  if (path === undefined) return;
  throw invalidFields(
    { 'tenant.slug': `is dedicated to ${path}; make it shared on its page Pools first, or choose a new tenant` },
    `This tenant’s pools are dedicated to ${path}.`,
  );
}

/** The same before anything is begun, for who is about to enrol there. */
export async function refuseAnotherIn({ tenant: { id } }: Ctx, account: string): Promise<void> {
  const tenant = await unsafeDb().tenant.findUniqueOrThrow({ where: { id }, select: { id: true, sharing: true } });
  await refuseAnotherAccount(unsafeDb(), tenant, account);
}

/** One enrollment's wishes, and whether they are approved or only planned. */
type Asking = { id: string; of: string; spec: EnrollmentSpec; pools: ReadonlyMap<string, Pool> };

/**
 * How many runners of each pool each enrollment of a shared tenant may have. `planned` stands in the place of what is approved of
 * that enrollment, or beside it; null takes it out.
 */
export async function grantsWith(
  tx: UnsafeTx,
  tenantId: string,
  planned?: { row: EnrollmentRow; spec: EnrollmentSpec | null; pools: ReadonlyMap<string, Pool> },
): Promise<Map<string, Map<string, number>>> {
  const catalog = await poolsByName();
  const rows = await tx.enrollment.findMany({ where: { tenantId, state: 'active' }, include: withPosition });
  const asking: Asking[] = rows
    .filter(({ id }) => id !== planned?.row.id)
    .flatMap((row) => {
      const spec = specOf(row);
      return spec ? [askingOf(row, spec, approvedPools(row, catalog))] : [];
    });
  if (planned?.spec) asking.push(askingOf(planned.row, planned.spec, planned.pools));
  const bazelGib = Math.max(0, ...asking.map(({ spec }) => spec.planes.bazel?.sizeGib ?? 0));
  const { own } = await allocationOf(tx, tenantId, catalog);
  const disk: Amounts = { ...noAmounts, storage: BigInt(bazelGib) * 1024n ** 3n };
  const poolsOf = new Map(asking.map(({ id, pools }) => [id, pools]));
  return fairGrants(
    leftOf(amountsOf(own), disk),
    asking.map(({ id, of, spec }) => ({ id, of, choices: spec.pools })),
    (id) => poolsOf.get(id) ?? catalog,
  );
}

function askingOf(row: EnrollmentRow, spec: EnrollmentSpec, pools: ReadonlyMap<string, Pool>): Asking {
  return { id: row.id, of: accountOf(row), spec, pools };
}

/**
 * Writes down the shares of a shared tenant's enrollments as they follow from what is approved, and wakes those whose changed.
 * Nothing where the tenant is dedicated, and nothing where nothing changes. Call under `lockLine`.
 */
export async function regrant(tx: UnsafeTx, tenantId: string): Promise<number> {
  const tenant = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId }, select: { sharing: true } });
  if (tenant.sharing === 'dedicated') return 0;
  const grants = await grantsWith(tx, tenantId);
  return keepGrants(tx, tenantId, grants);
}

async function keepGrants(
  tx: UnsafeTx,
  tenantId: string,
  grants: ReadonlyMap<string, ReadonlyMap<string, number>>,
): Promise<number> {
  const rows = await tx.enrollment.findMany({ where: { tenantId, state: 'active' }, include: withPosition });
  const changed = new Set<string>();
  for (const row of rows) {
    const choices = specOf(row)?.pools ?? [];
    for (const { scaleSetName, poolName, minRunners, maxRunners: before } of row.pools) {
      const choice = choices.find(({ pool }) => pool === poolName);
      const maxRunners = grants.get(row.id)?.get(poolName);
      if (!choice || maxRunners === undefined || maxRunners === before) continue;
      const data = sizesNow(row.connection.kind, choice, maxRunners, new Date());
      await tx.enrollmentPool.update({ where: { scaleSetName }, data });
      changed.add(row.id);
      await appendSystemAudit(tx, tenantId, {
        action: 'pool:share',
        target: `pool/${scaleSetName}`,
        before: { minRunners, maxRunners: before },
        after: data,
      });
    }
  }
  await wake(tx, 'enrollment', [...changed]);
  return changed.size;
}

/** Whatever changed the quota or the company: shares that are not as they follow are put right, by whoever looks first. */
export async function keepFair(row: EnrollmentRow, lease: Lease): Promise<boolean> {
  if (row.tenant.sharing === 'dedicated' || row.state !== 'active') return false;
  const grants = (await grantsWith(unsafeDb(), row.tenantId)).get(row.id);
  const isFair = row.pools.every(({ poolName, maxRunners }) => (grants?.get(poolName) ?? maxRunners) === maxRunners);
  if (isFair) return false;
  return unsafeTransaction(async (tx) => {
    await lockLine(tx, row.tenantId);
    await lease.fence(tx);
    return (await regrant(tx, row.tenantId)) > 0;
  });
}

export const SharingInput = z.strictObject({ sharing: z.enum(sharings) });

/**
 * Makes a tenant's capacity one account's or several accounts'. Dedicated it becomes only while it serves one, and while what
 * its pools ask for fits: else somebody would lose what they were promised.
 */
export async function setSharing(ctx: Ctx, { sharing }: z.infer<typeof SharingInput>): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const tenantId = ctx.tenant.id;
    await lockLine(tx, tenantId);
    const before = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId }, select: { sharing: true } });
    if (before.sharing === sharing) return;
    if (sharing === 'dedicated') await refuseCompany(tx, tenantId);
    await tx.tenant.update({ where: { id: tenantId }, data: { sharing } });
    if (sharing === 'dedicated') await giveAsAsked(tx, tenantId);
    await regrant(tx, tenantId);
    await refuseOversold(tx, tenantId, await poolsByName());
    await appendAudit(tx, ctx, tenantId, {
      action: 'tenant:sharing',
      target: `tenant/${ctx.tenant.slug}`,
      before,
      after: { sharing },
    });
  });
}

async function refuseCompany(tx: UnsafeTx, tenantId: string): Promise<void> {
  const paths = [...(await accountsIn(tx, tenantId)).values()];
  if (paths.length < 2) return;
  throw new AppError('conflict', {
    log: `${paths.length} accounts in a tenant that shall be dedicated`,
    screen: {
      happened: `This tenant serves ${paths.join(' and ')}, so it cannot be dedicated to one of them.`,
      todo: 'Withdraw the others here and enrol them in tenants of their own first.',
    },
  });
}

/** A dedicated tenant's pools have what was approved; whether that fits is looked at after. */
async function giveAsAsked(tx: UnsafeTx, tenantId: string): Promise<void> {
  const rows = await tx.enrollment.findMany({ where: { tenantId, state: 'active' }, include: withPosition });
  const asked = rows.map((row) => {
    const pools = specOf(row)?.pools ?? [];
    return [row.id, new Map(pools.map(({ pool, maxRunners }) => [pool, maxRunners]))] as const;
  });
  await keepGrants(tx, tenantId, new Map(asked));
}

export type SharingView = {
  sharing: Sharing;
  /** Who is served by the tenant's capacity. */
  accounts: string[];
  /** What each pool asked for and has of it. */
  shares: { enrollmentId: string; enrollment: string; path: string; label: string; asked: number; granted: number }[];
};

/** For pages: whose the tenant's capacity is, and how it is divided. */
export async function sharingOf({ tenant }: Ctx): Promise<SharingView> {
  const db = unsafeDb();
  const { sharing } = await db.tenant.findUniqueOrThrow({ where: { id: tenant.id }, select: { sharing: true } });
  const rows = await db.enrollment.findMany({
    where: { tenantId: tenant.id, state: 'active' },
    include: withPosition,
    orderBy: { createdAt: 'asc' },
  });
  const shares = rows.flatMap((row) => {
    const pools = specOf(row)?.pools ?? [];
    return row.pools.map(({ poolName, scaleSetName, maxRunners }) => ({
      enrollmentId: row.id,
      enrollment: row.name,
      path: row.path,
      label: scaleSetName,
      asked: pools.find(({ pool }) => pool === poolName)?.maxRunners ?? maxRunners,
      granted: maxRunners,
    }));
  });
  return { sharing, accounts: [...(await accountsIn(db, tenant.id)).values()], shares };
}
