import { readBazelCache, readViewStatistics, type BazelReading, type ViewStatistics } from '#lib/cache/index.ts';
import { unsafeDb, type CacheReadingModel } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { log } from '#lib/log.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { cacheFetch, statisticsUrlOf } from './server.ts';

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
      if (!(await readViews(`attic ${server.id}`, url, views, now)))
        // One that takes too long would take all that are asked for with it.
        for (const [name, tenantId] of views)
          await readViews(`attic view ${name}`, url, new Map([[name, tenantId]]), now);
    }
  }
}

/** Whether Attic's database told of these views, by name. */
async function readViews(what: string, url: string, views: ReadonlyMap<string, string>, now: Date): Promise<boolean> {
  const before = await lastOf(views);
  const since = before.size === 0 ? null : new Date(Math.max(...[...before.values()].map(({ at }) => at.getTime())));
  const found = await unlessAway(what, () => readViewStatistics(url, [...views.keys()], since));
  if (!found) return false;
  await keep(found.flatMap((each) => atticRow(each, views.get(each.view), before.get(each.view)?.hits ?? 0n, now)));
  return true;
}

/** What was last counted of these views, and when; all of a round have the same time. */
async function lastOf(views: ReadonlyMap<string, string>): Promise<Map<string, { at: Date; hits: bigint }>> {
  const rows = await unsafeDb().$queryRaw<{ source: string; at: Date; hits: bigint | null }[]>`
    select view.source, last.observed_at as at, last.hits
    from unnest(${[...views.keys()]}::text[], ${[...views.values()]}::uuid[]) as view (source, tenant_id)
    cross join lateral (
      select observed_at, hits from cache_reading
      where tenant_id = view.tenant_id and source = view.source order by observed_at desc limit 1) as last`;
  return new Map(rows.map(({ source, at, hits }) => [source, { at, hits: hits ?? 0n }]));
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
  const fetch = cacheFetch();
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
