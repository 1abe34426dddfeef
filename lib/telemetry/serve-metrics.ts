import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { held } from './held.ts';
import { metrics, type Metric, type MetricName } from './metric-list.ts';
import { readAt, type Instruments, type Reader, type Sample } from './metrics.ts';
import { tightest } from './seen.ts';

type Client = typeof import('prom-client');

const names = Object.keys(metrics) as MetricName[];
const loopSampleMs = 20;

export type Served = { port: number; stop: () => Promise<void> };

/**
 * Serves this process's metrics at `/metrics` on a port of their own, and begins to keep them: before, and where no port is
 * named, nothing is kept and the library is not loaded. A process whose metrics cannot be served works without.
 */
export async function serveMetrics(
  port: number | undefined,
  onError: (error: unknown) => void,
): Promise<Served | undefined> {
  if (port === undefined) return undefined;
  try {
    return await serve(port);
  } catch (error) {
    onError(error);
    return undefined;
  }
}

async function serve(port: number): Promise<Served> {
  const client = await import('prom-client');
  const { registry, instruments } = made(client);
  readProcess();
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await listening(server, port);
  held().instruments = instruments;
  const stop = async () => {
    held().instruments = undefined;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: (server.address() as AddressInfo).port, stop };
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, resolve);
  });
}

/** All metrics, so that one of which nothing was counted yet shows too: an alert on what is missing can tell it from a misspelt one. */
function made(client: Client): { registry: Registry; instruments: Instruments } {
  const registry = new client.Registry();
  const all = new Map(names.map((name) => [name, instrumentOf(client, registry, name)]));
  return {
    registry,
    instruments: {
      count: (name, labels, by) => (all.get(name) as Counter).inc(labels, by),
      observe: (name, labels, value) => (all.get(name) as Histogram).observe(labels, value),
    },
  };
}

function instrumentOf(client: Client, registry: Registry, key: MetricName): Counter | Gauge | Histogram {
  const metric: Metric = metrics[key];
  const { name, help } = metric;
  const common = { name, help, labelNames: [...metric.labels], registers: [registry] };
  if (metric.type === 'histogram') return new client.Histogram({ ...common, buckets: [...metric.buckets] });
  if (metric.type === 'gauge')
    return new client.Gauge({
      ...common,
      collect: collecting(key, (gauge, { labels, value }) => gauge.set(labels, value)),
    });
  return new client.Counter({
    ...common,
    collect: collecting(key, (counter, { labels, value }) => counter.inc(labels, value)),
  });
}

/** Where a reader is named, what it reads now is all there is. A gauge that nobody reads is not told of, which is not nought. */
function collecting<Instrument extends { reset: () => void; remove: () => void }>(
  name: MetricName,
  tell: (instrument: Instrument, sample: Sample) => void,
): (this: Instrument) => Promise<void> {
  return async function collect() {
    const read = held().readers.get(name);
    if (!read && metrics[name].type !== 'gauge') return;
    const samples = read ? await readOrNothing(read) : [];
    this.reset();
    // Without labels there is one series from the first, whatever is known of it.
    if (samples.length === 0 && metrics[name].labels.length === 0) this.remove();
    for (const sample of samples) tell(this, sample);
  };
}

async function readOrNothing(read: Reader): Promise<Sample[]> {
  try {
    return await read();
  } catch {
    return [];
  }
}

function readProcess(): void {
  const one = (value: number) => [{ labels: {}, value }];
  const delay = monitorEventLoopDelay({ resolution: loopSampleMs });
  delay.enable();
  readAt('processMemory', () => one(process.memoryUsage.rss()));
  readAt('processStart', () => one(performance.timeOrigin / 1000));
  readAt('heapUsed', () => one(process.memoryUsage().heapUsed));
  readAt('processCpu', () => {
    const { user, system } = process.cpuUsage();
    return one((user + system) / 1e6);
  });
  readAt('loopLag', () => {
    // What is measured is from one ring to the next.
    const lag = delay.percentile(99) / 1e9 - loopSampleMs / 1000;
    delay.reset();
    return one(Math.max(0, lag));
  });
  const windows = (part: 'remaining' | 'limit') => () =>
    [...held().seen.forges.keys()].flatMap((connection) => {
      const window = tightest(connection);
      return window ? [{ labels: { connection }, value: window[part] }] : [];
    });
  readAt('forgeLeft', windows('remaining'));
  readAt('forgeLimit', windows('limit'));
}
