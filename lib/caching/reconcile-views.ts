import { ensureAtticView, removeAtticView } from '#lib/cache/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { appendSystemAudit } from '#lib/tenant/index.ts';
import { type Lease, type Outcome } from '#lib/work/index.ts';
import { atticServerOf, type OpenServer } from './server.ts';
import { isEnrolled, wakeHolders, type ViewRow } from './views.ts';

/** A view that somebody changed by hand at the server is set again within this. */
const lookAgainMs = 3600_000;

/** One pass over the views that people asked for; the key is the tenant's id. Those of enrollments are theirs alone. */
export async function reconcileViews(lease: Lease, now = new Date()): Promise<Outcome> {
  const tenant = await unsafeDb().tenant.findUnique({ where: { id: lease.key } });
  const all = await unsafeDb().cacheView.findMany({ where: { tenantId: lease.key, plane: 'attic' } });
  const views = all.filter((view) => !isEnrolled(view));
  if (!tenant || views.length === 0) return { kind: 'gone' };
  const server = await atticServerOf(tenant);
  if (!server) return { kind: 'wait', againMs: lookAgainMs, waitingFor: 'operator' };
  let failed: AppError | undefined;
  for (const view of views.filter((each) => isDue(each, now))) {
    // One that the server refuses holds up no other.
    const error = await matched(server, view, lease, now);
    failed ??= error;
  }
  if (failed) throw failed;
  return { kind: 'done', againMs: lookAgainMs };
}

function isDue(view: ViewRow, now: Date): boolean {
  if (view.removingAt !== null || view.observedAt === null) return true;
  return view.changedAt > view.observedAt || now.getTime() - view.observedAt.getTime() >= lookAgainMs;
}

async function matched(server: OpenServer, view: ViewRow, lease: Lease, now: Date): Promise<AppError | undefined> {
  try {
    await lease.check();
    await (view.removingAt === null ? made(server, view, lease, now) : removed(server, view, lease));
    return undefined;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const trouble = [error.screen.happened, error.screen.todo].filter(Boolean).join(' ');
    await unsafeDb().cacheView.updateMany({ where: { id: view.id }, data: { trouble } });
    return error;
  }
}

async function made(server: OpenServer, view: ViewRow, lease: Lease, now: Date): Promise<void> {
  const { name, isPublic, priority, upstreamKeys, retentionSeconds } = view;
  const wish = { server, name, isPublic, priority, upstreamKeys, retentionSeconds, signal: lease.signal };
  const { publicKey, substituterUrl } = await ensureAtticView(wish);
  const isThere = await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    // What was changed meanwhile is made so by the wake that came with it.
    const where = { id: view.id, changedAt: view.changedAt };
    const observedAt = now > view.changedAt ? now : view.changedAt;
    await tx.cacheView.updateMany({ where, data: { publicKey, substituterUrl, observedAt, trouble: null } });
    if (view.publicKey !== publicKey) await wakeHolders(tx, view);
    return (await tx.cacheView.count({ where: { id: view.id } })) > 0;
  });
  // The last enrollment went while it was made: nobody would ever take it away.
  if (!isThere) await removeAtticView({ server, name, signal: lease.signal });
}

async function removed(server: OpenServer, view: ViewRow, lease: Lease): Promise<void> {
  await removeAtticView({ server, name: view.name, signal: lease.signal });
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await tx.cacheView.deleteMany({ where: { id: view.id } });
    await appendSystemAudit(tx, view.tenantId, { action: 'cache-view:removed', target: `cache-view/${view.name}` });
    await wakeHolders(tx, view);
  });
}
