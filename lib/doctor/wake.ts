import type { Change } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { wake } from '#lib/work/index.ts';

const gatherMs = 500;

type Status = {
  phase?: string;
  reason?: string;
  message?: string;
  failures?: Record<string, string>;
  conditions?: { type: string; status: string; reason?: string }[];
  containerStatuses?: { ready?: boolean; state?: { waiting?: { reason?: string; message?: string } } }[];
};

const passing = new Set(['ContainerCreating', 'PodInitializing']);

/** Whether an object may tell of trouble. Most changes are runners that come and go, and are nobody's matter here. */
function isSuspect({ kind, object, deleted }: Change): boolean {
  const { metadata } = object;
  const status = (object.status ?? {}) as Status;
  if (metadata.deletionTimestamp !== undefined && !deleted)
    return (metadata.finalizers ?? []).length > 0 && kind !== 'Pod';
  if (kind === 'EphemeralRunner') {
    const isFailing = Object.keys(status.failures ?? {}).length > 0 || status.phase === 'Failed';
    return !deleted && (isFailing || status.phase === 'Outdated' || /quota/.test(status.message ?? ''));
  }
  if (kind === 'Pod') {
    const isUnscheduled = status.conditions?.some(({ reason }) => reason === 'Unschedulable') ?? false;
    const waits = status.containerStatuses?.some(({ state }) => {
      const { reason } = state?.waiting ?? {};
      return reason !== undefined && !passing.has(reason);
    });
    return !deleted && (isUnscheduled || (waits ?? false));
  }
  if (kind === 'AutoscalingRunnerSet') return deleted || status.phase === 'Outdated';
  if (kind === 'Deployment') return status.conditions?.some(({ type }) => type === 'ReplicaFailure') ?? false;
  return false;
}

/** Turns what a watch saw of trouble into looks of the doctor's: a key an enrollment, gathered for a moment. */
export function wakeDoctor(onError: (error: unknown) => void): (change: Change) => void {
  const suspect = new Map<string, { tenant: string; enrollment: string }>();
  let timer: NodeJS.Timeout | undefined;
  const flush = async () => {
    timer = undefined;
    const gathered = [...suspect.values()];
    suspect.clear();
    const rows = await unsafeDb().enrollment.findMany({
      where: {
        state: { in: ['active', 'withdrawing'] },
        OR: gathered.map(({ tenant, enrollment }) => ({ name: enrollment, tenant: { slug: tenant } })),
      },
      select: { id: true },
    });
    await wake(
      unsafeDb(),
      'doctor',
      rows.map(({ id }) => id),
    );
  };
  return (change) => {
    const { tenant, enrollment } = change;
    if (tenant === undefined || enrollment === undefined || change.first || !isSuspect(change)) return;
    suspect.set(`${tenant}/${enrollment}`, { tenant, enrollment });
    timer ??= setTimeout(() => void flush().catch(onError), gatherMs);
  };
}
