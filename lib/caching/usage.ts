/* What counters that begin anew with their process come to over days, and what follows from them. Values in, values out. */

export type Counters = {
  observedAt: Date;
  hits: bigint | null;
  misses: bigint | null;
  /** Objects that were given out. How many bytes they had is not told: see `daysOf`. */
  servedObjects: bigint | null;
  objects: bigint | null;
  logicalBytes: bigint | null;
};

export type CacheDay = {
  /** `2026-11-25`, in UTC. */
  day: string;
  hits: number;
  misses: number;
  /** About: objects that were given out, times what an object was large on average. */
  servedBytes: number;
};

const dayMs = 24 * 3600_000;

/** A counter that fell began anew: what it has counted since is all that is known of the time between. */
export function grown(before: bigint | null, after: bigint | null): number {
  if (before === null || after === null) return 0;
  return Number(after >= before ? after - before : after);
}

/** One row a day of the window, days without a reading included, the oldest first. What came between two readings is the later's day's. */
export function daysOf(readings: readonly Counters[], now: Date, days: number): CacheDay[] {
  const dayOf = (at: Date) => at.toISOString().slice(0, 10);
  const rows = new Map(
    Array.from({ length: days }, (_, index) => {
      const day = dayOf(new Date(now.getTime() - (days - 1 - index) * dayMs));
      return [day, { day, hits: 0, misses: 0, servedBytes: 0 }] as [string, CacheDay];
    }),
  );
  const sorted = readings.toSorted((a, b) => a.observedAt.getTime() - b.observedAt.getTime());
  for (const [index, reading] of sorted.entries()) {
    const before = sorted[index - 1];
    const row = rows.get(dayOf(reading.observedAt));
    if (!before || !row) continue;
    row.hits += grown(before.hits, reading.hits);
    row.misses += grown(before.misses, reading.misses);
    row.servedBytes += Math.round(grown(before.servedObjects, reading.servedObjects) * meanBytes(reading));
  }
  return [...rows.values()];
}

function meanBytes({ logicalBytes, objects }: Counters): number {
  return logicalBytes === null || objects === null || objects === 0n ? 0 : Number(logicalBytes) / Number(objects);
}

export function sumOf(days: readonly CacheDay[]): Omit<CacheDay, 'day'> {
  const sum = (of: (day: CacheDay) => number) => days.reduce((total, day) => total + of(day), 0);
  return { hits: sum((day) => day.hits), misses: sum((day) => day.misses), servedBytes: sum((day) => day.servedBytes) };
}

/** 0..1; null where nothing was asked for. */
export function hitRate({ hits, misses }: { hits: number; misses: number }): number | null {
  return hits + misses === 0 ? null : hits / (hits + misses);
}

export type Advice = {
  tone: 'good' | 'warn' | 'idle';
  says: string;
  /** What would keep a week of what was asked for, where the present size does not. */
  sizeGib: number | null;
};

const gib = 1024 ** 3;
const daySeconds = 24 * 3600;
/** What was asked for within a week is likely to be asked for again: a build of last week's branch. */
const wantedSeconds = 7 * daySeconds;
/** An age says how fast a full cache turns over, and not how it would if it were many times larger. */
const growthMost = 4;

type Sizing = {
  limitBytes: number;
  storedBytes: number;
  /** Within the window that is looked at. */
  evictedBytes: number;
  /** How long what goes next has not been asked for. */
  evictionAgeSeconds: number | null;
};

/** Whether a cache of bounded size is large enough, by the age at which it lets entries go. */
export function sizingAdvice({ limitBytes, storedBytes, evictedBytes, evictionAgeSeconds: age }: Sizing): Advice {
  const full = limitBytes > 0 ? storedBytes / limitBytes : 0;
  if (evictedBytes === 0) {
    const says = `Nothing had to go: it is ${Math.round(full * 100)} % full.`;
    return { tone: full < 0.9 ? 'good' : 'idle', says, sizeGib: null };
  }
  if (age === null)
    return { tone: 'idle', says: 'Entries go, and the cache does not say how old they are.', sizeGib: null };
  if (age >= wantedSeconds)
    return { tone: 'good', says: `Large enough: what goes was not asked for in ${days(age)}.`, sizeGib: null };
  const factor = Math.min(growthMost, wantedSeconds / Math.max(age, 1));
  const sizeGib = Math.ceil((limitBytes * factor) / 0.9 / gib);
  const says = `Too small: what goes was asked for ${days(age)} ago. ${sizeGib} GiB would keep ${factor === growthMost ? 'about four times as much' : 'about a week'}.`;
  return { tone: 'warn', says, sizeGib };
}

function days(seconds: number): string {
  const [size, unit] = seconds < daySeconds ? ([3600, 'hour'] as const) : ([daySeconds, 'day'] as const);
  const count = Math.max(1, Math.floor(seconds / size));
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
