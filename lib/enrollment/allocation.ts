import { unsafeDb, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import {
  amountsOf,
  EnrollmentSpec,
  leftOf,
  promisedBy,
  quotaOfAmounts,
  quotaPartLabel,
  shortages,
  sumOf,
  type Amounts,
  type Pool,
  type Quota,
} from '#lib/model/index.ts';
import { approvedPools } from './catalog.ts';
import { liveStates, quotaOf } from './rows.ts';

/*
 * What tenants were given and what of it is taken: by the tenants below them, and by the maxima of their pools. Everything that
 * takes a part first locks the line of the tenants above it, so that two requests that only fit alone cannot both be granted.
 */

export type Allocation = {
  /** What the tenant was given. */
  whole: Quota;
  /** What of it tenants below hold. */
  handedOn: Amounts;
  /** What is left of the whole for its own pools: the quota of its namespace. */
  own: Quota;
  /** What its own pools take when each is at its maximum, and its Bazel cache's disk. */
  promised: Amounts;
  /** What nobody has yet. */
  left: Amounts;
};

/** Of a tenant as the transaction sees it. `exceptId` leaves out one enrollment, whose new size is being asked for. */
export async function allocationOf(
  tx: UnsafeTx,
  tenantId: string,
  pools: ReadonlyMap<string, Pool>,
  exceptId?: string,
): Promise<Allocation> {
  const tenant = await tx.tenant.findUniqueOrThrow({
    where: { id: tenantId },
    include: { children: { where: { state: { not: 'left' } } } },
  });
  const others = exceptId === undefined ? {} : { id: { not: exceptId } };
  const enrollments = await tx.enrollment.findMany({
    where: { tenantId, state: { in: [...liveStates] }, ...others },
    include: { pools: true },
  });
  const promised = sumOf(
    enrollments.map(({ pools: taken, spec }) =>
      promisedBy(
        taken.map(({ poolName, maxRunners }) => ({ pool: poolName, maxRunners })),
        approvedPools({ pools: taken }, pools),
        bazelGibOf(spec),
      ),
    ),
  );
  const whole = quotaOf(tenant);
  const handedOn = sumOf(tenant.children.map((child) => amountsOf(quotaOf(child))));
  const own = leftOf(amountsOf(whole), handedOn);
  return { whole, handedOn, own: quotaOfAmounts(own), promised, left: leftOf(own, promised) };
}

function bazelGibOf(spec: unknown): number {
  return spec === null ? 0 : (EnrollmentSpec.parse(spec).planes.bazel?.sizeGib ?? 0);
}

/**
 * Locks the tenant and all above it, the topmost first, until the transaction ends. Whoever takes, gives or moves a part of a
 * quota does so under this lock. It holds up nobody who only refers to a tenant.
 */
export async function lockLine(tx: Pick<UnsafeTx, '$queryRaw'>, tenantId: string): Promise<void> {
  await tx.$queryRaw`
    WITH RECURSIVE line AS (
      SELECT id, parent_id, 0 AS height FROM tenant WHERE id = ${tenantId}::uuid
      UNION ALL
      SELECT above.id, above.parent_id, line.height + 1 FROM tenant above JOIN line ON above.id = line.parent_id
    )
    SELECT tenant.id FROM tenant JOIN line USING (id) ORDER BY line.height DESC FOR NO KEY UPDATE OF tenant`;
}

/** Throws unless what is handed on and promised is within what the tenant was given. Call under `lockLine`. */
export async function refuseOversold(tx: UnsafeTx, tenantId: string, pools: ReadonlyMap<string, Pool>): Promise<void> {
  const { whole, handedOn, promised } = await allocationOf(tx, tenantId, pools);
  const short = shortages(sumOf([handedOn, promised]), amountsOf(whole));
  if (short.length === 0) return;
  const words = short.map(({ what, needed, quota }) => `${needed} of ${quota} ${quotaPartLabel[what]}`).join(', ');
  throw new AppError('conflict', {
    log: `oversold: ${words}`,
    screen: {
      happened: `The quota does not hold this: together with what is promised already it would take ${words}.`,
      todo: 'Choose smaller sizes, or ask for more quota.',
    },
  });
}

/** The allocation now, for pages and passes. */
export async function presentAllocation(tenantId: string, pools: ReadonlyMap<string, Pool>): Promise<Allocation> {
  return allocationOf(unsafeDb(), tenantId, pools);
}

/** Whether the tenant, or one above it, is suspended: its pools are then kept at nothing. */
export async function isStopped(tenantId: string): Promise<boolean> {
  const suspended = await unsafeDb().$queryRaw<unknown[]>`
    /* prepared: is_stopped */
    with recursive line as (
      select id, parent_id, state from tenant where id = ${tenantId}::uuid
      union select above.id, above.parent_id, above.state from tenant above join line on above.id = line.parent_id)
    select 1 from line where state = 'suspended' limit 1`;
  return suspended.length > 0;
}
