import { Decimal } from 'decimal.js';
import { ClusterRefused, type ClusterClient, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { keepReadings } from './keep.ts';
import type { GivenReading } from './meter.ts';

/** A pod as the metrics API has it: what each container burns, as a rate at an instant. */
export type PodMetrics = {
  metadata: { name: string; namespace: string };
  timestamp: string;
  containers: { usage: { cpu?: string; memory?: string } }[];
};

const units: Record<string, string> = {
  n: '1e-9',
  u: '1e-6',
  m: '1e-3',
  '': '1',
  k: '1e3',
  M: '1e6',
  G: '1e9',
  Ki: '1024',
  Mi: '1048576',
  Gi: '1073741824',
};

/** A quantity as the metrics API writes it; nothing where it cannot be read. */
export function amountOf(quantity: string | undefined): Decimal {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(quantity ?? '') ?? [];
  const size = units[unit];
  return digits === undefined || size === undefined ? new Decimal(0) : new Decimal(digits).mul(size);
}

/** Nobody measured for longer than this: what was used meanwhile is not known, and not counted. */
const gapMs = 5 * 60_000;

export type Before = { observedAt: Date; quantity: Decimal } | undefined;

/** What was used up to `at`: as before, and since then at this rate. */
export function usedUntil(before: Before, rate: Decimal, at: Date, startedAt: Date): Decimal {
  const since = before?.observedAt ?? startedAt;
  const elapsedMs = Math.max(0, at.getTime() - since.getTime());
  const counted = rate.mul(Math.min(elapsedMs, gapMs)).div(1000);
  return (before?.quantity ?? new Decimal(0)).plus(counted).toDecimalPlaces(6, Decimal.ROUND_DOWN);
}

const meters = ['cpuCoreSecondsUsed', 'memoryGibSecondsUsed'] as const;

/** The last reading of each of these sources and meters. */
async function lastOf(ids: readonly string[]): Promise<Map<string, { observedAt: Date; quantity: Decimal }>> {
  const rows = await unsafeDb().$queryRaw<{ id: string; meter: string; at: Date; quantity: string }[]>`
    select s.id, m.meter, r.observed_at as at, r.quantity::text as quantity
    from unnest(${[...ids]}::text[]) as s(id) cross join unnest(${[...meters]}::text[]) as m(meter) cross join lateral (
      select observed_at, quantity from usage_reading where source_id = s.id and meter = m.meter order by observed_at desc limit 1
    ) as r`;
  return new Map(
    rows.map((row) => [`${row.id} ${row.meter}`, { observedAt: row.at, quantity: new Decimal(row.quantity) }]),
  );
}

/** Appends what these runner pods used. Its instant is the metrics server's own, so that a second collector adds nothing. */
export async function keepPodMetrics(
  found: readonly PodMetrics[],
  pods: readonly Observed[],
  now: Date,
): Promise<number> {
  const idOf = new Map(pods.map(({ metadata }) => [`${metadata.namespace}/${metadata.name}`, metadata.uid]));
  const known = found.flatMap((each) => {
    const id = idOf.get(`${each.metadata.namespace}/${each.metadata.name}`);
    return id === undefined ? [] : [{ ...each, id }];
  });
  const where = { id: { in: known.map(({ id }) => id) } };
  const sources = await unsafeDb().usageSource.findMany({ where, select: { id: true, startedAt: true } });
  const startOf = new Map(sources.map(({ id, startedAt }) => [id, startedAt]));
  const last = await lastOf([...startOf.keys()]);
  const readings = known.flatMap(({ id, timestamp, containers }): GivenReading[] => {
    const startedAt = startOf.get(id);
    const observedAt = new Date(timestamp);
    if (!startedAt) return [];
    const sum = (of: (usage: { cpu?: string; memory?: string }) => Decimal) =>
      containers.reduce((total, { usage }) => total.plus(of(usage)), new Decimal(0));
    const rates = [sum(({ cpu }) => amountOf(cpu)), sum(({ memory }) => amountOf(memory)).div(1024 ** 3)];
    return meters.flatMap((meter, index): GivenReading[] => {
      const before = last.get(`${id} ${meter}`);
      if (before && before.observedAt >= observedAt) return [];
      const quantity = usedUntil(before, rates[index] ?? new Decimal(0), observedAt, startedAt);
      return [{ sourceId: id, meter, observedAt, quantity: quantity.toFixed(6) }];
    });
  });
  return readings.length === 0 ? 0 : (await keepReadings(readings, now)).kept;
}

const managed = 'app.kubernetes.io/managed-by=flywheel';

/** What the cluster's metrics API says of our pods; null where it has none, or does not let us ask. */
export async function readPodMetrics(client: ClusterClient, signal: AbortSignal): Promise<PodMetrics[] | null> {
  const asked = {
    method: 'GET',
    path: '/apis/metrics.k8s.io/v1beta1/pods',
    query: { labelSelector: managed },
    signal,
  } as const;
  try {
    return (await client.call<{ items: PodMetrics[] }>(asked, 'the metrics of pods')).items;
  } catch (error) {
    if (error instanceof ClusterRefused && [403, 404, 503].includes(error.refusal.status)) return null;
    throw error;
  }
}
