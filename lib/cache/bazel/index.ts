/**
 * A tenant's bazel-remote, as far as it tells of itself: GET /status and /metrics of bazel-remote 2.6. The second wants
 * `--enable_endpoint_metrics`, and the credentials that reads want.
 */
import { AppError } from '../../errors.ts';
import { BazelStatus, counters, gauge, type Sample, samplesOf } from './metrics.ts';

export type BazelCache = {
  /** Where it answers over HTTP, without a trailing slash. */
  url: string;
  /** A guarded fetch (lib/forge): an operator typed the address. */
  fetch: typeof globalThis.fetch;
  signal?: AbortSignal | undefined;
};

/** Counters since its process began; bytes are as stored unless they say otherwise. */
export type BazelReading = {
  sizeBytes: number;
  /** Before compression. */
  logicalBytes: number;
  limitBytes: number;
  objects: number;
  /** Of actions (`kind=ac`): whether what was asked for had been done before. */
  hits: number;
  misses: number;
  /** Objects given out (`kind=cas`). The server counts no bytes. */
  servedObjects: number;
  evictedBytes: number;
  /** How long what would be evicted next has not been asked for; null where nothing was told. */
  evictionAgeSeconds: number | null;
};

/** Throws `unavailable` while it does not answer, and for an answer that cannot be read. */
export async function readBazelCache(cache: BazelCache): Promise<BazelReading> {
  const status = BazelStatus.safeParse(await asJson(await get(cache, '/status')));
  if (!status.success) throw unreadable(cache, '/status');
  const samples = samplesOf(await (await get(cache, '/metrics')).text());
  if (samples.length === 0) throw unreadable(cache, '/metrics');
  return readingOf(status.data, samples);
}

function readingOf(status: BazelStatus, samples: readonly Sample[]): BazelReading {
  const { UncompressedSize, CurrSize, MaxSize, NumFiles } = status;
  const requests = 'bazel_remote_incoming_requests_total';
  return {
    // `size_bytes` lags behind; /status does not.
    sizeBytes: CurrSize,
    logicalBytes: UncompressedSize,
    limitBytes: MaxSize,
    objects: NumFiles,
    hits: counters(samples, requests, { method: 'get', kind: 'ac', status: 'hit' }),
    misses: counters(samples, requests, { method: 'get', kind: 'ac', status: 'miss' }),
    servedObjects: counters(samples, requests, { method: 'get', kind: 'cas', status: 'hit' }),
    evictedBytes: counters(samples, 'bazel_remote_disk_cache_evicted_bytes_total', {}),
    evictionAgeSeconds: gauge(samples, 'bazel_remote_disk_cache_longest_item_idle_time_seconds'),
  };
}

async function get({ url, fetch, signal }: BazelCache, path: string): Promise<Response> {
  const response = await fetch(`${url}${path}`, { signal: signal ?? null }).catch((error: unknown) => {
    throw error instanceof AppError ? error : away(url, path, error instanceof Error ? error.message : 'no answer');
  });
  if (response.ok) return response;
  throw away(url, path, String(response.status));
}

async function asJson(response: Response): Promise<unknown> {
  return response.json().catch(() => undefined);
}

function away(url: string, path: string, how: string): AppError {
  return new AppError('unavailable', {
    log: `bazel-remote at ${url}${path}: ${how}`,
    screen: {
      happened: 'The Bazel cache does not answer the portal.',
      todo: 'Figures come again by themselves when it does.',
    },
  });
}

function unreadable({ url }: BazelCache, path: string): AppError {
  return new AppError('unavailable', {
    log: `bazel-remote at ${url}${path} answered what we cannot read`,
    screen: {
      happened: 'The Bazel cache answered something that the portal does not understand.',
      todo: 'The operator must check its version.',
    },
  });
}
