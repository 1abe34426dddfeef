/**
 * Usage: what ran, as readings that can only be too low.
 *
 * It promises that a reading is cumulative and unique on what it measures (source, meter, instant), so that a restart, an
 * overlap or a second collector adds nothing; that what cannot be is refused and kept with its reason; that the highest of
 * each hour is kept by the statement that keeps the reading; that the lines of use add up to all of it, with what belongs to
 * nothing as lines of their own, and are the same whether a day is kept or reckoned anew; and that what a page shows live comes from the worker's watch through the database, so that
 * a thousand viewers cost the API server nothing. It may touch the database and read the cluster view it is given. It knows
 * no price.
 */
export {
  livePools,
  liveUsage,
  sharedUsage,
  usageAfter,
  type LivePool,
  type LiveRunner,
  type LiveUsage,
} from './live.ts';
export { mendJobs, recordRunners, sweepRunners, watchRunners, type SeenAt } from './runners.ts';
export { runnerSeen, type RunnerSeen, type RunnerState } from './runner-seen.ts';
export {
  exportAllJobs,
  exportJobs,
  isJobCursor,
  JobQuery,
  jobStandings,
  listAllJobs,
  listJobs,
  poolLabels,
} from './ledger.ts';
export type { JobPage, JobRow, JobStanding } from './ledger.ts';
export { jobSeries, SeriesQuery, seriesWindows } from './series.ts';
export type { JobSeries, SeriesStep, SeriesWindow } from './series.ts';
export { gapsBetween, gapsOf, keepLook, meteringLags, type Gap } from './looks.ts';
export { keepReadings, keepSources, type GivenSource, type Kept } from './keep.ts';
export { meterNames, meterWords, poolMeters, type Meter, type ReadMeter } from './meters.ts';
export { usedBetween, type GivenReading, type Reading } from './meter.ts';
export { keepPoolCounts, measureRunners, sampleRunners } from './sample.ts';
export { keepPodMetrics, readPodMetrics, type PodMetrics } from './metrics.ts';
export { keepStorage, sampleStorage } from './storage.ts';
export { poolSeconds, pruneReadings, refusalsSince, useLines } from './totals.ts';
export type { PoolSeconds } from './totals.ts';
export { keepRecentDays } from './days.ts';
export type { UseKind, UseLine, UseQuery } from './reckon.ts';
