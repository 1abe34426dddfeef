/**
 * How the portal itself is, for those who operate it: what its processes, its queue and the outside worlds say.
 *
 * It promises to ask the database alone: processes write what they see, every few seconds, and no cluster, forge or cache hears
 * of who looks; and that each part is ok, wants attention or is broken by limits that are said beside it. It changes nothing but
 * the row in which a process tells of itself, and shows nothing of a tenant but that something of it fails.
 */
export { beatMs, startBeat, type BeatOptions } from './beat.ts';
export type {
  ClusterSeen,
  DatabaseSeen,
  FailingKey,
  ForgeSeen,
  ProcessSeen,
  QueueSeen,
  StatusFacts,
  UnsentSeen,
} from './facts.ts';
export { readShared } from './gauges.ts';
export { judge, lasting, limits, works, worst, type Area, type Check, type Judged, type State } from './judge.ts';
export { readStatus } from './read.ts';
