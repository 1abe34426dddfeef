import type { TenantDb } from '#lib/db/index.ts';

export type LivePool = {
  pool: string;
  label: string;
  enrollmentId: string;
  minRunners: number;
  maxRunners: number;
  /** Jobs that the forge told of and that have no runner yet. */
  queued: number;
  /** Runners that are being started, have a job, and wait for one. */
  pending: number;
  running: number;
  idle: number;
  failed: number;
  /** When the worker last heard of it from the cluster; null before the first time. */
  observedAt: string | null;
};

/** What runs now in each pool of a tenant, as the worker's watch last told. */
export async function livePools(ctx: { db: TenantDb }, enrollmentId?: string): Promise<LivePool[]> {
  const where = enrollmentId === undefined ? {} : { enrollmentId };
  const [pools, jobs] = await Promise.all([
    ctx.db.enrollmentPool.findMany({
      where,
      orderBy: { scaleSetName: 'asc' },
      include: { enrollment: { select: { connection: { select: { kind: true } } } } },
    }),
    ctx.db.job.findMany({
      where: { ...where, state: { in: ['queued', 'running'] } },
      select: { scaleSetName: true, state: true },
    }),
  ]);
  return pools.map((row) => {
    const count = (state: string) =>
      jobs.filter((job) => job.scaleSetName === row.scaleSetName && job.state === state).length;
    // A runner of GitLab's exists for its job alone; elsewhere the forge tells which of them have one.
    const isJobsOwn = row.enrollment.connection.kind === 'gitlab';
    const busy = isJobsOwn ? row.runningRunners : Math.min(count('running'), row.runningRunners);
    return {
      pool: row.poolName,
      label: row.scaleSetName,
      enrollmentId: row.enrollmentId,
      minRunners: row.minRunners,
      maxRunners: row.maxRunners,
      queued: count('queued'),
      pending: row.pendingRunners,
      running: busy,
      idle: row.runningRunners - busy,
      failed: row.failedRunners,
      observedAt: row.observedAt?.toISOString() ?? null,
    };
  });
}
