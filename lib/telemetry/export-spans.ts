import { randomUUID } from 'node:crypto';
import { ROOT_CONTEXT, SpanKind as OtelKind, SpanStatusCode, trace, type Context, type Span } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import { held } from './held.ts';
import type { SpanKind } from './traces.ts';

/* Loaded only where somebody collects traces: start-tracing.ts. */

/** A collector that is slow or away holds nothing up: what does not fit is dropped. */
const limits = { maxQueueSize: 2048, maxExportBatchSize: 512, scheduledDelayMillis: 2_000, exportTimeoutMillis: 5_000 };
/** That spans cannot be exported is said once in this time. */
const saidMs = 60_000;

const kinds: Record<SpanKind, OtelKind> = {
  internal: OtelKind.INTERNAL,
  server: OtelKind.SERVER,
  client: OtelKind.CLIENT,
  consumer: OtelKind.CONSUMER,
};

export type ExportOptions = {
  /** The collector's base address; OTLP over HTTP has its path below it. */
  endpoint: string;
  headers: Record<string, string>;
  service: string;
  /** Which share of traces is kept; decided where one begins, and held to by all who go on with it. */
  ratio: number;
  onError: (error: unknown) => void;
};

/** Begins to make spans; answers what ends it, once all that were made are sent or given up. */
export function exportSpans(options: ExportOptions): () => Promise<void> {
  const { endpoint, headers, service, ratio, onError } = options;
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/$/, '')}/v1/traces`,
    headers,
    timeoutMillis: limits.exportTimeoutMillis,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.instance.id': randomUUID() }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [new BatchSpanProcessor({ exporter: saying(exporter, onError), ...limits })],
  });
  const tracer = provider.getTracer('flywheel');
  held().tracing = {
    start: (name, kind, parent) => tracer.startSpan(name, { kind: kinds[kind] }, within(parent)),
    failed: (span, message) => void span.setStatus({ code: SpanStatusCode.ERROR, message }),
  };
  return async () => {
    held().tracing = undefined;
    // What could not be sent was told of as it was tried.
    await provider.shutdown().catch(() => undefined);
  };
}

function within(parent: Span | string | undefined): Context {
  if (parent === undefined) return ROOT_CONTEXT;
  if (typeof parent !== 'string') return trace.setSpan(ROOT_CONTEXT, parent);
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(parent) ?? [];
  if (traceId === undefined || spanId === undefined) return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags ?? '0', 16);
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

function saying(exporter: SpanExporter, onError: (error: unknown) => void): SpanExporter {
  let saidUntilMs = 0;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error && performance.now() >= saidUntilMs) {
          saidUntilMs = performance.now() + saidMs;
          onError(result.error);
        }
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}
