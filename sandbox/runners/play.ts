/** What every program that is played here goes by. */
export interface Play {
  /** How long a job runs that does not say. */
  jobSeconds: number;
  /** Multiplies the programs' and the kubelet's own waits, so that a test need not sit through them. */
  waitScale: number;
  /** Ends everything. */
  signal: AbortSignal;
  /** Pods of jobs that are followed now, as `<namespace>/<name>`: a manager that starts takes the others away. */
  jobPods: Set<string>;
  report(kind: string, key: string, error: unknown): void;
}
