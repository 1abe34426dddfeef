import type { Env } from '#lib/config/index.ts';

type Settings = Pick<Env, 'OTEL_EXPORTER_OTLP_ENDPOINT' | 'OTEL_EXPORTER_OTLP_HEADERS' | 'OTEL_TRACES_SAMPLER_ARG'>;

/**
 * Makes spans from here on, where there is somebody to send them to; without, nothing is loaded. Answers what ends it, once those
 * that were made are sent or given up.
 */
export async function startTracing(
  settings: Settings,
  service: string,
  onError: (error: unknown) => void,
): Promise<() => Promise<void>> {
  const endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return async () => undefined;
  const { exportSpans } = await import('./export-spans.ts');
  const headers = Object.fromEntries(settings.OTEL_EXPORTER_OTLP_HEADERS.map(header));
  return exportSpans({ endpoint, headers, service, ratio: settings.OTEL_TRACES_SAMPLER_ARG, onError });
}

/** `<name>=<value>`, the value encoded as in an address: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ */
function header(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), decodeURIComponent(text.slice(at + 1))];
}
