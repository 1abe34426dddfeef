import { Decimal } from 'decimal.js';
import { tenantLabel, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { memoryBytes } from '#lib/model/index.ts';
import { keepReadings, keepSources, type GivenSource } from './keep.ts';
import type { GivenReading } from './meter.ts';
import type { ReadMeter } from './meters.ts';

/** So much is kept for this source at this instant. */
export type StorageSeen = Pick<GivenSource, 'id' | 'tenantId' | 'kind' | 'name' | 'startedAt'> & {
  gib: Decimal;
  meter: ReadMeter;
};

const stepMs = 3600_000;
/** Nobody looked for longer than this: what was kept meanwhile is not known, and not counted. */
const gapMs = 2 * stepMs;

/** The step that is over by now: all who read it read the same instant, so that a second collector adds nothing. */
export function stepBefore(now: Date): Date {
  return new Date(Math.floor(now.getTime() / stepMs) * stepMs);
}

/** GiB-hours up to `at`, from the reading before: a step's worth at a time, none for a gap, never less than before. */
export function storedUntil(
  before: { observedAt: Date; quantity: Decimal } | null,
  gib: Decimal,
  at: Date,
  startedAt: Date,
): Decimal {
  const since = before?.observedAt ?? startedAt;
  const elapsedMs = Math.max(0, at.getTime() - since.getTime());
  const counted = elapsedMs > gapMs ? stepMs : elapsedMs;
  return (before?.quantity ?? new Decimal(0))
    .plus(gib.mul(counted).div(3600_000))
    .toDecimalPlaces(6, Decimal.ROUND_DOWN);
}

/** A reading a source and hour of what is kept for it. */
export async function keepStorage(seen: readonly StorageSeen[], now: Date, clusterId: string): Promise<number> {
  const at = stepBefore(now);
  const due = seen.filter(({ startedAt }) => startedAt < at);
  if (due.length === 0) return 0;
  const rows = await unsafeDb().$queryRaw<{ id: string; at: Date; quantity: string }[]>`
    select s.id, r.observed_at as at, r.quantity::text as quantity from unnest(${due.map(({ id }) => id)}::text[]) as s(id)
    cross join lateral (
      select observed_at, quantity from usage_reading where source_id = s.id order by observed_at desc limit 1
    ) as r`;
  const last = new Map(rows.map((row) => [row.id, { observedAt: row.at, quantity: new Decimal(row.quantity) }]));
  const missing = due.filter(({ id }) => (last.get(id)?.observedAt ?? new Date(0)) < at);
  if (missing.length === 0) return 0;
  await keepSources(
    missing.map(({ gib: _, meter: __, ...source }) => ({
      ...source,
      clusterId,
      enrollmentId: null,
      poolName: null,
      cpuCores: '0',
      memoryGib: '0',
      gpuCount: 0,
      endedAt: null,
      endedItself: null,
    })),
  );
  const readings = missing.map(({ id, gib, meter, startedAt }): GivenReading => {
    const quantity = storedUntil(last.get(id) ?? null, gib, at, startedAt);
    return { sourceId: id, meter, observedAt: at, quantity: quantity.toFixed(6) };
  });
  return (await keepReadings(readings, now)).kept;
}

/** The disks of the tenants' Bazel caches: what is claimed is kept for them, whether it is full or not. */
export async function sampleStorage(claims: readonly Observed[], now: Date, clusterId: string): Promise<number> {
  const slugs = claims.map(({ metadata }) => metadata.labels?.[tenantLabel] ?? '');
  const tenants = await unsafeDb().tenant.findMany({
    where: { slug: { in: slugs } },
    select: { id: true, slug: true },
  });
  const idOf = new Map(tenants.map(({ id, slug }) => [slug, id]));
  const seen = claims.flatMap(({ metadata, ...claim }): StorageSeen[] => {
    const slug = metadata.labels?.[tenantLabel];
    const { resources } = (claim['spec'] ?? {}) as { resources?: { requests?: { storage?: string } } };
    const created = (metadata as { creationTimestamp?: string }).creationTimestamp;
    if (slug === undefined || metadata.namespace !== `bazel-${slug}` || !resources?.requests?.storage || !created)
      return [];
    const gib = new Decimal(memoryBytes(resources.requests.storage).toString()).div(1024 ** 3);
    return [
      {
        id: metadata.uid,
        tenantId: idOf.get(slug) ?? null,
        kind: 'bazel',
        name: metadata.name,
        gib,
        meter: 'bazelGibHours',
        startedAt: new Date(created),
      },
    ];
  });
  return keepStorage(seen, now, clusterId);
}
