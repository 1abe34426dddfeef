import { z } from 'zod';
import { readRetentionEffect } from '#lib/cache/index.ts';
import { unsafeDb, type CacheReadingModel } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { bazelServiceUrl, viewLabelOf, type ViewTrust } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { bazelSource, bazelUrlFor } from './readings.ts';
import { statisticsUrlOf } from './server.ts';
import { daysOf, grown, hitRate, sizingAdvice, sumOf, type Advice, type CacheDay } from './usage.ts';
import { isEnrolled, type ViewRow } from './views.ts';

/* What the pages of the caches show. What is not known is null, and the page says so. */

/** A figure that was read, and when; null where nobody tells it. */
export type Known<T> = { value: T; at: string } | null;

export type ViewSize = {
  objects: number;
  logicalBytes: number;
  storedBytes: number;
  lastUsedAt: string | null;
};

export type CacheViewRow = {
  id: string;
  name: string;
  label: string;
  trust: ViewTrust;
  isPublic: boolean;
  priority: number;
  upstreamKeys: string[];
  /** Null is the server's own; 0 is for ever. */
  retentionSeconds: number | null;
  publicKey: string | null;
  substituterUrl: string | null;
  observedAt: string | null;
  /** Whether the server has been told all that was asked for. */
  isSettled: boolean;
  isRemoving: boolean;
  trouble: string | null;
  /** Whether enrollments make and remove it. */
  isEnrolled: boolean;
  size: Known<ViewSize>;
};

const windowDays = 14;
const windowMs = windowDays * 24 * 3600_000;

async function newest(ctx: Ctx, sources: string[]): Promise<Map<string, CacheReadingModel>> {
  // One by one, each by the index: asked for together, Prisma would fetch all that was ever read of them.
  const rows = await Promise.all(
    sources.map((source) => ctx.db.cacheReading.findFirst({ where: { source }, orderBy: { observedAt: 'desc' } })),
  );
  return new Map(rows.flatMap((row) => (row ? [[row.source, row] as const] : [])));
}

function viewRow(row: ViewRow, reading: CacheReadingModel | undefined): CacheViewRow {
  const { id, name, isPublic, priority, upstreamKeys, retentionSeconds, publicKey, substituterUrl, trouble } = row;
  return {
    id,
    name,
    isPublic,
    priority,
    upstreamKeys,
    retentionSeconds,
    publicKey,
    substituterUrl,
    trouble,
    label: viewLabelOf(name),
    trust: row.trust === 'untrusted' ? 'untrusted' : 'trusted',
    observedAt: row.observedAt?.toISOString() ?? null,
    isSettled: row.observedAt !== null && row.changedAt <= row.observedAt && row.trouble === null,
    isRemoving: row.removingAt !== null,
    isEnrolled: isEnrolled(row),
    size: reading ? { value: sizeOf(reading), at: reading.observedAt.toISOString() } : null,
  };
}

function sizeOf({ objects, logicalBytes, storedBytes, lastUsedAt }: CacheReadingModel): ViewSize {
  return {
    objects: Number(objects ?? 0),
    logicalBytes: Number(logicalBytes ?? 0),
    storedBytes: Number(storedBytes ?? 0),
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
  };
}

/** The tenant's views, those of its enrollments first. */
export async function cacheViews(ctx: Ctx): Promise<CacheViewRow[]> {
  const rows = await ctx.db.cacheView.findMany({ where: { plane: 'attic' }, orderBy: { createdAt: 'asc' } });
  const sizes = await newest(
    ctx,
    rows.map(({ name }) => name),
  );
  return rows
    .map((row) => viewRow(row, sizes.get(row.name)))
    .toSorted((a, b) => Number(b.isEnrolled) - Number(a.isEnrolled));
}

/** What was read of a view at least, by day; null where nobody tells. Misses are nowhere counted. */
export async function viewDays(
  ctx: Ctx,
  { name }: Pick<CacheViewRow, 'name'>,
  now = new Date(),
): Promise<CacheDay[] | null> {
  const readings = await ctx.db.cacheReading.findMany({ where: within(name, now), orderBy: { observedAt: 'asc' } });
  return readings.length === 0 ? null : daysOf(readings, now, windowDays);
}

/** One day more than is shown, for the first to be counted from. */
function within(source: string, now: Date) {
  return { source, observedAt: { gt: new Date(now.getTime() - windowMs - 24 * 3600_000) } };
}

export type BazelView = {
  /** Inside the cluster. */
  serviceUrl: string;
  /** From elsewhere, where the operator gave a way; it reads and does not write. */
  outsideUrl: string | null;
  state: Known<{ storedBytes: number; logicalBytes: number; limitBytes: number; objects: number }>;
  advice: Advice | null;
  /** Null where nothing was told yet. */
  days: CacheDay[] | null;
  hitRate: number | null;
};

/** The tenant's Bazel cache; null where it has none. */
export async function bazelView(ctx: Ctx, now = new Date()): Promise<BazelView | null> {
  const login = await unsafeDb().credential.findFirst({
    where: { tenantId: ctx.tenant.id, kind: 'bazel-password' },
    select: { id: true },
  });
  if (!login) return null;
  const { slug, clusterId } = ctx.tenant;
  const cluster = await ctx.db.cluster.findUnique({ where: { id: clusterId } });
  const readings = await ctx.db.cacheReading.findMany({
    where: within(bazelSource, now),
    orderBy: { observedAt: 'asc' },
  });
  const last = readings.at(-1);
  const days = last ? daysOf(readings, now, windowDays) : null;
  return {
    serviceUrl: bazelServiceUrl(slug),
    outsideUrl: outsideOf(cluster?.bazelUrl ?? null, slug),
    state: last ? { value: stateOf(last), at: last.observedAt.toISOString() } : null,
    advice: last ? adviceOf(readings, last) : null,
    days,
    hitRate: days && hitRate(sumOf(days)),
  };
}

/** A name of the cluster's own is none to a laptop. */
function outsideOf(pattern: string | null, slug: string): string | null {
  if (pattern === null) return null;
  const url = bazelUrlFor(pattern, slug);
  return /\.svc(\.|:|\/|$)/.test(url) ? null : url;
}

function stateOf({ storedBytes, logicalBytes, limitBytes, objects }: CacheReadingModel) {
  return {
    storedBytes: Number(storedBytes ?? 0),
    logicalBytes: Number(logicalBytes ?? 0),
    limitBytes: Number(limitBytes ?? 0),
    objects: Number(objects ?? 0),
  };
}

function adviceOf(readings: readonly CacheReadingModel[], last: CacheReadingModel): Advice {
  const evictedBytes = readings.reduce(
    (sum, reading, index) => sum + grown(readings[index - 1]?.evictedBytes ?? null, reading.evictedBytes),
    0,
  );
  const { limitBytes, storedBytes } = stateOf(last);
  const evictionAgeSeconds = last.evictionAgeSeconds === null ? null : Number(last.evictionAgeSeconds);
  return sizingAdvice({ limitBytes, storedBytes, evictedBytes, evictionAgeSeconds });
}

// ------------------------------------------------------------------------------------------------ the tenant's first line

export type CachesSummary = {
  views: number;
  /** Of the last 14 days; null where nobody tells. */
  bazelHitRate: number | null;
  servedBytes: number | null;
  logicalBytes: number | null;
  storedBytes: number | null;
};

export function cachesSummary(views: readonly CacheViewRow[], bazel: BazelView | null): CachesSummary {
  const sizes = views.flatMap(({ size }) => (size ? [size.value] : []));
  const sum = (of: (size: ViewSize) => number) =>
    sizes.length === 0 ? null : sizes.reduce((all, each) => all + of(each), 0);
  return {
    views: views.length,
    bazelHitRate: bazel?.hitRate ?? null,
    servedBytes: bazel?.days ? sumOf(bazel.days).servedBytes : null,
    logicalBytes: sum(({ logicalBytes }) => logicalBytes),
    storedBytes: sum(({ storedBytes }) => storedBytes),
  };
}

// ------------------------------------------------------------------------------------------------ what a retention would free

export const RetentionQuestion = z.strictObject({ viewId: z.uuid(), days: z.coerce.number().int().min(1).max(24_855) });

export type Effect = { objects: number; logicalBytes: number; storedBytes: number };

/**
 * What a retention of so many days would remove at the server's next collection, as its database stands now; null where the
 * operator gave no connection to it, or it does not answer: a page shows the rest all the same.
 */
export async function retentionEffect(
  ctx: Ctx,
  { viewId, days }: z.infer<typeof RetentionQuestion>,
): Promise<Effect | null> {
  const view = await ctx.db.cacheView.findFirst({ where: { id: viewId, plane: 'attic' } });
  if (!view) throw notFound('This view');
  const server = await unsafeDb().cacheServer.findUnique({ where: { id: view.serverId } });
  const url = server && (await statisticsUrlOf(server));
  if (!url) return null;
  try {
    const { objects, logicalBytes, storedBytes } = await readRetentionEffect(url, view.name, days * 24 * 3600);
    return { objects: Number(objects), logicalBytes: Number(logicalBytes), storedBytes: Number(storedBytes) };
  } catch (error) {
    if (error instanceof AppError && error.code === 'unavailable') return null;
    throw error;
  }
}
