import { readBazelCache, readViewStatistics, type BazelReading, type ViewStatistics } from '#lib/cache/index.ts';
import { unsafeDb, type CacheReadingModel } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { log } from '#lib/log.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { bazelFetchOf, statisticsUrlOf } from './server.ts';

/* What the caches say of themselves, kept at each look. One that does not answer holds up no other and leaves no reading. */

const keptMs = 35 * 24 * 3600_000;
/** Who asks what a token was asks soon; the audit has for ever that it was made. */
const tokensKeptMs = 90 * 24 * 3600_000;
/** Views that one question to Attic's database is about. */
const viewsAtOnce = 200;
const cachesAtOnce = 8;

export const bazelSource = 'bazel';

type Reading = Partial<CacheReadingModel> & Pick<CacheReadingModel, 'tenantId' | 'source' | 'observedAt'>;

/** One round over all caches; what is older than the pages show is let go. */
export async function readCaches(now: Date): Promise<void> {
  await readAttic(now);
  await readBazel(now);
  await unsafeDb().cacheReading.deleteMany({ where: { observedAt: { lt: new Date(now.getTime() - keptMs) } } });
  await unsafeDb().cacheToken.deleteMany({ where: { expiresAt: { lt: new Date(now.getTime() - tokensKeptMs) } } });
}

async function keep(readings: Reading[]): Promise<void> {
  if (readings.length > 0) await unsafeDb().cacheReading.createMany({ data: readings, skipDuplicates: true });
}

/** Answers null, and says so in the log, where the other side is away. */
async function unlessAway<T>(what: string, ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    log().warn({ what, reason: error.message }, 'a cache told nothing');
    return null;
  }
}

async function readAttic(now: Date): Promise<void> {
  const servers = await unsafeDb().cacheServer.findMany({
    where: { plane: 'attic', sealedStatisticsUrl: { not: null } },
    include: { views: { where: { observedAt: { not: null } }, select: { name: true, tenantId: true } } },
  });
  for (const server of servers) {
    const url = await statisticsUrlOf(server);
    if (url === null) continue;
    for (let from = 0; from < server.views.length; from += viewsAtOnce) {
      const views = new Map(server.views.slice(from, from + viewsAtOnce).map((view) => [view.name, view.tenantId]));
      const before = await lastOf([...views.keys()]);
      const since =
        before.size === 0 ? null : new Date(Math.max(...[...before.values()].map(({ at }) => at.getTime())));
      const found = await unlessAway(`attic ${server.id}`, () => readViewStatistics(url, [...views.keys()], since));
      if (!found) break;
      await keep(found.flatMap((each) => atticRow(each, views.get(each.view), before.get(each.view)?.hits ?? 0n, now)));
    }
  }
}

/** What was last counted of these views, and when; all of a round have the same time. */
async function lastOf(sources: string[]): Promise<Map<string, { at: Date; hits: bigint }>> {
  const rows = await unsafeDb().cacheReading.findMany({
    where: { source: { in: sources } },
    orderBy: { observedAt: 'desc' },
    distinct: ['source'],
    select: { source: true, observedAt: true, hits: true },
  });
  return new Map(rows.map(({ source, observedAt: at, hits }) => [source, { at, hits: hits ?? 0n }]));
}

/** Attic counts nothing: paths that were read between two looks add up to what was read at least. */
function atticRow(
  { view, objects, logicalBytes, storedBytes, lastPushedAt, lastReadAt, readSince }: ViewStatistics,
  tenantId: string | undefined,
  hitsBefore: bigint,
  observedAt: Date,
): Reading[] {
  if (tenantId === undefined) return [];
  const hits = hitsBefore + readSince;
  const lastUsedAt = latest(lastPushedAt, lastReadAt);
  return [
    { tenantId, source: view, observedAt, objects, logicalBytes, storedBytes, lastUsedAt, hits, servedObjects: hits },
  ];
}

function latest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a > b ? a : b;
}

type WithBazel = { tenantId: string; url: string };

/** The tenants that have a cache of their own, and where the operator says that it is reached. */
async function withBazel(): Promise<WithBazel[]> {
  const logins = await unsafeDb().credential.findMany({
    where: { kind: 'bazel-password' },
    select: { tenantId: true },
  });
  const tenants = await unsafeDb().tenant.findMany({
    where: { id: { in: logins.map(({ tenantId }) => tenantId) }, cluster: { bazelUrl: { not: null } } },
    select: { id: true, slug: true, cluster: { select: { bazelUrl: true } } },
  });
  return tenants.flatMap(({ id, slug, cluster: { bazelUrl } }) =>
    bazelUrl === null ? [] : [{ tenantId: id, url: bazelUrlFor(bazelUrl, slug) }],
  );
}

export function bazelUrlFor(pattern: string, slug: string): string {
  return pattern.replaceAll('{namespace}', namespacesOf(slug).bazel);
}

async function readBazel(now: Date): Promise<void> {
  const waiting = await withBazel();
  const fetch = bazelFetchOf();
  const work = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { tenantId, url } = next;
      const found = await unlessAway(`bazel of ${tenantId}`, () => readBazelCache({ url, fetch }));
      if (found) await keep([bazelRow(tenantId, now, found)]);
    }
  };
  await Promise.all(Array.from({ length: cachesAtOnce }, work));
}

function bazelRow(tenantId: string, observedAt: Date, found: BazelReading): Reading {
  return {
    tenantId,
    source: bazelSource,
    observedAt,
    hits: BigInt(found.hits),
    misses: BigInt(found.misses),
    servedObjects: BigInt(found.servedObjects),
    logicalBytes: BigInt(found.logicalBytes),
    storedBytes: BigInt(found.sizeBytes),
    limitBytes: BigInt(found.limitBytes),
    evictedBytes: BigInt(found.evictedBytes),
    evictionAgeSeconds: found.evictionAgeSeconds === null ? null : BigInt(Math.round(found.evictionAgeSeconds)),
    objects: BigInt(found.objects),
  };
}
