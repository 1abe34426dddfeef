import type { Change, Observed } from '#lib/cluster/index.ts';
import { Prisma, unsafeDb } from '#lib/db/index.ts';
import { wakeSql } from '#lib/work/index.ts';

const gatherMs = 40;

/**
 * Turns what a watch saw into wakes: a key an enrollment, the first after a while at once and what follows gathered for a
 * moment, so that a namespace's removal is two looks and not fourteen. Pods and runners are not ours to mend and wake nobody, but where a runner of Forgejo's ended, which the forge forgets
 * with its job, so that the next one wants a new registration; nor does a first list, since a start looks at everything.
 */
export function wakeOfChange(onError: (error: unknown) => void): (change: Change) => void {
  const changed = new Map<string, Set<string | undefined>>();
  let timer: NodeJS.Timeout | undefined;
  let flushedAtMs = Number.NEGATIVE_INFINITY;
  const flush = async () => {
    timer = undefined;
    flushedAtMs = performance.now();
    const gathered = [...changed];
    changed.clear();
    for (const [slug, names] of gathered) await wakeEnrollments(slug, names);
  };
  return (change) => {
    if (change.tenant === undefined || change.first) return;
    if (change.kind === 'Pod' && !isEndedRunner(change.object)) return;
    if (change.kind === 'EphemeralRunner') return;
    const names = changed.get(change.tenant) ?? new Set();
    changed.set(change.tenant, names.add(change.enrollment));
    const dueMs = Math.max(0, flushedAtMs + gatherMs - performance.now());
    timer ??= setTimeout(() => void flush().catch(onError), dueMs);
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
