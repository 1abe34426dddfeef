import { scaleSetIdOf, type ClusterView, type KubernetesObject, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { wake } from '#lib/work/index.ts';
import type { PhaseResult } from './conditions.ts';
import { sharedByTenant } from './desired.ts';
import { mayStillRun } from './leave-cluster.ts';
import { once, type PassScope } from './pass.ts';
import { preparing } from './phases.ts';
import type { EnrollmentRow } from './rows.ts';
import { runnerSetOf } from './runner-set.ts';

/*
 * An enrollment's part in the move of its tenant to another cluster. It is made ready there while it runs here: all objects, with the
 * credentials and registrations that there are, so that nothing is registered twice. A runner set of GitHub's takes over the
 * scale set of its name and waits for the session that its namesake holds; processes of GitLab's and Forgejo's, which would serve at
 * once, are there and do not run.
 */

/** The kind of task whose key is a move's id. */
export const moveTask = 'move';

export type Prepared = { generation: number; ready: boolean; said: string };

/** A process of the tenant's runners: its Bazel cache serves whoever asks, on both sides. */
function isOfRunners({ tenant }: EnrollmentRow, { kind, metadata }: KubernetesObject): boolean {
  return kind === 'Deployment' && metadata.namespace !== namespacesOf(tenant.slug).bazel;
}

/** After the move: what must not begin here while its namesake is at work on the cluster that is left. */
export function heldBy(row: EnrollmentRow, left: ClusterView): NonNullable<PassScope['isHeld']> {
  return (object) => isOfRunners(row, object) && mayStillRun(left, object as Observed);
}

/** One look at the cluster that the tenant goes to, after the one at home; what it found is kept with the move. */
export async function prepareElsewhere(home: PassScope, clusterId: string, view: ClusterView): Promise<boolean> {
  const { row, spec } = home;
  const there: EnrollmentRow = { ...row, tenant: { ...row.tenant, clusterId } };
  const scope: PassScope = {
    ...home,
    row: there,
    view,
    attic: undefined,
    // Nothing is asked of the forge here: what is registered is taken as it is held.
    found: new Map(),
    shared: once(() => sharedByTenant(there, spec)),
    isHeld: (object) => isOfRunners(row, object),
  };
  const waiting = (await firstWaiting(scope)) ?? setsWaiting(scope, home.view);
  const ready = waiting === null;
  await keep(home, { generation: row.generation, ready, said: waiting ?? 'Ready there.' });
  return ready;
}

async function firstWaiting(scope: PassScope): Promise<string | null> {
  for (const phase of preparing) {
    const { status, message } = await phase(scope).catch(inWords);
    if (status !== 'True') return message;
  }
  return null;
}

function inWords(error: unknown): Pick<PhaseResult, 'status' | 'message'> {
  if (!(error instanceof AppError)) throw error;
  return { status: 'False', message: [error.screen.happened, error.screen.todo].filter(Boolean).join(' ') };
}

/** Whether a set has yet to take over the scale set of its namesake at home. */
function setsWaiting({ row, spec, view, pools }: PassScope, home: ClusterView): string | null {
  if (row.connection.kind !== 'github') return null;
  for (const { pool } of spec.pools) {
    const of = runnerSetOf(row.tenant, pool, pools);
    const { name } = of.metadata;
    const [old, set] = [home.get(of), view.get(of)];
    const id = set && scaleSetIdOf(set);
    if (id === undefined) return `${name} is being taken over at the forge by Actions Runner Controller.`;
    const oldId = old && scaleSetIdOf(old);
    if (oldId !== undefined && oldId !== id)
      return `${name} is another registration there (${id}) than here (${oldId}): one of them was made beside the portal.`;
  }
  return null;
}

/** Written only where it is news. Whoever carries out the move is woken by it. */
async function keep({ row, lease }: PassScope, prepared: Prepared): Promise<void> {
  const where = { tenantId: row.tenantId, state: 'preparing' as const };
  const move = await unsafeDb().tenantMove.findFirst({ where, select: { id: true, leadId: true } });
  if (!move) return;
  const id = move.leadId ?? move.id;
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    const news = JSON.stringify({ [row.id]: prepared });
    const changed = await tx.$executeRaw`
      update tenant_move set prepared = prepared || ${news}::jsonb
      where id = ${id}::uuid and state = 'preparing' and not prepared @> ${news}::jsonb`;
    if (changed > 0) await wake(tx, moveTask, id);
  });
}
