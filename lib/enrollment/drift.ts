import type { Change, Observed } from '#lib/cluster/index.ts';
import { Prisma, unsafeDb } from '#lib/db/index.ts';
import { wakeSql } from '#lib/work/index.ts';

const gatherMs = 40;

/**
 * Turns what a watch saw into wakes: a key an enrollment, a tenant's first after a while at once and what follows gathered for a
 * moment, so that a namespace's removal is two looks and not fourteen; no tenant waits for another's moment. Pods and runners are
 * not ours to mend and wake nobody, but where a runner of Forgejo's ended, which the forge forgets with its job, so that the next
 * one wants a new registration; nor does a first list, since a start looks at everything.
 */
export function wakeOfChange(onError: (error: unknown) => void): (change: Change) => void {
  /** What changed of a tenant since its last wake; there for as long as its moment lasts. */
  const changed = new Map<string, Set<string | undefined>>();
  let waking = Promise.resolve();
  const flush = (slug: string) => {
    const names = changed.get(slug);
    if (!names?.size) return void changed.delete(slug);
    changed.set(slug, new Set());
    setTimeout(flush, gatherMs, slug);
    // One after another: a thousand tenants at once must not take all connections.
    waking = waking.then(() => wakeEnrollments(slug, names)).catch(onError);
  };
  return (change) => {
    const { tenant, enrollment } = change;
    if (tenant === undefined || change.first) return;
    if (change.kind === 'Pod' && !isEndedRunner(change.object)) return;
    if (change.kind === 'EphemeralRunner') return;
    const names = changed.get(tenant);
    if (names) return void names.add(enrollment);
    changed.set(tenant, new Set([enrollment]));
    setTimeout(flush, 0, tenant);
  };
}

type PodStatus = { containerStatuses?: { restartCount?: number; state?: { terminated?: unknown } }[] };

function isEndedRunner({ metadata, status }: Observed): boolean {
  if (metadata.labels?.['app.kubernetes.io/name'] !== 'forgejo-runner') return false;
  const { containerStatuses = [] } = (status ?? {}) as PodStatus;
  return containerStatuses.some(({ restartCount = 0, state }) => restartCount > 0 || state?.terminated !== undefined);
}

/** A change of what the tenant's enrollments share wakes all of them. */
async function wakeEnrollments(slug: string, names: ReadonlySet<string | undefined>): Promise<void> {
  const named = names.has(undefined) ? null : [...names];
  const touched = Prisma.sql`
    select e.id::text as key from enrollment e join tenant t on t.id = e.tenant_id
    where t.slug = ${slug} and e.state in ('active', 'withdrawing')
      and (${named}::text[] is null or e.name = any(${named}::text[]))
    order by key`;
  await unsafeDb().$executeRaw`
    /* prepared: wake_touched */
    with ${wakeSql('enrollment', touched)} select 1 from told`;
}
