import { held } from './held.ts';
import type { CounterName, GaugeName, HistogramName, LabelsOf, MetricName } from './metric-list.ts';

/** What keeps the figures, where somebody asks for them: serve-metrics.ts. */
export type Instruments = {
  count: (name: MetricName, labels: Record<string, string>, by: number) => void;
  observe: (name: MetricName, labels: Record<string, string>, value: number) => void;
};

export type Sample = { labels: Record<string, string>; value: number };
/** Read when somebody asks; what throws tells nothing then. */
export type Reader = () => Promise<Sample[]> | Sample[];

/** Costs nothing where no metrics are served. */
export function count<Name extends CounterName>(name: Name, labels: LabelsOf<Name>, by = 1): void {
  held().instruments?.count(name, labels, by);
}

export function observe<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>, value: number): void {
  held().instruments?.observe(name, labels, value);
}

/** Says where a gauge, or a counter that somebody else counts, is read. The last one that says so counts. */
export function readAt<Name extends GaugeName | CounterName>(
  name: Name,
  read: () => Promise<{ labels: LabelsOf<Name>; value: number }[]> | { labels: LabelsOf<Name>; value: number }[],
): void {
  held().readers.set(name, read);
}

/** Since when, in seconds: `const took = stopwatch(); …; took()`. */
export function stopwatch(): () => number {
  const startMs = performance.now();
  return () => (performance.now() - startMs) / 1000;
}
