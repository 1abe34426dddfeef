import type { Clock } from '#lib/clock.ts';
import { isOwned, readObject, type ClusterView } from '#lib/cluster/index.ts';
import { leaveCluster, lockLine, type Prepared } from '#lib/enrollment/index.ts';
import { unsafeDb, unsafeTransaction, type MoveState, type TenantModel, type UnsafeTx } from '#lib/db/index.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { appendSystemAudit } from '#lib/tenant/index.ts';
import { isAnyHeld, type Lease, type Outcome } from '#lib/work/index.ts';
import { wakeTenant } from './ask.ts';
import { tenantsOf } from './move.ts';
import { tellOfMove } from './tell.ts';

/*
 * The worker's part in a move. Each state is a look at what is there and goes on by one transaction, so that whoever comes after a worker
 * that died in any of them does the same. The enrollments' own passes make things ready on the new cluster, and once it has taken
 * over run there; in between, for a moment, nobody writes to either.
 */

export type MoveDeps = { clock: Clock; view: (clusterId: string) => ClusterView };

const waitMs = 1_000;
const idleMs = 100;
/** Kinds of tasks that write to a tenant's cluster; their key is an enrollment's id. */
const writers = ['enrollment', 'doctor'];

type Move = NonNullable<Awaited<ReturnType<typeof moveOf>>>;
type Step = (deps: MoveDeps, lease: Lease, move: Move) => Promise<Outcome>;

/** One look at a move; the key is its id. */
export async function reconcileMove(deps: MoveDeps, lease: Lease): Promise<Outcome> {
  const move = await moveOf(lease.key);
  const step = move && steps[move.state];
  return step ? step(deps, lease, move) : { kind: 'gone' };
}

async function moveOf(id: string) {
  const row = await unsafeDb().tenantMove.findUnique({ where: { id } });
  if (!row || row.leadId !== null) return null;
  const ids = await tenantsOf(unsafeDb(), id);
  const rows = await unsafeDb().tenant.findMany({ where: { id: { in: ids } } });
  const tenants = ids.flatMap((each) => rows.find((tenant) => tenant.id === each) ?? []);
  return { ...row, tenants };
}

const steps: Partial<Record<MoveState, Step>> = { preparing, closing, leaving, calling_off: callingOff };

async function activeOf(tenants: readonly TenantModel[], db: Pick<UnsafeTx, 'enrollment'> = unsafeDb()) {
  const tenantId = { in: tenants.map(({ id }) => id) };
  return db.enrollment.findMany({
    where: { tenantId, state: { in: ['active', 'withdrawing'] } },
    orderBy: { name: 'asc' },
  });
}

/** Waits until each enrollment, as it is wanted now, stands ready on the new cluster. */
async function preparing(_: MoveDeps, lease: Lease, move: Move): Promise<Outcome> {
  const prepared = move.prepared as Record<string, Prepared>;
  const waiting = (await activeOf(move.tenants)).flatMap(({ id, name, generation }) => {
    const found = prepared[id];
    if (found?.ready && found.generation === generation) return [];
    return [`${name}: ${found?.generation === generation ? found.said : 'not looked at yet.'}`];
  });
  if (waiting[0] !== undefined) {
    const more = waiting.length > 1 ? ` ${waiting.length - 1} more are not ready there either.` : '';
    await say(lease, move, waiting[0] + more);
    return { kind: 'wait', againMs: waitMs, waitingFor: 'cluster' };
  }
  await advance(lease, move, 'closing', async (tx) => {
    await tx.tenant.updateMany({ where: { id: { in: idsOf(move) } }, data: { moving: 'closing' } });
  });
  return { kind: 'wait', againMs: 0, waitingFor: 'portal' };
}

/** Nobody may be in the middle of a pass at the old home when the new one takes over. */
async function closing({ clock }: MoveDeps, lease: Lease, move: Move): Promise<Outcome> {
  const keys = (await activeOf(move.tenants)).map(({ id }) => id);
  if (await isAnyHeld(unsafeDb(), writers, keys)) return { kind: 'wait', againMs: idleMs, waitingFor: 'portal' };
  const { fromClusterId, toClusterId } = move;
  await advance(
    lease,
    move,
    'leaving',
    async (tx) => {
      const where = { id: { in: idsOf(move) } };
      const home = { clusterId: toClusterId, otherClusterId: fromClusterId, moving: 'leaving' as const };
      await tx.tenant.updateMany({ where, data: home });
      // Of the new cluster nothing was counted yet.
      await tx.enrollmentPool.updateMany({
        where: { tenantId: where.id },
        data: { currentRunners: 0, pendingRunners: 0, runningRunners: 0, failedRunners: 0 },
      });
      for (const { id, slug } of move.tenants)
        await appendSystemAudit(tx, id, {
          action: 'tenant:cluster',
          target: `tenant/${slug}`,
          before: { cluster: fromClusterId },
          after: { cluster: toClusterId },
        });
    },
    { handedOverAt: clock.now() },
  );
  return { kind: 'wait', againMs: 0, waitingFor: 'portal' };
}

/** Takes away what is left on the old cluster, when its jobs have ended or their time is over. */
async function leaving(deps: MoveDeps, lease: Lease, move: Move): Promise<Outcome> {
  const { fromClusterId, limitMinutes, handedOverAt } = move;
  const endJobs = deps.clock.now().getTime() - (handedOverAt?.getTime() ?? 0) >= limitMinutes * 60_000;
  const waiting = await leftOn(deps, lease, move, fromClusterId, endJobs);
  if (waiting !== null) {
    await say(lease, move, waiting);
    return { kind: 'wait', againMs: waitMs, waitingFor: 'cluster' };
  }
  await end(deps, lease, move, 'done');
  return { kind: 'gone' };
}

/** Takes away what was made on the new cluster, and goes on at home as if nothing had been. */
async function callingOff(deps: MoveDeps, lease: Lease, move: Move): Promise<Outcome> {
  const keys = (await activeOf(move.tenants)).map(({ id }) => id);
  if (await isAnyHeld(unsafeDb(), writers, keys)) return { kind: 'wait', againMs: idleMs, waitingFor: 'portal' };
  const waiting = await leftOn(deps, lease, move, move.toClusterId, false);
  if (waiting !== null) {
    await say(lease, move, waiting);
    return { kind: 'wait', againMs: waitMs, waitingFor: 'cluster' };
  }
  await end(deps, lease, move, 'called_off');
  return { kind: 'gone' };
}

/** What is still there of any of the tenants; null when the API server itself knows of no namespace of theirs. */
async function leftOn(
  deps: MoveDeps,
  lease: Lease,
  { tenants }: Move,
  clusterId: string,
  endJobs: boolean,
): Promise<string | null> {
  const view = deps.view(clusterId);
  for (const { slug } of tenants) {
    const waiting = await leaveCluster({ view, lease, slug, endJobs });
    if (waiting !== null) return waiting;
  }
  for (const { slug } of tenants)
    for (const name of Object.values(namespacesOf(slug)))
      if (await isOurs(view, name, slug)) return `The namespace ${name} is still on ${clusterId}.`;
  return null;
}

async function isOurs({ client }: ClusterView, name: string, slug: string): Promise<boolean> {
  const found = await readObject(client, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return found !== undefined && isOwned(found, slug);
}

function idsOf({ tenants }: Move): string[] {
  return tenants.map(({ id }) => id);
}

/** One state on, for the move and those that go with it, or not at all. */
async function advance(
  lease: Lease,
  move: Move,
  state: MoveState,
  change: (tx: UnsafeTx) => Promise<void>,
  more: { handedOverAt?: Date; endedAt?: Date; said?: string | null } = {},
): Promise<void> {
  await unsafeTransaction(async (tx) => {
    await lockLine(tx, move.tenantId);
    await lease.fence(tx);
    const moved = await tx.tenantMove.updateMany({
      where: { OR: [{ id: move.id }, { leadId: move.id }], state: move.state },
      data: { state, said: null, ...more },
    });
    // Called off, or given up, in the same moment: the next look sees to that.
    if (moved.count === 0) return;
    await change(tx);
    // While nobody may write there is nothing to look at.
    if (state !== 'closing') for (const id of idsOf(move)) await wakeTenant(tx, id);
  });
}

async function end({ clock }: MoveDeps, lease: Lease, move: Move, state: 'done' | 'called_off'): Promise<void> {
  const { fromClusterId, toClusterId } = move;
  const change = async (tx: UnsafeTx) => {
    await tx.tenant.updateMany({ where: { id: { in: idsOf(move) } }, data: { moving: null, otherClusterId: null } });
    for (const { id, slug } of move.tenants) {
      await appendSystemAudit(tx, id, {
        action: state === 'done' ? 'tenant:moved' : 'tenant:move-called-off',
        target: `tenant/${slug}`,
        after: { cluster: state === 'done' ? toClusterId : fromClusterId },
      });
      await tellOfMove(tx, {
        id,
        slug,
        moveId: move.id,
        from: fromClusterId,
        to: toClusterId,
        isDone: state === 'done',
      });
    }
  };
  await advance(lease, move, state, change, { endedAt: clock.now() });
}

/** What it waits for, written where it is news; then what was held for the old ones' sake may begin as well. */
async function say(lease: Lease, move: Move, said: string): Promise<void> {
  if (move.said === said) return;
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.tenantMove.updateMany({ where: { id: move.id, state: move.state }, data: { said } });
    if (move.state === 'leaving') for (const id of idsOf(move)) await wakeTenant(tx, id);
  });
}
