/**
 * What is known of a job after several readings of it. Pure: values in, values out.
 *
 * Deliveries come late, twice and in any order, so that merging must not care: it is commutative, associative and
 * idempotent, and every order of the same readings ends in the same job.
 */
export type JobReading = {
  state: 'queued' | 'running' | 'completed';
  repository: string;
  runId: string | null;
  workflow: string | null;
  name: string | null;
  conclusion: string | null;
  runnerName: string | null;
  queuedAt: Date;
  startedAt: Date | null;
  completedAt: Date | null;
};

const order = { queued: 0, running: 1, completed: 2 } as const;

/** The state only moves forward; what one reading left out, the other fills in. */
export function mergeJob(a: JobReading, b: JobReading): JobReading {
  return {
    state: order[a.state] >= order[b.state] ? a.state : b.state,
    repository: a.repository >= b.repository ? a.repository : b.repository,
    runId: either(a.runId, b.runId),
    workflow: either(a.workflow, b.workflow),
    name: either(a.name, b.name),
    conclusion: either(a.conclusion, b.conclusion),
    runnerName: either(a.runnerName, b.runnerName),
    queuedAt: a.queuedAt <= b.queuedAt ? a.queuedAt : b.queuedAt,
    startedAt: earliest(a.startedAt, b.startedAt),
    completedAt: earliest(a.completedAt, b.completedAt),
  };
}

/**
 * These texts are written once in a job's life, so that two that differ are a forge's mistake (or a rename under way).
 * Which of them is kept does not matter, only that every order keeps the same one.
 */
function either(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return a >= b ? a : b;
}

function earliest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a <= b ? a : b;
}
