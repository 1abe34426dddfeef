/**
 * What the portal tells of itself to those who operate it: metrics, traces, what a request or pass is about, and what must not be told.
 *
 * It promises that a metric is one of a list, with labels whose values do not grow with the tenants; that where nobody asks for
 * metrics or collects traces nothing is kept and nothing loaded; that they are served on a port of their own and by no other way; and that text
 * which went through `withoutSecrets` has no secret in it that this process knows, or that has a secret's form.
 *
 * It touches no database and no tenant: who knows something counts it here, or says where it is read.
 */
export { contextNow, inPart, note, noteOutcome, within, type Fields } from './context.ts';
export { count, observe, readAt, stopwatch } from './metrics.ts';
export { labelValues, metrics, type Metric, type MetricName } from './metric-list.ts';
export { allowanceIn, sawAllowance, sawCluster, sawForge, seenNow, type Allowance, type Standing } from './seen.ts';
export { conceal, concealOwn, valueWithoutSecrets, withoutSecrets } from './secrets.ts';
export { serveMetrics } from './serve-metrics.ts';
export { startTracing } from './start-tracing.ts';
export { span, spanIds, traceId, traceparent, type Fail, type SetAttributes } from './traces.ts';
