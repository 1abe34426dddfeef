// Whoever collects traces: OTLP over HTTP as JSON, kept as it came. For tests.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

type Value = { stringValue?: string; intValue?: number | string; doubleValue?: number; boolValue?: boolean };
type Attribute = { key: string; value: Value };
type Wire = {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: {
      spans: {
        traceId: string;
        spanId: string;
        parentSpanId?: string;
        name: string;
        kind: number;
        attributes: Attribute[];
        status: { code?: number; message?: string };
      }[];
    }[];
  }[];
};

export interface CollectedSpan {
  service: string;
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  name: string;
  /** As OTLP numbers them: 1 internal, 2 server, 3 client, 5 consumer. */
  kind: number;
  attributes: Record<string, string | number | boolean>;
  /** Why it failed; undefined where it did not. */
  failed: string | undefined;
}

export interface Collector {
  url: string;
  spans: CollectedSpan[];
  /** All that came, as text: what no secret may be in. */
  received: string[];
  headers: IncomingHttpHeaders[];
  stop(): Promise<void>;
}

function valuesOf(attributes: readonly Attribute[]): CollectedSpan['attributes'] {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) => [
      key,
      stringValue ?? boolValue ?? Number(intValue ?? doubleValue),
    ]),
  );
}

function spansIn({ resourceSpans }: Wire): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(valuesOf(resource.attributes)['service.name']);
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ traceId, spanId, parentSpanId, name, kind, attributes, status }) => ({
        service,
        traceId,
        spanId,
        parentSpanId: parentSpanId === '' ? undefined : parentSpanId,
        name,
        kind,
        attributes: valuesOf(attributes),
        failed: status.code === 2 ? (status.message ?? '') : undefined,
      })),
    );
  });
}

export async function startCollector({ status = 200 }: { status?: number } = {}): Promise<Collector> {
  const collected: Pick<Collector, 'spans' | 'received' | 'headers'> = { spans: [], received: [], headers: [] };
  const server = createServer((request, response) => {
    if (request.method !== 'POST' || request.url !== '/v1/traces') {
      response.writeHead(404).end();
      return;
    }
    const collect = async () => {
      const body = await json(request);
      collected.headers.push(request.headers);
      collected.received.push(JSON.stringify(body));
      collected.spans.push(...spansIn(body as Wire));
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    };
    void collect();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ...collected, stop };
}
