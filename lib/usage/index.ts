/**
 * Usage: what ran, as readings that can only be too low.
 *
 * It promises that a reading is the cumulative run time of one runner pod, unique on the pod and the instant, so that a
 * restart, an overlap or a second collector adds nothing; and that what a page shows live comes from the worker's watch
 * through the database, so that a thousand viewers cost the API server nothing. It may touch the database and read the
 * cluster view it is given. It knows no price.
 */
export { livePools, liveUsage, sharedUsage, type LivePool, type LiveRunner, type LiveUsage } from './live.ts';
export { mendJobs, recordRunners, sweepRunners, watchRunners, type SeenAt } from './runners.ts';
export { runnerSeen, type RunnerSeen, type RunnerState } from './runner-seen.ts';
export { exportAllJobs, exportJobs, JobQuery, jobStandings, listAllJobs, listJobs } from './ledger.ts';
export type { JobPage, JobRow, JobStanding } from './ledger.ts';
export { jobSeries, SeriesQuery, seriesWindows } from './series.ts';
export type { JobSeries, SeriesStep, SeriesWindow } from './series.ts';
export { poolSeconds, type PoolSeconds } from './totals.ts';
export { secondsBetween, type Reading } from './meter.ts';
export { keepPoolCounts, measureRunners, sampleRunners } from './sample.ts';
