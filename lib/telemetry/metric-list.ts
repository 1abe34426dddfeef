/**
 * Every metric that the portal exposes, as data: what counts and measures names one of these, what serves them makes them from
 * it, and docs/observability.md is checked against it. Names and units are Prometheus' (https://prometheus.io/docs/practices/naming/).
 *
 * A label has a bounded number of values whatever the number of tenants: `labelValues` says of each where its values come from.
 */

type Common = { name: string; help: string; labels: readonly string[] };
export type Metric = Common & ({ type: 'counter' | 'gauge' } | { type: 'histogram'; buckets: readonly number[] });

/** Where the values of each label come from. A tenant, an enrollment, a repository or a person is none of them. */
export const labelValues = {
  task: 'the tasks of a worker, such as `enrollment`: a fixed list',
  phase: 'the phases of a pass, such as `PoolsReady`: a fixed list',
  outcome: 'a fixed list, with the metric',
  kind: 'the kinds of Kubernetes that the portal writes',
  verb: '`GET`, `PATCH`, `POST`, `PUT`, `DELETE`, `WATCH`',
  method: 'the methods of HTTP that the portal sends',
  code: 'the status of the answer, `none` where none came; at a door `ok` or the kind of refusal',
  forge: '`github`, `gitlab`, `forgejo`; `unknown` where a delivery names no webhook that there is',
  connection: 'the forges that operators entered',
  cluster: 'the clusters that operators entered',
  key: '`present`, `other`',
  door: '`page`, `action`, `view`, `route`, `webhook`, `program`',
} as const;

/** A pass is some milliseconds where nothing is to be done, and waits for others at most some tens of seconds. */
const passBuckets = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];
const requestBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export const metrics = {
  queueDue: {
    type: 'gauge',
    name: 'flywheel_queue_due_keys',
    help: 'Keys that are due and that no worker holds.',
    labels: ['task'],
  },
  queueAge: {
    type: 'gauge',
    name: 'flywheel_queue_oldest_due_age_seconds',
    help: 'For how long the oldest of the due keys has been due; 0 where none is.',
    labels: ['task'],
  },
  queueFailing: {
    type: 'gauge',
    name: 'flywheel_queue_failing_keys',
    help: 'Keys whose last pass failed and that wait for their next try.',
    labels: ['task'],
  },
  passSeconds: {
    type: 'histogram',
    name: 'flywheel_pass_duration_seconds',
    help: 'Passes over a key, by how they ended: done, wait (somebody else must move), gone, failed, lost (the lease).',
    labels: ['task', 'outcome'],
    buckets: passBuckets,
  },
  phaseSeconds: {
    type: 'histogram',
    name: 'flywheel_phase_duration_seconds',
    help: 'Phases of passes over enrollments, by what they found: ready, waiting, failed.',
    labels: ['phase', 'outcome'],
    buckets: passBuckets,
  },
  leasesLost: {
    type: 'counter',
    name: 'flywheel_leases_lost_total',
    help: 'Keys that another worker took over while this one held them.',
    labels: [],
  },
  driftFound: {
    type: 'counter',
    name: 'flywheel_drift_found_total',
    help: 'Objects of the portal that somebody else had changed or removed in a cluster, as passes found them.',
    labels: ['kind'],
  },
  driftRepaired: {
    type: 'counter',
    name: 'flywheel_drift_repaired_total',
    help: 'Those of them that were written again; the others have a field that somebody else owns.',
    labels: ['kind'],
  },
  clusterRequests: {
    type: 'counter',
    name: 'flywheel_cluster_requests_total',
    help: 'Requests to the API servers of clusters.',
    labels: ['verb', 'code'],
  },
  clusterSeconds: {
    type: 'histogram',
    name: 'flywheel_cluster_request_duration_seconds',
    help: 'How long API servers took to begin their answer; watches are not among them.',
    labels: ['verb'],
    buckets: requestBuckets,
  },
  forgeRequests: {
    type: 'counter',
    name: 'flywheel_forge_requests_total',
    help: 'Requests to forges.',
    labels: ['forge', 'method', 'code'],
  },
  forgeSeconds: {
    type: 'histogram',
    name: 'flywheel_forge_request_duration_seconds',
    help: 'How long forges took for their whole answer.',
    labels: ['forge'],
    buckets: requestBuckets,
  },
  forgeLeft: {
    type: 'gauge',
    name: 'flywheel_forge_rate_limit_remaining',
    help: 'Requests that a forge still takes in its present window, of whoever of this process’s askers has the least share left.',
    labels: ['connection'],
  },
  forgeLimit: {
    type: 'gauge',
    name: 'flywheel_forge_rate_limit',
    help: 'What that asker may ask in a whole window.',
    labels: ['connection'],
  },
  cacheRequests: {
    type: 'counter',
    name: 'flywheel_cache_requests_total',
    help: 'Requests to cache servers.',
    labels: ['method', 'code'],
  },
  deliveries: {
    type: 'counter',
    name: 'flywheel_deliveries_total',
    help: 'Webhook deliveries that arrived: accepted, duplicate, or why they were refused.',
    labels: ['forge', 'outcome'],
  },
  deliveryLag: {
    type: 'histogram',
    name: 'flywheel_delivery_lag_seconds',
    help: 'From a delivery’s arrival until what it told of a job stood in the ledger.',
    labels: ['forge'],
    buckets: [0.1, 0.5, 1, 5, 30, 60, 300, 1800],
  },
  meteringLag: {
    type: 'gauge',
    name: 'flywheel_metering_lag_seconds',
    help: 'Since all that runs in a cluster was last read; what ran since is not yet counted.',
    labels: ['cluster'],
  },
  webhookRequests: {
    type: 'counter',
    name: 'flywheel_webhook_requests_total',
    help: 'Messages sent to the webhooks of tenants, by what those answered.',
    labels: ['code'],
  },
  webhookAge: {
    type: 'gauge',
    name: 'flywheel_webhook_oldest_unsent_age_seconds',
    help: 'For how long the oldest message to a webhook of a tenant has been waiting to be sent, its tries included; 0 where none is.',
    labels: [],
  },
  sealedValues: {
    type: 'gauge',
    name: 'flywheel_sealed_values',
    help: 'Secrets in the database by the key that seals them: the present one, or another that is on its way out.',
    labels: ['key'],
  },
  requestSeconds: {
    type: 'histogram',
    name: 'flywheel_request_duration_seconds',
    help: 'Requests at the portal’s own doors, by how they ended; of a page its own part, not its drawing.',
    labels: ['door', 'code'],
    buckets: requestBuckets,
  },
  processMemory: {
    type: 'gauge',
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of this process.',
    labels: [],
  },
  processCpu: {
    type: 'counter',
    name: 'process_cpu_seconds_total',
    help: 'Time of processors that this process has used.',
    labels: [],
  },
  processStart: {
    type: 'gauge',
    name: 'process_start_time_seconds',
    help: 'When this process began, in seconds since 1970.',
    labels: [],
  },
  heapUsed: {
    type: 'gauge',
    name: 'nodejs_heap_size_used_bytes',
    help: 'What of the JavaScript heap is in use.',
    labels: [],
  },
  loopLag: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_p99_seconds',
    help: 'By how much timers came late since the last scrape, the 99th percentile.',
    labels: [],
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof metrics;
type Named<Type extends Metric['type']> = {
  [Name in MetricName]: (typeof metrics)[Name]['type'] extends Type ? Name : never;
}[MetricName];
export type CounterName = Named<'counter'>;
export type HistogramName = Named<'histogram'>;
export type GaugeName = Named<'gauge'>;
export type LabelsOf<Name extends MetricName> = Record<(typeof metrics)[Name]['labels'][number], string>;
