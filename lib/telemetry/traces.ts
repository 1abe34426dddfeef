import type { Span } from '@opentelemetry/api';
import { contextNow } from './context.ts';
import { held } from './held.ts';
import { withoutSecrets } from './secrets.ts';

/*
 * Traces: which stretch of work followed from which, over processes. Where nobody collects them nothing is done, and OpenTelemetry
 * is not loaded: here it is types alone.
 */

export type SpanKind = 'internal' | 'server' | 'client' | 'consumer';
export type Attributes = Record<string, string | number | boolean | undefined>;

/** What makes spans, where somebody collects them: export-spans.ts. `parent` is a span of this process or a traceparent of another. */
export type Tracing = {
  start: (name: string, kind: SpanKind, parent: Span | string | undefined) => Span;
  failed: (span: Span, message: string) => void;
};

export type SpanOptions = {
  kind?: SpanKind;
  /** By which trace it was caused, where that was another process or earlier. */
  traceparent?: string | null;
  attributes?: Attributes;
  /** Whether what was thrown is a failure; it is, unless this says no. */
  isFailure?: (error: unknown) => boolean;
};

/** Adds what is learnt of the stretch under way. Texts are looked through for secrets. */
export type SetAttributes = (attributes: Attributes) => void;

/** Says that it failed, and why, where nothing is thrown to the end of it. */
export type Fail = (message: string) => void;

const nowhere = () => undefined;

/** Runs this as a stretch of its own within the present one; what it throws is its end, too. */
export async function span<T>(
  name: string,
  { kind = 'internal', traceparent, attributes = {}, isFailure = () => true }: SpanOptions,
  run: (set: SetAttributes, fail: Fail) => Promise<T>,
): Promise<T> {
  const { tracing, context } = held();
  if (!tracing) return run(nowhere, nowhere);
  const now = contextNow() ?? { fields: {}, part: { outcome: undefined }, span: undefined };
  const own = tracing.start(name, kind, traceparent ?? now.span);
  const set: SetAttributes = (more) => setAll(own, more);
  const fail: Fail = (message) => tracing.failed(own, withoutSecrets(message));
  set(attributes);
  try {
    return await context.run({ ...now, span: own }, () => run(set, fail));
  } catch (error) {
    if (isFailure(error)) fail(wordsOf(error));
    throw error;
  } finally {
    own.end();
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function setAll(own: Span, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined) own.setAttribute(name, typeof value === 'string' ? withoutSecrets(value) : value);
}

/** Whose the request or pass is, as attributes: what is known by now. */
export function spanIds(): Attributes {
  const { requestId, tenantId, enrollmentId } = contextNow()?.fields ?? {};
  return { 'flywheel.request.id': requestId, 'flywheel.tenant.id': tenantId, 'flywheel.enrollment.id': enrollmentId };
}

/** The id of the trace that this is part of. */
export function traceId(): string | undefined {
  return contextNow()?.span?.spanContext().traceId;
}

/** What another process needs to go on with this trace: https://www.w3.org/TR/trace-context/#traceparent-header */
export function traceparent(): string | null {
  const own = contextNow()?.span?.spanContext();
  return own ? `00-${own.traceId}-${own.spanId}-${own.traceFlags.toString(16).padStart(2, '0')}` : null;
}
